//! What the registry keeps when the configuration changes: its storage, and the work on it that goes
//! on beside the requests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{Clock, SystemClock};
use database::{ClusterSecret, Database, SqliteDatabase};
use immutable_tags::StoredImmutableTags;
use registry::CursorKey;
use storage::distribution::OngoingAdoption;
use storage::tag_retention::RetentionPolicy;
use storage::{
    PostgresMetadata, PullTimes, Quotas, Retention, Storage, StorageOpenError, UploadLimits,
};
use tokio::sync::watch;

use super::adoption;
use super::collection::{self, CollectionObservers, IsReadOnly};
use super::quotas::{self, ServedQuotas};
use super::retention::{self, CurrentConditions, RetentionEvents};
use super::shared_registry::SharedRegistry;
use super::tags;
use crate::config;
use crate::failure::Failure;

/// What a registry keeps when the configuration changes.
pub(super) struct RegistryState {
    pub(super) storage: Storage,
    pub(super) cursors: Arc<CursorKey>,
    /// The rules of the database that make tags immutable.
    pub(super) immutable_tags: StoredImmutableTags,
    /// The metadata, if other servers have them, too.
    pub(super) shared: Option<PostgresMetadata>,
    /// Which manifests are pulled.
    pub(super) pulls: PullTimes,
    /// The quotas of the configuration, whose prefixes are to be counted.
    quotas: watch::Sender<Quotas>,
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

/// The rules of retention, how often they are applied, and what is told of it.
pub(super) struct RetentionTask {
    pub(super) policy: RetentionPolicy,
    pub(super) every: Option<Duration>,
    pub(super) conditions: CurrentConditions,
    pub(super) events: RetentionEvents,
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
        let pulls = PullTimes::new(Arc::clone(&clock));
        let cursors = Arc::new(CursorKey::from_bytes(&secret.derive("catalog cursor")));
        let immutable_tags = tags::stored_rules(database, &clock).await;
        if let Some(pool) = database.postgres() {
            let shared = SharedRegistry::new(pool, settings, entropy)?.waiting();
            let metadata = shared.metadata();
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
                immutable_tags,
                shared: Some(metadata),
                pulls,
                quotas: watch::Sender::default(),
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
                    immutable_tags,
                    shared: None,
                    pulls,
                    quotas: watch::Sender::default(),
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
            immutable_tags,
            shared: None,
            pulls,
            quotas: watch::Sender::default(),
            unread,
            is_read_only: root.is_read_only,
        })
    }

    /// Counts what the prefixes of a new configuration use. Requests go on meanwhile; pushes may wait.
    pub(super) async fn count_quotas(&self, section: &config::RegistryServerConfig) {
        let quotas = ServedQuotas {
            storage: self.storage.clone(),
            quotas: section.quotas.clone(),
        };
        if self.is_read_only {
            return;
        }
        self.quotas.send_replace(section.quotas.clone());
        // What fails is tried again, and logged, beside the requests.
        let _ = quotas.track().await;
    }

    /// The work that goes on beside the requests.
    pub(super) fn background_tasks(
        &mut self,
        section: &config::RegistryServerConfig,
        observers: CollectionObservers,
        retention: RetentionTask,
        entropy: Arc<dyn common::Entropy>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (storage, unread) = (self.storage.clone(), self.unread.take());
        let (config, keep) = (section.collection, section.tags.history);
        let read = async move {
            if let Some(reading) = unread {
                adoption::read_through(&storage, &reading).await;
            }
        };
        let every = config.every.filter(|_| !self.is_read_only);
        let config = config::CollectionConfig { every, ..config };
        let is_read_only: IsReadOnly = {
            let conditions = Arc::clone(&retention.conditions);
            Arc::new(move || conditions().is_some_and(|conditions| conditions.is_read_only))
        };
        let collect = collection::collect(
            self.storage.clone(),
            config,
            observers,
            Arc::clone(&is_read_only),
            Arc::clone(&entropy),
        );
        let storage = self.storage.clone();
        let can_write = !self.is_read_only;
        let forget = async move {
            if can_write {
                tags::forget(storage, keep, is_read_only).await;
            }
        };
        let RetentionTask {
            policy,
            every,
            conditions,
            events,
        } = retention;
        let every = every.filter(|_| !self.is_read_only);
        let storage = self.storage.clone();
        let retain =
            retention::remove_by_rules(storage, policy, conditions, every, events, entropy);
        let (pulls, storage) = (self.pulls.clone(), self.storage.clone());
        let record = async move {
            if can_write {
                pulls.run(storage).await;
            }
        };
        self.quotas.send_replace(section.quotas.clone());
        let (storage, current) = (self.storage.clone(), self.quotas.subscribe());
        let count = async move {
            if can_write {
                quotas::track_until_done(storage, current).await;
            }
        };
        async {
            tokio::join!(read, collect, forget, retain, record, count);
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
