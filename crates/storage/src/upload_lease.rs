//! The lease of an upload: of several servers, one writes to it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use oci::RepositoryName;
use tokio::time::timeout;

use crate::shared::SharedState;
use crate::{Error, UploadId, UploadState};

/// How long a request waits before it asks whether another server has released an upload: at first,
/// and at most.
const INTERVALS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Renews the lease of an upload while its last steps take long.
pub(crate) struct LeaseKeeper {
    shared: Arc<SharedState>,
    repository: RepositoryName,
    id: UploadId,
    has_row: bool,
}

impl LeaseKeeper {
    pub(crate) fn new(
        shared: Arc<SharedState>,
        repository: RepositoryName,
        id: UploadId,
        has_row: bool,
    ) -> Self {
        Self {
            shared,
            repository,
            id,
            has_row,
        }
    }

    /// Does `work`, and renews the lease meanwhile.
    pub(crate) async fn keep<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let uploads = &self.shared.metadata.uploads;
        loop {
            match timeout(uploads.renewal(), &mut work).await {
                Ok(done) => return done,
                // If this fails, another server may take the upload over, and the fence decides.
                Err(_) if self.has_row => drop(uploads.lease(&self.repository, self.id).await),
                Err(_) => {}
            }
        }
    }
}

/// The lease of an upload, when no other server has it any more.
pub(crate) async fn lease(
    shared: &SharedState,
    repository: &RepositoryName,
    id: UploadId,
) -> Result<UploadState, Error> {
    let [mut interval, longest] = INTERVALS;
    let mut waited = Duration::ZERO;
    loop {
        match shared.metadata.uploads.lease(repository, id).await {
            Err(Error::UploadBusy) if waited < shared.limits.lease_patience => {
                tokio::time::sleep(interval).await;
                waited += interval;
                interval = longest.min(interval * 2);
            }
            outcome => return outcome,
        }
    }
}

/// Takes the content of an upload over from a server that may only be slow: what it still writes is
/// no part of the upload any more.
pub(crate) async fn take_over(
    shared: &SharedState,
    id: UploadId,
    received: u64,
) -> Result<(), Error> {
    let (uploads, content) = (&shared.metadata.uploads, &shared.content);
    for pending in uploads.unpublished(id).await? {
        content.withdraw(&pending.key, id).await?;
        uploads.abort(pending).await?;
    }
    content.take_over(id, received).await
}
