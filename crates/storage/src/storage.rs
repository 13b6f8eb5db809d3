//! What a registry opens.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use database::Database;
use oci::{RepositoryName, Tag};

use crate::active_uploads::ActiveUploads;
use crate::distribution::OngoingAdoption;
use crate::upload::{Upload, to_its_end};
use crate::{
    AdoptionStore, Blob, BlobIndex, BlobReader, BlobStore, CollectionStore, Error, Files,
    Inventory, ManifestStore, NewManifest, NewUpload, OutboxStore, Retention, Sqlite,
    StorageOpenError, StoreId, UploadId, UploadStore,
};

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

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
    /// What others are to be told of.
    pub outbox: Arc<dyn OutboxStore>,
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
            + OutboxStore
            + AdoptionStore
            + 'static,
    {
        Self {
            manifests: Arc::clone(&metadata) as _,
            blobs: Arc::clone(&metadata) as _,
            uploads: Arc::clone(&metadata) as _,
            collection: Arc::clone(&metadata) as _,
            inventory: Arc::clone(&metadata) as _,
            outbox: Arc::clone(&metadata) as _,
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
    /// Uploads that requests are writing to.
    pub(crate) active: ActiveUploads,
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
        Self {
            shared: Arc::new(SharedState {
                backends,
                limits,
                home,
                readings: Mutex::default(),
                active: ActiveUploads::default(),
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

    /// What others are to be told of.
    #[must_use]
    pub fn outbox(&self) -> &dyn OutboxStore {
        self.shared.backends.outbox.as_ref()
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

    /// Takes a manifest in and points `tags` at it. Each blob that it needs must be there to be read:
    /// a row is no proof of that.
    ///
    /// # Errors
    /// [`Error::ReferencesUnknown`] if blobs are missing, in rows or on the disk.
    pub async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: NewManifest,
        tags: Vec<Tag>,
    ) -> Result<(), Error> {
        let digests: Vec<_> = manifest
            .manifest()
            .blobs()
            .map(|blob| blob.digest)
            .collect();
        let mut unreadable = Vec::new();
        for blob in self.blobs().find_all(repository, digests).await? {
            if let Err(Error::Damaged { digest }) = self.check_blob(repository, &blob).await {
                tracing::error!(%repository, %digest, "the content of a blob is missing or damaged: push it again");
                unreadable.push(digest);
            }
        }
        if !unreadable.is_empty() {
            return Err(Error::ReferencesUnknown(unreadable));
        }
        self.manifests().push(repository, manifest, tags).await
    }

    /// Whether all of a blob is there to be read. It costs a look at its file.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] if it was removed meanwhile, [`Error::Damaged`] if its file was.
    pub async fn check_blob(&self, repository: &RepositoryName, blob: &Blob) -> Result<(), Error> {
        let store = &self.shared.backends.store;
        match store.check(blob).await {
            Err(Error::Damaged { digest }) => {
                // Another row since, or a store that was adopted or came back?
                let now = self.blobs().find(repository, &digest).await?;
                self.add_stores().await?;
                store.check(&now).await
            }
            checked => checked,
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

    /// Begins an upload. If the client has as many as it may have, those that no request has written
    /// to for longest make room.
    ///
    /// # Errors
    /// [`Error::TooManyUploads`] if requests are writing to as many as the client may have.
    pub async fn begin(&self, upload: NewUpload) -> Result<(), Error> {
        let limit = self.shared.limits.uploads_per_client;
        let active = self.shared.active.of(&upload.client);
        if active.len() >= limit as usize {
            return Err(Error::TooManyUploads { limit });
        }
        let shared = Arc::clone(&self.shared);
        to_its_end(async move {
            let Backends { uploads, store, .. } = &shared.backends;
            for evicted in uploads.begin(upload, limit, active).await? {
                tracing::debug!(upload = %evicted, "an idle upload made room for a new one");
                store.discard(evicted).await?;
            }
            Ok(())
        })
        .await
    }

    /// Who began an upload.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn upload_client(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<String, Error> {
        let uploads = &self.shared.backends.uploads;
        Ok(uploads.find(repository, id).await?.client)
    }

    /// How much of an upload is safe on the disk, in bytes.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn received(&self, repository: &RepositoryName, id: UploadId) -> Result<u64, Error> {
        let uploads = &self.shared.backends.uploads;
        Ok(uploads.find(repository, id).await?.checkpoint.received)
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
        let active = self.shared.active.enter(upload.id, &upload.client, limit);
        let active = active.ok_or(Error::TooManyUploads { limit })?;
        Ok(Upload::single(Arc::clone(&self.shared), upload, active))
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
    pub(crate) fn readings(&self) -> MutexGuard<'_, Vec<Arc<OngoingAdoption>>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a place is that rows name.
    pub(crate) fn resolve(&self, place: &Path) -> PathBuf {
        self.home
            .as_deref()
            .map_or_else(|| place.to_owned(), |home| home.join(place))
    }
}
