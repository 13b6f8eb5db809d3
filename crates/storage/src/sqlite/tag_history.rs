//! What changes do to tags: whether they may, and what the history says of it.

use std::time::Duration;

use oci::{Digest, RepositoryName, Tag};
use rusqlite::{Connection, OptionalExtension};
use tag_rules::ImmutabilityRules;

use super::columns::{Packed, repository};
use super::{Sqlite, pages, seconds};
use crate::cache::Stale;
use crate::seams::ImmutableTags;
use crate::{
    ChangeAuthor, Error, ListPage, PageRequest, StorageFuture, TagChange, TagChangeId,
    TagHistoryStore,
};

impl TagHistoryStore for Sqlite {
    fn tag_history<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        page: PageRequest<TagChangeId>,
    ) -> StorageFuture<'a, ListPage<TagChange>> {
        let (name, tag) = (repository.clone(), tag.clone());
        Box::pin(self.read(move |connection| {
            let before = page.after.map_or(i64::MAX, |TagChangeId(id)| id);
            let sql = "SELECT id, at, from_digest, to_digest, account, request_id FROM tag_history
                       WHERE repository = ?1 AND tag = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";
            pages::list(
                connection,
                sql,
                &[
                    &name.as_str(),
                    &tag.as_str(),
                    &before,
                    &pages::wanted(&page),
                ],
                page.limit,
                |row| {
                    Ok(TagChange {
                        id: TagChangeId(row.get(0)?),
                        at: row.get(1)?,
                        from: row.get::<_, Option<Packed>>(2)?.map(|packed| packed.0),
                        to: row.get::<_, Option<Packed>>(3)?.map(|packed| packed.0),
                        author: ChangeAuthor {
                            account: row.get(4)?,
                            request_id: row.get(5)?,
                        },
                    })
                },
            )
        }))
    }

    fn forget_tag_changes(&self, keep: Duration, limit: u32) -> StorageFuture<'_, u64> {
        let before = self.now().saturating_sub(seconds(keep));
        // The oldest have the lowest numbers, so no index of the times is needed.
        let work = move |connection: &Connection| {
            let sql = "DELETE FROM tag_history WHERE id IN (
                           SELECT id FROM (SELECT id, at FROM tag_history ORDER BY id LIMIT ?1) WHERE at < ?2)";
            let mut forget = connection.prepare_cached(sql)?;
            Ok(forget.execute((limit, before))? as u64)
        };
        Box::pin(self.write(work, |_| Stale::Nothing))
    }
}

/// What a change does to tags of a repository.
pub(super) struct SqliteTagChanges<'a> {
    pub(super) repository: &'a RepositoryName,
    pub(super) author: Option<&'a ChangeAuthor>,
    pub(super) immutable: &'a ImmutabilityRules,
    pub(super) now: i64,
}

impl SqliteTagChanges<'_> {
    /// Before `tags` are pointed at `to`.
    pub(super) fn push(
        &self,
        connection: &Connection,
        tags: &[Tag],
        to: Digest,
    ) -> Result<(), Error> {
        if self.author.is_none() && self.immutable.is_empty() {
            return Ok(());
        }
        let id = repository(connection, self.repository)?;
        let immutable = ImmutableTags::new(self.immutable, self.repository);
        let mut tags: Vec<&Tag> = tags.iter().collect();
        tags.sort();
        tags.dedup();
        let mut moved = Vec::with_capacity(tags.len());
        for tag in tags {
            let from = match id {
                Some(id) => target(connection, id, tag)?,
                None => None,
            };
            if from != Some(to) {
                moved.push((tag, from));
            }
        }
        for (tag, from) in &moved {
            if let Some(from) = from {
                immutable.check(tag, *from)?;
            }
        }
        for (tag, from) in moved {
            self.record(connection, tag, from, Some(to))?;
        }
        Ok(())
    }

    /// Before a manifest that exists is removed with its tags.
    pub(super) fn remove(
        &self,
        connection: &Connection,
        repository: i64,
        digest: Digest,
        tags: &[Tag],
    ) -> Result<(), Error> {
        self.check_needed(connection, repository, digest)?;
        for tag in tags {
            self.record(connection, tag, Some(digest), None)?;
        }
        Ok(())
    }

    /// Before a tag that may exist is removed.
    pub(super) fn untag(
        &self,
        connection: &Connection,
        repository: i64,
        tag: &Tag,
    ) -> Result<(), Error> {
        let Some(from) = target(connection, repository, tag)? else {
            return Ok(());
        };
        ImmutableTags::new(self.immutable, self.repository).check(tag, from)?;
        self.record(connection, tag, Some(from), None)
    }

    /// Fails if an immutable tag needs this manifest or blob: if it points at it, or at a manifest that
    /// refers to it.
    pub(super) fn check_needed(
        &self,
        connection: &Connection,
        repository: i64,
        digest: Digest,
    ) -> Result<(), Error> {
        let immutable = ImmutableTags::new(self.immutable, self.repository);
        if immutable.is_empty() {
            return Ok(());
        }
        let mut needing = connection.prepare_cached(
            "WITH RECURSIVE needing (digest) AS (
                 SELECT ?2
                 UNION
                 SELECT m.digest FROM needing n JOIN manifest_references r ON r.digest = n.digest AND r.repository = ?1
                 JOIN manifests m ON m.id = r.manifest
             )
             SELECT t.name, m.digest FROM needing n JOIN manifests m ON m.repository = ?1 AND m.digest = n.digest
             JOIN tags t ON t.manifest = m.id ORDER BY t.name",
        )?;
        let mut rows = needing.query((repository, Packed(digest)))?;
        while let Some(row) = rows.next()? {
            if let Ok(tag) = row.get::<_, String>(0)?.parse() {
                immutable.check(&tag, row.get::<_, Packed>(1)?.0)?;
            }
        }
        Ok(())
    }

    pub(super) fn record(
        &self,
        connection: &Connection,
        tag: &Tag,
        from: Option<Digest>,
        to: Option<Digest>,
    ) -> Result<(), Error> {
        let Some(author) = self.author else {
            return Ok(());
        };
        connection
            .prepare_cached(
                "INSERT INTO tag_history (repository, tag, at, from_digest, to_digest, account, request_id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                self.repository.as_str(),
                tag.as_str(),
                self.now,
                from.map(Packed),
                to.map(Packed),
                &author.account,
                &author.request_id,
            ))?;
        Ok(())
    }
}

/// What a tag points at.
fn target(connection: &Connection, repository: i64, tag: &Tag) -> Result<Option<Digest>, Error> {
    let mut find = connection.prepare_cached(
        "SELECT m.digest FROM tags t JOIN manifests m ON m.id = t.manifest WHERE t.repository = ?1 AND t.name = ?2",
    )?;
    let found = find.query_row((repository, tag.as_str()), |row| {
        Ok(row.get::<_, Packed>(0)?.0)
    });
    Ok(found.optional()?)
}
