//! The storage of a registry whose metadata is in PostgreSQL, where several servers share it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::Entropy;
use data_encoding::HEXLOWER;
use object_content::ObjectContent;
use postgresql::PostgresPool;
use storage::{
    DatabaseClock, LookPeriods, PostgresMetadata, PostgresSettings, Storage, StorageOpenError,
    StorageSettings, UploadLimits,
};

use super::bucket::probed_content;
use crate::config::S3Config;
use crate::failure::Failure;

/// The metadata of a registry, whose content is not opened yet.
pub(crate) struct SharedRegistry {
    metadata: PostgresMetadata,
    limits: UploadLimits,
    entropy: Arc<dyn Entropy>,
    /// Whether to wait while the database or the bucket cannot be reached.
    waits: bool,
}

/// How long until another attempt to open what cannot be reached.
const PAUSE: Duration = Duration::from_secs(1);

impl SharedRegistry {
    /// The metadata in the database of `pool`, whose tables exist.
    pub(crate) fn new(
        pool: &PostgresPool,
        settings: StorageSettings,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Failure> {
        let mut server = [0; 16];
        entropy.fill(&mut server)?;
        let metadata = PostgresSettings {
            server,
            retention: settings.retention,
            // Until those of the other servers are known.
            look: LookPeriods::UNKNOWN,
            clock: DatabaseClock::Server,
        };
        Ok(Self {
            metadata: PostgresMetadata::new(pool.clone(), metadata),
            limits: settings.limits,
            entropy,
            waits: false,
        })
    }

    /// The same for a server, which does not end because what it needs is away for a moment.
    pub(crate) fn waiting(self) -> Self {
        Self {
            waits: true,
            ..self
        }
    }

    /// What is to be told the periods of all servers.
    pub(crate) fn metadata(&self) -> PostgresMetadata {
        self.metadata.clone()
    }

    /// Opens the storage of a server, with content in a directory that all servers reach.
    pub(crate) async fn open(self, root: &Path) -> Result<Storage, Failure> {
        let open = || Storage::open_shared(self.metadata.clone(), root, self.limits);
        let opened = when_reached(self.waits, open).await;
        opened.map_err(|error| {
            cannot_open(&error).hint(
                "registry.storage.filesystem.root names the directory, which all servers share",
            )
        })
    }

    /// Opens the storage of a server, with content in a bucket.
    pub(crate) async fn open_bucket(self, bucket: &S3Config) -> Result<Storage, Failure> {
        let mut identity = [0; 16];
        self.entropy.fill(&mut identity)?;
        let identity = HEXLOWER.encode(&identity);
        let content = Arc::new(probed_content(bucket, self.entropy).await?);
        let open = || {
            let (metadata, content) = (self.metadata.clone(), Arc::clone(&content) as _);
            Storage::open_shared_bucket(metadata, content, &identity, self.limits)
        };
        let opened = when_reached(self.waits, open).await;
        opened.map_err(|error| cannot_open(&error).hint("registry.storage.s3 names the bucket"))
    }

    /// Opens the storage of a command, with content in a directory.
    pub(crate) async fn open_for_command(self, root: &Path) -> Result<Storage, StorageOpenError> {
        Storage::open_shared_for_command(self.metadata, root, self.limits).await
    }

    /// Opens the storage of a command, with content in a bucket.
    pub(crate) async fn open_bucket_for_command(
        self,
        content: ObjectContent,
    ) -> Result<Storage, StorageOpenError> {
        let content = Arc::new(content);
        Storage::open_shared_bucket_for_command(self.metadata, content, self.limits).await
    }
}

/// What `open` returns, as soon as what it asks can be reached if it `waits`.
async fn when_reached<F>(waits: bool, open: impl Fn() -> F) -> Result<Storage, StorageOpenError>
where
    F: Future<Output = Result<Storage, StorageOpenError>>,
{
    loop {
        match open().await {
            Err(StorageOpenError::Storage(error @ storage::Error::Unavailable { .. })) if waits => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the registry's storage cannot be opened yet");
            }
            opened => return opened,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn cannot_open(error: &StorageOpenError) -> Failure {
    Failure::system("cannot open the registry's storage").caused_by(error)
}
