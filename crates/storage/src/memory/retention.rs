//! Tags as retention sees them, their removal, and pull times.

use std::collections::BTreeSet;

use oci::{Digest, RepositoryName, Tag};
use retention::TagState;
use tag_rules::ImmutabilityRules;

use super::metadata::{MemoryMetadata, seconds};
use super::tables::{RepositoryRow, Tables, TagRow, TombstoneRow, page};
use super::tag_history::MemoryTagChanges;
use crate::seams::ImmutableTags;
use crate::{
    ChangeAuthor, ListPage, ManifestTags, PageRequest, PullRecording, PullTimeStore,
    PulledManifest, RestoreOutcome, RestoredTag, StorageFuture, TagRemoval, TagRemovalOutcome,
    TagRestoration, TagRetention, Tombstone, TombstoneStore, TombstoneTerms, UntaggedManifests,
};

impl TagRetention for MemoryMetadata {
    fn tag_states<'a>(
        &'a self,
        repository: &'a RepositoryName,
        request: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<TagState>> {
        self.read(move |tables| {
            let Some(row) = tables.repositories.get(repository) else {
                return Ok(page([], request.limit));
            };
            let tags = row.tags.iter();
            let rest = tags.filter(|(tag, _)| Some(tag.as_str()) > request.after.as_deref());
            let states = rest.map(|(tag, tagged)| row.state(tag, *tagged));
            Ok(page(states, request.limit))
        })
    }

    fn manifest_tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        limit: u32,
    ) -> StorageFuture<'a, ManifestTags> {
        self.read(move |tables| {
            let Some(row) = tables.repositories.get(repository) else {
                return Ok(ManifestTags::default());
            };
            let now = self.now();
            let mut tombstones = row.tombstones.values();
            let tags = row.tags.iter();
            let tags = tags.filter(|(_, tagged)| tagged.digest == *digest);
            let tags = page(tags.map(|(tag, tagged)| row.state(tag, *tagged)), limit);
            Ok(ManifestTags {
                exists: row.manifests.contains_key(digest),
                is_held: tombstones.any(|held| held.digest == *digest && held.expires_at > now),
                tags: tags.entries,
                more: tags.more,
            })
        })
    }

    fn image_sizes<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digests: Vec<Digest>,
    ) -> StorageFuture<'a, Vec<u64>> {
        self.read(move |tables| {
            let sizes = digests.iter().map(|digest| tables.size(repository, digest));
            Ok(sizes.collect())
        })
    }

    fn remove_tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        removals: Vec<TagRemoval>,
        terms: TombstoneTerms,
        author: Option<ChangeAuthor>,
    ) -> StorageFuture<'a, Vec<TagRemovalOutcome>> {
        self.write(move |tables, now| {
            let rules = ImmutabilityRules::default();
            let history = MemoryTagChanges {
                repository,
                author,
                immutable: ImmutableTags::new(&rules, repository),
                now,
            };
            let removed = removals.into_iter();
            Ok(removed
                .map(|removal| tables.remove_tag(&history, removal, terms))
                .collect())
        })
    }
}

impl TombstoneStore for MemoryMetadata {
    fn tombstones<'a>(
        &'a self,
        repository: Option<&'a RepositoryName>,
        request: PageRequest<i64>,
    ) -> StorageFuture<'a, ListPage<Tombstone>> {
        self.read(move |tables| {
            let now = self.now();
            let rows = tables.repositories.iter();
            let rows = rows.filter(|(name, _)| repository.is_none_or(|wanted| wanted == *name));
            let mut tombstones: Vec<_> = rows
                .flat_map(|(name, row)| row.tombstones.iter().map(move |it| (name, it)))
                .filter(|(_, (id, row))| row.expires_at > now && Some(**id) > request.after)
                .map(|(name, (id, row))| row.tombstone(name, *id))
                .collect();
            tombstones.sort_unstable_by_key(|tombstone| tombstone.id);
            Ok(page(tombstones, request.limit))
        })
    }

    fn restore(&self, restoration: TagRestoration) -> StorageFuture<'_, RestoredTag> {
        self.write(move |tables, now| {
            let TagRestoration {
                tombstone: id,
                tag,
                author,
                outbox,
                quotas,
            } = restoration;
            let before = tables.usage_below(&quotas);
            let mut rows = tables.repositories.iter_mut();
            let found = rows.find(|(_, row)| row.tombstones.contains_key(&id));
            let Some((name, row)) = found else {
                return Ok(RestoreOutcome::TombstoneUnknown.into());
            };
            let tombstone = &row.tombstones[&id];
            if tombstone.expires_at <= now {
                return Ok(RestoreOutcome::TombstoneUnknown.into());
            }
            if let Some(tagged) = row.tags.get(&tag) {
                return Ok(RestoreOutcome::TagExists(tagged.digest).into());
            }
            let digest = tombstone.digest;
            let tagged = TagRow {
                digest,
                pushed_at: now,
            };
            row.tags.insert(tag.clone(), tagged);
            row.tombstones.remove(&id);
            if let Some(manifest) = row.manifests.get_mut(&digest) {
                manifest.leased_at = manifest.leased_at.max(now);
            }
            let name = name.clone();
            let rules = ImmutabilityRules::default();
            let history = MemoryTagChanges {
                repository: &name,
                author,
                immutable: ImmutableTags::new(&rules, &name),
                now,
            };
            history.record(tables, &tag, None, Some(digest));
            tables.write_outbox(&name, outbox, now);
            Ok(RestoredTag {
                outcome: RestoreOutcome::Restored,
                warnings: tables.check_quotas(&quotas, &before)?,
            })
        })
    }
}

impl PullTimeStore for MemoryMetadata {
    fn recording(&self) -> StorageFuture<'_, PullRecording> {
        self.read(|tables| {
            Ok(PullRecording {
                now: self.now(),
                since: tables.pulls_since,
            })
        })
    }

    fn record_pulls(&self, pulls: Vec<PulledManifest>, gap: bool) -> StorageFuture<'_, ()> {
        self.write(move |tables, now| {
            for PulledManifest { repository, digest } in &pulls {
                let row = tables.repositories.get_mut(repository);
                if let Some(row) = row.and_then(|row| row.manifests.get_mut(digest)) {
                    row.pulled_at = row.pulled_at.max(Some(now));
                }
            }
            let since = tables.pulls_since.filter(|_| !gap);
            tables.pulls_since = Some(since.unwrap_or(now));
            Ok(())
        })
    }
}

impl Tables {
    fn remove_tag(
        &mut self,
        history: &MemoryTagChanges<'_>,
        removal: TagRemoval,
        terms: TombstoneTerms,
    ) -> TagRemovalOutcome {
        let (repository, now) = (history.repository, history.now);
        let TagRemoval {
            state: planned,
            reason,
            outbox,
        } = removal;
        let Some(row) = self.repositories.get_mut(repository) else {
            return TagRemovalOutcome::Gone;
        };
        let Some(tagged) = row.tags.get(&planned.tag) else {
            return TagRemovalOutcome::Gone;
        };
        let state = row.state(&planned.tag, *tagged);
        if let Some(stays) = TagRemovalOutcome::of_changed(&planned, &state) {
            return stays;
        }
        row.tags.remove(&planned.tag);
        history.record(self, &planned.tag, Some(state.digest), None);
        self.last_tombstone += 1;
        let tombstone = TombstoneRow {
            tag: planned.tag,
            digest: state.digest,
            pushed_at: state.pushed_at,
            removed_at: now,
            expires_at: now.saturating_add(seconds(terms.undelete)),
            reason,
            releases: terms.untagged == UntaggedManifests::Remove,
        };
        let number = self.last_tombstone;
        let row = self.repository_or_new(repository);
        row.tombstones.insert(number, tombstone);
        self.write_outbox(repository, outbox, now);
        TagRemovalOutcome::Removed
    }

    /// The size of an image, as far as the repository has it.
    fn size(&self, name: &RepositoryName, digest: &Digest) -> u64 {
        let Some(repository) = self.repositories.get(name) else {
            return 0;
        };
        let (mut manifests, mut blobs) = (BTreeSet::new(), BTreeSet::new());
        let mut reached = vec![*digest];
        while let Some(digest) = reached.pop() {
            match repository.manifests.get(&digest) {
                Some(row) if manifests.insert(digest) => {
                    let references = row.manifest.references();
                    reached.extend(references.map(|descriptor| descriptor.digest));
                }
                Some(_) => {}
                None => {
                    blobs.insert(digest);
                }
            }
        }
        let manifests = manifests.iter();
        let bytes =
            manifests.map(|digest| repository.manifests[digest].manifest.bytes().len() as u64);
        let blobs = blobs
            .iter()
            .filter_map(|digest| self.blob(name, digest).ok());
        bytes.sum::<u64>() + blobs.map(|blob| blob.size).sum::<u64>()
    }
}

impl RepositoryRow {
    /// What is known of a tag, which points at a manifest that is there.
    fn state(&self, tag: &Tag, tagged: TagRow) -> TagState {
        let TagRow { digest, pushed_at } = tagged;
        let row = &self.manifests[&digest];
        let listed = row.manifest.references();
        let listed = listed.filter_map(|descriptor| self.manifests.get(&descriptor.digest));
        let pulled = listed.chain([row]).filter_map(|row| row.pulled_at);
        TagState {
            tag: tag.clone(),
            digest,
            pushed_at,
            leased_at: row.leased_at,
            pulled_at: pulled.max(),
        }
    }
}

impl TombstoneRow {
    fn tombstone(&self, repository: &RepositoryName, id: i64) -> Tombstone {
        Tombstone {
            id,
            repository: repository.clone(),
            tag: self.tag.clone(),
            digest: self.digest,
            pushed_at: self.pushed_at,
            removed_at: self.removed_at,
            expires_at: self.expires_at,
            reason: self.reason.clone(),
        }
    }
}
