//! What became of tags.

use std::fmt;
use std::time::Duration;

use oci::{Digest, RepositoryName, Tag};

use super::ChangeAuthor;
use crate::{ListPage, PageRequest, StorageFuture};

/// What became of tags: a row for each time that a tag was made, moved or removed. It is written in the
/// transaction of the change ([`ManifestStore::apply`](super::ManifestStore::apply)), and outlives its
/// repository. It keeps no manifest.
pub trait TagHistoryStore: fmt::Debug + Send + Sync {
    /// The changes of a tag, newest first. An unknown repository has none.
    fn tag_history<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        page: PageRequest<TagChangeId>,
    ) -> StorageFuture<'a, ListPage<TagChange>>;

    /// Removes at most `limit` changes that are older than `keep`. Returns how many.
    fn forget_tag_changes(&self, keep: Duration, limit: u32) -> StorageFuture<'_, u64>;
}

/// The number of a change. Later changes of a tag have larger numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagChangeId(pub i64);

/// A change of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagChange {
    /// Its number.
    pub id: TagChangeId,
    /// When it was made, in seconds since the Unix epoch.
    pub at: i64,
    /// What the tag pointed at before. `None`: it is new.
    pub from: Option<Digest>,
    /// What it points at since then. `None`: it was removed.
    pub to: Option<Digest>,
    /// Who made the change.
    pub author: ChangeAuthor,
}
