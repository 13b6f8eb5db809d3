//! Looking on while images move: the seam behind progress bars.

use std::sync::Arc;

use oci::{Descriptor, Digest};

use crate::UploadOutcome;

/// Who looks on.
pub trait CopyProgress: Send + Sync {
    /// A blob is about to move.
    fn blob(&self, blob: &Descriptor) -> Arc<dyn BlobProgress>;

    /// A manifest has arrived, with all that it leads to.
    fn manifest(&self, digest: &Digest, media_type: &str);
}

/// Who looks on one blob.
pub trait BlobProgress: Send + Sync {
    /// So many of its bytes have moved. May go back, when some have to move again.
    fn at(&self, position: u64);

    /// It is there now.
    fn done(&self, how: UploadOutcome);
}

/// Nobody.
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
