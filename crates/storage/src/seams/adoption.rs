//! Adoption: another registry's content is described by rows, and stays where it is.

use std::fmt;

use oci::{Digest, RepositoryName};

use crate::{ContentLocation, NewManifest, StorageFuture, StoreId, TaggedManifest};

/// Adoption of another registry's content.
pub trait AdoptionStore: fmt::Debug + Send + Sync {
    /// How far the adoption of `location` is.
    fn stage<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionStage>;

    /// Begins the adoption of `location`, or continues one that was interrupted. A complete
    /// adoption begins again, and is not final any more.
    fn begin<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionProgress>;

    /// Stores a part of a repository. The last part marks the repository as read. Existing rows
    /// stay as they are, tags included. Nothing of a repository that was read is stored again.
    fn adopt(&self, store: StoreId, part: RepositoryPart) -> StorageFuture<'_, ()>;

    /// Completes an adoption: every repository was read.
    fn end(&self, store: StoreId) -> StorageFuture<'_, ()>;

    /// Makes a complete adoption final: garbage collection may remove its content. Any other
    /// adoption is not changed. Returns the stage after that.
    fn finish<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionStage>;

    /// The locations whose adoption is not complete, by the number of their store.
    fn unfinished(&self) -> StorageFuture<'_, Vec<ContentLocation>>;
}

/// Where an adoption continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptionProgress {
    /// The store that the adopted blobs belong to.
    pub store: StoreId,
    /// Repositories that were read.
    pub done: Vec<RepositoryName>,
    /// What was found in them.
    pub totals: AdoptionTotals,
}

/// How far an adoption is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptionStage {
    /// It was never begun.
    Unknown,
    /// It was begun, and is not complete.
    Reading,
    /// Every repository was read.
    Complete,
    /// Garbage collection may remove the content.
    Final,
}

/// A part of a repository that another registry wrote.
#[derive(Clone, Debug)]
pub struct RepositoryPart {
    /// The repository.
    pub repository: RepositoryName,
    /// Its blobs.
    pub blobs: Vec<AdoptedBlob>,
    /// Its manifests.
    pub manifests: Vec<NewManifest>,
    /// Its tags. They point at manifests of this part or an earlier one.
    pub tags: Vec<TaggedManifest>,
    /// With the last part of a repository: what was found in all of it.
    pub totals: Option<AdoptionTotals>,
}

/// How much was found in repositories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdoptionTotals {
    /// Manifests.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs, each counted once for each repository.
    pub blobs: u64,
}

/// A blob that another registry wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its path in the data directory.
    pub key: String,
}
