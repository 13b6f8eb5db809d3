//! The body of a response: empty, in memory, or streamed from the storage.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use common::BoxFuture;
use http::Response;
use hyper::body::{Frame, SizeHint};
use storage::BlobReader;

/// A response, whose body may still be on its way.
pub type HttpResponse = Response<Body>;

/// Opens a range of some content when its turn comes.
pub(crate) type OpenRange = Arc<
    dyn Fn(Range<u64>) -> BoxFuture<'static, Result<Box<dyn BlobReader>, storage::Error>>
        + Send
        + Sync,
>;

/// The body of a response, of a length that is known before it begins.
#[derive(Default)]
pub struct Body(State);

#[derive(Default)]
enum State {
    #[default]
    Ended,
    Whole(Bytes),
    Stream(Stream),
    Parts(Box<Parts>),
}

/// Content that comes piece by piece.
struct Stream {
    source: Box<dyn BlobReader>,
    /// How many bytes are still to come.
    left: u64,
}

/// A blob that is being opened at the beginning of a range.
type Opening = BoxFuture<'static, Result<Box<dyn BlobReader>, storage::Error>>;

/// Several ranges of one blob, of which one is open at a time.
struct Parts {
    open: OpenRange,
    pending: VecDeque<Part>,
    opening: Option<(Opening, u64)>,
    stream: Option<Stream>,
    /// How many bytes are still to come, of all parts.
    left: u64,
}

/// A piece of a body that has several.
pub(crate) enum Part {
    /// What stands between the ranges.
    Text(Bytes),
    /// A range of the content.
    Content(Range<u64>),
}

impl Body {
    /// `length` bytes, as they come from `source`.
    pub(crate) fn stream(source: Box<dyn BlobReader>, length: u64) -> Self {
        if length == 0 {
            return Self::default();
        }
        Self(State::Stream(Stream {
            source,
            left: length,
        }))
    }

    /// `parts`, one after the other. No range is empty.
    pub(crate) fn parts(parts: VecDeque<Part>, open: OpenRange) -> Self {
        let left = parts.iter().map(Part::length).sum();
        Self(State::Parts(Box::new(Parts {
            open,
            pending: parts,
            opening: None,
            stream: None,
            left,
        })))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::default()
        } else {
            Self(State::Whole(bytes))
        }
    }
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Content(range) => range.end - range.start,
        }
    }
}

impl Stream {
    /// The next piece. An end before its time is an error: the client relies on the length.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, storage::Error>> {
        Poll::Ready(match ready!(self.source.poll_chunk(context)) {
            Some(Ok(chunk)) if chunk.len() as u64 <= self.left => {
                self.left -= chunk.len() as u64;
                Ok(chunk)
            }
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Err(storage::Error::BlobUnknown),
        })
    }
}

impl Parts {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, storage::Error>> {
        loop {
            if let Some(stream) = &mut self.stream {
                let piece = ready!(stream.poll(context))?;
                if stream.left == 0 {
                    self.stream = None;
                }
                return self.counted(piece);
            }
            if let Some((opening, left)) = &mut self.opening {
                let (source, left) = (ready!(opening.as_mut().poll(context))?, *left);
                self.opening = None;
                self.stream = Some(Stream { source, left });
                continue;
            }
            match self.pending.pop_front() {
                Some(Part::Text(text)) => return self.counted(text),
                Some(Part::Content(range)) => {
                    let length = range.end - range.start;
                    self.opening = Some(((self.open)(range), length));
                }
                None => return Poll::Ready(Err(storage::Error::BlobUnknown)),
            }
        }
    }

    fn counted(&mut self, piece: Bytes) -> Poll<Result<Bytes, storage::Error>> {
        self.left -= piece.len() as u64;
        Poll::Ready(Ok(piece))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = storage::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, storage::Error>>> {
        let (result, is_last) = match &mut self.0 {
            State::Ended => return Poll::Ready(None),
            State::Whole(bytes) => (Ok(std::mem::take(bytes)), true),
            State::Stream(stream) => (ready!(stream.poll(context)), stream.left == 0),
            State::Parts(parts) => (ready!(parts.poll(context)), parts.left == 0),
        };
        if is_last || result.is_err() {
            self.0 = State::Ended;
        }
        if let Err(error) = &result {
            let error = error as &dyn std::error::Error;
            tracing::error!(
                error,
                "cannot read a blob to its end: the connection to the client is closed"
            );
        }
        Poll::Ready(Some(result.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, State::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.0 {
            State::Ended => 0,
            State::Whole(bytes) => bytes.len() as u64,
            State::Stream(stream) => stream.left,
            State::Parts(parts) => parts.left,
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hyper::body::Body as _;

    use super::*;

    /// Pieces, as a disk would return them.
    struct Pieces(Vec<&'static [u8]>);

    impl BlobReader for Pieces {
        fn poll_chunk(
            &mut self,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Bytes, storage::Error>>> {
            let piece = (!self.0.is_empty()).then(|| Ok(Bytes::from_static(self.0.remove(0))));
            Poll::Ready(piece)
        }
    }

    fn body(length: u64) -> Body {
        Body::stream(Box::new(Pieces(vec![b"hel", b"lo"])), length)
    }

    #[tokio::test]
    async fn a_stream_has_its_length() {
        assert_eq!(body(5).size_hint().exact(), Some(5));
        assert_eq!(body(5).collect().await.unwrap().to_bytes(), "hello");
        assert!(body(0).is_end_stream());
        assert_eq!(
            Body::from(Bytes::from_static(b"x"))
                .collect()
                .await
                .unwrap()
                .to_bytes(),
            "x"
        );
    }

    #[tokio::test]
    async fn a_stream_that_breaks_its_promise_is_an_error() {
        assert!(body(6).collect().await.is_err(), "shorter than promised");
        assert!(body(4).collect().await.is_err(), "longer than promised");
    }

    fn parts(ranges: &[Range<u64>]) -> Body {
        let open: OpenRange = Arc::new(|range: Range<u64>| {
            Box::pin(async move {
                match range.start {
                    9.. => Err(storage::Error::BlobUnknown),
                    _ => Ok(Box::new(Pieces(vec![b"hel", b"lo"])) as Box<dyn BlobReader>),
                }
            })
        });
        let text = || Part::Text(Bytes::from_static(b"|"));
        let pieces = ranges
            .iter()
            .flat_map(|range| [text(), Part::Content(range.clone())]);
        Body::parts(pieces.chain([text()]).collect(), open)
    }

    #[tokio::test]
    async fn parts_come_one_after_the_other() {
        let body = parts(&[0..5, 2..7]);
        assert_eq!(body.size_hint().exact(), Some(13));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "|hello|hello|");
    }

    #[tokio::test]
    async fn a_part_that_cannot_be_read_ends_the_body_with_an_error() {
        assert!(parts(&[0..5, 9..14]).collect().await.is_err());
        assert!(
            parts(std::slice::from_ref(&(0..6)))
                .collect()
                .await
                .is_err(),
            "too short"
        );
        assert!(
            parts(std::slice::from_ref(&(0..4)))
                .collect()
                .await
                .is_err(),
            "too long"
        );
    }
}
