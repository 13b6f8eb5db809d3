//! Uploads.
//!
//! An upload is changed in two places, its file and its row. A request may be dropped at any await
//! when its client disconnects. So a change of both runs in a task of its own, to its end. The next
//! request reads from the row how much was received.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oci::{Digest, RepositoryName};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::active_uploads::ActiveUpload;
use crate::blob_store::{UploadWriter, WrittenContent};
use crate::hash::ContentHasher;
use crate::shared::SharedState;
use crate::{
    Blob, BlobReservation, Checkpoint, DigestMismatch, Error, FinishedUpload, NewUpload, UploadId,
};

/// How much is gathered before it is hashed and written, in bytes. Twice this is in memory at most:
/// what is being written and what is being gathered.
const BATCH: usize = 1 << 20;

/// How often the lease of an upload is renewed while one request writes to it: an upload may be idle
/// for an hour at least.
const RENEWAL: Duration = Duration::from_secs(600);

/// An upload that one request writes to. [`save`](Self::save) and [`finish`](Self::finish) keep what
/// is written. If it is dropped, the upload stays as it was before.
pub struct Upload {
    shared: Arc<SharedState>,
    id: UploadId,
    repository: RepositoryName,
    /// The fence of its row. A blob that is sent in one request has no row.
    fence: Option<i64>,
    /// How many bytes are safe on the disk, as the row says.
    received: u64,
    /// The hash of exactly these bytes. An upload of an earlier version has none.
    hasher: Option<ContentHasher>,
    /// The length of the whole, including what was written last.
    length: u64,
    writer: Option<Box<dyn UploadWriter>>,
    gathered: Vec<Bytes>,
    gathered_length: usize,
    active: Option<ActiveUpload>,
    /// When its lease was last renewed.
    leased: Instant,
}

impl Upload {
    #[expect(
        clippy::disallowed_methods,
        reason = "a lease's age on the runtime's timer"
    )]
    pub(crate) async fn resume(
        shared: Arc<SharedState>,
        repository: &RepositoryName,
        id: UploadId,
        at: Option<u64>,
    ) -> Result<Self, Error> {
        let locked = shared.active.lock(id, shared.limits.patience).await;
        let mut active = locked.ok_or(Error::UploadBusy)?;
        let state = shared.metadata.uploads.lease(repository, id).await?;
        active.count_for(&state.client);
        let Checkpoint { received, hash } = state.checkpoint;
        if at.is_some_and(|at| at != received) {
            return Err(Error::OutOfOrder { received });
        }
        let hasher = match hash {
            Some(hash) => hash.resume(),
            None => (received == 0).then(|| ContentHasher::new(state.algorithm)),
        };
        Ok(Self {
            shared,
            id,
            repository: repository.clone(),
            fence: Some(state.fence),
            received,
            hasher,
            length: received,
            writer: None,
            gathered: Vec::new(),
            gathered_length: 0,
            active: Some(active),
            leased: Instant::now(),
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a lease's age on the runtime's timer"
    )]
    pub(crate) fn single(
        shared: Arc<SharedState>,
        upload: NewUpload,
        active: ActiveUpload,
    ) -> Self {
        Self {
            shared,
            id: upload.id,
            repository: upload.repository,
            fence: None,
            received: 0,
            hasher: Some(ContentHasher::new(upload.algorithm)),
            length: 0,
            writer: None,
            gathered: Vec::new(),
            gathered_length: 0,
            active: Some(active),
            leased: Instant::now(),
        }
    }

    /// The length of the upload in bytes, including what was written.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes more content. What is in memory is bounded: it returns when there is room for more.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or [`Error::Full`] and its like. The upload cannot be written to then;
    /// it is as it was before this request.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.length += chunk.len() as u64;
        if let Some(limit) = self.shared.limits.blob.filter(|limit| self.length > *limit) {
            return Err(Error::TooLarge { limit });
        }
        self.gathered_length += chunk.len();
        self.gathered.push(chunk);
        if self.gathered_length >= BATCH {
            self.gathered_length = 0;
            let batch = std::mem::take(&mut self.gathered);
            let written = self.writer().write(batch).await;
            return self.or_upload_unknown(written).await;
        }
        Ok(())
    }

    /// The outcome of a step that needs the upload's file. If a command has ended the upload, the
    /// file is gone, and the error says so instead of reporting a failed disk.
    #[expect(
        clippy::disallowed_methods,
        reason = "a lease's age on the runtime's timer"
    )]
    async fn or_upload_unknown<T>(&mut self, done: Result<T, Error>) -> Result<T, Error> {
        let is_due = self.leased.elapsed() >= RENEWAL;
        if self.fence.is_none() || !(is_due || matches!(done, Err(Error::Io { .. }))) {
            return done;
        }
        let uploads = &self.shared.metadata.uploads;
        match uploads.lease(&self.repository, self.id).await {
            Err(Error::UploadUnknown) => {
                self.mark_ended();
                Err(Error::UploadUnknown)
            }
            // After another failure the request can continue: the lease lasts much longer than until
            // the next renewal.
            _ => {
                self.leased = Instant::now();
                done
            }
        }
    }

    /// Keeps what was written, so that a later request can continue. Returns the length in bytes, all
    /// of it safe on the disk. Once begun it runs to its end, even if the caller stops waiting.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`] if the upload has expired meanwhile, or cannot be resumed;
    /// [`Error::Full`] and others.
    pub async fn save(self) -> Result<u64, Error> {
        run_to_completion(self.save_now()).await
    }

    async fn save_now(mut self) -> Result<u64, Error> {
        let fence = self.fence.ok_or(Error::UploadUnknown)?;
        if self.length == self.received {
            return Ok(self.received);
        }
        let written = self.flush().await;
        let written = self.or_upload_unknown(written).await?;
        let checkpoint = Checkpoint {
            received: written.length,
            hash: written.hasher.as_ref().map(ContentHasher::state),
        };
        let uploads = &self.shared.metadata.uploads;
        match uploads.record(self.id, fence, checkpoint).await {
            Ok(_) => {
                self.received = written.length;
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
        run_to_completion(self.finish_now(claimed)).await
    }

    async fn finish_now(mut self, claimed: Digest) -> Result<Blob, Error> {
        // An empty blob has a file, too.
        let written = if self.length > self.received || self.length == 0 {
            let written = self.flush().await;
            self.or_upload_unknown(written).await?
        } else {
            WrittenContent {
                length: self.received,
                hasher: self.hasher.clone(),
            }
        };
        let hasher = written
            .hasher
            .filter(|hasher| hasher.algorithm() == claimed.algorithm());
        let computed = match hasher {
            Some(hasher) => hasher.finish(),
            // The client names the algorithm only now, or an earlier version began the upload.
            None => {
                let store = Arc::clone(&self.shared.content);
                let read = store.digest(self.id, written.length, claimed.algorithm());
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
        };
        let published = publish(&self.shared, finished).await;
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
            let _ = writer.finish(Vec::new()).await;
        }
        if self.fence.is_some() {
            self.shared.metadata.uploads.end(self.id).await?;
        }
        self.shared.content.discard(self.id).await?;
        self.mark_ended();
        Ok(())
    }

    fn writer(&mut self) -> &mut Box<dyn UploadWriter> {
        self.writer.get_or_insert_with(|| {
            let store = &self.shared.content;
            store.append(self.id, self.received, self.hasher.clone())
        })
    }

    async fn flush(&mut self) -> Result<WrittenContent, Error> {
        self.writer();
        let rest = std::mem::take(&mut self.gathered);
        match self.writer.take() {
            Some(writer) => writer.finish(rest).await,
            None => Ok(WrittenContent {
                length: self.received,
                hasher: self.hasher.clone(),
            }),
        }
    }

    /// Leaves nothing for `drop` to clean up: the row and the file are gone.
    fn mark_ended(&mut self) {
        self.writer = None;
        self.length = self.received;
    }
}

/// Removes what an interrupted request wrote, before the next request can continue.
impl Drop for Upload {
    fn drop(&mut self) {
        if self.length == self.received && self.writer.is_none() {
            return;
        }
        // Without a runtime, the next start cleans up.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (shared, id, received) = (Arc::clone(&self.shared), self.id, self.received);
        let (active, writer) = (self.active.take(), self.writer.take());
        let is_resumable = self.fence.is_some();
        runtime.spawn(async move {
            if let Some(writer) = writer {
                let _ = writer.finish(Vec::new()).await;
            }
            let store = &shared.content;
            let cleared = if is_resumable {
                let rest = store.append(id, received, None).finish(Vec::new());
                rest.await.map(drop)
            } else {
                store.discard(id).await
            };
            if let Err(error) = cleared {
                tracing::warn!(upload = %id, %error, "cannot remove what an interrupted upload wrote; it is removed at the next start");
            }
            drop(active);
        });
    }
}

/// Runs `work` to its end, even if the caller stops waiting.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(Error::from_join_error)
}

/// Makes synced content a blob that can be pulled.
async fn publish(shared: &SharedState, mut finished: FinishedUpload) -> Result<Blob, Error> {
    let (uploads, store) = (&shared.metadata.uploads, &shared.content);
    let upload = finished.upload;
    let blob = loop {
        match uploads.reserve(finished.clone()).await? {
            BlobReservation::Pending(blob) => break blob,
            BlobReservation::Exists(blob) => match store.check(&blob).await {
                // A row does not prove that its content can be read. This upload replaces it.
                Err(Error::Damaged { digest }) if finished.replaces != Some(blob.generation) => {
                    tracing::warn!(%digest, "the content of a blob is missing or damaged; it is stored again");
                    finished.replaces = Some(blob.generation);
                    finished.fence = None;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    // The blob exists whether or not this succeeds.
                    if let Err(error) = store.discard(upload).await {
                        tracing::warn!(%upload, %error, "cannot remove a second copy; it is removed at the next start");
                    }
                    return Ok(blob);
                }
            },
        }
    };
    let published = match store.publish(upload, &blob.key).await {
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
