//! Everything that is stored, for verification, export and backup.

use std::fmt;
use std::path::Path;

use oci::{Digest, RepositoryName};

use crate::{
    Blob, ListPage, MetadataStatistics, PageRequest, StorageFuture, StoredManifest, TaggedManifest,
};

/// Everything that is stored, for verification and export.
pub trait Inventory: fmt::Debug + Send + Sync {
    /// All blobs that can be pulled, by generation.
    fn blobs(&self, page: PageRequest<i64>) -> StorageFuture<'_, ListPage<Blob>>;

    /// The blobs of a repository, by generation.
    ///
    /// Fails with [`Error::RepositoryUnknown`](crate::Error::RepositoryUnknown), as the next two.
    fn linked<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: PageRequest<i64>,
    ) -> StorageFuture<'a, ListPage<Blob>>;

    /// The manifests of a repository, by digest.
    fn manifests<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<StoredManifest>>;

    /// The tags of a repository and the manifests that they point at, sorted by the tags' bytes.
    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<TaggedManifest>>;

    /// The repositories that need a blob or manifest, with the tags that lead to it, both sorted by
    /// their bytes. A repository that has the blob needs it. If there are very many, only some.
    fn affected<'a>(&'a self, digest: &'a Digest) -> StorageFuture<'a, Vec<AffectedRepository>>;

    /// What was counted since the store was opened.
    fn statistics(&self) -> MetadataStatistics {
        MetadataStatistics::default()
    }
}

/// A repository that needs damaged content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffectedRepository {
    /// The repository.
    pub repository: RepositoryName,
    /// Its tags of images that need the content. They are whole again when the content is pushed.
    pub tags: Vec<String>,
}

/// Copies all metadata to a file. Only an embedded database can do this; a database server has
/// tools of its own.
pub trait MetadataBackup: fmt::Debug + Send + Sync {
    /// Copies the metadata, all of one moment, to a new database file. The copy has no unfinished
    /// uploads, and all its blobs are in its own store. Returns each blob with its key there.
    fn copy_to<'a>(&'a self, file: &'a Path) -> StorageFuture<'a, Vec<BackupBlob>>;
}

/// A blob that belongs to a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupBlob {
    /// The blob, where it is now.
    pub blob: Blob,
    /// The key of its content in the backup.
    pub key: String,
}
