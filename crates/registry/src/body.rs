//! What is sent: nothing, something small, or a blob on its way from the disk.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use hyper::body::{Frame, SizeHint};
use storage::BlobReader;

/// An answer, whose body may still be on its way.
pub type HttpResponse = Response<Body>;

/// The body of an answer, of a length that is known before it begins.
#[derive(Default)]
pub struct Body(Content);

#[derive(Default)]
enum Content {
    #[default]
    Nothing,
    Whole(Bytes),
    Stream {
        source: Box<dyn BlobReader>,
        /// What is still to come, in bytes.
        left: u64,
    },
}

impl Body {
    /// `length` bytes, as they come from `source`.
    pub(crate) fn stream(source: Box<dyn BlobReader>, length: u64) -> Self {
        if length == 0 {
            Self::default()
        } else {
            Self(Content::Stream {
                source,
                left: length,
            })
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::default()
        } else {
            Self(Content::Whole(bytes))
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = storage::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, storage::Error>>> {
        let result = match &mut self.0 {
            Content::Nothing => return Poll::Ready(None),
            Content::Whole(bytes) => Ok(std::mem::take(bytes)),
            Content::Stream { source, left } => match source.poll_chunk(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(chunk))) if chunk.len() as u64 <= *left => {
                    *left -= chunk.len() as u64;
                    if *left > 0 {
                        return Poll::Ready(Some(Ok(Frame::data(chunk))));
                    }
                    Ok(chunk)
                }
                Poll::Ready(Some(Err(error))) => Err(error),
                // More than was promised, or less: the connection must break, for the client counts
                // on the length.
                Poll::Ready(Some(Ok(_)) | None) => Err(storage::Error::BlobUnknown),
            },
        };
        self.0 = Content::Nothing;
        if let Err(error) = &result {
            let error = error as &dyn std::error::Error;
            tracing::error!(
                error,
                "a blob ended in the middle of its way to a client, whose connection is broken off"
            );
        }
        Poll::Ready(Some(result.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Content::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.0 {
            Content::Nothing => 0,
            Content::Whole(bytes) => bytes.len() as u64,
            Content::Stream { left, .. } => *left,
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hyper::body::Body as _;

    use super::*;

    /// Pieces, as a disk would hand them out.
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
        Body::stream(Box::new(Pieces(vec![b"car", b"go"])), length)
    }

    #[tokio::test]
    async fn a_stream_has_its_length() {
        assert_eq!(body(5).size_hint().exact(), Some(5));
        assert_eq!(body(5).collect().await.unwrap().to_bytes(), "cargo");
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
}
