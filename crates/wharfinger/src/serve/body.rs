//! The body of a response on its way out, during which its connection counts as busy.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, SizeHint};
use metrics::MeasuredRequest;
use traces::ActiveSpan;

use super::access_log::AccessRecord;
use super::http2_streams::StreamProgress;
use super::service::{BoxError, ResponseBody};

/// The most that is given to an HTTP/2 stream at once, in bytes. Pieces of this size show whether
/// the client reads.
const PIECE: usize = 64 << 10;

/// What is kept until a response was sent or broken off, and then notes how it ended.
pub(super) struct SentResponse<K> {
    /// Its line of the access log.
    pub(super) record: Option<AccessRecord>,
    /// Its place in the metrics.
    pub(super) measured: Option<MeasuredRequest>,
    /// Its span in a trace.
    pub(super) _span: Option<ActiveSpan>,
    pub(super) _kept: K,
}

/// A body that keeps what notes its end until it is sent or dropped.
pub(super) struct TrackedBody<K> {
    body: ResponseBody,
    /// The progress of an HTTP/2 stream.
    progress: Option<Arc<StreamProgress>>,
    /// The part of the last frame that is still to be given out.
    rest: Bytes,
    sent: SentResponse<K>,
}

impl<K> TrackedBody<K> {
    pub(super) fn new(
        body: ResponseBody,
        progress: Option<Arc<StreamProgress>>,
        sent: SentResponse<K>,
    ) -> Self {
        Self {
            body,
            progress,
            rest: Bytes::new(),
            sent,
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

    fn poll_any(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
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
}

impl<K: Unpin> Body for TrackedBody<K> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(self.poll_any(context));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            if let Some(record) = &mut self.sent.record {
                record.add(bytes);
            }
            if let Some(measured) = &mut self.sent.measured {
                measured.add(bytes);
            }
        }
        Poll::Ready(frame)
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

/// The response to `HEAD`: that to `GET` without its body (RFC 9110 §9.3.2). hyper leaves it out
/// over HTTP/1.1. Over HTTP/2, where a body would be a protocol error, it does not.
pub(super) fn without_body(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        head.headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
    let empty = Full::default().map_err(|never| match never {});
    Response::from_parts(head, empty.boxed_unsync())
}
