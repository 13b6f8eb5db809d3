//! What all clones of a [`Storage`](crate::Storage) share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::active_uploads::ActiveUploads;
use crate::distribution::OngoingAdoption;
use crate::{
    AdoptionStore, BlobIndex, BlobStore, CollectionStore, ContentLocation, DutyStore, Error,
    Inventory, ManifestStore, MetadataBackup, OutboxStore, UploadLimits, UploadStore,
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
    /// Adoption of another registry's content.
    pub adoption: Arc<dyn AdoptionStore>,
    /// Copies to a file, if the store can make them.
    pub backup: Option<Arc<dyn MetadataBackup>>,
    /// Duties, if several servers share the store.
    pub duties: Option<Arc<dyn DutyStore>>,
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
            backup: None,
            duties: None,
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
        Self {
            metadata,
            content,
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
