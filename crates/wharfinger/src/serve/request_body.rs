//! The body of a request, of which a service may leave a part unread.
//!
//! A client of HTTP/1.1 sends its whole body before it reads the response. If the connection ends
//! while the client still sends, the client sees a broken pipe and no response. So what a service
//! leaves is read and discarded, within bounds, before the response is sent (RFC 9112 §9.3).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

/// How much of an unread body is read, in bytes.
const DISCARD_LIMIT: u64 = 16 << 20;

/// How long each piece of an unread body is waited for.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// How long reading an unread body may take.
const DISCARD_DEADLINE: Duration = Duration::from_secs(20);

/// A body that leaves its rest to the connection when it is dropped.
pub(super) struct RequestBody {
    body: Option<Incoming>,
    rest: UnreadBody,
}

/// What a service left unread of a body.
#[derive(Clone, Default)]
pub(super) struct UnreadBody(Arc<Mutex<Option<Incoming>>>);

impl RequestBody {
    pub(super) fn new(body: Incoming) -> (Self, UnreadBody) {
        let rest = UnreadBody::default();
        let this = Self {
            body: Some(body),
            rest: rest.clone(),
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
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl UnreadBody {
    /// Reads what the service left, within bounds.
    pub(super) async fn discard(self) {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = rest else { return };
        let read = async {
            let mut left = DISCARD_LIMIT;
            while let Ok(Some(Ok(frame))) = timeout(DISCARD_TIMEOUT, body.frame()).await {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                left = left.saturating_sub(length);
                if left == 0 {
                    return;
                }
            }
        };
        // A client that sends a byte now and then must not hold the response for long.
        let _ = timeout(DISCARD_DEADLINE, read).await;
    }
}
