//! The content of blobs: read from somewhere piece by piece, written into files, observed on the
//! way. Registries, layouts and archives build on this.

mod buffers;
mod file;
mod progress;
mod writer;

use bytes::Bytes;
use common::BoxFuture;
use oci::Descriptor;

pub(crate) use file::FileRangeReader;
pub use progress::{BlobProgress, CopyProgress, NoProgress, UploadOutcome};
pub(crate) use writer::{BlobSlot, BlobWriter};

use crate::Error;

/// Where blobs are read from.
pub(crate) trait ContentSource: Send + Sync {
    /// Begins to read the blob at `offset`.
    fn open<'a>(
        &'a self,
        blob: &'a Descriptor,
        offset: u64,
    ) -> BoxFuture<'a, Result<Box<dyn ContentReader>, Error>>;
}

/// How far a target is relied on when it says that it has content already.
///
/// Registries lose files, and some answer for content that they do not have. Asking saves time, but
/// only a manifest that is accepted shows that its blobs are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// A manifest that is there has all its blobs.
    Manifests,
    /// Each blob is asked for.
    Blobs,
    /// Everything is sent.
    Nothing,
}

/// A blob being read.
pub(crate) trait ContentReader: Send {
    /// The next piece; `None` at the end.
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Error>>;

    /// The name of the source, for messages.
    fn name(&self) -> String;
}

/// Content in memory.
impl ContentSource for Bytes {
    fn open<'a>(
        &'a self,
        _blob: &'a Descriptor,
        offset: u64,
    ) -> BoxFuture<'a, Result<Box<dyn ContentReader>, Error>> {
        let begin = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.len());
        let rest: Box<dyn ContentReader> = Box::new(self.slice(begin..));
        Box::pin(std::future::ready(Ok(rest)))
    }
}

/// Empty when it has been read.
impl ContentReader for Bytes {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Error>> {
        let all = std::mem::take(self);
        let piece = Some(all).filter(|content| !content.is_empty());
        Box::pin(std::future::ready(Ok(piece)))
    }

    fn name(&self) -> String {
        "the content to be sent".to_owned()
    }
}
