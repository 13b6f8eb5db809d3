//! Rows for what another registry has written.

use rusqlite::{Connection, OptionalExtension};

use super::cache::Stale;
use super::columns::{Packed, link, make_repository};
use super::{Sqlite, manifests, push};
use crate::distribution::Adopted;
use crate::{Adoption, Answer, Error, StoreId};

impl Adoption for Sqlite {
    fn begin<'a>(&'a self, path: &'a str) -> Answer<'a, (StoreId, Option<String>)> {
        let path = path.to_owned();
        let work = move |connection: &Connection| {
            connection.prepare_cached("INSERT OR IGNORE INTO stores (path) VALUES (?1)")?.execute([&path])?;
            let mut find = connection.prepare_cached("SELECT id, progress FROM stores WHERE path = ?1")?;
            Ok(find.query_row([&path], |row| Ok((StoreId(row.get(0)?), row.get(1)?)))?)
        };
        Box::pin(self.write(work, |_| Stale::Nothing))
    }

    fn adopt(&self, store: StoreId, part: Adopted) -> Answer<'_, ()> {
        let now = self.now();
        Box::pin(self.write(move |connection| adopt(connection, store, &part, now), |()| Stale::Nothing))
    }

    fn progress(&self, store: StoreId, repository: Option<String>) -> Answer<'_, ()> {
        let work = move |connection: &Connection| {
            let mut set = connection.prepare_cached("UPDATE stores SET progress = ?2 WHERE id = ?1")?;
            Ok(set.execute((store.0, &repository)).map(drop)?)
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }

    fn finish<'a>(&'a self, path: &'a str) -> Answer<'a, bool> {
        let path = path.to_owned();
        let work = move |connection: &Connection| {
            Ok(connection.prepare_cached("UPDATE stores SET final = 1 WHERE path = ?1")?.execute([&path])? > 0)
        };
        Box::pin(self.write(work, |_| Stale::Nothing))
    }
}

fn adopt(connection: &Connection, store: StoreId, part: &Adopted, now: i64) -> Result<(), Error> {
    let repository = make_repository(connection, &part.repository)?;
    for blob in &part.blobs {
        let generation = match current(connection, Packed(blob.digest))? {
            Some(generation) => generation,
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
        // Whether its blobs are there is reported, not required: the other registry served it, too.
        push::take_in(connection, repository, manifest, now)?;
    }
    let mut tag_it = connection.prepare_cached(
        "INSERT OR IGNORE INTO tags SELECT ?1, ?2, id, ?4 FROM manifests WHERE repository = ?1 AND digest = ?3",
    )?;
    for (tag, digest) in &part.tags {
        tag_it.execute((repository, tag.as_str(), Packed(*digest), now))?;
    }
    manifests::count_change(connection, repository)
}

fn current(connection: &Connection, digest: Packed) -> Result<Option<i64>, Error> {
    let mut find = connection.prepare_cached("SELECT generation FROM blobs WHERE digest = ?1 AND state IN (1, 2)")?;
    Ok(find.query_row([digest], |row| row.get(0)).optional()?)
}
