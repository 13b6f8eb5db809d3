//! What a registry opens.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::Clock;
use database::SqliteDatabase;
use oci::{Digest, RepositoryName};

use crate::completion::run_to_completion;
use crate::quota::UsageChange;
use crate::recovery::recover_uploads;
use crate::shared::{ContentRows, MetadataStores, SharedState};
use crate::upload::Upload;
use crate::{
    AdoptedStore, Blob, BlobIndex, BlobReader, BlobStore, ChangeSet, ContentLocation, ContentUrl,
    Error, Files, ManifestChange, ManifestStore, NewManifest, NewUpload, OutboxStore,
    QuotaResource, QuotaRoom, QuotaStore, QuotaUsage, QuotaWarning, RepositoryQuotas, Sqlite,
    StorageOpenError, StorageSettings, StorageStatistics, StoreId, TagHistoryStore, UploadId,
    UploadLimits, UsageQuery,
};

/// How often [`Storage::uploads_released`] looks.
const RELEASE_CHECK: Duration = Duration::from_millis(10);

/// The storage of a registry. Clones share it.
#[derive(Clone)]
pub struct Storage {
    pub(crate) shared: Arc<SharedState>,
}

impl Storage {
    /// Opens the storage of the one server that has `database`, with its content under `root`, and
    /// [recovers](recover_uploads) uploads.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open(
        database: SqliteDatabase,
        root: impl Into<PathBuf>,
        settings: StorageSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageOpenError> {
        let files = Files::open_exclusive(root)?;
        let rows = Sqlite::new(database, settings.retention, clock)?;
        belong_together(&rows, &files).await?;
        recover_uploads(&rows, &files).await?;
        let storage = Self::with_files(rows, files, settings.limits);
        storage.add_stores().await?;
        Ok(storage)
    }

    /// Opens the storage for a command. A server may be running.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open_for_command(
        database: SqliteDatabase,
        root: impl Into<PathBuf>,
        settings: StorageSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageOpenError> {
        let files = Files::open(root)?;
        let rows = Sqlite::for_command(database, settings.retention, clock)?;
        belong_together(&rows, &files).await?;
        let storage = Self::with_files(rows, files, settings.limits);
        storage.add_stores().await?;
        Ok(storage)
    }

    /// Storage on these stores. The caller has recovered uploads, if that is necessary
    /// ([`recover_uploads`]).
    #[must_use]
    pub fn new(
        metadata: MetadataStores,
        content: Arc<dyn BlobStore>,
        limits: UploadLimits,
    ) -> Self {
        Self {
            shared: Arc::new(SharedState::new(metadata, content, limits, None)),
        }
    }

    fn with_files(rows: Sqlite, files: Files, limits: UploadLimits) -> Self {
        let rows = Arc::new(rows);
        let metadata = MetadataStores {
            backup: Some(Arc::clone(&rows) as _),
            ..MetadataStores::new(rows)
        };
        Self::on_files(metadata, files, limits)
    }

    pub(crate) fn on_files(metadata: MetadataStores, files: Files, limits: UploadLimits) -> Self {
        let home = files.path().canonicalize().ok();
        let home = home.map(ContentLocation::Directory);
        Self {
            shared: Arc::new(SharedState::new(metadata, Arc::new(files), limits, home)),
        }
    }

    /// Repositories, manifests and tags.
    #[must_use]
    pub fn manifests(&self) -> &dyn ManifestStore {
        self.shared.metadata.manifests.as_ref()
    }

    /// Which repository has which blobs.
    #[must_use]
    pub fn blobs(&self) -> &dyn BlobIndex {
        self.shared.metadata.blobs.as_ref()
    }

    /// What was counted since it was opened.
    #[must_use]
    pub fn statistics(&self) -> StorageStatistics {
        StorageStatistics {
            actions: self.shared.actions.snapshot(),
            metadata: self.shared.metadata.inventory.statistics(),
            active_uploads: self.shared.active.count(),
        }
    }

    /// Records of changes.
    #[must_use]
    pub fn outbox(&self) -> &dyn OutboxStore {
        self.shared.metadata.outbox.as_ref()
    }

    /// What became of tags.
    #[must_use]
    pub fn tag_history(&self) -> &dyn TagHistoryStore {
        self.shared.metadata.tag_history.as_ref()
    }

    /// What is used below prefixes.
    #[must_use]
    pub fn quotas(&self) -> &dyn QuotaStore {
        self.shared.metadata.quotas.as_ref()
    }

    /// Whether the `quotas` of a repository have room for a blob of this length, or for a part of one,
    /// before any of it is taken. A quota that has the blob already needs no room for it; without a
    /// `digest`, this is not known. Returns for how many bytes there is room. The change itself decides:
    /// others may use the room first.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`](crate::Error::QuotaExceeded), or if the database fails.
    pub async fn room_for(
        &self,
        quotas: &RepositoryQuotas,
        bytes: u64,
        digest: Option<&Digest>,
    ) -> Result<QuotaRoom, Error> {
        let mut limited = quotas.prefixes_of(QuotaResource::Bytes);
        if limited.is_empty() {
            return Ok(QuotaRoom::Unlimited);
        }
        if let Some(digest) = digest {
            let having = self.quotas().prefixes_with(digest, limited.clone()).await?;
            limited.retain(|prefix| !having.contains(prefix));
        }
        let used = self.quotas().usage(UsageQuery::Of(limited)).await?;
        let changes: Vec<_> = used
            .into_iter()
            .map(|used| UsageChange {
                prefix: used.prefix,
                used: used.usage,
                added: QuotaUsage { bytes, tags: 0 },
            })
            .collect();
        quotas.check(&changes)?;
        Ok(quotas.room(&changes))
    }

    /// The content of a blob of this repository, or a range of it, which must be within the blob's
    /// size.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] if the blob was removed meanwhile, [`Error::Damaged`] if its content
    /// is missing.
    pub async fn read(
        &self,
        repository: &RepositoryName,
        blob: &Blob,
        range: Range<u64>,
    ) -> Result<Box<dyn BlobReader>, Error> {
        let store = &self.shared.content;
        match store.open(blob, range.clone()).await {
            Err(Error::Damaged { digest }) => {
                // If it was removed since its row was read, the row is gone, or is another one.
                let now = self.blobs().find(repository, &blob.digest).await?;
                if now.generation == blob.generation && blob.store == StoreId::OWN {
                    return Err(Error::Damaged { digest });
                }
                // Perhaps its store was adopted meanwhile.
                self.add_stores().await?;
                store.open(&now, range).await
            }
            opened => opened,
        }
    }

    /// Where a client can get the content of a blob from its store itself, if it can. The caller has
    /// found the blob for a client that may pull it.
    ///
    /// # Errors
    /// If the store cannot say it.
    pub async fn locate(&self, blob: &Blob) -> Result<Option<ContentUrl>, Error> {
        self.shared.content.locate(blob).await
    }

    /// Makes a change. The content of each blob that a pushed manifest needs must exist; a row alone
    /// does not prove that. Returns the quotas that it has brought near their limits.
    ///
    /// # Errors
    /// As [`ManifestStore::apply`], and [`Error::ReferencesUnknown`] if blobs are missing, in rows or on
    /// the disk.
    pub async fn apply(
        &self,
        repository: &RepositoryName,
        changes: ChangeSet,
    ) -> Result<Vec<QuotaWarning>, Error> {
        if let ManifestChange::Push { manifest, .. } = &changes.change {
            self.check_blobs(repository, manifest).await?;
        }
        self.manifests().apply(repository, changes).await
    }

    async fn check_blobs(
        &self,
        repository: &RepositoryName,
        manifest: &NewManifest,
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
        Ok(())
    }

    /// Whether all of a blob can be read. It opens the blob's file.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] if it was removed meanwhile, [`Error::Damaged`] if its content is
    /// missing.
    pub async fn check_blob(&self, repository: &RepositoryName, blob: &Blob) -> Result<(), Error> {
        let store = &self.shared.content;
        match store.check(blob).await {
            Err(Error::Damaged { digest }) => {
                // Perhaps there is a newer row, or its store was adopted or mounted meanwhile.
                let now = self.blobs().find(repository, &digest).await?;
                self.add_stores().await?;
                store.check(&now).await
            }
            checked => checked,
        }
    }

    /// Adds the stores that were adopted since.
    pub(crate) async fn add_stores(&self) -> Result<(), Error> {
        for AdoptedStore { id, location } in self.blobs().stores().await? {
            let location = self.shared.resolve(&location);
            // Without it, its blobs are damaged. All others are served.
            if let Err(error) = self.shared.content.add(id, &location) {
                tracing::error!(path = %location, %error, "the data of an adopted registry are missing");
            }
        }
        Ok(())
    }

    /// Locations of content that cannot be reached now: a disk that is not mounted, or a data
    /// directory that was moved away. A server with such a location is not ready.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unreachable_locations(&self) -> Result<Vec<ContentLocation>, Error> {
        let mut adopted = self.blobs().stores().await?;
        for store in &mut adopted {
            store.location = self.shared.resolve(&store.location);
        }
        self.shared.content.unreachable(adopted).await
    }

    /// Begins an upload. If the client has as many as it may have, its uploads that have been idle
    /// longest are removed.
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
        run_to_completion(async move {
            let uploads = &shared.metadata.uploads;
            for evicted in uploads.begin(upload, limit, active).await? {
                tracing::debug!(upload = %evicted, "an idle upload made room for a new one");
                shared.content.discard(evicted).await?;
            }
            Ok(())
        })
        .await
    }

    /// The client that began an upload.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn upload_client(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<String, Error> {
        let uploads = &self.shared.metadata.uploads;
        Ok(uploads.find(repository, id).await?.client)
    }

    /// How much of an upload is safe on the disk, in bytes.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn received(&self, repository: &RepositoryName, id: UploadId) -> Result<u64, Error> {
        let uploads = &self.shared.metadata.uploads;
        Ok(uploads.find(repository, id).await?.checkpoint.received)
    }

    /// Continues an upload, at byte `at` if the caller names one. No other request can, of any
    /// server, until the [`Upload`] is dropped, saved or finished.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`], or [`Error::OutOfOrder`], which does not
    /// change the upload.
    pub async fn upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        at: Option<u64>,
    ) -> Result<Upload, Error> {
        Upload::resume(Arc::clone(&self.shared), repository, id, at).await
    }

    /// Begins a blob that is sent in one request. It cannot be resumed: only [`Upload::finish`] keeps
    /// what is written.
    ///
    /// # Errors
    /// [`Error::TooManyUploads`].
    pub async fn put(&self, upload: NewUpload) -> Result<Upload, Error> {
        if self.shared.content.chooses_keys() || self.shared.metadata.uploads.is_shared() {
            let (repository, id) = (upload.repository.clone(), upload.id);
            self.begin(upload).await?;
            let mut single = self.upload(&repository, id, Some(0)).await?;
            single.end_with_request();
            return Ok(single);
        }
        let limit = self.shared.limits.uploads_per_client;
        let active = self.shared.active.enter(upload.id, &upload.client, limit);
        let active = active.ok_or(Error::TooManyUploads { limit })?;
        Ok(Upload::single(Arc::clone(&self.shared), upload, active))
    }

    /// Returns when no request of this process has an upload any more. What an aborted request wrote is
    /// removed then, and other servers can continue its upload.
    pub async fn uploads_released(&self) {
        while !self.shared.active.is_empty() {
            tokio::time::sleep(RELEASE_CHECK).await;
        }
    }

    /// Ends an upload and removes its content.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`].
    pub async fn cancel(&self, repository: &RepositoryName, id: UploadId) -> Result<(), Error> {
        self.upload(repository, id, None).await?.cancel().await
    }
}

/// Rejects a database without its content, and content without its database: neither is served as
/// if it were complete.
pub(crate) async fn belong_together(
    rows: &impl ContentRows,
    files: &Files,
) -> Result<(), StorageOpenError> {
    let path = files.path().to_owned();
    let unreachable = |source| StorageOpenError::Unreachable {
        path: path.clone(),
        source,
    };
    if rows.content_identity().await?.is_some() {
        return Err(StorageOpenError::ContentInBucket);
    }
    let own = rows.own_blobs().await?;
    if own.any_live && files.is_new().map_err(unreachable)? {
        return Err(StorageOpenError::NoContent(path));
    }
    if !own.any && files.has_blobs().map_err(unreachable)? {
        return Err(StorageOpenError::NoRows(path));
    }
    Ok(())
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("metadata", &self.shared.metadata)
            .field("content", &self.shared.content)
            .finish_non_exhaustive()
    }
}
