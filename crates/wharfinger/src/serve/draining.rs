//! The end of a server among several: balancers must notice before it stops.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the server was told to end, and goes on until balancers have noticed.
#[derive(Debug, Default)]
pub(super) struct Draining(AtomicBool);

impl Draining {
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
