//! The last steps of an upload: its content becomes a blob.

use crate::blob_store::WrittenContent;
use crate::shared::SharedState;
use crate::{Blob, BlobReservation, Error, FinishedUpload, LinkedBlob, UploadId};

/// Makes synced content a blob that can be pulled.
pub(crate) async fn publish(
    shared: &SharedState,
    mut finished: FinishedUpload,
    written: &WrittenContent,
) -> Result<LinkedBlob, Error> {
    let (uploads, store) = (&shared.metadata.uploads, &shared.content);
    let upload = finished.upload;
    let blob = loop {
        match uploads.reserve(finished.clone()).await? {
            BlobReservation::Pending(blob) => break blob,
            BlobReservation::Exists(linked) => match store.check(&linked.blob).await {
                // A row does not prove that its content can be read. This upload replaces it.
                Err(Error::Damaged { digest })
                    if finished.replaces != Some(linked.blob.generation) =>
                {
                    tracing::warn!(%digest, "the content of a blob is missing or damaged; it is stored again");
                    finished.replaces = Some(linked.blob.generation);
                    finished.fence = None;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    if finished.key.is_some() {
                        uploads.end(upload).await?;
                    }
                    // The blob exists whether or not this succeeds.
                    if let Err(error) = store.discard(upload).await {
                        tracing::warn!(%upload, %error, "cannot remove a second copy; it is removed at the next start");
                    }
                    return Ok(linked);
                }
            },
        }
    };
    let published = match store.publish(upload, written, &blob.key).await {
        Ok(()) => uploads.commit(finished, blob.clone()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &published
        && error.is_certain()
        && let Err(error) = roll_back(shared, blob, upload).await
    {
        tracing::warn!(%upload, %error, "upload not completed; it is cleaned up at the next start");
    }
    published
}

async fn roll_back(shared: &SharedState, blob: Blob, upload: UploadId) -> Result<(), Error> {
    shared.content.withdraw(&blob.key, upload).await?;
    shared.metadata.uploads.abort(blob).await
}
