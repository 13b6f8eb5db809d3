//! Opening what a configuration's registry stores.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::{SystemClock, SystemEntropy};
use data_encoding::HEXLOWER;
use database::{Database, DatabaseLocation, SqliteDatabase};
use object_content::ObjectContent;
use storage::collection::CollectionPolicy;
use storage::tag_retention::RetentionPolicy;
use storage::{PostgresSettings, QuotaStore, Quotas, Retention, Sqlite, Storage, StorageSettings};

use super::hold::random_id;
use super::interrupted;
use crate::commands::configuration::load;
use crate::config::{AuditConfig, Config, LoadedConfig, S3Config, StorageDriver};
use crate::failure::{FULL_DISK, Failure};
use crate::replicas::look_periods;
use crate::serve::bucket::{content, probed_content};
use crate::serve::retention::policy;
use crate::serve::shared_registry::SharedRegistry;

/// A registry's storage, and the configuration that says where it is.
pub(super) struct Opened {
    pub(super) storage: Storage,
    pub(super) database: Database,
    /// The content, if it is in a bucket.
    pub(super) bucket: Option<ObjectContent>,
    pub(super) places: Places,
    /// The configuration's file and every file that it names.
    pub(super) files: Vec<PathBuf>,
}

/// What is counted of a registry, without its content, and the configuration that says where it is.
pub(super) struct OpenedQuotas {
    pub(super) store: Arc<dyn QuotaStore>,
    pub(super) database: Database,
    pub(super) quotas: Quotas,
}

/// Where a registry stores its data, and for how long.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) database: DatabaseLocation,
    pub(super) content: Content,
    pub(super) sweep: CollectionPolicy,
    pub(super) retention: RetentionPolicy,
    /// How much may be stored below prefixes of names.
    pub(super) quotas: Quotas,
    /// Whether the history of tags has what is done to them.
    pub(super) has_history: bool,
    /// The audit table, if events are recorded.
    pub(super) audit: Option<AuditConfig>,
    settings: StorageSettings,
}

/// Where the content of blobs is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Directory(PathBuf),
    Bucket(Box<S3Config>),
}

/// Opens what a server has made, beside it or without it.
pub(super) async fn existing(file: &Path) -> Result<Opened, Failure> {
    let loaded = load(file)?;
    let places = Places::of(&loaded.config, file)?;
    beside(loaded, places).await
}

/// Opens what is counted. Who may read the database needs no right to the content.
pub(super) async fn quotas(file: &Path) -> Result<OpenedQuotas, Failure> {
    let loaded = load(file)?;
    let places = Places::of(&loaded.config, file)?;
    let (store, database): (Arc<dyn QuotaStore>, _) = match &places.database {
        DatabaseLocation::Postgres(..) => {
            let database = shared_database(&places).await?;
            let shared = shared_registry(&database, &places).await?;
            (Arc::new(shared.metadata()), database)
        }
        location @ DatabaseLocation::File(_) => {
            let database = SqliteDatabase::open(location).map_err(|error| no_database(&error))?;
            let (retention, clock) = (places.settings.retention, Arc::new(SystemClock));
            let rows = Sqlite::for_command(database.clone(), retention, clock);
            let rows = rows.map_err(|error| interrupted("the database cannot be read", &error))?;
            (Arc::new(rows), Database::from(database))
        }
    };
    Ok(OpenedQuotas {
        store,
        database,
        quotas: places.quotas,
    })
}

/// Where the registry of another configuration stores its content, which may have no database here.
pub(super) fn content_of(file: &Path) -> Result<Content, Failure> {
    let loaded = load(file)?;
    let stored = loaded.config.registry.as_ref();
    match stored.map(|registry| &registry.storage) {
        Some(StorageDriver::Filesystem(root)) => Ok(Content::Directory(root.clone())),
        Some(StorageDriver::S3(bucket)) => Ok(Content::Bucket(bucket.clone())),
        Some(StorageDriver::InMemory) | None => {
            let message = format!("{} names no directory and no bucket", file.display());
            Err(Failure::usage(message).hint("write storage: {filesystem: …} or storage: {s3: …}"))
        }
    }
}

/// Opens it, and creates it first if no server has.
pub(super) async fn or_made(file: &Path) -> Result<Opened, Failure> {
    let loaded = load(file)?;
    let places = Places::of(&loaded.config, file)?;
    let is_missing = places.database.path().is_some_and(|file| !file.exists());
    match &places.content {
        _ if matches!(places.database, DatabaseLocation::Postgres(..)) => {
            drop(as_replica(&places).await?);
        }
        Content::Directory(root) if is_missing || !root.exists() => {
            let database = new_database(&places)?;
            let clock = Arc::new(SystemClock);
            let made = Storage::open(database, root, places.settings, clock).await;
            // Closed again at once, so that a server may start while the command works.
            drop(made.map_err(|error| no_content(&error))?);
        }
        Content::Bucket(bucket) if is_missing => {
            drop(new_bucket(bucket, new_database(&places)?, &places).await?);
        }
        Content::Directory(_) | Content::Bucket(_) => {}
    }
    beside(loaded, places).await
}

fn new_database(places: &Places) -> Result<SqliteDatabase, Failure> {
    SqliteDatabase::open_exclusive(&places.database).map_err(|error| no_database(&error))
}

/// Opens the storage with its content in a bucket as a server does.
async fn new_bucket(
    bucket: &S3Config,
    database: SqliteDatabase,
    places: &Places,
) -> Result<Storage, Failure> {
    let content = Arc::new(probed_content(bucket, Arc::new(SystemEntropy)).await?);
    let identity = HEXLOWER.encode(&random_id()?);
    let clock = Arc::new(SystemClock);
    let opened = Storage::open_bucket(database, content, &identity, places.settings, clock).await;
    opened.map_err(|error| no_content(&error))
}

/// Opens and creates the registry that gets a copy, as its server would. No server can run meanwhile.
pub(super) async fn target(file: &Path) -> Result<Opened, Failure> {
    let loaded = load(file)?;
    let places = Places::of(&loaded.config, file)?;
    if matches!(places.database, DatabaseLocation::Postgres(..)) {
        let (storage, database) = as_replica(&places).await?;
        return Ok(Opened {
            storage,
            database,
            bucket: None,
            places,
            files: loaded.files,
        });
    }
    let database = new_database(&places)?;
    let handle = Database::from(database.clone());
    let storage = match &places.content {
        Content::Directory(root) => {
            let clock = Arc::new(SystemClock);
            let opened = Storage::open(database, root, places.settings, clock).await;
            opened.map_err(|error| no_content(&error))?
        }
        Content::Bucket(bucket) => new_bucket(bucket, database, &places).await?,
    };
    Ok(Opened {
        storage,
        database: handle,
        bucket: None,
        places,
        files: loaded.files,
    })
}

/// Opens what is in PostgreSQL, beside servers that may be running. Their first one made the tables.
async fn beside_replicas(loaded: LoadedConfig, places: Places) -> Result<Opened, Failure> {
    let database = shared_database(&places).await?;
    let shared = shared_registry(&database, &places).await?;
    let mut bucket = None;
    let storage = match &places.content {
        Content::Directory(root) => shared.open_for_command(root).await,
        Content::Bucket(config) => {
            let content = content(config, Arc::new(SystemEntropy))?;
            bucket = Some(content.clone());
            shared.open_bucket_for_command(content).await
        }
    };
    Ok(Opened {
        storage: storage.map_err(|error| no_content(&error))?,
        database,
        bucket,
        places,
        files: loaded.files,
    })
}

async fn shared_database(places: &Places) -> Result<Database, Failure> {
    let database = Database::open(&places.database).map_err(|error| no_database(&error))?;
    database.ready().await.map_err(|error| not_ready(&error))?;
    Ok(database)
}

/// Opens what is in PostgreSQL as a server does, which makes what is missing.
async fn as_replica(places: &Places) -> Result<(Storage, Database), Failure> {
    let database = Database::open_exclusive(&places.database);
    let database = database.map_err(|error| no_database(&error))?;
    database.ready().await.map_err(|error| not_ready(&error))?;
    let shared = shared_registry(&database, places).await?;
    let storage = match &places.content {
        Content::Directory(root) => shared.open(root).await?,
        Content::Bucket(bucket) => shared.open_bucket(bucket).await?,
    };
    Ok((storage, database))
}

async fn shared_registry(database: &Database, places: &Places) -> Result<SharedRegistry, Failure> {
    let pool = database.postgres();
    let pool = pool.ok_or_else(|| Failure::system("the database is not in PostgreSQL"))?;
    let shared = SharedRegistry::new(pool, places.settings, Arc::new(SystemEntropy))?;
    // Without an answer, a change waits for the longest period that there can be.
    if let Ok(periods) = look_periods(pool, PostgresSettings::LOOK).await {
        shared.metadata().set_look(periods);
    }
    Ok(shared)
}

fn not_ready(error: &database::Error) -> Failure {
    let failure = Failure::system("the registry cannot be opened").caused_by(error);
    match error {
        database::Error::Unavailable(_) => failure
            .hint("`wharfinger check --connect FILE` says whether the database can be reached"),
        _ => failure,
    }
}

async fn beside(loaded: LoadedConfig, places: Places) -> Result<Opened, Failure> {
    if matches!(places.database, DatabaseLocation::Postgres(..)) {
        return beside_replicas(loaded, places).await;
    }
    let database = SqliteDatabase::open(&places.database).map_err(|error| no_database(&error))?;
    let (settings, clock) = (places.settings, Arc::new(SystemClock));
    let mut bucket = None;
    let handle = Database::from(database.clone());
    let storage = match &places.content {
        Content::Directory(root) => {
            Storage::open_for_command(database, root, settings, clock).await
        }
        Content::Bucket(config) => {
            let content = content(config, Arc::new(SystemEntropy))?;
            bucket = Some(content.clone());
            Storage::open_bucket_for_command(database, Arc::new(content), settings, clock).await
        }
    };
    Ok(Opened {
        storage: storage.map_err(|error| no_content(&error))?,
        database: handle,
        bucket,
        places,
        files: loaded.files,
    })
}

impl Places {
    /// What `config`, read from `file`, says of its registry.
    fn of(config: &Config, file: &Path) -> Result<Self, Failure> {
        const WRITE: &str =
            "write `registry: {storage: {filesystem: {root: /var/lib/wharfinger}}}`";
        let Some(registry) = &config.registry else {
            let message = format!("{} configures no registry", file.display());
            return Err(Failure::usage(message).hint(WRITE));
        };
        let content = match &registry.storage {
            StorageDriver::Filesystem(root) => Some(Content::Directory(root.clone())),
            StorageDriver::S3(bucket) => Some(Content::Bucket(bucket.clone())),
            StorageDriver::InMemory => None,
        };
        let (Some(content), Some(database)) = (content, &config.database) else {
            let message = format!(
                "the registry of {} stores nothing that outlives its server (inmemory)",
                file.display()
            );
            return Err(Failure::usage(message).hint(WRITE));
        };
        let retention = Retention {
            grace: registry.collection.grace,
            upload_expiry: registry.uploads.expire,
            retain: registry.storage.retain(),
        };
        // With one server and one database, no server remembers what another has deleted.
        let sweep = CollectionPolicy {
            grace: retention.grace,
            wait: Duration::ZERO,
            untagged: registry.collection.untagged,
        };
        let settings = StorageSettings {
            retention,
            ..StorageSettings::default()
        };
        Ok(Self {
            database: database.clone(),
            content,
            sweep,
            retention: policy(registry),
            quotas: registry.quotas.clone(),
            has_history: registry.tags.history.is_some(),
            audit: config.audit,
            settings,
        })
    }
}

fn no_database(error: &database::DatabaseOpenError) -> Failure {
    use database::DatabaseOpenError;
    let failure = Failure::system("the registry's database cannot be opened").caused_by(error);
    match error {
        DatabaseOpenError::Missing(_) => failure
            .hint("start the server once; without `database` in the configuration, $STATE_DIRECTORY says where it is"),
        _ if error.is_full() => failure.hint(FULL_DISK),
        DatabaseOpenError::Unreachable { .. } | DatabaseOpenError::Database { .. } => failure.hint("run as the user that the server runs as"),
        _ => failure,
    }
}

fn no_content(error: &storage::StorageOpenError) -> Failure {
    let failure = Failure::system("the registry's storage cannot be opened").caused_by(error);
    match error {
        storage::StorageOpenError::Unreachable { .. } => failure
            .hint("run as the user that the server runs as, after the server was started once"),
        _ => failure,
    }
}
