//! The body of a request. Only small bodies are collected, and no body is waited for without a
//! limit.
//!
//! With a deadline for the next byte, a client that sends one byte a second could keep its
//! connection for years. A deadline for the whole body would cut off large layers. So each
//! [`STRIDE`] has its own, of which only the waiting for the client counts.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use tokio::time::{Instant, timeout};

use crate::body_memory::BodyShare;

/// How much of a body must arrive in the time that a stall may last, in bytes, unless it ends.
const STRIDE: usize = 64 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request.
pub(crate) struct BoundedBody {
    /// None if there is no body, or after its end.
    body: Option<UnsyncBoxBody<Bytes, BoxError>>,
    length: Option<u64>,
    /// How long a [`STRIDE`] may take.
    stall: Duration,
    /// How much of that is left for the current stride.
    left: Duration,
    /// How much of the current stride has arrived, in bytes.
    arrived: usize,
}

/// Why a body did not come to its end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestBodyError {
    #[error("the body stopped arriving")]
    Stalled,
    #[error("the body ended too early")]
    Broken,
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("too many large bodies are on their way: try again later")]
    NoMemory,
}

impl BoundedBody {
    pub(crate) fn new<B>(body: B, stall: Duration) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let length = body.size_hint().exact();
        let body = (!body.is_end_stream()).then(|| body.map_err(Into::into).boxed_unsync());
        Self {
            body,
            length,
            stall,
            left: stall,
            arrived: 0,
        }
    }

    /// The length of the whole body in bytes, if the client says it ahead.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next piece; none at the end.
    #[expect(
        clippy::disallowed_methods,
        reason = "a client's speed on the runtime's timer"
    )]
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RequestBodyError> {
        loop {
            let Some(body) = &mut self.body else {
                return Ok(None);
            };
            let asked = Instant::now();
            match timeout(self.left, body.frame()).await {
                // Trailers are ignored.
                Ok(Some(Ok(frame))) => {
                    self.left = self.left.saturating_sub(asked.elapsed());
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        self.count(data.len());
                        return Ok(Some(data));
                    }
                }
                Ok(None) => self.body = None,
                Ok(Some(Err(_))) => {
                    self.body = None;
                    return Err(RequestBodyError::Broken);
                }
                Err(_) => {
                    self.body = None;
                    return Err(RequestBodyError::Stalled);
                }
            }
        }
    }

    /// Notes what came. After a whole stride the time begins anew.
    fn count(&mut self, length: usize) {
        self.arrived += length;
        if self.arrived >= STRIDE {
            self.arrived = 0;
            self.left = self.stall;
        }
    }

    /// The whole body, if it has at most `limit` bytes. It is counted in `share` as it grows.
    pub(crate) async fn collect(
        &mut self,
        limit: usize,
        share: &mut BodyShare,
    ) -> Result<Bytes, RequestBodyError> {
        // A body that declares to be too long is not read.
        if self.length.is_some_and(|length| length > limit as u64) {
            return Err(RequestBodyError::TooLarge(limit));
        }
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > limit {
                return Err(RequestBodyError::TooLarge(limit));
            }
            all.extend_from_slice(&piece);
            share
                .grow_to(all.capacity())
                .map_err(|_| RequestBodyError::NoMemory)?;
        }
        Ok(all.freeze())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use http_body_util::{Empty, Full};
    use hyper::body::Frame;

    use super::*;
    use crate::body_memory::{BodyMemory, BodyOwner};

    const STALL: Duration = Duration::from_millis(20);

    fn share() -> BodyShare {
        Arc::new(BodyMemory::default()).share(BodyOwner::Anonymous(None))
    }

    /// A body that sends a piece, then nothing more, and does not end.
    struct Stalling(Option<&'static [u8]>);

    impl Body for Stalling {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.take().map_or(Poll::Pending, |bytes| {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes)))))
            })
        }
    }

    #[tokio::test]
    async fn a_small_body_is_gathered() {
        let body = || BoundedBody::new(Full::new(Bytes::from_static(b"hello")), STALL);
        assert_eq!(body().length(), Some(5));
        assert_eq!(body().collect(5, &mut share()).await.unwrap(), "hello");
        let larger = body().collect(4, &mut share()).await;
        assert_eq!(larger, Err(RequestBodyError::TooLarge(4)));
        let mut none = BoundedBody::new(Empty::<Bytes>::new(), STALL);
        assert_eq!((none.length(), none.next().await), (Some(0), Ok(None)));
    }

    #[tokio::test]
    async fn a_body_that_stops_is_not_waited_for() {
        let mut body = BoundedBody::new(Stalling(Some(b"hel")), STALL);
        assert_eq!(body.length(), None);
        assert_eq!(body.next().await.unwrap().unwrap(), "hel");
        assert_eq!(body.next().await, Err(RequestBodyError::Stalled));
        assert_eq!(body.next().await, Ok(None));
    }

    /// A body that comes to `left` pieces of `length` bytes, each after `pause`.
    struct Dripping {
        left: u32,
        length: usize,
        pause: Duration,
        next: Option<Pin<Box<tokio::time::Sleep>>>,
    }

    impl Dripping {
        fn new(left: u32, length: usize, pause: Duration) -> Self {
            Self {
                left,
                length,
                pause,
                next: None,
            }
        }
    }

    impl Body for Dripping {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            let pause = self.pause;
            let next = self
                .next
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            std::task::ready!(next.as_mut().poll(context));
            (self.next, self.left) = (None, self.left - 1);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; self.length])))))
        }
    }

    async fn length_of(body: Dripping, stall: Duration) -> Result<usize, RequestBodyError> {
        let (mut body, mut length) = (BoundedBody::new(body, stall), 0);
        while let Some(piece) = body.next().await? {
            length += piece.len();
        }
        Ok(length)
    }

    #[tokio::test]
    async fn a_body_has_a_pace_to_keep() {
        let (stall, pause) = (Duration::from_secs(1), Duration::from_millis(20));
        assert_eq!(
            length_of(Dripping::new(500, 1, pause), stall).await,
            Err(RequestBodyError::Stalled),
            "a byte at a time"
        );
        assert_eq!(
            length_of(Dripping::new(3, 1, pause), stall).await,
            Ok(3),
            "a small body"
        );
        // However long the whole takes.
        assert_eq!(
            length_of(Dripping::new(75, STRIDE / 2, pause), stall).await,
            Ok(75 * STRIDE / 2)
        );
    }

    #[tokio::test]
    async fn only_waiting_for_the_client_counts() {
        let stall = Duration::from_secs(1);
        let mut body = BoundedBody::new(Dripping::new(5, 100, Duration::from_millis(1)), stall);
        while body.next().await.unwrap().is_some() {
            // A disk that is slow.
            tokio::time::sleep(stall / 3).await;
        }
    }

    #[tokio::test]
    async fn a_body_that_grows_beyond_its_bound_is_cut_off() {
        let mut body = BoundedBody::new(Stalling(Some(b"hello")), STALL);
        let larger = body.collect(4, &mut share()).await;
        assert_eq!(larger, Err(RequestBodyError::TooLarge(4)));
    }
}
