//! Which blobs a repository has, and where their content is.

use std::fmt;

use oci::{Digest, RepositoryName};
use tag_rules::ImmutabilityRules;

use super::LinkedBlob;
use crate::{
    Blob, ContentLocation, ListPage, PageRequest, RepositoryQuotas, StorageFuture, StoreId,
};

/// Which blobs a repository has, and where their content is.
pub trait BlobIndex: fmt::Debug + Send + Sync {
    /// A blob of this repository.
    ///
    /// Fails with [`Error::BlobUnknown`](crate::Error::BlobUnknown), also if the repository is
    /// unknown.
    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, Blob>;

    /// Those of `digests` that this repository has, in any order.
    fn find_all<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digests: Vec<Digest>,
    ) -> StorageFuture<'a, Vec<Blob>>;

    /// As [`find`](Self::find), for a client that may push and is about to rely on the blob. A blob
    /// that garbage collection has marked is unmarked, and is kept for another grace time. A lease
    /// need not be renewed within an eighth of that time, or an hour if that is shorter.
    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, Blob>;

    /// Gives `to` a blob that `from` has, with a lease as [`lease`](Self::lease) does.
    ///
    /// Fails with [`Error::BlobUnknown`](crate::Error::BlobUnknown) if `from` does not have it, and with
    /// [`Error::QuotaExceeded`](crate::Error::QuotaExceeded) if one of `quotas`, those of `to`, does not
    /// have room for it.
    fn mount_within_quotas<'a>(
        &'a self,
        digest: &'a Digest,
        from: &'a RepositoryName,
        to: &'a RepositoryName,
        quotas: RepositoryQuotas,
    ) -> StorageFuture<'a, LinkedBlob>;

    /// The same, without quotas.
    fn mount<'a>(
        &'a self,
        digest: &'a Digest,
        from: &'a RepositoryName,
        to: &'a RepositoryName,
    ) -> StorageFuture<'a, Blob> {
        Box::pin(async move {
            let quotas = RepositoryQuotas::default();
            let linked = self.mount_within_quotas(digest, from, to, quotas).await?;
            Ok(linked.blob)
        })
    }

    /// Repositories that have a blob, by name.
    fn holders<'a>(
        &'a self,
        digest: &'a Digest,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<RepositoryName>>;

    /// The adopted stores, by number.
    fn stores(&self) -> StorageFuture<'_, Vec<AdoptedStore>>;

    /// Takes a blob from a repository. Other repositories keep it. Its content stays until garbage
    /// collection removes it.
    ///
    /// Fails with [`Error::BlobUnknown`](crate::Error::BlobUnknown), and with
    /// [`Error::TagImmutable`](crate::Error::TagImmutable) if an immutable tag needs the blob.
    fn unlink_unless_immutable<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        immutable: ImmutabilityRules,
    ) -> StorageFuture<'a, ()>;

    /// The same, without immutable tags.
    fn unlink<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, ()> {
        self.unlink_unless_immutable(repository, digest, ImmutabilityRules::default())
    }
}

/// Content of another registry that was adopted, or is being adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedStore {
    /// The number by which blobs name it.
    pub id: StoreId,
    /// Where its content is.
    pub location: ContentLocation,
}
