//! Uploads.
//!
//! An upload is changed in two places, its file and its row. A request may be dropped at any await
//! when its client disconnects. So a change of both runs in a task of its own, to its end. The next
//! request reads from the row how much was received.

mod ending;
mod interruption;

use std::sync::Arc;

use bytes::Bytes;
use oci::RepositoryName;
use tokio::time::Instant;

use crate::active_uploads::ActiveUpload;
use crate::blob_store::{UploadWriter, WrittenContent};
use crate::hash::ContentHasher;
use crate::shared::SharedState;
use crate::upload_lease::{lease, take_over};
use crate::{Checkpoint, Error, NewUpload, UploadId, UploadObjects};

/// How much is gathered before it is hashed and written, in bytes. Twice this is in memory at most:
/// what is being written and what is being gathered.
const BATCH: usize = 1 << 20;

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
    /// Where these bytes are, as the row says, if the store chooses keys.
    objects: Option<UploadObjects>,
    /// Whether it ends with the request, even if it has a row.
    is_single: bool,
    /// The length of the whole, including what was written last.
    length: u64,
    writer: Option<Box<dyn UploadWriter>>,
    gathered: Vec<Bytes>,
    gathered_length: usize,
    active: Option<ActiveUpload>,
    /// When its lease was last renewed.
    leased: Instant,
    /// Whether other servers wait until the lease is released.
    is_leased: bool,
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
        let state = lease(&shared, repository, id).await?;
        active.count_for(&state.client);
        let uploads = &shared.metadata.uploads;
        let Checkpoint {
            received,
            hash,
            objects,
        } = state.checkpoint;
        if at.is_some_and(|at| at != received) {
            uploads.release(id).await?;
            return Err(Error::OutOfOrder { received });
        }
        if state.was_taken_over
            && let Err(error) = take_over(&shared, id, received).await
        {
            uploads.release(id).await?;
            return Err(error);
        }
        let is_leased = uploads.is_shared();
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
            objects,
            is_single: false,
            length: received,
            writer: None,
            gathered: Vec::new(),
            gathered_length: 0,
            active: Some(active),
            leased: Instant::now(),
            is_leased,
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
            objects: None,
            is_single: true,
            length: 0,
            writer: None,
            gathered: Vec::new(),
            gathered_length: 0,
            active: Some(active),
            leased: Instant::now(),
            is_leased: false,
        }
    }

    /// From now on the upload ends with this request, even though it has a row.
    pub(crate) fn end_with_request(&mut self) {
        self.is_single = true;
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
            let written = self.write_batch(batch).await;
            return self.or_upload_unknown(written).await;
        }
        self.or_upload_unknown(Ok(())).await
    }

    async fn write_batch(&mut self, batch: Vec<Bytes>) -> Result<(), Error> {
        self.record_names().await?;
        self.writer().write(batch).await?;
        self.record_names().await
    }

    /// Tells the row what the store is about to store, if the store chooses keys. So after a crash,
    /// the row leads to it.
    async fn record_names(&mut self) -> Result<(), Error> {
        let unrecorded = self.writer().unrecorded();
        let (Some(objects), Some(fence)) = (unrecorded, self.fence) else {
            return Ok(());
        };
        let checkpoint = Checkpoint {
            received: self.received,
            hash: self.hasher.as_ref().map(ContentHasher::state),
            objects: Some(objects.clone()),
        };
        self.fence = Some(self.record(fence, checkpoint).await?);
        self.objects = Some(objects);
        Ok(())
    }

    /// Writes into the row how far the upload is. Returns the fence of the next step.
    async fn record(&mut self, fence: i64, checkpoint: Checkpoint) -> Result<i64, Error> {
        let uploads = &self.shared.metadata.uploads;
        let recorded = uploads.record(self.id, fence, checkpoint).await;
        self.or_overtaken(recorded).await
    }

    /// The outcome of a step that the upload's fence decides. If another server has taken the upload
    /// over, the client is told from where it can continue.
    async fn or_overtaken<T>(&mut self, done: Result<T, Error>) -> Result<T, Error> {
        let Err(Error::UploadBusy) = done else {
            return done;
        };
        // What is stored now is the other server's.
        self.mark_ended();
        let found = self
            .shared
            .metadata
            .uploads
            .find(&self.repository, self.id)
            .await?;
        Err(Error::OutOfOrder {
            received: found.checkpoint.received,
        })
    }

    /// The outcome of a step that needs the upload's file. If a command has ended the upload, the
    /// file is gone, and the error says so instead of reporting a failed disk. Renews the lease when
    /// it is time.
    #[expect(
        clippy::disallowed_methods,
        reason = "a lease's age on the runtime's timer"
    )]
    async fn or_upload_unknown<T>(&mut self, done: Result<T, Error>) -> Result<T, Error> {
        let uploads = &self.shared.metadata.uploads;
        let is_due = self.leased.elapsed() >= uploads.renewal();
        if self.fence.is_none() || !(is_due || matches!(done, Err(Error::Io { .. }))) {
            return done;
        }
        match uploads.lease(&self.repository, self.id).await {
            Err(Error::UploadUnknown) => {
                self.mark_ended();
                Err(Error::UploadUnknown)
            }
            Err(Error::UploadBusy) => self.or_overtaken(Err(Error::UploadBusy)).await,
            // It has even released it.
            Ok(state) if Some(state.fence) != self.fence => {
                uploads.release(self.id).await?;
                self.or_overtaken(Err(Error::UploadBusy)).await
            }
            // After another failure the request can continue: the lease lasts much longer than until
            // the next renewal.
            _ => {
                self.leased = Instant::now();
                done
            }
        }
    }

    /// The content that the row knows.
    fn saved_content(&self) -> WrittenContent {
        WrittenContent {
            length: self.received,
            hasher: self.hasher.clone(),
            objects: self.objects.clone(),
            unsaved: Vec::new(),
        }
    }

    fn writer(&mut self) -> &mut Box<dyn UploadWriter> {
        let saved = self.saved_content();
        let store = &self.shared.content;
        let new = || store.append(self.id, saved);
        self.writer.get_or_insert_with(new)
    }

    /// Leaves nothing for `drop` to clean up: the row and the file are gone, or another server's.
    fn mark_ended(&mut self) {
        self.is_leased = false;
        self.writer = None;
        self.length = self.received;
        self.is_single = false;
    }
}
