//! What becomes of an upload whose request is dropped before it has ended its work.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::Upload;
use crate::blob_store::WrittenContent;
use crate::shared::SharedState;
use crate::{Error, UploadId};

/// Removes what an interrupted request wrote, before the next request can continue.
impl Drop for Upload {
    fn drop(&mut self) {
        let must_end = self.is_single && self.fence.is_some();
        let is_clean = self.length == self.received && self.writer.is_none() && !must_end;
        if is_clean && !self.is_leased {
            return;
        }
        // Without a runtime, the next start cleans up.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (shared, id, saved) = (Arc::clone(&self.shared), self.id, self.saved_content());
        let (active, writer) = (self.active.take(), self.writer.take());
        let (is_single, has_row) = (self.is_single, self.fence.is_some());
        let is_leased = self.is_leased;
        runtime.spawn(async move {
            if let Some(writer) = writer {
                let _ = writer.abandon().await;
            }
            let cleared = if is_clean {
                Ok(())
            } else {
                clear(&shared, id, saved, is_single, has_row).await
            };
            if let Err(error) = cleared {
                tracing::warn!(upload = %id, %error, "cannot remove what an interrupted upload wrote; it is removed at the next start");
            }
            if is_leased && let Err(error) = shared.metadata.uploads.release(id).await {
                tracing::warn!(upload = %id, %error, "cannot release an upload; other servers wait until its lease ends");
            }
            drop(active);
        });
    }
}

/// Brings an interrupted upload back to what its row says, or ends it.
async fn clear(
    shared: &SharedState,
    id: UploadId,
    saved: WrittenContent,
    is_single: bool,
    has_row: bool,
) -> Result<(), Error> {
    let store = &shared.content;
    if !is_single {
        let rest = store.append(
            id,
            WrittenContent {
                hasher: None,
                ..saved
            },
        );
        return rest.finish(Vec::new()).await.map(drop);
    }
    if has_row {
        shared.metadata.uploads.end(id).await?;
    }
    store.discard(id).await
}
