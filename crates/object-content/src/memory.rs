//! The memory of uploads.

use std::sync::Arc;
use std::time::Duration;

use storage::{Error, RemotePart};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The memory of all uploads that are larger than 1 MiB, in bytes.
const MEMORY: usize = 256 << 20;
/// The parts of one upload: the one that is sent and the one that is gathered.
const PARTS: u32 = 2;
/// How long an upload waits for memory.
const PATIENCE: Duration = Duration::from_secs(30);

/// The memory of uploads, counted in parts.
#[derive(Debug)]
pub(crate) struct UploadMemory(Arc<Semaphore>);

impl UploadMemory {
    /// For parts of this size, in bytes.
    pub(crate) fn new(part: usize) -> Self {
        let parts = (MEMORY / part).max(PARTS as usize);
        Self(Arc::new(Semaphore::new(parts)))
    }

    /// Waits for the memory of an upload.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no memory becomes free in time.
    pub(crate) async fn reserve(&self) -> Result<OwnedSemaphorePermit, Error> {
        let reserved = Arc::clone(&self.0).acquire_many_owned(PARTS);
        match timeout(PATIENCE, reserved).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::Unavailable {
                what: RemotePart::Content,
                retry_after: PATIENCE,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn uploads_wait_for_memory() {
        let memory = UploadMemory::new(MEMORY / 5);
        let one = memory.reserve().await.unwrap();
        let _two = memory.reserve().await.unwrap();
        assert!(memory.reserve().now_or_never().is_none());
        drop(one);
        drop(memory.reserve().await.unwrap());
        // A part may be larger than all memory.
        drop(UploadMemory::new(2 * MEMORY).reserve().await.unwrap());
    }
}
