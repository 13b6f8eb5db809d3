//! What is garbage, and the steps that remove it.

use std::collections::BTreeSet;
use std::time::Duration;

use oci::{Digest, RepositoryName};

use super::metadata::{MemoryMetadata, seconds};
use super::tables::{BlobRow, BlobState, RepositoryRow, Tables};
use crate::collection::{
    CollectionCursor, CollectionHold, CollectionPolicy, DeletableBlob, Garbage, GarbageBlob,
    GarbageManifest, MarkStep, PruneStep,
};
use crate::{CollectionStore, StorageFuture, StoreId};

/// How long a pending row is left alone at least, however short the grace time is.
const PENDING: Duration = Duration::from_secs(3600);

impl CollectionStore for MemoryMetadata {
    fn plan(&self, policy: CollectionPolicy) -> StorageFuture<'_, Garbage> {
        self.read(move |tables| {
            let mut without = tables.clone();
            let mut manifests = Vec::new();
            for name in tables.by_number() {
                manifests.extend(self.prune_manifests(&mut without, &name, policy));
            }
            let leased_since = self.before(policy.grace);
            let idle = without.blobs.values().filter(|row| {
                row.is_served() && row.leased_at < leased_since && without.is_garbage(row)
            });
            let blobs = idle.map(|row| GarbageBlob {
                digest: row.blob.digest,
                size: row.blob.size,
            });
            Ok(Garbage {
                manifests,
                blobs: blobs.collect(),
                uploads: tables.expired_uploads(self.upload_expiry()),
            })
        })
    }

    fn prune(
        &self,
        policy: CollectionPolicy,
        after: Option<CollectionCursor>,
    ) -> StorageFuture<'_, PruneStep> {
        self.write(move |tables, now| {
            let mut step = PruneStep {
                manifests: Vec::new(),
                next: None,
            };
            // All repositories are one step. After it, none is left.
            if after.is_some() {
                return Ok(step);
            }
            for name in tables.by_number() {
                let number = tables.repository(&name)?.number;
                step.next = Some(CollectionCursor::new(number));
                let pruned = self.prune_manifests(tables, &name, policy);
                step.manifests.extend(pruned);
                tables.repository_mut(&name)?.purge_tombstones(now);
                tables.unlink_unused(&name, self.before(policy.grace));
                let row = tables.repository(&name)?;
                if row.manifests.is_empty() && row.blobs.is_empty() {
                    tables.repositories.remove(&name);
                }
            }
            Ok(step)
        })
    }

    fn mark(
        &self,
        policy: CollectionPolicy,
        after: Option<CollectionCursor>,
    ) -> StorageFuture<'_, MarkStep> {
        self.write(move |tables, now| {
            // All blobs are one step. After it, none is left.
            let last = tables.blobs.keys().last().copied();
            let next = last.map(CollectionCursor::new).filter(|_| after.is_none());
            let mut step = MarkStep { marked: 0, next };
            if step.next.is_none() {
                return Ok(step);
            }
            let leased_since = self.before(policy.grace);
            let idle = tables.blobs.values().filter(|row| {
                row.state == BlobState::Live
                    && row.leased_at < leased_since
                    && tables.is_garbage(row)
            });
            let idle: Vec<_> = idle.map(|row| row.blob.generation).collect();
            for generation in idle {
                tables.set(generation, BlobState::Marked, now);
                step.marked += 1;
            }
            Ok(step)
        })
    }

    fn sweep(&self, policy: CollectionPolicy) -> StorageFuture<'_, u64> {
        self.write(move |tables, now| {
            if tables.is_held(now) {
                return Ok(0);
            }
            let marked_until = self.before(policy.wait);
            let pending_since = self.before(policy.grace.max(PENDING));
            let due = tables.blobs.values().filter(|row| match row.state {
                BlobState::Marked => row.since <= marked_until,
                BlobState::Pending => row.since < pending_since && !tables.has_objects(row.upload),
                BlobState::Live | BlobState::Deleting => false,
            });
            let due: Vec<_> = due
                .map(|row| {
                    let is_removed = row.state == BlobState::Pending || tables.is_garbage(row);
                    (row.blob.generation, is_removed)
                })
                .collect();
            for (generation, is_removed) in &due {
                if *is_removed {
                    for row in tables.repositories.values_mut() {
                        row.blobs.remove(generation);
                    }
                    tables.set(*generation, BlobState::Deleting, now);
                } else {
                    tables.set(*generation, BlobState::Live, now);
                }
            }
            Ok(due.len() as u64)
        })
    }

    fn deletable(&self, limit: u32) -> StorageFuture<'_, Vec<DeletableBlob>> {
        self.read(move |tables| {
            if tables.is_held(self.now()) {
                return Ok(Vec::new());
            }
            let deleted_by = self.before(self.retain());
            let rows = tables.blobs.values();
            let deleting =
                rows.filter(|row| row.state == BlobState::Deleting && row.since <= deleted_by);
            let deletable = deleting.map(|row| DeletableBlob {
                generation: row.blob.generation,
                digest: row.blob.digest,
                size: row.blob.size,
                store: row.blob.store,
                key: row.blob.key.clone(),
            });
            Ok(deletable.take(limit as usize).collect())
        })
    }

    fn purge(&self, deletable: Vec<DeletableBlob>) -> StorageFuture<'_, ()> {
        self.write(move |tables, _| {
            let gone: BTreeSet<_> = deletable.iter().map(|blob| blob.generation).collect();
            let is_gone = |row: &BlobRow| {
                row.state == BlobState::Deleting && gone.contains(&row.blob.generation)
            };
            tables.blobs.retain(|_, row| !is_gone(row));
            Ok(())
        })
    }

    fn unused_objects(&self, limit: u32) -> StorageFuture<'_, Vec<String>> {
        self.read(move |tables| {
            let names = tables.unused_objects.iter().take(limit as usize);
            Ok(names.cloned().collect())
        })
    }

    fn forget_objects(&self, names: Vec<String>) -> StorageFuture<'_, ()> {
        self.write(move |tables, _| {
            for name in &names {
                tables.unused_objects.remove(name);
            }
            Ok(())
        })
    }

    fn hold(&self, hold: CollectionHold) -> StorageFuture<'_, ()> {
        self.write(move |tables, now| {
            let until = now.saturating_add(seconds(hold.lasting));
            tables.holds.insert(hold.id, until);
            Ok(())
        })
    }

    fn release(&self, hold: CollectionHold) -> StorageFuture<'_, ()> {
        self.write(move |tables, _| {
            tables.holds.remove(&hold.id);
            Ok(())
        })
    }
}

impl MemoryMetadata {
    /// Removes the untagged manifests of a repository that nothing needs, and returns them.
    fn prune_manifests(
        &self,
        tables: &mut Tables,
        name: &RepositoryName,
        policy: CollectionPolicy,
    ) -> Vec<GarbageManifest> {
        let Ok(row) = tables.repository_mut(name) else {
            return Vec::new();
        };
        let unneeded = row.unneeded(UntaggedCutoffs {
            now: self.now(),
            leased_since: self.before(policy.grace),
            // A manifest that a client with push permission asked for has the grace time, too.
            untagged_since: policy
                .untagged
                .map(|age| self.before(age.max(policy.grace))),
        });
        let pruned = unneeded.into_iter().map(|digest| {
            row.remove(&digest);
            let repository = name.clone();
            GarbageManifest { repository, digest }
        });
        pruned.collect()
    }
}

/// The times that decide about manifests without a tag.
#[derive(Clone, Copy)]
struct UntaggedCutoffs {
    now: i64,
    /// A manifest that was leased since stays.
    leased_since: i64,
    /// The same for one that no tombstone releases. Without it, these stay.
    untagged_since: Option<i64>,
}

impl RepositoryRow {
    /// The manifests that nothing needs. A manifest is needed if it has a tag or a tombstone. One
    /// without is needed if it has a lease, or if its age does not matter and no tombstone has
    /// released it.
    ///
    /// What is needed needs others: an index what it lists, a referrer its subject, and a subject
    /// its referrers.
    fn unneeded(&self, cutoffs: UntaggedCutoffs) -> Vec<Digest> {
        let released = self.released(cutoffs.now);
        let held = self
            .tombstones
            .values()
            .filter(|row| row.expires_at > cutoffs.now);
        let held = held.map(|row| row.digest);
        let mut needed: BTreeSet<Digest> = self.tags.values().map(|row| row.digest).collect();
        needed.extend(held);
        let kept = self.manifests.iter().filter(|(digest, row)| {
            let is_old = cutoffs
                .untagged_since
                .is_some_and(|since| row.leased_at < since);
            let is_released = released.contains(*digest) && row.leased_at < cutoffs.leased_since;
            !is_old && !is_released
        });
        needed.extend(kept.map(|(digest, _)| *digest));
        let mut reached: Vec<Digest> = needed.iter().copied().collect();
        while let Some(digest) = reached.pop() {
            let row = &self.manifests[&digest];
            for (other, other_row) in &self.manifests {
                let is_neighbour = row.refers_to(other)
                    || row.subject() == Some(*other)
                    || other_row.subject() == Some(digest);
                if is_neighbour && needed.insert(*other) {
                    reached.push(*other);
                }
            }
        }
        let all = self.manifests.keys();
        all.filter(|digest| !needed.contains(digest))
            .copied()
            .collect()
    }

    /// The manifests that expired tombstones release: those that lost their last tag and were not used
    /// since, what they list, and their referrers.
    fn released(&self, now: i64) -> BTreeSet<Digest> {
        let expired = self.tombstones.values().filter(|row| {
            let leased_at = self.manifests[&row.digest].leased_at;
            row.releases && row.expires_at <= now && leased_at < row.removed_at
        });
        let mut released: BTreeSet<Digest> = expired.map(|row| row.digest).collect();
        let mut reached: Vec<Digest> = released.iter().copied().collect();
        while let Some(digest) = reached.pop() {
            let row = &self.manifests[&digest];
            for (other, other_row) in &self.manifests {
                let goes_along = row.refers_to(other) || other_row.subject() == Some(digest);
                if goes_along && released.insert(*other) {
                    reached.push(*other);
                }
            }
        }
        released
    }

    /// Removes tombstones that have expired and release nothing any more.
    fn purge_tombstones(&mut self, now: i64) {
        let (tags, manifests) = (&self.tags, &self.manifests);
        self.tombstones.retain(|_, row| {
            let is_tagged = tags.values().any(|tag| tag.digest == row.digest);
            let is_used = manifests[&row.digest].leased_at >= row.removed_at;
            row.expires_at > now || row.releases && !is_tagged && !is_used
        });
    }
}

impl Tables {
    /// Whether nothing refers to a blob, and its content is ours to remove.
    fn is_garbage(&self, row: &BlobRow) -> bool {
        let store = row.blob.store;
        let is_ours = store == StoreId::OWN
            || self
                .stores
                .get(&store)
                .is_some_and(|adopted| adopted.is_final);
        is_ours && !self.is_referred_to(&row.blob.digest)
    }

    /// Whether a manifest of any repository refers to this content.
    fn is_referred_to(&self, digest: &Digest) -> bool {
        self.repositories
            .values()
            .any(|repository| repository.refers_to(digest))
    }

    /// Takes blobs without a lease from a repository that does not refer to them, if others do. A
    /// blob that no repository refers to is marked and swept instead.
    fn unlink_unused(&mut self, name: &RepositoryName, leased_since: i64) {
        let Some(repository) = self.repositories.get(name) else {
            return;
        };
        let unused = repository.blobs.iter().filter(|generation| {
            let row = &self.blobs[generation];
            let digest = &row.blob.digest;
            row.leased_at < leased_since
                && !repository.refers_to(digest)
                && self.is_referred_to(digest)
        });
        let unused: Vec<_> = unused.copied().collect();
        let repository = self.repository_or_new(name);
        repository
            .blobs
            .retain(|generation| !unused.contains(generation));
    }

    /// The names of all repositories, the oldest first.
    fn by_number(&self) -> Vec<RepositoryName> {
        let rows = self.repositories.iter();
        let mut names: Vec<_> = rows.map(|(name, row)| (row.number, name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name.clone()).collect()
    }

    fn is_held(&self, now: i64) -> bool {
        self.holds.values().any(|until| *until > now)
    }

    fn set(&mut self, generation: i64, state: BlobState, now: i64) {
        if let Some(row) = self.blobs.get_mut(&generation) {
            row.set(state, now);
        }
    }
}

impl RepositoryRow {
    fn refers_to(&self, digest: &Digest) -> bool {
        self.manifests.values().any(|row| row.refers_to(digest))
    }
}
