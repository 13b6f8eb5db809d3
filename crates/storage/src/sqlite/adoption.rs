//! Adoption of what another registry wrote.

use oci::RepositoryName;
use rusqlite::{Connection, OptionalExtension};

use super::Sqlite;
use super::columns::{Packed, link, location, location_text, make_repository, name, revive};
use super::manifest_rows::{self, count_change};
use crate::cache::Stale;
use crate::seams::{AdoptionTotals, RepositoryPart};
use crate::{
    AdoptionProgress, AdoptionStage, AdoptionStore, ContentLocation, Error, StorageFuture, StoreId,
    TaggedManifest,
};

impl AdoptionStore for Sqlite {
    fn stage<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionStage> {
        Box::pin(async move {
            let path = location_text(location)?;
            self.read(move |connection| stage(connection, &path)).await
        })
    }

    fn begin<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionProgress> {
        Box::pin(async move {
            let path = location_text(location)?;
            let work = move |connection: &Connection| begin(connection, &path);
            self.write(work, |_| Stale::Nothing).await
        })
    }

    fn adopt(&self, store: StoreId, part: RepositoryPart) -> StorageFuture<'_, ()> {
        let now = self.now();
        Box::pin(self.write(
            move |connection| adopt(connection, store, &part, now),
            |()| Stale::Nothing,
        ))
    }

    fn end(&self, store: StoreId) -> StorageFuture<'_, ()> {
        let work = move |connection: &Connection| {
            connection
                .prepare_cached("UPDATE stores SET complete = 1 WHERE id = ?1")?
                .execute([store.0])?;
            remove_progress(connection, store)
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }

    fn finish<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionStage> {
        Box::pin(async move {
            let path = location_text(location)?;
            let work = move |connection: &Connection| {
                let sql = "UPDATE stores SET final = 1 WHERE path = ?1 AND complete = 1";
                connection.prepare_cached(sql)?.execute([&path])?;
                stage(connection, &path)
            };
            self.write(work, |_| Stale::Nothing).await
        })
    }

    fn unfinished(&self) -> StorageFuture<'_, Vec<ContentLocation>> {
        Box::pin(self.read(|connection| {
            let mut list = connection
                .prepare_cached("SELECT path FROM stores WHERE complete = 0 ORDER BY id")?;
            Ok(list
                .query_map((), |row| row.get(0).map(location))?
                .collect::<Result<_, _>>()?)
        }))
    }
}

fn stage(connection: &Connection, path: &str) -> Result<AdoptionStage, Error> {
    let mut find =
        connection.prepare_cached("SELECT complete, final FROM stores WHERE path = ?1")?;
    let row = find
        .query_row([path], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match row {
        None => AdoptionStage::Unknown,
        Some((false, _)) => AdoptionStage::Reading,
        Some((true, false)) => AdoptionStage::Complete,
        Some((true, true)) => AdoptionStage::Final,
    })
}

fn begin(connection: &Connection, path: &str) -> Result<AdoptionProgress, Error> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO stores (path) VALUES (?1)")?
        .execute([path])?;
    let mut find = connection.prepare_cached("SELECT id, complete FROM stores WHERE path = ?1")?;
    let (store, is_complete) =
        find.query_row([path], |row| Ok((StoreId(row.get(0)?), row.get(1)?)))?;
    if is_complete {
        let sql = "UPDATE stores SET complete = 0, final = 0 WHERE id = ?1";
        connection.prepare_cached(sql)?.execute([store.0])?;
        remove_progress(connection, store)?;
    }
    let mut list =
        connection.prepare_cached("SELECT name FROM adopted_repositories WHERE store = ?1")?;
    let done = list
        .query_map([store.0], |row| name(row, 0))?
        .collect::<Result<_, _>>()?;
    let mut sum = connection.prepare_cached(
        "SELECT coalesce(sum(manifests), 0), coalesce(sum(tags), 0), coalesce(sum(blobs), 0)
         FROM adopted_repositories WHERE store = ?1",
    )?;
    let totals = sum.query_row([store.0], |row| {
        Ok(AdoptionTotals {
            manifests: row.get(0)?,
            tags: row.get(1)?,
            blobs: row.get(2)?,
        })
    })?;
    Ok(AdoptionProgress {
        store,
        done,
        totals,
    })
}

fn remove_progress(connection: &Connection, store: StoreId) -> Result<(), Error> {
    connection
        .prepare_cached("DELETE FROM adopted_repositories WHERE store = ?1")?
        .execute([store.0])?;
    Ok(())
}

/// Whether a repository was read. Another process may be reading the same directory. Changes of a
/// repository since it was read are kept.
fn is_read(
    connection: &Connection,
    store: StoreId,
    repository: &RepositoryName,
) -> Result<bool, Error> {
    let mut find = connection.prepare_cached(
        "SELECT 1 FROM stores s WHERE id = ?1 AND (complete = 1
         OR EXISTS (SELECT 1 FROM adopted_repositories a WHERE a.store = s.id AND a.name = ?2))",
    )?;
    Ok(find.exists((store.0, repository.as_str()))?)
}

fn adopt(
    connection: &Connection,
    store: StoreId,
    part: &RepositoryPart,
    now: i64,
) -> Result<(), Error> {
    if is_read(connection, store, &part.repository)? {
        return Ok(());
    }
    let repository = make_repository(connection, &part.repository)?;
    for blob in &part.blobs {
        let generation = match current(connection, Packed(blob.digest))? {
            // It may be marked: nothing refers to it until the manifests are stored.
            Some(generation) => {
                revive(connection, generation, now)?;
                generation
            }
            None => {
                connection
                    .prepare_cached(
                        "INSERT INTO blobs (digest, size, store, key, state, since, leased_at)
                         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5)",
                    )?
                    .execute((Packed(blob.digest), blob.size, store.0, &blob.key, now))?;
                connection.last_insert_rowid()
            }
        };
        link(connection, repository, generation)?;
    }
    for manifest in &part.manifests {
        // Its blobs are not required: the other registry served it without them, too.
        manifest_rows::store(connection, repository, manifest, now)?;
    }
    let mut tag_it = connection.prepare_cached(
        "INSERT OR IGNORE INTO tags SELECT ?1, ?2, id, ?4 FROM manifests WHERE repository = ?1 AND digest = ?3",
    )?;
    for TaggedManifest { tag, digest } in &part.tags {
        tag_it.execute((repository, tag.as_str(), Packed(*digest), now))?;
    }
    if let Some(totals) = part.totals {
        let AdoptionTotals {
            manifests,
            tags,
            blobs,
        } = totals;
        let sql = "INSERT OR IGNORE INTO adopted_repositories (store, name, manifests, tags, blobs)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        connection.prepare_cached(sql)?.execute((
            store.0,
            part.repository.as_str(),
            manifests,
            tags,
            blobs,
        ))?;
    }
    count_change(connection, repository)
}

fn current(connection: &Connection, digest: Packed) -> Result<Option<i64>, Error> {
    let mut find = connection
        .prepare_cached("SELECT generation FROM blobs WHERE digest = ?1 AND state IN (1, 2)")?;
    Ok(find.query_row([digest], |row| row.get(0)).optional()?)
}
