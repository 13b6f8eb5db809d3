//! What all clones of a [`Storage`](crate::Storage) share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::active_uploads::ActiveUploads;
use crate::distribution::OngoingAdoption;
use crate::measured_store::{MeasuredStore, StoreActions};
use crate::{
    AdoptionStore, BlobIndex, BlobStore, CollectionStore, ContentLocation, DutyStore, Error,
    Inventory, ManifestStore, MetadataBackup, OutboxStore, PullTimeStore, QuotaStore,
    TagHistoryStore, TagRetention, TombstoneStore, UploadLimits, UploadStore,
};

/// The stores of the metadata, one for each seam.
#[derive(Clone, Debug)]
pub struct MetadataStores {
    /// Repositories, manifests and tags.
    pub manifests: Arc<dyn ManifestStore>,
    /// Which repository has which blobs.
    pub blobs: Arc<dyn BlobIndex>,
    /// Uploads.
    pub uploads: Arc<dyn UploadStore>,
    /// Garbage collection's queries.
    pub collection: Arc<dyn CollectionStore>,
    /// Everything that is stored.
    pub inventory: Arc<dyn Inventory>,
    /// Records of changes.
    pub outbox: Arc<dyn OutboxStore>,
    /// What became of tags.
    pub tag_history: Arc<dyn TagHistoryStore>,
    /// What is used below prefixes.
    pub quotas: Arc<dyn QuotaStore>,
    /// Adoption of another registry's content.
    pub adoption: Arc<dyn AdoptionStore>,
    /// Tags as retention sees them.
    pub retention: Arc<dyn TagRetention>,
    /// What is left of removed tags.
    pub tombstones: Arc<dyn TombstoneStore>,
    /// When manifests were pulled.
    pub pull_times: Arc<dyn PullTimeStore>,
    /// Copies to a file, if the store can make them.
    pub backup: Option<Arc<dyn MetadataBackup>>,
    /// Work that a server does again and again, for all servers that share the store.
    pub duties: Arc<dyn DutyStore>,
}

impl MetadataStores {
    /// One store that implements every seam, without backups.
    pub fn new<M>(metadata: Arc<M>) -> Self
    where
        M: ManifestStore
            + BlobIndex
            + UploadStore
            + CollectionStore
            + Inventory
            + OutboxStore
            + TagHistoryStore
            + AdoptionStore
            + TagRetention
            + TombstoneStore
            + PullTimeStore
            + QuotaStore
            + DutyStore
            + 'static,
    {
        Self {
            manifests: Arc::clone(&metadata) as _,
            blobs: Arc::clone(&metadata) as _,
            uploads: Arc::clone(&metadata) as _,
            collection: Arc::clone(&metadata) as _,
            inventory: Arc::clone(&metadata) as _,
            outbox: Arc::clone(&metadata) as _,
            tag_history: Arc::clone(&metadata) as _,
            retention: Arc::clone(&metadata) as _,
            tombstones: Arc::clone(&metadata) as _,
            pull_times: Arc::clone(&metadata) as _,
            quotas: Arc::clone(&metadata) as _,
            duties: Arc::clone(&metadata) as _,
            adoption: metadata,
            backup: None,
        }
    }
}

/// Which blobs our own store of content has, by the rows.
pub(crate) struct OwnBlobs {
    /// Any, in any state.
    pub(crate) any: bool,
    /// Any that can be pulled.
    pub(crate) any_live: bool,
}

/// What rows say about our own store of content.
pub(crate) trait ContentRows {
    /// Whether it has blobs.
    async fn own_blobs(&self) -> Result<OwnBlobs, Error>;

    /// The identity of the bucket that has the content. `None` if content is in files.
    async fn content_identity(&self) -> Result<Option<String>, Error>;
}

pub(crate) struct SharedState {
    pub(crate) metadata: MetadataStores,
    pub(crate) content: Arc<dyn BlobStore>,
    /// How long the actions of `content` took.
    pub(crate) actions: Arc<StoreActions>,
    pub(crate) limits: UploadLimits,
    /// Where our own content is: a directory without symbolic links, or a bucket.
    pub(crate) home: Option<ContentLocation>,
    /// Uploads that requests are writing to.
    pub(crate) active: ActiveUploads,
    ongoing: Mutex<Vec<Arc<OngoingAdoption>>>,
}

impl SharedState {
    pub(crate) fn new(
        metadata: MetadataStores,
        content: Arc<dyn BlobStore>,
        limits: UploadLimits,
        home: Option<ContentLocation>,
    ) -> Self {
        let actions = Arc::new(StoreActions::new());
        Self {
            metadata,
            content: Arc::new(MeasuredStore::new(content, Arc::clone(&actions))),
            actions,
            limits,
            home,
            active: ActiveUploads::default(),
            ongoing: Mutex::default(),
        }
    }

    /// Adoptions that this process has begun and not completed.
    pub(crate) fn ongoing(&self) -> MutexGuard<'_, Vec<Arc<OngoingAdoption>>> {
        self.ongoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A location with an absolute path, as messages show it: without the `.` of data that are adopted
    /// in place.
    pub(crate) fn resolve(&self, location: &ContentLocation) -> ContentLocation {
        match (&self.home, location) {
            (Some(ContentLocation::Directory(home)), ContentLocation::Directory(path)) => {
                ContentLocation::Directory(home.join(path).components().collect())
            }
            (Some(home @ ContentLocation::Bucket(_)), ContentLocation::Directory(path))
                if path.as_os_str() == "." =>
            {
                home.clone()
            }
            (_, location) => location.clone(),
        }
    }
}
