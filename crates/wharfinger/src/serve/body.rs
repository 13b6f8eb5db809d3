//! What goes out: an answer of either server, during which its connection counts as busy.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};

/// A body that keeps `K` until it is sent, or nobody waits for it any more.
pub(super) struct Sent<K> {
    body: Either<Full<Bytes>, registry::Body>,
    _kept: K,
}

impl<K> Sent<K> {
    pub(super) fn new(body: Either<Full<Bytes>, registry::Body>, kept: K) -> Self {
        Self { body, _kept: kept }
    }
}

impl<K: Unpin> Body for Sent<K> {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
