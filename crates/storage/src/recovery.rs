//! Recovery of uploads at the start of a server.

use crate::{BlobStore, Error, UploadRecovery, UploadStore};

/// Repairs the state that a crash has left. Uploads that were about to become blobs are uploads
/// again, and content without an upload is removed.
///
/// Only a server that has the stores for itself may do so, and before it serves.
///
/// # Errors
/// If the database or the disk fails.
pub async fn recover_uploads(
    uploads: &(impl UploadStore + UploadRecovery),
    content: &dyn BlobStore,
) -> Result<(), Error> {
    for pending in uploads.pending().await? {
        tracing::info!(
            digest = %pending.blob.digest,
            upload = %pending.upload,
            "upload interrupted; it can continue from its last acknowledged byte"
        );
        content.withdraw(&pending.blob.key, pending.upload).await?;
        uploads.abort(pending.blob).await?;
    }
    let known = uploads.all().await?;
    for upload in content.uploads().await? {
        if known.binary_search(&upload).is_err() {
            content.discard(upload).await?;
        }
    }
    Ok(())
}
