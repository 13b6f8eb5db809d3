//! Reading an object.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use oci::Digest;
use storage::{BlobReader, Error};

use crate::error::unavailable;

/// The content of a blob as it arrives. `object_store` continues after a connection that breaks, if
/// the object is still the same.
pub(crate) struct ObjectReader {
    /// `None` if nothing is to be read.
    pub(crate) stream: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    pub(crate) digest: Digest,
    /// How much is still to come, in bytes.
    pub(crate) left: u64,
}

impl BlobReader for ObjectReader {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(stream) = self.stream.as_mut().filter(|_| self.left > 0) else {
            return Poll::Ready(None);
        };
        let chunk = ready!(Pin::new(stream).poll_next(context));
        let checked = match chunk {
            Some(Ok(chunk)) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                return Poll::Ready(Some(Ok(chunk)));
            }
            Some(Err(error)) => unavailable("read content")(error),
            None => Error::Damaged {
                digest: self.digest,
            },
        };
        self.stream = None;
        Poll::Ready(Some(Err(checked)))
    }
}
