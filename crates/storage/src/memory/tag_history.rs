//! What changes do to tags: whether they may, and what the history says of it.

use std::collections::BTreeSet;
use std::time::Duration;

use oci::{Digest, RepositoryName, Tag};

use super::metadata::MemoryMetadata;
use super::tables::{RepositoryRow, Tables, TagHistoryRow, page};
use crate::seams::ImmutableTags;
use crate::{
    ChangeAuthor, Error, ListPage, PageRequest, StorageFuture, TagChange, TagChangeId,
    TagHistoryStore,
};

impl TagHistoryStore for MemoryMetadata {
    fn tag_history<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        request: PageRequest<TagChangeId>,
    ) -> StorageFuture<'a, ListPage<TagChange>> {
        self.read(move |tables| {
            let rows = tables.tag_history.iter().rev();
            let rows = rows.filter(|row| row.repository == *repository && row.tag == *tag);
            let changes = rows.map(|row| row.change.clone());
            let rest = changes.filter(|change| request.after.is_none_or(|after| change.id < after));
            Ok(page(rest, request.limit))
        })
    }

    fn forget_tag_changes(&self, keep: Duration, limit: u32) -> StorageFuture<'_, u64> {
        let before = self.before(keep);
        self.write(move |tables, _| {
            let rows = &mut tables.tag_history;
            let (length, limit) = (rows.len(), limit as usize);
            let mut number = 0;
            rows.retain(|row| {
                number += 1;
                number > limit || row.change.at >= before
            });
            Ok((length - rows.len()) as u64)
        })
    }
}

/// What a change does to tags of a repository.
pub(super) struct MemoryTagChanges<'a> {
    pub(super) repository: &'a RepositoryName,
    pub(super) author: Option<ChangeAuthor>,
    pub(super) immutable: ImmutableTags<'a>,
    pub(super) now: i64,
}

impl MemoryTagChanges<'_> {
    /// Before `tags` are pointed at `to`.
    pub(super) fn push(&self, tables: &mut Tables, tags: &[Tag], to: Digest) -> Result<(), Error> {
        let existing = tables.repositories.get(self.repository);
        let target = |tag| {
            existing
                .and_then(|row| row.tags.get(tag))
                .map(|row| row.digest)
        };
        let tags: BTreeSet<&Tag> = tags.iter().collect();
        let moved = tags.into_iter().map(|tag| (tag, target(tag)));
        let moved: Vec<_> = moved.filter(|(_, from)| *from != Some(to)).collect();
        for (tag, from) in &moved {
            if let Some(from) = from {
                self.immutable.check(tag, *from)?;
            }
        }
        for (tag, from) in moved {
            self.record(tables, tag, from, Some(to));
        }
        Ok(())
    }

    /// Before a manifest is removed with its tags.
    pub(super) fn remove(&self, tables: &mut Tables, digest: Digest) -> Result<(), Error> {
        let row = tables.repository(self.repository)?;
        if !row.manifests.contains_key(&digest) {
            return Err(Error::ManifestUnknown);
        }
        row.check_needed(digest, &self.immutable)?;
        let tags = row.tags.iter().filter(|(_, row)| row.digest == digest);
        let tags: Vec<Tag> = tags.map(|(tag, _)| tag.clone()).collect();
        for tag in tags {
            self.record(tables, &tag, Some(digest), None);
        }
        Ok(())
    }

    /// Before a tag is removed.
    pub(super) fn untag(&self, tables: &mut Tables, tag: &Tag) -> Result<(), Error> {
        let row = tables.repository(self.repository)?;
        let from = row.tags.get(tag).ok_or(Error::ManifestUnknown)?.digest;
        self.immutable.check(tag, from)?;
        self.record(tables, tag, Some(from), None);
        Ok(())
    }

    pub(super) fn record(
        &self,
        tables: &mut Tables,
        tag: &Tag,
        from: Option<Digest>,
        to: Option<Digest>,
    ) {
        let Some(author) = self.author.clone() else {
            return;
        };
        tables.last_tag_change += 1;
        tables.tag_history.push(TagHistoryRow {
            repository: self.repository.clone(),
            tag: tag.clone(),
            change: TagChange {
                id: TagChangeId(tables.last_tag_change),
                at: self.now,
                from,
                to,
                author,
            },
        });
    }
}

impl RepositoryRow {
    /// Fails if an immutable tag needs this manifest or blob: if it points at it, or at a manifest that
    /// refers to it.
    pub(super) fn check_needed(
        &self,
        digest: Digest,
        immutable: &ImmutableTags<'_>,
    ) -> Result<(), Error> {
        let mut needing = BTreeSet::from([digest]);
        let mut reached = vec![digest];
        while let Some(digest) = reached.pop() {
            let referring = self.manifests.iter();
            for (other, _) in referring.filter(|(_, row)| row.refers_to(&digest)) {
                if needing.insert(*other) {
                    reached.push(*other);
                }
            }
        }
        let mut tags = self
            .tags
            .iter()
            .filter(|(_, row)| needing.contains(&row.digest));
        tags.try_for_each(|(tag, row)| immutable.check(tag, row.digest))
    }
}
