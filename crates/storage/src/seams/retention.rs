//! Retention's view of tags, what it removes, and when manifests were pulled.

use std::fmt;
use std::time::Duration;

use oci::{Digest, RepositoryName, Tag};
use retention::TagState;

use super::{ChangeAuthor, NewOutboxRecord};
use crate::{ListPage, PageRequest, QuotaWarning, RepositoryQuotas, StorageFuture};

/// Tags with their use, and their removal.
///
/// A tag that retention removes leaves a *tombstone* for some time. The tag is gone for clients, but
/// collection keeps its manifest, with everything that the manifest needs, until the tombstone
/// [expires](Tombstone::expires_at).
pub trait TagRetention: fmt::Debug + Send + Sync {
    /// The tags of a repository, sorted by their bytes. An unknown repository has none.
    fn tag_states<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<TagState>>;

    /// The first `limit` tags that point at a manifest.
    fn manifest_tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        limit: u32,
    ) -> StorageFuture<'a, ManifestTags>;

    /// The sizes in bytes of some images: the manifest, the blobs that it needs, and the same of the
    /// manifests that it lists. What is not in the repository counts nothing.
    fn image_sizes<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digests: Vec<Digest>,
    ) -> StorageFuture<'a, Vec<u64>>;

    /// Removes tags in one transaction, each with a tombstone and with its outbox records. A tag stays
    /// if it was changed or used after it was planned to go. With an `author`, the history of the tags
    /// has it.
    ///
    /// Returns what became of each tag, in the order of `removals`.
    fn remove_tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        removals: Vec<TagRemoval>,
        terms: TombstoneTerms,
        author: Option<ChangeAuthor>,
    ) -> StorageFuture<'a, Vec<TagRemovalOutcome>>;
}

/// What is left of removed tags.
pub trait TombstoneStore: fmt::Debug + Send + Sync {
    /// The tombstones that have not expired, by number; of all repositories, or of one.
    fn tombstones<'a>(
        &'a self,
        repository: Option<&'a RepositoryName>,
        page: PageRequest<i64>,
    ) -> StorageFuture<'a, ListPage<Tombstone>>;

    /// Makes a tag that points at the manifest of a tombstone, and removes the tombstone. The tag
    /// counts as pushed now, and the manifest is leased.
    ///
    /// Fails with [`Error::QuotaExceeded`](crate::Error::QuotaExceeded) if a quota does not have room for
    /// another tag.
    fn restore(&self, restoration: TagRestoration) -> StorageFuture<'_, RestoredTag>;
}

/// When manifests were last pulled.
pub trait PullTimeStore: fmt::Debug + Send + Sync {
    /// Since when pulls are recorded without a gap, and the time of the store.
    fn recording(&self) -> StorageFuture<'_, PullRecording>;

    /// Notes that these manifests were pulled a moment ago. Those that are unknown are left out.
    /// Recording begins with the first call. If it has a `gap`, because pulls were lost, it begins
    /// again.
    fn record_pulls(&self, pulls: Vec<PulledManifest>, gap: bool) -> StorageFuture<'_, ()>;
}

/// The tags of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestTags {
    /// Whether the repository has the manifest.
    pub exists: bool,
    /// Whether a tombstone holds it.
    pub is_held: bool,
    /// Its tags, sorted by their bytes.
    pub tags: Vec<TagState>,
    /// Whether there are more.
    pub more: bool,
}

/// A tag that is to go.
#[derive(Clone, Debug)]
pub struct TagRemoval {
    /// The tag as it was when this was decided. It stays if it was changed, pushed, leased or pulled
    /// since.
    pub state: TagState,
    /// Why, in words.
    pub reason: String,
    /// The outbox records that are written if it goes.
    pub outbox: Vec<NewOutboxRecord>,
}

/// What tombstones of removed tags say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TombstoneTerms {
    /// How long a tag can be restored.
    pub undelete: Duration,
    /// What becomes of a manifest without a tag after that.
    pub untagged: UntaggedManifests,
}

/// What becomes of a manifest whose last tag was removed, when it cannot be restored any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UntaggedManifests {
    /// The policy of collection decides, as for every manifest without a tag.
    #[default]
    Collection,
    /// Collection removes it, and what only it needs: the manifests that it lists, and its referrers.
    /// It stays if a client that may push has used it since.
    Remove,
}

/// What became of a tag that was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagRemovalOutcome {
    /// It is gone.
    Removed,
    /// It was gone already.
    Gone,
    /// It stays: it points at another manifest.
    Moved,
    /// It stays: it was pushed again.
    Pushed,
    /// It stays: a client that may push asked for its manifest.
    Leased,
    /// It stays: its manifest was pulled.
    Pulled,
}

impl TagRemovalOutcome {
    /// Why a tag stays, if it was changed or used after it was planned to go.
    pub(crate) fn of_changed(planned: &TagState, now: &TagState) -> Option<Self> {
        if now.digest != planned.digest {
            Some(Self::Moved)
        } else if now.pushed_at > planned.pushed_at {
            Some(Self::Pushed)
        } else if now.leased_at > planned.leased_at {
            Some(Self::Leased)
        } else {
            (now.pulled_at > planned.pulled_at).then_some(Self::Pulled)
        }
    }
}

/// What is left of a removed tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Its number. Later ones have larger numbers.
    pub id: i64,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// The manifest that it pointed at.
    pub digest: Digest,
    /// When the tag was last pushed, in seconds since the Unix epoch, as the next two.
    pub pushed_at: i64,
    /// When it was removed.
    pub removed_at: i64,
    /// Until when it can be restored.
    pub expires_at: i64,
    /// Why it was removed, in words.
    pub reason: String,
}

/// A tag that is to be restored.
#[derive(Clone, Debug)]
pub struct TagRestoration {
    /// The number of the tombstone.
    pub tombstone: i64,
    /// The name that the tag gets.
    pub tag: Tag,
    /// What the history of the tag has as its author. Without one, it has nothing of it.
    pub author: Option<ChangeAuthor>,
    /// The outbox records that are written with it.
    pub outbox: Vec<NewOutboxRecord>,
    /// The quotas of the repository.
    pub quotas: RepositoryQuotas,
}

/// The outcome of [`TombstoneStore::restore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredTag {
    /// What became of it.
    pub outcome: RestoreOutcome,
    /// The quotas that the tag has brought near their limits.
    pub warnings: Vec<QuotaWarning>,
}

impl From<RestoreOutcome> for RestoredTag {
    fn from(outcome: RestoreOutcome) -> Self {
        Self {
            outcome,
            warnings: Vec::new(),
        }
    }
}

/// What became of a restoration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// The tag is there.
    Restored,
    /// Nothing was changed: there is a tag of this name, which points at this manifest.
    TagExists(Digest),
    /// Nothing was changed: the tombstone has expired, was used, or went with its manifest.
    TombstoneUnknown,
}

/// Since when pulls are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullRecording {
    /// The time of the store, in seconds since the Unix epoch, as the next.
    pub now: i64,
    /// Since when pulls are recorded without a gap. `None`: they never were.
    pub since: Option<i64>,
}

/// A manifest that was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PulledManifest {
    /// Its repository.
    pub repository: RepositoryName,
    /// Its digest.
    pub digest: Digest,
}
