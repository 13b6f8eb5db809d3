//! Garbage collection's queries. Garbage is looked for on a snapshot, which blocks no writer. It is
//! removed in short transactions, which check again that it still is garbage.

use std::collections::HashSet;

use oci::{Digest, RepositoryName};
use rusqlite::{Connection, OptionalExtension};

use super::columns::{Packed, name};
use super::objects::{forget, list_unused};
use super::unneeded_manifests::{UnneededManifests, UntaggedCutoffs, may_have_unneeded, unneeded};
use super::{Sqlite, seconds};
use crate::cache::Stale;
use crate::collection::{
    CollectionCursor, CollectionHold, CollectionPolicy, DeletableBlob, Garbage, GarbageBlob,
    GarbageManifest, MarkStep, PruneStep,
};
use crate::{CollectionStore, Error, StorageFuture, StoreId, UploadId};

/// Repositories in one step of a walk.
const REPOSITORIES: i64 = 64;
/// Rows in one transaction.
const ROWS: i64 = 500;
/// A pending row younger than this, in seconds, may belong to a running upload, however short the
/// grace time is.
const MIN_PENDING_AGE: i64 = 3600;

// A condition that seems redundant (`state <> 1`) is that of a partial index. SQLite uses the index
// only if the query repeats it literally.

/// Whether a blob `b` may be removed: nothing refers to it, and its content is ours.
const UNREFERRED: &str =
    "NOT EXISTS (SELECT 1 FROM manifest_references f WHERE f.digest = b.digest)
    AND (b.store = 0 OR b.store IN (SELECT id FROM stores WHERE final = 1))";

/// Blobs of repository ?1 to which only other repositories refer, with leases older than ?2.
const UNUSED_LINKS: &str = "SELECT l.blob FROM links l JOIN blobs b ON b.generation = l.blob
    WHERE l.repository = ?1 AND b.leased_at < ?2
    AND NOT EXISTS (SELECT 1 FROM manifest_references f WHERE f.digest = b.digest AND f.repository = ?1)
    AND EXISTS (SELECT 1 FROM manifest_references f WHERE f.digest = b.digest)";

impl CollectionStore for Sqlite {
    fn plan(&self, policy: CollectionPolicy) -> StorageFuture<'_, Garbage> {
        let cutoffs = self.cutoffs(policy);
        let expired_before = self.upload_expiry();
        Box::pin(self.read(move |connection| plan(connection, cutoffs, expired_before)))
    }

    fn prune(
        &self,
        policy: CollectionPolicy,
        after: Option<CollectionCursor>,
    ) -> StorageFuture<'_, PruneStep> {
        let (cutoffs, after) = (self.cutoffs(policy), number(after));
        Box::pin(async move {
            let repositories = self
                .read(move |connection| repositories(connection, after))
                .await?;
            let mut manifests = Vec::new();
            for RepositoryRow { id, name } in &repositories {
                let removed = self.prune_repository(*id, cutoffs).await?;
                manifests.extend(removed.into_iter().map(|digest| GarbageManifest {
                    repository: name.clone(),
                    digest,
                }));
            }
            let last = repositories.last().map(|row| row.id);
            Ok(PruneStep {
                manifests,
                next: last.map(CollectionCursor::new),
            })
        })
    }

    fn mark(
        &self,
        policy: CollectionPolicy,
        after: Option<CollectionCursor>,
    ) -> StorageFuture<'_, MarkStep> {
        let (Cutoffs { leased_before, .. }, now) = (self.cutoffs(policy), self.now());
        let after = number(after);
        Box::pin(async move {
            let IdleBlobs { idle, last } = self
                .read(move |connection| idle_blobs(connection, leased_before, after))
                .await?;
            let next = last.map(CollectionCursor::new);
            if idle.is_empty() {
                return Ok(MarkStep { marked: 0, next });
            }
            let work = move |connection: &Connection| {
                let mut mark = connection.prepare_cached(&format!(
                    "UPDATE blobs AS b SET state = 2, since = ?2
                     WHERE generation = ?1 AND state = 1 AND leased_at < ?3 AND {UNREFERRED}"
                ))?;
                idle.iter().try_fold(0, |count, generation| {
                    Ok(count + mark.execute([*generation, now, leased_before])? as u64)
                })
            };
            let marked = self.write(work, |_| Stale::Everything).await?;
            Ok(MarkStep { marked, next })
        })
    }

    fn sweep(&self, policy: CollectionPolicy) -> StorageFuture<'_, u64> {
        let (cutoffs, now) = (self.cutoffs(policy), self.now());
        let pending_before = cutoffs.leased_before.min(now - MIN_PENDING_AGE);
        Box::pin(self.write(
            move |connection| sweep(connection, cutoffs.marked_by, pending_before, now),
            |moved| match moved {
                0 => Stale::Nothing,
                _ => Stale::Everything,
            },
        ))
    }

    fn deletable(&self, limit: u32) -> StorageFuture<'_, Vec<DeletableBlob>> {
        let now = self.now();
        let deleted_by = now.saturating_sub(seconds(self.shared.retention.retain));
        Box::pin(self.read(move |connection| {
            if is_held(connection, now)? {
                return Ok(Vec::new());
            }
            let mut list = connection.prepare_cached(
                "SELECT generation, digest, size, store, key FROM blobs
                 WHERE state = 3 AND state <> 1 AND since <= ?2 ORDER BY generation LIMIT ?1",
            )?;
            let deletable = list.query_map([i64::from(limit), deleted_by], |row| {
                let digest = row.get::<_, Packed>(1)?.0;
                let store = StoreId(row.get(3)?);
                Ok(DeletableBlob {
                    generation: row.get(0)?,
                    digest,
                    size: row.get(2)?,
                    store,
                    key: row.get(4)?,
                })
            })?;
            Ok(deletable.collect::<Result<_, _>>()?)
        }))
    }

    fn purge(&self, deletable: Vec<DeletableBlob>) -> StorageFuture<'_, ()> {
        let work = move |connection: &Connection| {
            let mut purge = connection
                .prepare_cached("DELETE FROM blobs WHERE generation = ?1 AND state = 3")?;
            deletable
                .iter()
                .try_for_each(|blob| Ok(purge.execute([blob.generation]).map(drop)?))
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }

    fn unused_objects(&self, limit: u32) -> StorageFuture<'_, Vec<String>> {
        Box::pin(self.read(move |connection| list_unused(connection, limit)))
    }

    fn forget_objects(&self, names: Vec<String>) -> StorageFuture<'_, ()> {
        Box::pin(self.write(
            move |connection| forget(connection, &names),
            |()| Stale::Nothing,
        ))
    }

    fn hold(&self, hold: CollectionHold) -> StorageFuture<'_, ()> {
        let until = self.now().saturating_add(seconds(hold.lasting));
        let work = move |connection: &Connection| {
            let mut insert = connection
                .prepare_cached("INSERT OR REPLACE INTO collection_holds VALUES (?1, ?2)")?;
            Ok(insert.execute((hold.id, until)).map(drop)?)
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }

    fn release(&self, hold: CollectionHold) -> StorageFuture<'_, ()> {
        let work = move |connection: &Connection| {
            let mut delete =
                connection.prepare_cached("DELETE FROM collection_holds WHERE id = ?1")?;
            Ok(delete.execute([hold.id]).map(drop)?)
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }
}

/// The number of the row after which a walk continues. The first number is 1.
fn number(cursor: Option<CollectionCursor>) -> i64 {
    cursor.map_or(0, CollectionCursor::number)
}

/// The times that decide, in seconds since the Unix epoch.
#[derive(Clone, Copy)]
struct Cutoffs {
    /// A lease from before this has ended.
    leased_before: i64,
    /// A blob that was marked by then has waited long enough.
    marked_by: i64,
    untagged: UntaggedCutoffs,
}

impl Sqlite {
    fn cutoffs(&self, policy: CollectionPolicy) -> Cutoffs {
        let now = self.now();
        let before = |age| now.saturating_sub(seconds(age));
        let untagged = UntaggedCutoffs {
            now,
            leased_before: before(policy.grace),
            // A lease keeps a manifest for the grace time, too.
            untagged_before: policy.untagged.map(|age| before(age.max(policy.grace))),
        };
        Cutoffs {
            leased_before: before(policy.grace),
            marked_by: before(policy.wait),
            untagged,
        }
    }

    /// Removes what a repository does not need. A repository that changes meanwhile is left to the
    /// next pass.
    async fn prune_repository(&self, id: i64, cutoffs: Cutoffs) -> Result<Vec<Digest>, Error> {
        let found = self.read(move |connection| {
            let empty = is_empty(connection, id)?;
            let links = any_unused_link(connection, id, cutoffs.leased_before)?;
            let expired = any_expired_tombstone(connection, id, cutoffs.untagged.now)?;
            let unneeded = match may_have_unneeded(connection, id, cutoffs.untagged)? {
                true => Some(unneeded(connection, id, cutoffs.untagged)?),
                false => None,
            };
            Ok((
                empty || links || expired,
                unneeded.filter(|unneeded| !unneeded.manifests.is_empty()),
            ))
        });
        let (tidy, unneeded) = found.await?;
        if !tidy && unneeded.is_none() {
            return Ok(Vec::new());
        }
        let work = move |connection: &Connection| {
            let gone = match &unneeded {
                Some(unneeded) if version(connection, id)? == Some(unneeded.version) => {
                    remove(connection, unneeded)?
                }
                _ => Vec::new(),
            };
            purge_tombstones(connection, id, cutoffs.untagged.now)?;
            unlink_unused(connection, id, cutoffs.leased_before)?;
            remove_empty(connection, id)?;
            Ok(gone)
        };
        self.write(work, |_| Stale::Everything).await
    }
}

struct RepositoryRow {
    id: i64,
    name: RepositoryName,
}

fn repositories(connection: &Connection, after: i64) -> Result<Vec<RepositoryRow>, Error> {
    let mut list = connection
        .prepare_cached("SELECT id, name FROM repositories WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let rows = list.query_map([after, REPOSITORIES], |row| {
        Ok(RepositoryRow {
            id: row.get(0)?,
            name: name(row, 1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn version(connection: &Connection, repository: i64) -> Result<Option<i64>, Error> {
    let mut find = connection.prepare_cached("SELECT version FROM repositories WHERE id = ?1")?;
    Ok(find.query_row([repository], |row| row.get(0)).optional()?)
}

fn remove(connection: &Connection, unneeded: &UnneededManifests) -> Result<Vec<Digest>, Error> {
    let mut delete = connection.prepare_cached("DELETE FROM manifests WHERE id = ?1")?;
    for (id, _) in &unneeded.manifests {
        delete.execute([id])?;
    }
    Ok(unneeded
        .manifests
        .iter()
        .map(|(_, digest)| *digest)
        .collect())
}

fn any_unused_link(connection: &Connection, repository: i64, before: i64) -> Result<bool, Error> {
    Ok(connection
        .prepare_cached(&format!("{UNUSED_LINKS} LIMIT 1"))?
        .exists([repository, before])?)
}

fn unlink_unused(connection: &Connection, repository: i64, before: i64) -> Result<(), Error> {
    let sql = format!("DELETE FROM links WHERE repository = ?1 AND blob IN ({UNUSED_LINKS})");
    connection
        .prepare_cached(&sql)?
        .execute([repository, before])?;
    Ok(())
}

/// Tombstones of repository ?1 that have expired at ?2 and are of no use to collection: their manifest
/// may stay, has a tag again, or was used by a client that may push. Times are whole seconds, so what
/// happened in the second of the removal counts as later.
const EXPIRED_TOMBSTONES: &str =
    "SELECT d.id FROM tag_tombstones d JOIN manifests m ON m.id = d.manifest
    WHERE d.repository = ?1 AND d.expires_at <= ?2 AND (d.releases = 0 OR m.leased_at >= d.removed_at
      OR EXISTS (SELECT 1 FROM tags t WHERE t.manifest = d.manifest))";

fn any_expired_tombstone(
    connection: &Connection,
    repository: i64,
    now: i64,
) -> Result<bool, Error> {
    let sql = format!("{EXPIRED_TOMBSTONES} LIMIT 1");
    Ok(connection.prepare_cached(&sql)?.exists([repository, now])?)
}

fn purge_tombstones(connection: &Connection, repository: i64, now: i64) -> Result<(), Error> {
    let sql = format!("DELETE FROM tag_tombstones WHERE id IN ({EXPIRED_TOMBSTONES})");
    connection
        .prepare_cached(&sql)?
        .execute([repository, now])?;
    Ok(())
}

const EMPTY: &str = "SELECT id FROM repositories r WHERE id = ?1 AND manifests = 0
    AND NOT EXISTS (SELECT 1 FROM links l WHERE l.repository = r.id)";

fn is_empty(connection: &Connection, repository: i64) -> Result<bool, Error> {
    Ok(connection.prepare_cached(EMPTY)?.exists([repository])?)
}

fn remove_empty(connection: &Connection, repository: i64) -> Result<(), Error> {
    let sql = format!("DELETE FROM repositories WHERE id IN ({EMPTY})");
    connection.prepare_cached(&sql)?.execute([repository])?;
    Ok(())
}

/// Blobs without a lease, to which nothing refers.
struct IdleBlobs {
    /// Their generations.
    idle: Vec<i64>,
    /// The last blob that was looked at.
    last: Option<i64>,
}

fn idle_blobs(connection: &Connection, before: i64, after: i64) -> Result<IdleBlobs, Error> {
    let mut list = connection.prepare_cached(&format!(
        "SELECT generation, state = 1 AND leased_at < ?1 AND {UNREFERRED}
         FROM blobs b WHERE generation > ?2 ORDER BY generation LIMIT ?3"
    ))?;
    let (mut idle, mut last) = (Vec::new(), None);
    let mut rows = list.query([before, after, ROWS])?;
    while let Some(row) = rows.next()? {
        let generation = row.get(0)?;
        last = Some(generation);
        if row.get(1)? {
            idle.push(generation);
        }
    }
    Ok(IdleBlobs { idle, last })
}

/// A pending row whose key no upload has. As long as an upload has it, the upload's row leads to it.
const ABANDONED: &str =
    "NOT EXISTS (SELECT 1 FROM uploads u WHERE u.id = b.upload AND u.objects IS NOT NULL)";

fn sweep(
    connection: &Connection,
    marked_by: i64,
    pending_before: i64,
    now: i64,
) -> Result<u64, Error> {
    if is_held(connection, now)? {
        return Ok(0);
    }
    let mut list = connection.prepare_cached(&format!(
        "SELECT generation, state = 0 OR {UNREFERRED} FROM blobs b
         WHERE state <> 1 AND ((state = 2 AND since <= ?1) OR (state = 0 AND since < ?2 AND {ABANDONED})) LIMIT ?3"
    ))?;
    let rows = list.query_map([marked_by, pending_before, ROWS], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let rows = rows.collect::<Result<Vec<(i64, bool)>, _>>()?;
    let mut unlink = connection.prepare_cached("DELETE FROM links WHERE blob = ?1")?;
    let mut set = connection.prepare_cached(
        "UPDATE blobs SET state = ?2, since = ?3, upload = NULL WHERE generation = ?1",
    )?;
    for (generation, goes) in &rows {
        if *goes {
            unlink.execute([generation])?;
        }
        set.execute([*generation, if *goes { 3 } else { 1 }, now])?;
    }
    Ok(rows.len() as u64)
}

fn is_held(connection: &Connection, now: i64) -> Result<bool, Error> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM collection_holds WHERE until > ?1")?
        .exists([now])?)
}

fn plan(connection: &Connection, cutoffs: Cutoffs, expired_before: i64) -> Result<Garbage, Error> {
    let mut garbage = Garbage::default();
    let mut gone = HashSet::new();
    let mut after = 0;
    loop {
        let some = repositories(connection, after)?;
        let Some(last) = some.last() else { break };
        after = last.id;
        for RepositoryRow { id, name } in &some {
            if !may_have_unneeded(connection, *id, cutoffs.untagged)? {
                continue;
            }
            for (manifest, digest) in unneeded(connection, *id, cutoffs.untagged)?.manifests {
                gone.insert(manifest);
                garbage.manifests.push(GarbageManifest {
                    repository: name.clone(),
                    digest,
                });
            }
        }
    }
    garbage.blobs = idle_without(connection, cutoffs.leased_before, &gone)?;
    let mut list = connection
        .prepare_cached("SELECT id FROM uploads WHERE moved_at < ?1 ORDER BY moved_at")?;
    let uploads = list.query_map([expired_before], |row| row.get(0).map(UploadId::from_bytes))?;
    garbage.uploads = uploads.collect::<Result<_, _>>()?;
    Ok(garbage)
}

/// Blobs without a lease, to which only the manifests `gone` refer.
fn idle_without(
    connection: &Connection,
    before: i64,
    gone: &HashSet<i64>,
) -> Result<Vec<GarbageBlob>, Error> {
    let mut blobs = connection.prepare_cached(
        "SELECT digest, size FROM blobs b WHERE state IN (1, 2) AND leased_at < ?1
         AND (b.store = 0 OR b.store IN (SELECT id FROM stores WHERE final = 1)) ORDER BY generation",
    )?;
    let mut referring =
        connection.prepare_cached("SELECT manifest FROM manifest_references WHERE digest = ?1")?;
    let mut idle = Vec::new();
    let mut rows = blobs.query([before])?;
    while let Some(row) = rows.next()? {
        let digest: Packed = row.get(0)?;
        let mut manifests = referring.query_map([digest], |row| row.get::<_, i64>(0))?;
        let needed = manifests.try_fold(false, |needed, manifest| {
            Ok::<_, Error>(needed || !gone.contains(&manifest?))
        })?;
        if !needed {
            idle.push(GarbageBlob {
                digest: digest.0,
                size: row.get(1)?,
            });
        }
    }
    Ok(idle)
}
