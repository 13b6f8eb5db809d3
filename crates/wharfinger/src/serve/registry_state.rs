//! What the registry keeps when the configuration changes: its storage, and the work on it that goes
//! on beside the requests.

use std::path::Path;
use std::sync::Arc;

use common::{Clock, SystemClock};
use database::{ClusterSecret, Database, SqliteDatabase};
use registry::CursorKey;
use storage::distribution::OngoingAdoption;
use storage::{Retention, Storage, StorageOpenError, UploadLimits};

use super::adoption;
use super::collection::{self, CollectionObservers};
use super::shared_registry::SharedRegistry;
use crate::config;
use crate::failure::Failure;

/// What a registry keeps when the configuration changes.
pub(super) struct RegistryState {
    pub(super) storage: Storage,
    pub(super) cursors: Arc<CursorKey>,
    /// Another registry's data directory, which is to be read.
    unread: Option<Arc<OngoingAdoption>>,
    /// Whether this process cannot write into the data directory.
    is_read_only: bool,
}

/// Where the registry's own content is.
pub(super) struct ContentRoot<'a> {
    pub(super) path: &'a Path,
    /// Whether this process cannot write into the data directory.
    pub(super) is_read_only: bool,
}

impl<'a> ContentRoot<'a> {
    /// The directory that `storage` names, if it names one.
    pub(super) fn of(storage: &'a config::StorageDriver) -> Option<Self> {
        let path = storage.root()?;
        Some(Self {
            path,
            is_read_only: false,
        })
    }
}

impl RegistryState {
    /// Opens the storage that `config` names.
    pub(super) async fn open(
        config: &config::RegistryServerConfig,
        root: Option<ContentRoot<'_>>,
        database: &Database,
        secret: &ClusterSecret,
        entropy: Arc<dyn common::Entropy>,
    ) -> Result<Self, Failure> {
        let limits = UploadLimits {
            uploads_per_client: config.limits.uploads_per_client,
            blob: config.limits.blob,
            ..UploadLimits::default()
        };
        let retention = Retention {
            grace: config.collection.grace,
            upload_expiry: config.uploads.expire,
            retain: config.storage.retain(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = storage::StorageSettings { limits, retention };
        let cursors = Arc::new(CursorKey::from_bytes(&secret.derive("catalog cursor")));
        if let Some(pool) = database.postgres() {
            let shared = SharedRegistry::new(pool, settings, entropy)?;
            let (storage, unread) = match (root, &config.storage) {
                (None, config::StorageDriver::S3(bucket)) => {
                    let storage = shared.open_bucket(bucket).await?;
                    let unread = adoption::discover_bucket(&storage, &bucket.url()).await?;
                    (storage, unread)
                }
                (root, _) => {
                    let root = root.ok_or_else(no_storage)?;
                    let storage = shared.open(root.path).await?;
                    let unread = adoption::discover(&storage, root.path).await?;
                    (storage, unread)
                }
            };
            return Ok(Self {
                storage,
                cursors,
                unread,
                is_read_only: false,
            });
        }
        let database = database.sqlite().cloned();
        let database = database.ok_or_else(|| Failure::system("the registry has no database"))?;
        let root = match (root, &config.storage) {
            (None, config::StorageDriver::S3(bucket)) => {
                let storage = open_bucket(bucket, database, settings, clock, entropy).await?;
                let unread = adoption::discover_bucket(&storage, &bucket.url()).await?;
                return Ok(Self {
                    storage,
                    cursors,
                    unread,
                    is_read_only: false,
                });
            }
            (root, _) => root.ok_or_else(no_storage)?,
        };
        let opened = Storage::open(database.clone(), root.path, settings, Arc::clone(&clock)).await;
        let opened = match opened {
            // Content of another user can be served if nothing is written.
            Err(StorageOpenError::NotOurs(_)) if root.is_read_only => {
                Storage::open_for_command(database, root.path, settings, clock).await
            }
            opened => opened,
        };
        let storage = opened.map_err(|error| {
            let hint = "registry.storage.filesystem.root names the directory";
            Failure::system("cannot open the registry's storage")
                .caused_by(&error)
                .hint(hint)
        })?;
        let unread = match config.storage.root() {
            Some(root) => adoption::discover(&storage, root).await?,
            None => None,
        };
        Ok(Self {
            storage,
            cursors,
            unread,
            is_read_only: root.is_read_only,
        })
    }

    /// The work that goes on beside the requests.
    pub(super) fn background_tasks(
        &mut self,
        config: config::CollectionConfig,
        observers: CollectionObservers,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (storage, unread) = (self.storage.clone(), self.unread.take());
        let read = async move {
            if let Some(reading) = unread {
                adoption::read_through(&storage, &reading).await;
            }
        };
        let every = config.every.filter(|_| !self.is_read_only);
        let config = config::CollectionConfig { every, ..config };
        let collect = collection::collect(self.storage.clone(), config, observers);
        async {
            tokio::join!(read, collect);
        }
    }
}

fn no_storage() -> Failure {
    Failure::system("the registry has no storage")
}

/// Opens the storage whose content is in a bucket.
async fn open_bucket(
    bucket: &config::S3Config,
    database: SqliteDatabase,
    settings: storage::StorageSettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn common::Entropy>,
) -> Result<Storage, Failure> {
    let mut identity = [0; 16];
    entropy.fill(&mut identity)?;
    let identity = data_encoding::HEXLOWER.encode(&identity);
    let content = Arc::new(super::bucket::probed_content(bucket, entropy).await?);
    let opened = Storage::open_bucket(database, content, &identity, settings, clock).await;
    opened.map_err(|error| {
        Failure::system("cannot open the registry's storage")
            .caused_by(&error)
            .hint("registry.storage.s3 names the bucket")
    })
}
