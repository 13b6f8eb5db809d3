//! Tags as retention sees them, their removal, and pull times.

use oci::{Digest, Reference, RepositoryName, media_type};
use retention::TagState;
use rusqlite::{Connection, OptionalExtension, Row};
use tag_rules::ImmutabilityRules;

use super::columns::{Packed, name, repository};
use super::manifest_rows::count_change;
use super::quotas::QuotaCheck;
use super::tag_history::SqliteTagChanges;
use super::{Sqlite, outbox, pages, seconds};
use crate::cache::Stale;
use crate::{
    ChangeAuthor, Error, ListPage, ManifestTags, PageRequest, PullRecording, PullTimeStore,
    PulledManifest, RestoreOutcome, RestoredTag, StorageFuture, TagRemoval, TagRemovalOutcome,
    TagRestoration, TagRetention, Tombstone, TombstoneStore, TombstoneTerms, UntaggedManifests,
};

impl TagRetention for Sqlite {
    fn tag_states<'a>(
        &'a self,
        name: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<TagState>> {
        let name = name.clone();
        Box::pin(self.read(move |connection| {
            let id = repository(connection, &name)?.unwrap_or_default();
            let after = page.after.as_deref().unwrap_or_default();
            let sql = format!(
                "SELECT {} FROM tags t JOIN manifests m ON m.id = t.manifest
                 WHERE t.repository = ?1 AND t.name > ?2 ORDER BY t.name LIMIT ?3",
                state_columns()
            );
            let wanted = pages::wanted(&page);
            pages::list(connection, &sql, &[&id, &after, &wanted], page.limit, state)
        }))
    }

    fn manifest_tags<'a>(
        &'a self,
        name: &'a RepositoryName,
        digest: &'a Digest,
        limit: u32,
    ) -> StorageFuture<'a, ManifestTags> {
        let (name, digest, now) = (name.clone(), Packed(*digest), self.now());
        Box::pin(self.read(move |connection| {
            let mut find = connection.prepare_cached(
                "SELECT m.id, EXISTS (SELECT 1 FROM tag_tombstones d WHERE d.manifest = m.id AND d.expires_at > ?3)
                 FROM repositories r JOIN manifests m ON m.repository = r.id AND m.digest = ?2 WHERE r.name = ?1",
            )?;
            let found = find.query_row((name.as_str(), digest, now), |row| {
                Ok((row.get::<_, i64>(0)?, row.get(1)?))
            });
            let Some((id, is_held)) = found.optional()? else {
                return Ok(ManifestTags::default());
            };
            let sql = format!(
                "SELECT {} FROM tags t JOIN manifests m ON m.id = t.manifest
                 WHERE t.manifest = ?1 ORDER BY t.name LIMIT ?2",
                state_columns()
            );
            let tags = pages::list(connection, &sql, &[&id, &(i64::from(limit) + 1)], limit, state)?;
            Ok(ManifestTags {
                exists: true,
                is_held,
                tags: tags.entries,
                more: tags.more,
            })
        }))
    }

    fn image_sizes<'a>(
        &'a self,
        name: &'a RepositoryName,
        digests: Vec<Digest>,
    ) -> StorageFuture<'a, Vec<u64>> {
        let name = name.clone();
        Box::pin(self.read(move |connection| {
            let id = repository(connection, &name)?.unwrap_or_default();
            let mut measure = connection.prepare_cached(
                "WITH RECURSIVE part (id) AS (
                   SELECT id FROM manifests WHERE repository = ?1 AND digest = ?2
                   UNION SELECT c.id FROM part JOIN manifest_references f ON f.manifest = part.id
                     JOIN manifests c ON c.repository = ?1 AND c.digest = f.digest
                 )
                 SELECT (SELECT coalesce(sum(length(m.bytes)), 0) FROM part JOIN manifests m ON m.id = part.id)
                   + (SELECT coalesce(sum(b.size), 0) FROM blobs b JOIN links l ON l.repository = ?1 AND l.blob = b.generation
                      WHERE b.state IN (1, 2) AND b.digest IN (
                        SELECT f.digest FROM part JOIN manifest_references f ON f.manifest = part.id))",
            )?;
            let sizes = digests
                .iter()
                .map(|digest| Ok(measure.query_row((id, Packed(*digest)), |row| row.get(0))?));
            sizes.collect()
        }))
    }

    fn remove_tags<'a>(
        &'a self,
        name: &'a RepositoryName,
        removals: Vec<TagRemoval>,
        terms: TombstoneTerms,
        author: Option<ChangeAuthor>,
    ) -> StorageFuture<'a, Vec<TagRemovalOutcome>> {
        let (of, name, now) = (name.clone(), name.clone(), self.now());
        let tags: Vec<_> = removals
            .iter()
            .map(|removal| Reference::Tag(removal.state.tag.clone()))
            .collect();
        let work = move |connection: &Connection| {
            let Some(id) = repository(connection, &name)? else {
                return Ok(vec![TagRemovalOutcome::Gone; removals.len()]);
            };
            let rules = ImmutabilityRules::default();
            let history = SqliteTagChanges {
                repository: &name,
                author: author.as_ref(),
                immutable: &rules,
                now,
            };
            let mut outcomes = Vec::with_capacity(removals.len());
            for removal in &removals {
                let outcome = remove_tag(connection, id, removal, terms, now)?;
                if outcome == TagRemovalOutcome::Removed {
                    let state = &removal.state;
                    history.record(connection, &state.tag, Some(state.digest), None)?;
                    outbox::write(connection, &name, &removal.outbox, now)?;
                }
                outcomes.push(outcome);
            }
            count_change(connection, id)?;
            Ok(outcomes)
        };
        Box::pin(self.write(work, move |_| Stale::Manifests(of, tags)))
    }
}

impl TombstoneStore for Sqlite {
    fn tombstones<'a>(
        &'a self,
        of: Option<&'a RepositoryName>,
        page: PageRequest<i64>,
    ) -> StorageFuture<'a, ListPage<Tombstone>> {
        let (of, now) = (of.cloned(), self.now());
        Box::pin(self.read(move |connection| {
            let columns = "SELECT d.id, r.name, d.name, m.digest, d.pushed_at, d.removed_at, d.expires_at, d.reason
                 FROM tag_tombstones d JOIN repositories r ON r.id = d.repository JOIN manifests m ON m.id = d.manifest";
            let (after, wanted) = (page.after.unwrap_or_default(), pages::wanted(&page));
            let Some(of) = of else {
                let sql = format!("{columns} WHERE d.id > ?1 AND d.expires_at > ?2 ORDER BY d.id LIMIT ?3");
                return pages::list(connection, &sql, &[&after, &now, &wanted], page.limit, tombstone);
            };
            let id = repository(connection, &of)?.unwrap_or_default();
            let sql = format!(
                "{columns} WHERE d.repository = ?4 AND d.id > ?1 AND d.expires_at > ?2 ORDER BY d.id LIMIT ?3"
            );
            pages::list(connection, &sql, &[&after, &now, &wanted, &id], page.limit, tombstone)
        }))
    }

    fn restore(&self, restoration: TagRestoration) -> StorageFuture<'_, RestoredTag> {
        let now = self.now();
        Box::pin(self.write(
            move |connection| restore(connection, &restoration, now),
            |_| Stale::Nothing,
        ))
    }
}

impl PullTimeStore for Sqlite {
    fn recording(&self) -> StorageFuture<'_, PullRecording> {
        let now = self.now();
        Box::pin(self.read(move |connection| {
            let mut find = connection.prepare_cached("SELECT since FROM pull_recording")?;
            let since = find.query_row((), |row| row.get(0)).optional()?;
            Ok(PullRecording { now, since })
        }))
    }

    fn record_pulls(&self, pulls: Vec<PulledManifest>, gap: bool) -> StorageFuture<'_, ()> {
        let now = self.now();
        let work = move |connection: &Connection| {
            let mut pulled = connection.prepare_cached(
                "INSERT INTO manifest_pulls (manifest, pulled_at)
                 SELECT m.id, ?3 FROM repositories r JOIN manifests m ON m.repository = r.id AND m.digest = ?2
                 WHERE r.name = ?1
                 ON CONFLICT (manifest) DO UPDATE SET pulled_at = max(pulled_at, excluded.pulled_at)",
            )?;
            for PulledManifest { repository, digest } in &pulls {
                pulled.execute((repository.as_str(), Packed(*digest), now))?;
            }
            let begin = match gap {
                true => "INSERT OR REPLACE INTO pull_recording VALUES (1, ?1)",
                false => "INSERT OR IGNORE INTO pull_recording VALUES (1, ?1)",
            };
            Ok(connection.prepare_cached(begin)?.execute([now]).map(drop)?)
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }
}

/// The columns that [`state`] reads, of a tag `t` and its manifest `m`. A manifest was pulled if it was
/// pulled itself, or one that it lists was; -1 if neither.
fn state_columns() -> String {
    let (index, list) = (media_type::OCI_INDEX, media_type::DOCKER_LIST);
    format!(
        "t.name, m.digest, t.updated_at, m.leased_at,
         max(coalesce((SELECT pulled_at FROM manifest_pulls WHERE manifest = m.id), -1),
           CASE WHEN m.media_type IN ('{index}', '{list}') THEN coalesce(
             (SELECT max(p.pulled_at) FROM manifest_references f
              JOIN manifests c ON c.repository = t.repository AND c.digest = f.digest
              JOIN manifest_pulls p ON p.manifest = c.id WHERE f.manifest = m.id), -1) ELSE -1 END), m.id"
    )
}

fn state(row: &Row<'_>) -> rusqlite::Result<TagState> {
    let tag = row.get_ref(0)?.as_str()?;
    let pulled_at: i64 = row.get(4)?;
    Ok(TagState {
        tag: tag.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
        digest: row.get::<_, Packed>(1)?.0,
        pushed_at: row.get(2)?,
        leased_at: row.get(3)?,
        pulled_at: (pulled_at >= 0).then_some(pulled_at),
    })
}

fn tombstone(row: &Row<'_>) -> rusqlite::Result<Tombstone> {
    let tag = row.get_ref(2)?.as_str()?;
    Ok(Tombstone {
        id: row.get(0)?,
        repository: name(row, 1)?,
        tag: tag.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
        digest: row.get::<_, Packed>(3)?.0,
        pushed_at: row.get(4)?,
        removed_at: row.get(5)?,
        expires_at: row.get(6)?,
        reason: row.get(7)?,
    })
}

/// Removes a tag, if it is still as it was planned to go.
fn remove_tag(
    connection: &Connection,
    repository: i64,
    removal: &TagRemoval,
    terms: TombstoneTerms,
    now: i64,
) -> Result<TagRemovalOutcome, Error> {
    let tag = removal.state.tag.as_str();
    let mut find = connection.prepare_cached(&format!(
        "SELECT {} FROM tags t JOIN manifests m ON m.id = t.manifest WHERE t.repository = ?1 AND t.name = ?2",
        state_columns()
    ))?;
    let found = find.query_row((repository, tag), |row| {
        Ok((state(row)?, row.get::<_, i64>(5)?))
    });
    let Some((found, manifest)) = found.optional()? else {
        return Ok(TagRemovalOutcome::Gone);
    };
    if let Some(stays) = TagRemovalOutcome::of_changed(&removal.state, &found) {
        return Ok(stays);
    }
    connection
        .prepare_cached("DELETE FROM tags WHERE repository = ?1 AND name = ?2")?
        .execute((repository, tag))?;
    connection
        .prepare_cached(
            "INSERT INTO tag_tombstones (repository, name, manifest, pushed_at, removed_at, expires_at, reason, releases)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            repository,
            tag,
            manifest,
            found.pushed_at,
            now,
            now.saturating_add(seconds(terms.undelete)),
            &removal.reason,
            terms.untagged == UntaggedManifests::Remove,
        ))?;
    Ok(TagRemovalOutcome::Removed)
}

fn restore(
    connection: &Connection,
    restoration: &TagRestoration,
    now: i64,
) -> Result<RestoredTag, Error> {
    let (id, tag) = (restoration.tombstone, restoration.tag.as_str());
    let mut find = connection.prepare_cached(
        "SELECT d.repository, d.manifest, r.name, m.digest FROM tag_tombstones d
         JOIN repositories r ON r.id = d.repository JOIN manifests m ON m.id = d.manifest
         WHERE d.id = ?1 AND d.expires_at > ?2",
    )?;
    let found = find.query_row([id, now], |row| {
        let (repository, manifest): (i64, i64) = (row.get(0)?, row.get(1)?);
        let digest = row.get::<_, Packed>(3)?.0;
        Ok((repository, manifest, name(row, 2)?, digest))
    });
    let Some((repository, manifest, of, digest)) = found.optional()? else {
        return Ok(RestoreOutcome::TombstoneUnknown.into());
    };
    let mut existing = connection.prepare_cached(
        "SELECT m.digest FROM tags t JOIN manifests m ON m.id = t.manifest WHERE t.repository = ?1 AND t.name = ?2",
    )?;
    let existing = existing.query_row((repository, tag), |row| row.get::<_, Packed>(0));
    if let Some(digest) = existing.optional()? {
        return Ok(RestoreOutcome::TagExists(digest.0).into());
    }
    let quotas = QuotaCheck::begin(connection, &restoration.quotas)?;
    connection
        .prepare_cached("UPDATE manifests SET leased_at = max(leased_at, ?2) WHERE id = ?1")?
        .execute([manifest, now])?;
    connection
        .prepare_cached(
            "INSERT INTO tags (repository, name, manifest, updated_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((repository, tag, manifest, now))?;
    connection
        .prepare_cached("DELETE FROM tag_tombstones WHERE id = ?1")?
        .execute([id])?;
    count_change(connection, repository)?;
    let rules = ImmutabilityRules::default();
    let history = SqliteTagChanges {
        repository: &of,
        author: restoration.author.as_ref(),
        immutable: &rules,
        now,
    };
    history.record(connection, &restoration.tag, None, Some(digest))?;
    outbox::write(connection, &of, &restoration.outbox, now)?;
    Ok(RestoredTag {
        outcome: RestoreOutcome::Restored,
        warnings: quotas.end(connection)?,
    })
}
