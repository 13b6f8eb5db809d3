//! Content on its way in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm, RepositoryName};
use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{self, Instant};

use crate::blob_store::{UploadWriter, WrittenContent};
use crate::hash::ContentHasher;
use crate::put_counter::PutPermit;
use crate::storage::{Backends, SharedState};
use crate::{Blob, DigestMismatch, Error, FinishedUpload, NewUpload, Reservation, UploadId};

/// How much is gathered before it is hashed and written, in bytes. Twice this is in memory at most:
/// what is being written and what is being gathered.
const BATCH: usize = 1 << 20;

/// How often the lease of an upload is renewed while one request writes to it: an upload may go
/// without a move for an hour at least.
const RENEWAL: Duration = Duration::from_secs(600);

/// What a process knows of an upload.
#[derive(Default)]
pub(crate) enum Running {
    /// Nothing yet: its row says.
    #[default]
    Unknown,
    /// Where it stands.
    Known(UploadProgress),
    /// It is finished or cancelled.
    Ended,
}

#[derive(Clone)]
pub(crate) struct UploadProgress {
    repository: RepositoryName,
    /// Bytes that are safe on the disk.
    received: u64,
    /// The hash of exactly these; none after a restart.
    hasher: Option<ContentHasher>,
}

impl Running {
    pub(crate) fn begun(upload: &NewUpload) -> Self {
        Self::Known(UploadProgress::new(
            upload.repository.clone(),
            upload.algorithm,
            0,
        ))
    }
}

impl UploadProgress {
    fn new(repository: RepositoryName, algorithm: DigestAlgorithm, received: u64) -> Self {
        let hasher = (received == 0).then(|| ContentHasher::new(algorithm));
        Self {
            repository,
            received,
            hasher,
        }
    }
}

/// An upload in one request's hands. What is written is kept by [`save`](Self::save) or
/// [`finish`](Self::finish); a request that drops it leaves the upload as it found it.
pub struct Upload {
    shared: Arc<SharedState>,
    id: UploadId,
    progress: UploadProgress,
    /// None for a blob that is taken in one go.
    guard: Option<OwnedMutexGuard<Running>>,
    /// The place of a blob that is.
    _place: Option<PutPermit>,
    sink: Option<Box<dyn UploadWriter>>,
    gathered: Vec<Bytes>,
    gathered_length: usize,
    /// The length of the whole, with what was written last.
    length: u64,
    /// When its lease was last renewed.
    leased: Instant,
}

impl Upload {
    pub(crate) async fn resume(
        shared: Arc<SharedState>,
        repository: &RepositoryName,
        id: UploadId,
        at: Option<u64>,
    ) -> Result<Self, Error> {
        let lock = shared.running(id).lock_owned();
        let mut guard = time::timeout(shared.limits.patience, lock)
            .await
            .map_err(|_| Error::UploadBusy)?;
        // A command beside the server may have ended it, and must not from now on.
        match shared.backends.uploads.lease(repository, id).await {
            Ok(row) if matches!(*guard, Running::Unknown) => {
                *guard = Running::Known(UploadProgress::new(
                    repository.clone(),
                    row.algorithm,
                    row.received,
                ));
            }
            Ok(_) => {}
            Err(error) => {
                // Where it belongs to another repository, it is known there.
                if !matches!(&*guard, Running::Known(progress) if progress.repository != *repository)
                {
                    shared.forget(id);
                }
                return Err(error);
            }
        }
        let progress = match &*guard {
            Running::Known(progress) if progress.repository == *repository => progress.clone(),
            Running::Known(_) | Running::Unknown | Running::Ended => {
                return Err(Error::UploadUnknown);
            }
        };
        if at.is_some_and(|at| at != progress.received) {
            return Err(Error::OutOfOrder {
                received: progress.received,
            });
        }
        Ok(Self::new(shared, id, progress, Some(guard), None))
    }

    pub(crate) fn single(shared: Arc<SharedState>, upload: NewUpload, place: PutPermit) -> Self {
        let progress = UploadProgress::new(upload.repository, upload.algorithm, 0);
        Self::new(shared, upload.id, progress, None, Some(place))
    }

    fn new(
        shared: Arc<SharedState>,
        id: UploadId,
        progress: UploadProgress,
        guard: Option<OwnedMutexGuard<Running>>,
        place: Option<PutPermit>,
    ) -> Self {
        let length = progress.received;
        Self {
            shared,
            id,
            progress,
            guard,
            _place: place,
            sink: None,
            gathered: Vec::new(),
            gathered_length: 0,
            length,
            leased: Instant::now(),
        }
    }

    /// The length of the upload with what was written, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes more content. What is in memory is bounded: it comes back when there is room for more.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or [`Error::Full`] and its like. There is no going on then; the upload
    /// is as it was before this request.
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
            let written = self.sink().write(batch).await;
            return self.or_ended(written).await;
        }
        Ok(())
    }

    /// What became of a step that needs the upload's file. Where that is gone because the upload
    /// was ended by somebody else (a command beside the server), this is said, and not that the
    /// disk has failed.
    async fn or_ended<T>(&mut self, done: Result<T, Error>) -> Result<T, Error> {
        let uploads = &self.shared.backends.uploads;
        let repository = &self.progress.repository;
        let is_due = self.leased.elapsed() >= RENEWAL;
        if self.guard.is_none() || !(is_due || matches!(done, Err(Error::Io { .. }))) {
            return done;
        }
        match uploads.lease(repository, self.id).await {
            Err(Error::UploadUnknown) => {
                self.end();
                Err(Error::UploadUnknown)
            }
            // Another failure is no reason to break off: the lease lasts much longer than until the
            // next renewal.
            _ => {
                self.leased = Instant::now();
                done
            }
        }
    }

    /// Keeps what was written, for a later request to go on. Answers how much there is now, in
    /// bytes, all of it safe on the disk.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`] where the upload has expired meanwhile or never was one to be
    /// resumed; [`Error::Full`] and its like.
    pub async fn save(mut self) -> Result<u64, Error> {
        if self.guard.is_none() {
            return Err(Error::UploadUnknown);
        }
        if self.length > self.progress.received {
            let written = self.flush().await;
            let written = self.or_ended(written).await?;
            if let Err(error) = self
                .shared
                .backends
                .uploads
                .record(self.id, written.length)
                .await
            {
                if matches!(error, Error::UploadUnknown) {
                    self.shared.backends.store.discard(self.id).await?;
                    self.end();
                }
                return Err(error);
            }
            self.progress.received = written.length;
            self.progress.hasher = written.hasher;
        }
        if let Some(guard) = &mut self.guard {
            **guard = Running::Known(self.progress.clone());
        }
        Ok(self.progress.received)
    }

    /// Makes the upload a blob of its repository, which everybody can see when the answer comes. It
    /// goes on to the end when the caller does not wait for it.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], which ends the upload; [`Error::Full`] and its like, which do
    /// not.
    pub async fn finish(mut self, claimed: Digest) -> Result<Blob, Error> {
        // An empty blob has a file, too.
        let written = if self.length > self.progress.received || self.length == 0 {
            let written = self.flush().await;
            self.or_ended(written).await?
        } else {
            WrittenContent {
                length: self.progress.received,
                hasher: self.progress.hasher.clone(),
            }
        };
        let hasher = written
            .hasher
            .filter(|hasher| hasher.algorithm() == claimed.algorithm());
        let computed = match hasher {
            Some(hasher) => hasher.finish(),
            // After a restart, or where the algorithm is named only now.
            None => {
                let read = self
                    .shared
                    .backends
                    .store
                    .digest(self.id, written.length, claimed.algorithm())
                    .await;
                self.or_ended(read).await?
            }
        };
        if computed != claimed {
            self.cancel().await?;
            return Err(Error::DigestMismatch(Box::new(DigestMismatch {
                claimed,
                computed,
            })));
        }
        let repository = self.progress.repository.clone();
        let landing = FinishedUpload {
            upload: self.id,
            repository,
            digest: computed,
            size: written.length,
        };
        let landed = tokio::spawn(async move {
            let landed = land(&self.shared.backends, landing).await;
            let blob = self.or_ended(landed).await?;
            self.end();
            Ok(blob)
        });
        landed.await.unwrap_or_else(Error::ended)
    }

    /// Ends the upload and forgets what was received.
    pub(crate) async fn cancel(mut self) -> Result<(), Error> {
        if let Some(sink) = self.sink.take() {
            // What it is still writing would come after the end.
            let _ = sink.finish(Vec::new()).await;
        }
        if self.guard.is_some() {
            self.shared.backends.uploads.end(self.id).await?;
        }
        self.shared.backends.store.discard(self.id).await?;
        self.end();
        Ok(())
    }

    fn sink(&mut self) -> &mut Box<dyn UploadWriter> {
        let UploadProgress {
            received, hasher, ..
        } = &self.progress;
        self.sink.get_or_insert_with(|| {
            self.shared
                .backends
                .store
                .append(self.id, *received, hasher.clone())
        })
    }

    async fn flush(&mut self) -> Result<WrittenContent, Error> {
        self.sink();
        let rest = std::mem::take(&mut self.gathered);
        match self.sink.take() {
            Some(sink) => sink.finish(rest).await,
            None => Ok(WrittenContent {
                length: self.progress.received,
                hasher: self.progress.hasher.clone(),
            }),
        }
    }

    fn end(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            *guard = Running::Ended;
            self.shared.forget(self.id);
        }
        self.sink = None;
        self.length = self.progress.received;
    }
}

/// Gives back the room that a broken request took, before the next one can begin.
impl Drop for Upload {
    fn drop(&mut self) {
        if self.length == self.progress.received && self.sink.is_none() {
            return;
        }
        // Outside a runtime nothing is running any more; the next start cleans up.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (shared, id, received) = (Arc::clone(&self.shared), self.id, self.progress.received);
        let (guard, sink) = (self.guard.take(), self.sink.take());
        runtime.spawn(async move {
            if let Some(sink) = sink {
                let _ = sink.finish(Vec::new()).await;
            }
            let store = &shared.backends.store;
            let cleared = match &guard {
                Some(_) => store
                    .append(id, received, None)
                    .finish(Vec::new())
                    .await
                    .map(drop),
                None => store.discard(id).await,
            };
            if let Err(error) = cleared {
                tracing::warn!(upload = %id, %error, "what a broken upload wrote is still there");
            }
            drop(guard);
        });
    }
}

/// From safe content to a blob that everybody can see.
async fn land(backends: &Backends, landing: FinishedUpload) -> Result<Blob, Error> {
    let Backends { uploads, store, .. } = backends;
    let upload = landing.upload;
    let blob = match uploads.reserve(landing.clone()).await? {
        Reservation::Exists(blob) => {
            // The blob is there whether or not this succeeds; the next start would find what is
            // left.
            if let Err(error) = store.discard(upload).await {
                tracing::warn!(%upload, %error, "a second copy is still there");
            }
            return Ok(blob);
        }
        Reservation::Pending(blob) => blob,
    };
    let landed = match store.publish(upload, &blob.key).await {
        Ok(()) => uploads.settle(landing, blob.clone()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &landed
        && is_undone(error)
        && let Err(error) = give_back(backends, blob, upload).await
    {
        tracing::warn!(%upload, %error, "an upload that could not become a blob is left to the next start");
    }
    landed
}

async fn give_back(backends: &Backends, blob: Blob, upload: UploadId) -> Result<(), Error> {
    backends.store.withdraw(&blob.key, upload).await?;
    backends.uploads.abandon(blob).await
}

/// Whether what failed has certainly not happened. A commit that met a failing disk may turn out to
/// have happened after the next start, and then the file must be where the row says.
fn is_undone(error: &Error) -> bool {
    !matches!(error, Error::Database(_))
}
