//! What goes out: an answer of either server, during which its connection counts as busy.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};

use super::http2_streams::StreamProgress;

/// The most that is handed to an HTTP/2 stream at once, in bytes: by pieces of this size it shows
/// whether the client reads.
const PIECE: usize = 64 << 10;

/// Either server's answer.
pub(super) type ResponseBody = Either<Full<Bytes>, registry::Body>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that keeps `K` until it is sent, or nobody waits for it any more.
pub(super) struct TrackedBody<K> {
    body: ResponseBody,
    /// Where a stream of HTTP/2 is told how it moves.
    progress: Option<Arc<StreamProgress>>,
    /// What of the last frame is still to be handed out.
    rest: Bytes,
    _kept: K,
}

impl<K> TrackedBody<K> {
    pub(super) fn new(body: ResponseBody, progress: Option<Arc<StreamProgress>>, kept: K) -> Self {
        Self {
            body,
            progress,
            rest: Bytes::new(),
            _kept: kept,
        }
    }
}

impl<K: Unpin> TrackedBody<K> {
    /// The next piece of a body that goes over HTTP/2.
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<K: Unpin> Body for TrackedBody<K> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(progress) = self.progress.clone() else {
            return Pin::new(&mut self.body).poll_frame(context);
        };
        progress.taken();
        let piece = ready!(self.poll_piece(context));
        if piece.is_some() {
            progress.give();
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        hint.exact()
            .map_or(hint, |left| SizeHint::with_exact(left + rest))
    }
}

/// The answer to `HEAD`: what `GET` would say, without its body (RFC 9110 §9.3.2). hyper leaves it
/// out over HTTP/1.1, but not over HTTP/2, where it is a protocol error.
pub(super) fn without_body(answer: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut head, body) = answer.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        head.headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
    Response::from_parts(head, Either::Left(Full::default()))
}
