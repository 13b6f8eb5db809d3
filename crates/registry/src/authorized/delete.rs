//! What a proof for deleting opens.

use oci::{Digest, Tag};
use storage::{ChangeSet, Error, ManifestChange, NewOutboxRecord};

use super::{Authorized, Delete};

impl Authorized<'_, Delete> {
    /// Removes a manifest and every tag that points at it. `outbox` is stored with that.
    ///
    /// # Errors
    /// [`Error::RepositoryUnknown`], [`Error::ManifestUnknown`], or when the storage fails.
    pub async fn delete_manifest(
        &self,
        digest: &Digest,
        outbox: Vec<NewOutboxRecord>,
    ) -> Result<(), Error> {
        self.change(ManifestChange::Remove(*digest), outbox).await
    }

    /// Removes a tag, not the manifest. `outbox` is stored with that.
    ///
    /// # Errors
    /// [`Error::RepositoryUnknown`], [`Error::ManifestUnknown`], or when the storage fails.
    pub async fn delete_tag(&self, tag: &Tag, outbox: Vec<NewOutboxRecord>) -> Result<(), Error> {
        self.change(ManifestChange::Untag(tag.clone()), outbox)
            .await
    }

    async fn change(
        &self,
        change: ManifestChange,
        outbox: Vec<NewOutboxRecord>,
    ) -> Result<(), Error> {
        let manifests = self.storage().await?.manifests();
        manifests
            .apply(&self.repository, ChangeSet { change, outbox })
            .await
    }

    /// Takes a blob from the repository.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`], or when the storage fails.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        let blobs = self.storage().await?.blobs();
        blobs.unlink(&self.repository, digest).await
    }
}
