//! Everything there is.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use oci::{Digest, RepositoryName, Tag};
use rusqlite::{Connection, OpenFlags};

use super::columns::{BLOB, Packed, blob, name, repository};
use super::{Sqlite, pages};
use crate::{
    AffectedRepository, Blob, Error, Inventory, ListPage, PageRequest, StorageFuture, StoreId,
    StoredManifest,
};

impl Inventory for Sqlite {
    fn blobs(&self, after: i64, limit: u32) -> StorageFuture<'_, Vec<Blob>> {
        Box::pin(self.read(move |connection| {
            let mut list = connection.prepare_cached(&format!(
                "SELECT {BLOB} FROM blobs b WHERE b.generation > ?1 AND b.state IN (1, 2) ORDER BY b.generation LIMIT ?2"
            ))?;
            Ok(list.query_map((after, limit), blob)?.collect::<Result<_, _>>()?)
        }))
    }

    fn manifests<'a>(
        &'a self,
        name: &'a RepositoryName,
        page: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<StoredManifest>> {
        let name = name.clone();
        Box::pin(self.read(move |connection| {
            let id = repository(connection, &name)?.ok_or(Error::RepositoryUnknown)?;
            let after = pages::after(page.after);
            let sql = "SELECT digest, media_type, bytes FROM manifests
                WHERE repository = ?1 AND digest > ?2 ORDER BY digest LIMIT ?3";
            pages::list(
                connection,
                sql,
                &[&id, &after, &pages::wanted(&page)],
                page.limit,
                |row| {
                    let bytes = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
                    Ok(StoredManifest {
                        digest: row.get::<_, Packed>(0)?.0,
                        media_type: row.get(1)?,
                        bytes,
                    })
                },
            )
        }))
    }

    fn tags<'a>(
        &'a self,
        name: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<(Tag, Digest)>> {
        let name = name.clone();
        Box::pin(self.read(move |connection| {
            let id = repository(connection, &name)?.ok_or(Error::RepositoryUnknown)?;
            let after = page.after.as_deref().unwrap_or_default();
            let sql = "SELECT t.name, m.digest FROM tags t JOIN manifests m ON m.id = t.manifest
                WHERE t.repository = ?1 AND t.name > ?2 ORDER BY t.name LIMIT ?3";
            pages::list(
                connection,
                sql,
                &[&id, &after, &pages::wanted(&page)],
                page.limit,
                |row| {
                    let tag = row
                        .get::<_, String>(0)?
                        .parse()
                        .map_err(|_| rusqlite::Error::InvalidQuery)?;
                    Ok((tag, row.get::<_, Packed>(1)?.0))
                },
            )
        }))
    }

    fn linked<'a>(
        &'a self,
        name: &'a RepositoryName,
        after: i64,
        limit: u32,
    ) -> StorageFuture<'a, Vec<Blob>> {
        let name = name.clone();
        Box::pin(self.read(move |connection| {
            let id = repository(connection, &name)?.ok_or(Error::RepositoryUnknown)?;
            let mut list = connection.prepare_cached(&format!(
                "SELECT {BLOB} FROM links l JOIN blobs b ON b.generation = l.blob
                 WHERE l.repository = ?1 AND l.blob > ?2 AND b.state IN (1, 2) ORDER BY l.blob LIMIT ?3"
            ))?;
            Ok(list.query_map((id, after, limit), blob)?.collect::<Result<_, _>>()?)
        }))
    }

    fn affected<'a>(&'a self, digest: &'a Digest) -> StorageFuture<'a, Vec<AffectedRepository>> {
        let digest = Packed(*digest);
        Box::pin(self.read(move |connection| affected(connection, digest)))
    }

    fn copy_to<'a>(&'a self, path: &'a Path) -> StorageFuture<'a, Vec<(Blob, String)>> {
        let (from, to) = (self.shared.database.path().to_owned(), path.to_owned());
        Box::pin(async move {
            let task = tokio::task::spawn_blocking(move || copy(&from, &to));
            task.await.unwrap_or_else(Error::ended)
        })
    }
}

/// Rows that are read to say who is affected.
const AFFECTED: i64 = 1000;

fn affected(connection: &Connection, digest: Packed) -> Result<Vec<AffectedRepository>, Error> {
    // From the manifests that refer to it, up to the indexes that refer to these.
    let mut list = connection.prepare_cached(
        "WITH RECURSIVE needing(id) AS (
           SELECT manifest FROM manifest_references WHERE digest = ?1
           UNION SELECT id FROM manifests WHERE digest = ?1
           UNION SELECT f.manifest FROM needing n JOIN manifests m ON m.id = n.id
             JOIN manifest_references f ON f.digest = m.digest AND f.repository = m.repository
         )
         SELECT r.name, t.name FROM needing n JOIN manifests m ON m.id = n.id
           JOIN repositories r ON r.id = m.repository LEFT JOIN tags t ON t.manifest = m.id
         UNION SELECT r.name, NULL FROM blobs b JOIN links l ON l.blob = b.generation
           JOIN repositories r ON r.id = l.repository WHERE b.digest = ?1 AND b.state IN (1, 2)
         ORDER BY 1, 2 LIMIT ?2",
    )?;
    let mut all: Vec<AffectedRepository> = Vec::new();
    let mut rows = list.query((digest, AFFECTED))?;
    while let Some(row) = rows.next()? {
        let repository = name(row, 0)?;
        let tag: Option<String> = row.get(1)?;
        match all.last_mut() {
            Some(last) if last.repository == repository => last.tags.extend(tag),
            _ => all.push(AffectedRepository {
                repository,
                tags: tag.into_iter().collect(),
            }),
        }
    }
    Ok(all)
}

fn copy(from: &Path, to: &Path) -> Result<Vec<(Blob, String)>, Error> {
    let path = to.to_str().ok_or_else(|| {
        Error::io("copy the database")(std::io::ErrorKind::InvalidFilename.into())
    })?;
    // Made first, so that it is nobody else's to read from its first byte on. SQLite writes into an
    // empty file.
    let file = File::create_new(to).map_err(Error::io("copy the database"))?;
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(Error::io("copy the database"))?;
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    source.busy_timeout(database::BUSY_TIMEOUT)?;
    source.execute("VACUUM INTO ?1", [path])?;
    let mut copy = Connection::open(to)?;
    let blobs = make_whole(&mut copy)?;
    copy.close().map_err(|(_, error)| error)?;
    file.sync_all().map_err(Error::io("copy the database"))?;
    Ok(blobs)
}

/// Leaves out what was under way, and makes every blob the copy's own.
fn make_whole(copy: &mut Connection) -> Result<Vec<(Blob, String)>, Error> {
    let transaction = copy.transaction()?;
    transaction.execute_batch(
        "DELETE FROM uploads; DELETE FROM collection_holds; DELETE FROM blobs WHERE state IN (0, 3);
         DELETE FROM adopted_repositories; DELETE FROM stores; UPDATE blobs SET state = 1;",
    )?;
    let blobs = {
        let mut list =
            transaction.prepare(&format!("SELECT {BLOB} FROM blobs b ORDER BY b.generation"))?;
        let mut own =
            transaction.prepare("UPDATE blobs SET store = 0, key = ?2 WHERE generation = ?1")?;
        let rows = list.query_map((), blob)?.collect::<Result<Vec<_>, _>>()?;
        let mut blobs = Vec::with_capacity(rows.len());
        for blob in rows {
            let key = if blob.store == StoreId::OWN {
                blob.key.clone()
            } else {
                Blob::new_key(&blob.digest, blob.generation)
            };
            own.execute((blob.generation, &key))?;
            blobs.push((blob, key));
        }
        blobs
    };
    transaction.commit()?;
    Ok(blobs)
}
