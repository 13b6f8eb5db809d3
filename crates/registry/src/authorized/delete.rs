//! What a proof for deleting opens.

use oci::{Digest, Tag};
use storage::Error;

use super::{Authorized, Delete};

impl Authorized<'_, Delete> {
    /// Removes a manifest and every tag that points at it.
    ///
    /// # Errors
    /// [`Error::RepositoryUnknown`], [`Error::ManifestUnknown`], or when the storage fails.
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<(), Error> {
        let manifests = self.storage().await?.manifests();
        manifests.remove(&self.repository, digest).await
    }

    /// Removes a tag, not the manifest.
    ///
    /// # Errors
    /// [`Error::RepositoryUnknown`], [`Error::ManifestUnknown`], or when the storage fails.
    pub async fn delete_tag(&self, tag: &Tag) -> Result<(), Error> {
        let manifests = self.storage().await?.manifests();
        manifests.untag(&self.repository, tag).await
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
