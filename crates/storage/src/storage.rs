//! What a registry opens.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use database::Database;
use oci::RepositoryName;

use crate::distribution::OngoingAdoption;
use crate::put_counter::PutCounter;
use crate::upload::{Running, Upload};
use crate::{
    AdoptionStore, Blob, BlobIndex, BlobReader, BlobStore, CollectionStore, Error, Files,
    Inventory, ManifestStore, NewUpload, Retention, Sqlite, StorageOpenError, StoreId, UploadId,
    UploadStore,
};

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Uploads whose running hash is kept in memory; of those beyond, the idle ones read their content
/// once more.
const REMEMBERED: usize = 4096;

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// Uploads that one client may have open, blobs that it sends in one go included.
    pub uploads_per_client: u32,
    /// The largest blob, in bytes.
    pub blob: Option<u64>,
    /// How long a request waits for the one before it to let go of an upload: a client whose
    /// connection broke is often back before its old request has noticed.
    pub patience: Duration,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            uploads_per_client: 64,
            blob: None,
            patience: Duration::from_secs(5),
        }
    }
}

/// What is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageSettings {
    /// How much is allowed.
    pub limits: UploadLimits,
    /// For how long.
    pub retention: Retention,
}

/// What storage is made of: the seams that it stands on.
#[derive(Clone, Debug)]
pub struct Backends {
    /// Repositories, manifests and tags.
    pub manifests: Arc<dyn ManifestStore>,
    /// Which repository has which blobs.
    pub blobs: Arc<dyn BlobIndex>,
    /// Uploads.
    pub uploads: Arc<dyn UploadStore>,
    /// Collection's queries.
    pub collection: Arc<dyn CollectionStore>,
    /// Everything there is.
    pub inventory: Arc<dyn Inventory>,
    /// Taking over what another registry has written.
    pub adoption: Arc<dyn AdoptionStore>,
    /// Content.
    pub store: Arc<dyn BlobStore>,
}

impl Backends {
    /// Metadata that is all in one place, and content.
    pub fn new<M>(metadata: Arc<M>, store: Arc<dyn BlobStore>) -> Self
    where
        M: ManifestStore
            + BlobIndex
            + UploadStore
            + CollectionStore
            + Inventory
            + AdoptionStore
            + 'static,
    {
        Self {
            manifests: Arc::clone(&metadata) as _,
            blobs: Arc::clone(&metadata) as _,
            uploads: Arc::clone(&metadata) as _,
            collection: Arc::clone(&metadata) as _,
            inventory: Arc::clone(&metadata) as _,
            adoption: metadata,
            store,
        }
    }
}

/// Where cargo lies. Clones share it.
#[derive(Clone)]
pub struct Storage {
    pub(crate) shared: Arc<SharedState>,
}

pub(crate) struct SharedState {
    pub(crate) backends: Backends,
    pub(crate) limits: UploadLimits,
    /// The folder of our own content, without symbolic links; none where it is not known here.
    pub(crate) home: Option<PathBuf>,
    /// Data directories that are being read.
    readings: Mutex<Vec<Arc<OngoingAdoption>>>,
    /// Uploads that this process has seen, each locked by whoever writes to it.
    running: Mutex<HashMap<UploadId, Arc<tokio::sync::Mutex<Running>>>>,
    /// Blobs on their way in one go.
    passing: PutCounter,
}

impl Storage {
    /// Storage of the one server that has `database`, with its content under `root`. What a crash
    /// left behind is put right.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open(
        database: Database,
        root: impl Into<PathBuf>,
        settings: StorageSettings,
        clock: Clock,
    ) -> Result<Self, StorageOpenError> {
        let files = Files::open_exclusive(root)?;
        let rows = Sqlite::new(database, settings.retention, clock)?;
        let storage = Self::on(rows, files, settings.limits);
        storage.recover().await?;
        storage.add_stores().await?;
        Ok(storage)
    }

    /// Storage for a command that runs beside a server, or without one.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open_for_command(
        database: Database,
        root: impl Into<PathBuf>,
        settings: StorageSettings,
        clock: Clock,
    ) -> Result<Self, StorageOpenError> {
        let files = Files::open(root)?;
        let rows = Sqlite::beside(database, settings.retention, clock)?;
        let storage = Self::on(rows, files, settings.limits);
        storage.add_stores().await?;
        Ok(storage)
    }

    /// Storage that stands on `backends`.
    #[must_use]
    pub fn new(backends: Backends, limits: UploadLimits) -> Self {
        Self::with(backends, limits, None)
    }

    fn on(rows: Sqlite, files: Files, limits: UploadLimits) -> Self {
        let home = files.place().canonicalize().ok();
        Self::with(Backends::new(Arc::new(rows), Arc::new(files)), limits, home)
    }

    fn with(backends: Backends, limits: UploadLimits, home: Option<PathBuf>) -> Self {
        let (readings, running, passing) =
            (Mutex::default(), Mutex::default(), PutCounter::default());
        Self {
            shared: Arc::new(SharedState {
                backends,
                limits,
                home,
                readings,
                running,
                passing,
            }),
        }
    }

    /// Repositories, manifests and tags.
    #[must_use]
    pub fn manifests(&self) -> &dyn ManifestStore {
        self.shared.backends.manifests.as_ref()
    }

    /// Which repository has which blobs.
    #[must_use]
    pub fn blobs(&self) -> &dyn BlobIndex {
        self.shared.backends.blobs.as_ref()
    }

    /// The content of a blob of this repository, or a stretch of it. `range` must be within the
    /// blob's size.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] where it was removed meanwhile, [`Error::Damaged`] where its file
    /// was.
    pub async fn read(
        &self,
        repository: &RepositoryName,
        blob: &Blob,
        range: Range<u64>,
    ) -> Result<Box<dyn BlobReader>, Error> {
        let store = &self.shared.backends.store;
        match store.open(blob, range.clone()).await {
            Err(Error::Damaged { digest }) => {
                // Removed between the row and the file? Then there is no row any more, or another
                // one.
                let now = self.blobs().find(repository, &blob.digest).await?;
                if now.generation == blob.generation && blob.store == StoreId::OWN {
                    return Err(Error::Damaged { digest });
                }
                // Adopted meanwhile?
                self.add_stores().await?;
                store.open(&now, range).await
            }
            opened => opened,
        }
    }

    /// Learns of data directories that were adopted.
    async fn add_stores(&self) -> Result<(), Error> {
        for (id, place) in self.blobs().stores().await? {
            let path = self.shared.resolve(&place);
            // Its blobs are damaged then; all others are served.
            if let Err(error) = self.shared.backends.store.add(id, &path) {
                tracing::error!(path = %path.display(), %error, "an adopted data directory is missing");
            }
        }
        Ok(())
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// [`Error::TooManyUploads`].
    pub async fn begin(&self, upload: NewUpload) -> Result<(), Error> {
        let (id, known) = (upload.id, Running::begun(&upload));
        let limit = self.shared.limits.uploads_per_client;
        let room = limit.saturating_sub(self.shared.passing.of(&upload.client));
        self.shared
            .backends
            .uploads
            .begin(upload, room)
            .await
            .map_err(|error| match error {
                Error::TooManyUploads { .. } => Error::TooManyUploads { limit },
                other => other,
            })?;
        self.shared.remember(id, known);
        Ok(())
    }

    /// How much of an upload is safe on the disk, in bytes.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn received(&self, repository: &RepositoryName, id: UploadId) -> Result<u64, Error> {
        Ok(self
            .shared
            .backends
            .uploads
            .find(repository, id)
            .await?
            .received)
    }

    /// Goes on with an upload, at byte `at` where the caller says which. Nobody else can until the
    /// [`Upload`] is dropped, saved or finished.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`], or [`Error::OutOfOrder`], which leaves the
    /// upload as it was.
    pub async fn upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        at: Option<u64>,
    ) -> Result<Upload, Error> {
        Upload::resume(Arc::clone(&self.shared), repository, id, at).await
    }

    /// Takes in a blob in one go, without an upload that could be resumed: only [`Upload::finish`]
    /// keeps what is written.
    ///
    /// # Errors
    /// [`Error::TooManyUploads`].
    pub async fn put(&self, upload: NewUpload) -> Result<Upload, Error> {
        let limit = self.shared.limits.uploads_per_client;
        let room = limit.saturating_sub(self.shared.backends.uploads.open(&upload.client).await?);
        let place = self.shared.passing.enter(upload.client.clone(), room);
        let place = place.ok_or(Error::TooManyUploads { limit })?;
        Ok(Upload::single(Arc::clone(&self.shared), upload, place))
    }

    /// Ends an upload and forgets what was received.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`].
    pub async fn cancel(&self, repository: &RepositoryName, id: UploadId) -> Result<(), Error> {
        self.upload(repository, id, None).await?.cancel().await
    }

    /// Puts right what a crash left behind: uploads that were about to become blobs are uploads
    /// again, and content without an upload is removed. Only the one server may do so, before it
    /// serves.
    ///
    /// # Errors
    /// When the database or the disk fails.
    pub async fn recover(&self) -> Result<(), Error> {
        let Backends { uploads, store, .. } = &self.shared.backends;
        for (blob, upload) in uploads.pending().await? {
            tracing::info!(digest = %blob.digest, %upload, "an upload that was cut short goes back to where it was");
            store.withdraw(&blob.key, upload).await?;
            uploads.abandon(blob).await?;
        }
        let known = uploads.all().await?;
        for upload in store.uploads().await? {
            if known.binary_search(&upload).is_err() {
                store.discard(upload).await?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("backends", &self.shared.backends)
            .finish_non_exhaustive()
    }
}

impl SharedState {
    /// The upload's place in memory, locked by whoever writes to it.
    pub(crate) fn running(&self, id: UploadId) -> Arc<tokio::sync::Mutex<Running>> {
        Arc::clone(self.lock().entry(id).or_default())
    }

    pub(crate) fn readings(&self) -> MutexGuard<'_, Vec<Arc<OngoingAdoption>>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a place is that rows name.
    pub(crate) fn resolve(&self, place: &Path) -> PathBuf {
        self.home
            .as_deref()
            .map_or_else(|| place.to_owned(), |home| home.join(place))
    }

    pub(crate) fn forget(&self, id: UploadId) {
        self.lock().remove(&id);
    }

    fn remember(&self, id: UploadId, running: Running) {
        let mut all = self.lock();
        if all.len() >= REMEMBERED {
            all.retain(|_, upload| Arc::strong_count(upload) > 1);
        }
        all.insert(id, Arc::new(tokio::sync::Mutex::new(running)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, Arc<tokio::sync::Mutex<Running>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
