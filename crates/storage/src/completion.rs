//! Work that is done to its end.

use traces::in_current_span;

use crate::Error;

/// Runs `work` to its end, even if the caller stops waiting.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(in_current_span(work))
        .await
        .unwrap_or_else(Error::from_join_error)
}
