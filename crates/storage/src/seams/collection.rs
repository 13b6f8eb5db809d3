//! Garbage collection's queries and steps. [`crate::collection`] explains how they follow each
//! other.

use std::fmt;
use std::time::Duration;

use oci::{Digest, RepositoryName};

use crate::{StorageFuture, StoreId, UploadId};

/// Finds what nothing needs any more, and removes it in steps that a push can interrupt.
///
/// A blob is *live*. It is *marked* when nothing refers to it and its lease has ended; a push can
/// still unmark it. It is *deleting* when nothing can bring it back. Then its row is removed.
pub trait CollectionStore: fmt::Debug + Send + Sync {
    /// What a collection without waiting times would remove now. Nothing is changed.
    fn plan(&self, policy: CollectionPolicy) -> StorageFuture<'_, Garbage>;

    /// Looks at some repositories after `after`. Removes their untagged manifests that nothing
    /// needs, their links to blobs that only other repositories need, and repositories that are
    /// empty.
    fn prune(
        &self,
        policy: CollectionPolicy,
        after: Option<CollectionCursor>,
    ) -> StorageFuture<'_, PruneStep>;

    /// Looks at some blobs after `after`, and marks those to which nothing refers.
    fn mark(
        &self,
        policy: CollectionPolicy,
        after: Option<CollectionCursor>,
    ) -> StorageFuture<'_, MarkStep>;

    /// Moves some marked blobs whose wait is over to *deleting*, or back to *live* if something
    /// refers to them again. A pending row older than the grace time and than an hour was left behind
    /// by a crash, and is moved to *deleting*, too. Moves nothing during a [hold](Self::hold). Returns
    /// how many were moved; 0 means that no more are left.
    fn sweep(&self, policy: CollectionPolicy) -> StorageFuture<'_, u64>;

    /// At most `limit` blobs whose content is to be removed, by generation: those that have been
    /// *deleting* for as long as [`Retention::retain`](crate::Retention::retain). Empty during a hold.
    fn deletable(&self, limit: u32) -> StorageFuture<'_, Vec<DeletableBlob>>;

    /// Removes the rows of blobs whose content has been removed. Rows that are not *deleting* stay.
    fn purge(&self, deletable: Vec<DeletableBlob>) -> StorageFuture<'_, ()>;

    /// At most `limit` objects that uploads have left behind. No blob and no upload needs them.
    fn unused_objects(&self, limit: u32) -> StorageFuture<'_, Vec<String>>;

    /// Removes the rows of unused objects that have been removed.
    fn forget_objects(&self, names: Vec<String>) -> StorageFuture<'_, ()>;

    /// Keeps all content until [`release`](Self::release), or until the hold expires.
    fn hold(&self, hold: CollectionHold) -> StorageFuture<'_, ()>;

    /// Ends a hold.
    fn release(&self, hold: CollectionHold) -> StorageFuture<'_, ()>;
}

/// The rules of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionPolicy {
    /// How long something is kept after its last lease.
    pub grace: Duration,
    /// How long a marked blob waits before it is deleted. It must be longer than any server may
    /// use a cached row of a blob. Zero is enough if one server alone uses the database.
    pub wait: Duration,
    /// The age from which untagged manifests are removed. Without it, they are kept.
    pub untagged: Option<Duration>,
}

/// A position in a walk over rows. Only the store that made it knows its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionCursor(i64);

impl CollectionCursor {
    /// The position after the row with this number.
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number of the row.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

/// The outcome of [`CollectionStore::prune`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneStep {
    /// The removed manifests.
    pub manifests: Vec<GarbageManifest>,
    /// Where to continue, unless all repositories have been looked at.
    pub next: Option<CollectionCursor>,
}

/// The outcome of [`CollectionStore::mark`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkStep {
    /// How many blobs were marked.
    pub marked: u64,
    /// Where to continue, unless all blobs have been looked at.
    pub next: Option<CollectionCursor>,
}

/// What a collection would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Manifests that nothing needs.
    pub manifests: Vec<GarbageManifest>,
    /// Blobs to which nothing refers, by generation.
    pub blobs: Vec<GarbageBlob>,
    /// Expired uploads.
    pub uploads: Vec<UploadId>,
}

/// A manifest that nothing needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GarbageManifest {
    /// The repository that has it.
    pub repository: RepositoryName,
    /// Its digest.
    pub digest: Digest,
}

/// A blob to which nothing refers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GarbageBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// A blob whose content is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletableBlob {
    /// The number of its row.
    pub generation: i64,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The store that has its content.
    pub store: StoreId,
    /// The key of its content, which may be removed already.
    pub key: String,
}

/// Keeps all content while it is being copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionHold {
    /// A random number that identifies the hold.
    pub id: [u8; 16],
    /// How long it lasts unless it is renewed.
    pub lasting: Duration,
}
