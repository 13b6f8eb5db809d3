//! What the registry keeps when the configuration changes: its storage, and the work on it that goes
//! on beside the requests.

use std::path::Path;
use std::sync::Arc;

use database::Database;
use registry::CursorKey;
use storage::distribution::OngoingAdoption;
use storage::{Retention, Storage, UploadLimits};

use super::adoption;
use super::collection::{self, CollectionObservers};
use crate::config;
use crate::failure::Failure;

/// What a registry keeps when the configuration changes.
pub(super) struct RegistryState {
    pub(super) storage: Storage,
    pub(super) cursors: Arc<CursorKey>,
    /// Another registry's data directory, which is to be read.
    unread: Option<Arc<OngoingAdoption>>,
}

impl RegistryState {
    /// Opens the storage that `config` names, with its own content under `root`.
    pub(super) async fn open(
        config: &config::RegistryConfig,
        root: &Path,
        database: Database,
        entropy: &dyn common::Entropy,
    ) -> Result<Self, Failure> {
        let limits = UploadLimits {
            uploads_per_client: config.limits.uploads_per_client,
            blob: config.limits.blob,
            ..UploadLimits::default()
        };
        let retention = Retention {
            grace: config.collection.grace,
            upload_expiry: config.upload_expiry,
        };
        let opened = Storage::open(
            database,
            root,
            storage::StorageSettings { limits, retention },
            Arc::new(common::SystemClock),
        )
        .await;
        let storage = opened.map_err(|error| {
            let hint = "registry.storage.filesystem.root names the directory";
            Failure::system("cannot open the registry's storage")
                .caused_by(&error)
                .hint(hint)
        })?;
        let unread = adoption::discover(&storage, &config.root).await?;
        let cursors = Arc::new(CursorKey::new(entropy)?);
        Ok(Self {
            storage,
            cursors,
            unread,
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
        let collect = collection::collect(self.storage.clone(), config, observers);
        async {
            tokio::join!(read, collect);
        }
    }
}
