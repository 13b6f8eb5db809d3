//! The storage of a registry whose metadata is in PostgreSQL, where several servers share it.

use std::path::Path;
use std::sync::Arc;

use common::Entropy;
use data_encoding::HEXLOWER;
use object_content::ObjectContent;
use postgresql::PostgresPool;
use storage::{
    DatabaseClock, PostgresMetadata, PostgresSettings, Storage, StorageOpenError, StorageSettings,
    UploadLimits,
};

use super::bucket::probed_content;
use crate::config::S3Config;
use crate::failure::Failure;

/// The metadata of a registry, whose content is not opened yet.
pub(crate) struct SharedRegistry {
    metadata: PostgresMetadata,
    limits: UploadLimits,
    entropy: Arc<dyn Entropy>,
}

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
            look: PostgresSettings::LOOK,
            clock: DatabaseClock::Server,
        };
        Ok(Self {
            metadata: PostgresMetadata::new(pool.clone(), metadata),
            limits: settings.limits,
            entropy,
        })
    }

    /// Opens the storage of a server, with content in a directory that all servers reach.
    pub(crate) async fn open(self, root: &Path) -> Result<Storage, Failure> {
        let opened = Storage::open_shared(self.metadata, root, self.limits).await;
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
        let opened = Storage::open_shared_bucket(self.metadata, content, &identity, self.limits);
        opened
            .await
            .map_err(|error| cannot_open(&error).hint("registry.storage.s3 names the bucket"))
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

fn cannot_open(error: &StorageOpenError) -> Failure {
    Failure::system("cannot open the registry's storage").caused_by(error)
}
