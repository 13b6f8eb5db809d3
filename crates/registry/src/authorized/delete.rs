//! What a proof for deleting opens.

use oci::{Digest, Tag};
use storage::{Error, ManifestChange};
use tag_rules::ImmutabilityRules;

use super::{Authorized, Delete};
use crate::change_details::ChangeDetails;

impl Authorized<'_, Delete> {
    /// Removes a manifest and every tag that points at it.
    ///
    /// # Errors
    /// [`Error::RepositoryUnknown`], [`Error::ManifestUnknown`], [`Error::TagImmutable`], or when the
    /// storage fails.
    pub async fn delete_manifest(
        &self,
        digest: &Digest,
        details: ChangeDetails,
    ) -> Result<(), Error> {
        self.change(ManifestChange::Remove(*digest), details).await
    }

    /// Removes a tag, not the manifest.
    ///
    /// # Errors
    /// As [`delete_manifest`](Self::delete_manifest).
    pub async fn delete_tag(&self, tag: &Tag, details: ChangeDetails) -> Result<(), Error> {
        self.change(ManifestChange::Untag(tag.clone()), details)
            .await
    }

    async fn change(&self, change: ManifestChange, details: ChangeDetails) -> Result<(), Error> {
        let manifests = self.storage().await?.manifests();
        manifests
            .apply(&self.repository, details.with(change))
            .await
            .map(drop)
    }

    /// Takes a blob from the repository.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`], [`Error::TagImmutable`] if a tag needs it that `immutable` covers, or
    /// when the storage fails.
    pub async fn delete_blob(
        &self,
        digest: &Digest,
        immutable: ImmutabilityRules,
    ) -> Result<(), Error> {
        let blobs = self.storage().await?.blobs();
        blobs
            .unlink_unless_immutable(&self.repository, digest, immutable)
            .await
    }
}
