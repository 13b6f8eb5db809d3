//! Looking on while images move: the seam behind progress bars.

use std::sync::Arc;

use oci::{Descriptor, Digest};

use crate::Uploaded;

/// Who looks on.
pub trait Progress: Send + Sync {
    /// A blob is about to move.
    fn blob(&self, blob: &Descriptor) -> Arc<dyn Meter>;

    /// A manifest has arrived, with all that it leads to.
    fn manifest(&self, digest: &Digest, media_type: &str);
}

/// Who looks on one blob.
pub trait Meter: Send + Sync {
    /// So many of its bytes have moved. May go back, when some have to move again.
    fn at(&self, position: u64);

    /// It is there now.
    fn done(&self, how: Uploaded);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn blob(&self, _blob: &Descriptor) -> Arc<dyn Meter> {
        Arc::new(Self)
    }

    fn manifest(&self, _digest: &Digest, _media_type: &str) {}
}

impl Meter for Silent {
    fn at(&self, _position: u64) {}

    fn done(&self, _how: Uploaded) {}
}
