//! Everything that is stored.

use bytes::Bytes;
use oci::{Digest, RepositoryName};
use rusqlite::Connection;
use rusqlite::types::ToSql;

use super::columns::{BLOB, Packed, blob, name, repository};
use super::{Sqlite, pages};
use crate::{
    AffectedRepository, Blob, Error, Inventory, ListPage, MetadataStatistics, PageRequest,
    StorageFuture, StoredManifest, TaggedManifest,
};

impl Inventory for Sqlite {
    fn statistics(&self) -> MetadataStatistics {
        self.shared.cache.statistics()
    }

    fn blobs(&self, page: PageRequest<i64>) -> StorageFuture<'_, ListPage<Blob>> {
        Box::pin(self.read(move |connection| {
            let sql = format!(
                "SELECT {BLOB} FROM blobs b WHERE b.generation > ?1 AND b.state IN (1, 2)
                 ORDER BY b.generation LIMIT ?2"
            );
            let after = page.after.unwrap_or_default();
            let parameters: [&dyn ToSql; 2] = [&after, &pages::wanted(&page)];
            pages::list(connection, &sql, &parameters, page.limit, blob)
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
    ) -> StorageFuture<'a, ListPage<TaggedManifest>> {
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
                    let digest = row.get::<_, Packed>(1)?.0;
                    Ok(TaggedManifest { tag, digest })
                },
            )
        }))
    }

    fn linked<'a>(
        &'a self,
        name: &'a RepositoryName,
        page: PageRequest<i64>,
    ) -> StorageFuture<'a, ListPage<Blob>> {
        let name = name.clone();
        Box::pin(self.read(move |connection| {
            let id = repository(connection, &name)?.ok_or(Error::RepositoryUnknown)?;
            let sql = format!(
                "SELECT {BLOB} FROM links l JOIN blobs b ON b.generation = l.blob
                 WHERE l.repository = ?1 AND l.blob > ?2 AND b.state IN (1, 2)
                 ORDER BY l.blob LIMIT ?3"
            );
            let after = page.after.unwrap_or_default();
            let parameters: [&dyn ToSql; 3] = [&id, &after, &pages::wanted(&page)];
            pages::list(connection, &sql, &parameters, page.limit, blob)
        }))
    }

    fn affected<'a>(&'a self, digest: &'a Digest) -> StorageFuture<'a, Vec<AffectedRepository>> {
        let digest = Packed(*digest);
        Box::pin(self.read(move |connection| affected(connection, digest)))
    }
}

/// The largest number of rows that are read to find affected repositories.
const AFFECTED: i64 = 1000;

fn affected(connection: &Connection, digest: Packed) -> Result<Vec<AffectedRepository>, Error> {
    // From the manifests that refer to it, to the indexes that refer to these.
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
