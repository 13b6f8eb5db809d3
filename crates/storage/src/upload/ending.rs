//! How a request ends its work on an upload: a later one continues it, it becomes a blob, or it is cancelled.

use std::sync::Arc;

use oci::Digest;

use super::Upload;
use crate::blob_store::WrittenContent;
use crate::completion::run_to_completion;
use crate::hash::ContentHasher;
use crate::publication::publish;
use crate::upload_lease::LeaseKeeper;
use crate::{
    Blob, Checkpoint, DigestMismatch, Error, FinishedUpload, LinkedBlob, RepositoryQuotas,
};

impl Upload {
    /// Keeps what was written, so that a later request can continue. Returns the length in bytes, all
    /// of it safe on the disk. Once begun it runs to its end, even if the caller stops waiting.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`] if the upload has expired meanwhile, or cannot be resumed;
    /// [`Error::Full`] and others.
    pub async fn save(self) -> Result<u64, Error> {
        run_to_completion(self.lease_keeper().keep(self.save_now())).await
    }

    async fn save_now(mut self) -> Result<u64, Error> {
        if self.is_single {
            return Err(Error::UploadUnknown);
        }
        if self.length == self.received {
            self.release().await?;
            return Ok(self.received);
        }
        let written = self.flush(false).await;
        let written = self.or_upload_unknown(written).await?;
        let fence = self.fence.ok_or(Error::UploadUnknown)?;
        let checkpoint = Checkpoint {
            received: written.length,
            hash: written.hasher.as_ref().map(ContentHasher::state),
            objects: written.objects,
        };
        match self.record(fence, checkpoint).await {
            Ok(_) => {
                self.received = written.length;
                self.release().await?;
                Ok(self.received)
            }
            Err(Error::UploadUnknown) => {
                self.shared.content.discard(self.id).await?;
                self.mark_ended();
                Err(Error::UploadUnknown)
            }
            Err(error) => {
                if !error.is_certain() {
                    // The row may count this content, so it stays. If the row does not, the next
                    // request overwrites it.
                    self.length = self.received;
                }
                Err(error)
            }
        }
    }

    /// Makes the upload a blob of its repository, which can be pulled when this returns. Once begun
    /// it runs to its end, even if the caller stops waiting.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], which ends the upload; [`Error::Full`] and others, which do not.
    pub async fn finish(self, claimed: Digest) -> Result<Blob, Error> {
        let quotas = RepositoryQuotas::default();
        Ok(self.finish_within_quotas(claimed, quotas).await?.blob)
    }

    /// As [`finish`](Self::finish), within the quotas of the repository.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), and [`Error::QuotaExceeded`], which does not end the upload.
    pub async fn finish_within_quotas(
        self,
        claimed: Digest,
        quotas: RepositoryQuotas,
    ) -> Result<LinkedBlob, Error> {
        run_to_completion(self.lease_keeper().keep(self.finish_now(claimed, quotas))).await
    }

    async fn finish_now(
        mut self,
        claimed: Digest,
        quotas: RepositoryQuotas,
    ) -> Result<LinkedBlob, Error> {
        // An empty blob has a file, too.
        let written = if self.length > self.received || self.length == 0 {
            let written = self.flush(true).await;
            self.or_upload_unknown(written).await?
        } else {
            self.saved_content()
        };
        let hasher = written.hasher.clone();
        let hasher = hasher.filter(|hasher| hasher.algorithm() == claimed.algorithm());
        let computed = match hasher {
            Some(hasher) => hasher.finish(),
            // The client names the algorithm only now, or an earlier version began the upload.
            None => {
                let store = Arc::clone(&self.shared.content);
                let read = store.digest(self.id, &written, claimed.algorithm());
                let read = read.await;
                self.or_upload_unknown(read).await?
            }
        };
        if computed != claimed {
            self.cancel_now().await?;
            return Err(Error::DigestMismatch(Box::new(DigestMismatch {
                claimed,
                computed,
            })));
        }
        let finished = FinishedUpload {
            upload: self.id,
            fence: self.fence,
            repository: self.repository.clone(),
            digest: computed,
            size: written.length,
            replaces: None,
            key: written
                .objects
                .as_ref()
                .and_then(|objects| objects.key.clone()),
            quotas,
        };
        let published = publish(&self.shared, finished, &written).await;
        let published = self.or_overtaken(published).await;
        let published = self.or_upload_unknown(published).await;
        if matches!(published, Err(Error::UploadUnknown)) {
            self.shared.content.discard(self.id).await?;
        }
        if matches!(published, Ok(_) | Err(Error::UploadUnknown)) {
            self.mark_ended();
        }
        published
    }

    /// Ends the upload and removes its content. Once begun it runs to its end.
    pub(crate) async fn cancel(self) -> Result<(), Error> {
        run_to_completion(self.cancel_now()).await
    }

    async fn cancel_now(mut self) -> Result<(), Error> {
        if let Some(writer) = self.writer.take() {
            // Otherwise it might write after the end.
            let _ = writer.abandon().await;
        }
        if self.fence.is_some() {
            self.shared.metadata.uploads.end(self.id).await?;
        }
        self.shared.content.discard(self.id).await?;
        self.mark_ended();
        Ok(())
    }

    /// Writes what was gathered. If `is_complete`, publication is next.
    async fn flush(&mut self, is_complete: bool) -> Result<WrittenContent, Error> {
        self.record_names().await?;
        let rest = std::mem::take(&mut self.gathered);
        match self.writer.take() {
            Some(writer) if is_complete => writer.complete(rest).await,
            Some(writer) => writer.finish(rest).await,
            None => Ok(self.saved_content()),
        }
    }

    /// Lets other servers continue the upload.
    async fn release(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.is_leased) {
            self.shared.metadata.uploads.release(self.id).await?;
        }
        Ok(())
    }

    fn lease_keeper(&self) -> LeaseKeeper {
        let shared = Arc::clone(&self.shared);
        LeaseKeeper::new(
            shared,
            self.repository.clone(),
            self.id,
            self.fence.is_some(),
        )
    }
}
