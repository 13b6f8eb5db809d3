//! The body of a request, of which a service may leave a part unread.
//!
//! Many clients of HTTP/1.1 send a whole body before they read the response. If the connection ends
//! while such a client still sends, it sees a broken pipe and no response. So a short rest is read
//! and discarded before the response is sent, and the connection lives on (RFC 9112 §9.3). A client
//! with a longer rest gets its response at once, and the connection ends
//! ([`lingering_close`]). Over HTTP/2, only its stream is read on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::bounded_reads::ReadPhase;
use super::lingering_close;

/// How much of an unread body is read before the response, in bytes. A client that reads the
/// response while it sends need not send much more in vain.
const DISCARD_LIMIT: u64 = 1 << 20;

/// How long each piece of an unread body is waited for.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// How long that may take in all.
const DISCARD_DEADLINE: Duration = Duration::from_secs(5);

/// A body that leaves its rest to the connection when it is dropped.
pub(super) struct RequestBody {
    body: Option<Incoming>,
    rest: UnreadBody,
    /// What its connection is told of it, if it comes over HTTP/1.1.
    reading: Option<ReadPhase>,
}

/// What a service left unread of a body.
#[derive(Clone, Default)]
pub(super) struct UnreadBody(Arc<Mutex<Option<Incoming>>>);

impl RequestBody {
    pub(super) fn new(body: Incoming, reading: Option<ReadPhase>) -> (Self, UnreadBody) {
        let rest = UnreadBody::default();
        if let Some(reading) = &reading {
            reading.begin_request(!body.is_end_stream());
        }
        let this = Self {
            body: Some(body),
            rest: rest.clone(),
            reading,
        };
        (this, rest)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.rest.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        if let Some(reading) = &this.reading {
            match &frame {
                Some(Ok(frame)) if !body.is_end_stream() => {
                    reading.note_body(frame.data_ref().map_or(0, Bytes::len));
                }
                _ => reading.end_body(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl UnreadBody {
    /// Whether the service left nothing.
    pub(super) fn is_empty(&self) -> bool {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rest.is_none()
    }

    /// Reads what the service left of a body that comes over HTTP/2, beside the response. A stream
    /// that is reset after its response is a failed request to some clients, curl 7.88 among them.
    pub(super) async fn read_on(self) {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = rest else { return };
        let read = async {
            while let Ok(Some(Ok(_))) = timeout(lingering_close::PAUSE, body.frame()).await {}
        };
        let _ = timeout(lingering_close::LIMIT, read).await;
    }

    /// Reads what the service left, within bounds. Returns whether that was all of it.
    pub(super) async fn discard(self) -> bool {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = rest else { return true };
        if body.size_hint().lower() > DISCARD_LIMIT {
            return false;
        }
        let read = async {
            let mut left = DISCARD_LIMIT;
            loop {
                match timeout(DISCARD_TIMEOUT, body.frame()).await {
                    Ok(Some(Ok(frame))) => {
                        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                        left = left.saturating_sub(length);
                        if left == 0 {
                            return false;
                        }
                    }
                    Ok(None) => return true,
                    Ok(Some(Err(_))) | Err(_) => return false,
                }
            }
        };
        // A client that sends a byte now and then must not hold the response for long.
        timeout(DISCARD_DEADLINE, read).await.unwrap_or(false)
    }
}
