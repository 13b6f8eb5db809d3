//! Observing a copy: the seam behind progress bars.

use std::sync::Arc;

use oci::{Descriptor, Digest};

/// How a blob came into a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadOutcome {
    /// It was there already.
    Present,
    /// The registry mounted it from another repository.
    Mounted,
    /// It was sent.
    Sent,
}

/// Sees the progress of a copy.
pub trait CopyProgress: Send + Sync {
    /// A blob is about to be copied.
    fn blob(&self, blob: &Descriptor) -> Arc<dyn BlobProgress>;

    /// A manifest has arrived, with everything that it refers to.
    fn manifest(&self, digest: &Digest, media_type: &str);
}

/// Sees the progress of one blob.
pub trait BlobProgress: Send + Sync {
    /// This many of its bytes are copied. The number falls when some must be copied again.
    fn at(&self, position: u64);

    /// It is complete.
    fn done(&self, how: UploadOutcome);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl CopyProgress for NoProgress {
    fn blob(&self, _blob: &Descriptor) -> Arc<dyn BlobProgress> {
        Arc::new(Self)
    }

    fn manifest(&self, _digest: &Digest, _media_type: &str) {}
}

impl BlobProgress for NoProgress {
    fn at(&self, _position: u64) {}

    fn done(&self, _how: UploadOutcome) {}
}
