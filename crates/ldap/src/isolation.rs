//! Work that may panic.

use tokio::task::JoinSet;

/// What `work` returns. `None` if it panics: the crate `ldap3` does so for messages that it cannot
/// parse, and the caller goes on. If the caller goes away, so does the work.
pub(crate) async fn isolated<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let mut tasks = JoinSet::new();
    tasks.spawn(work);
    tasks.join_next().await?.ok()
}
