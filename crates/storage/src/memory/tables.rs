//! The rows, and what several methods do with them.

use std::collections::{BTreeMap, BTreeSet};

use oci::{Digest, DigestAlgorithm, Reference, RepositoryName, Tag};

use crate::distribution::AdoptionTotals;
use crate::{
    Blob, Checkpoint, ContentLocation, Error, ListPage, NewManifest, OutboxRecord, QuotaPrefix,
    StoreId, StoredManifest, TagChange, UploadId,
};

/// Everything that is stored. Times are seconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) repositories: BTreeMap<RepositoryName, RepositoryRow>,
    /// By generation.
    pub(super) blobs: BTreeMap<i64, BlobRow>,
    pub(super) uploads: BTreeMap<UploadId, UploadRow>,
    /// Objects that uploads have left behind.
    pub(super) unused_objects: BTreeSet<String>,
    /// When each hold of collection ends.
    pub(super) holds: BTreeMap<[u8; 16], i64>,
    /// By name.
    pub(super) duties: BTreeMap<&'static str, DutyRow>,
    /// In the order of their numbers.
    pub(super) outbox: Vec<OutboxRecord>,
    /// What became of tags, in the order of their numbers.
    pub(super) tag_history: Vec<TagHistoryRow>,
    /// Adopted data directories.
    pub(super) stores: BTreeMap<StoreId, StoreRow>,
    last_repository: i64,
    last_generation: i64,
    pub(super) last_record: i64,
    pub(super) last_tag_change: i64,
    pub(super) last_tombstone: i64,
    /// Since when pulls are recorded.
    pub(super) pulls_since: Option<i64>,
    /// The prefixes whose usage is asked for. It is computed each time.
    pub(super) quota_prefixes: BTreeSet<QuotaPrefix>,
}

#[derive(Clone, Debug)]
pub(super) struct TagHistoryRow {
    pub(super) repository: RepositoryName,
    pub(super) tag: Tag,
    pub(super) change: TagChange,
}

#[derive(Clone, Debug, Default)]
pub(super) struct RepositoryRow {
    /// Later repositories have larger ones.
    pub(super) number: i64,
    pub(super) manifests: BTreeMap<Digest, ManifestRow>,
    /// Each points at one of `manifests`.
    pub(super) tags: BTreeMap<Tag, TagRow>,
    /// By number. Each holds one of `manifests`.
    pub(super) tombstones: BTreeMap<i64, TombstoneRow>,
    /// The generations of its blobs.
    pub(super) blobs: BTreeSet<i64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TagRow {
    pub(super) digest: Digest,
    /// When it was last pushed.
    pub(super) pushed_at: i64,
}

/// A duty that was taken at least once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DutyRow {
    pub(super) fence: i64,
    /// When the last lease ends.
    pub(super) until: i64,
    pub(super) done_at: Option<i64>,
}

/// What is left of a removed tag.
#[derive(Clone, Debug)]
pub(super) struct TombstoneRow {
    pub(super) tag: Tag,
    pub(super) digest: Digest,
    pub(super) pushed_at: i64,
    pub(super) removed_at: i64,
    pub(super) expires_at: i64,
    pub(super) reason: String,
    /// Whether collection then removes the manifest in any case.
    pub(super) releases: bool,
}

#[derive(Clone, Debug)]
pub(super) struct ManifestRow {
    pub(super) manifest: NewManifest,
    /// When its last lease began.
    pub(super) leased_at: i64,
    /// When it was last pulled.
    pub(super) pulled_at: Option<i64>,
}

#[derive(Clone, Debug)]
pub(super) struct BlobRow {
    pub(super) blob: Blob,
    pub(super) state: BlobState,
    /// Since when it is in this state.
    pub(super) since: i64,
    /// When its last lease began.
    pub(super) leased_at: i64,
    /// The upload whose content a pending row waits for.
    pub(super) upload: Option<UploadId>,
}

/// See [`collection`](crate::collection).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlobState {
    /// Its content may or may not be in its place yet.
    Pending,
    /// It can be pulled.
    Live,
    /// It can be pulled, and is removed soon if nothing refers to it.
    Marked,
    /// It cannot be pulled any more, and its content is to be removed.
    Deleting,
}

#[derive(Clone, Debug)]
pub(super) struct UploadRow {
    pub(super) repository: RepositoryName,
    pub(super) client: String,
    pub(super) algorithm: DigestAlgorithm,
    pub(super) checkpoint: Checkpoint,
    pub(super) fence: i64,
    /// When a request last went on with it.
    pub(super) moved_at: i64,
}

#[derive(Clone, Debug)]
pub(super) struct StoreRow {
    pub(super) location: ContentLocation,
    /// Every repository was read.
    pub(super) is_complete: bool,
    /// Its content is ours to remove.
    pub(super) is_final: bool,
    /// The repositories that were read, until all were.
    pub(super) read: BTreeMap<RepositoryName, AdoptionTotals>,
}

impl Tables {
    /// A repository that exists.
    pub(super) fn repository(&self, name: &RepositoryName) -> Result<&RepositoryRow, Error> {
        self.repositories.get(name).ok_or(Error::RepositoryUnknown)
    }

    /// A repository that exists, to be changed.
    pub(super) fn repository_mut(
        &mut self,
        name: &RepositoryName,
    ) -> Result<&mut RepositoryRow, Error> {
        let found = self.repositories.get_mut(name);
        found.ok_or(Error::RepositoryUnknown)
    }

    /// A repository that is made if it does not exist.
    pub(super) fn repository_or_new(&mut self, name: &RepositoryName) -> &mut RepositoryRow {
        let Self {
            repositories,
            last_repository,
            ..
        } = self;
        repositories.entry(name.clone()).or_insert_with(|| {
            *last_repository += 1;
            RepositoryRow {
                number: *last_repository,
                ..RepositoryRow::default()
            }
        })
    }

    /// A blob that this repository has.
    pub(super) fn blob(&self, name: &RepositoryName, digest: &Digest) -> Result<&Blob, Error> {
        let served = self.served(digest).ok_or(Error::BlobUnknown)?;
        let repository = self.repositories.get(name);
        if repository.is_some_and(|row| row.blobs.contains(&served.blob.generation)) {
            Ok(&served.blob)
        } else {
            Err(Error::BlobUnknown)
        }
    }

    /// The one row of a digest that can be pulled.
    pub(super) fn served(&self, digest: &Digest) -> Option<&BlobRow> {
        let mut rows = self.blobs.values();
        rows.find(|row| row.blob.digest == *digest && row.is_served())
    }

    /// The generation of the next new blob.
    pub(super) fn next_generation(&mut self) -> i64 {
        self.last_generation += 1;
        self.last_generation
    }

    pub(super) fn insert_blob(&mut self, blob: Blob, state: BlobState, now: i64) -> &mut BlobRow {
        self.blobs.entry(blob.generation).or_insert(BlobRow {
            blob,
            state,
            since: now,
            leased_at: now,
            upload: None,
        })
    }

    /// Gives a repository a blob, which gets a new lease and is not marked any more.
    pub(super) fn give(&mut self, name: &RepositoryName, generation: i64, now: i64) {
        self.revive(generation, now);
        self.repository_or_new(name).blobs.insert(generation);
    }

    /// Begins a new lease of a blob, which is not marked any more.
    pub(super) fn revive(&mut self, generation: i64, now: i64) {
        let row = self.blobs.get_mut(&generation);
        if let Some(row) = row.filter(|row| row.is_served()) {
            row.leased_at = row.leased_at.max(now);
            if row.state == BlobState::Marked {
                row.set(BlobState::Live, now);
            }
        }
    }
}

impl RepositoryRow {
    /// The manifest that `reference` names.
    pub(super) fn manifest(&self, reference: &Reference) -> Result<&ManifestRow, Error> {
        let digest = match reference {
            Reference::Tag(tag) => self.tags.get(tag).map(|row| &row.digest),
            Reference::Digest(digest) => Some(digest),
        };
        let found = digest.and_then(|digest| self.manifests.get(digest));
        found.ok_or(Error::ManifestUnknown)
    }

    /// Stores a manifest, or begins a new lease of the one that is there.
    pub(super) fn take_in(&mut self, manifest: &NewManifest, now: i64) {
        let row = self.manifests.entry(manifest.digest());
        let row = row.or_insert_with(|| ManifestRow {
            manifest: manifest.clone(),
            leased_at: now,
            pulled_at: None,
        });
        row.leased_at = row.leased_at.max(now);
    }

    /// Removes a manifest, its tags and what is left of its tags. Returns whether there was one.
    pub(super) fn remove(&mut self, digest: &Digest) -> bool {
        self.tags.retain(|_, row| row.digest != *digest);
        self.tombstones.retain(|_, row| row.digest != *digest);
        self.manifests.remove(digest).is_some()
    }
}

impl ManifestRow {
    pub(super) fn stored(&self) -> StoredManifest {
        StoredManifest {
            digest: self.manifest.digest(),
            media_type: self.manifest.manifest().media_type.clone(),
            bytes: self.manifest.bytes().clone(),
        }
    }

    /// Whether the manifest refers to this content: as its configuration, a layer or a child.
    pub(super) fn refers_to(&self, digest: &Digest) -> bool {
        let mut references = self.manifest.references();
        references.any(|descriptor| descriptor.digest == *digest)
    }

    pub(super) fn subject(&self) -> Option<Digest> {
        let subject = self.manifest.manifest().subject.as_ref();
        subject.map(|subject| subject.digest)
    }
}

impl BlobRow {
    /// Whether it can be pulled.
    pub(super) fn is_served(&self) -> bool {
        matches!(self.state, BlobState::Live | BlobState::Marked)
    }

    pub(super) fn set(&mut self, state: BlobState, now: i64) {
        self.state = state;
        self.since = now;
        self.upload = None;
    }
}

/// The first `limit` of what is left of a list.
pub(super) fn page<T>(entries: impl IntoIterator<Item = T>, limit: u32) -> ListPage<T> {
    let mut entries = entries.into_iter();
    let taken = entries.by_ref().take(limit as usize).collect();
    ListPage {
        entries: taken,
        more: entries.next().is_some(),
    }
}
