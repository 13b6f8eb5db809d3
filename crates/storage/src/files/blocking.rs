//! Work that may wait for a disk.

use std::io;

use tokio::task::JoinError;

use crate::Error;

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    join(tokio::task::spawn_blocking(work).await).map_err(Error::io(action))
}

/// The outcome of work on another thread. Its panic continues here. If the runtime is shutting down,
/// that is an error.
pub(super) fn join<T>(outcome: Result<io::Result<T>, JoinError>) -> io::Result<T> {
    outcome.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => Err(io::Error::other(cancelled)),
    })
}
