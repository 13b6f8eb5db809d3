//! Everything that is stored.

use bytes::Bytes;
use oci::{Digest, RepositoryName};

use super::PostgresMetadata;
use super::columns::{BLOB, blob, column, digest, invalid, name};
use super::pages::{after, begin, list, of_repository, wanted};
use crate::packed_digest::pack;
use crate::{
    AffectedRepository, Blob, Error, Inventory, ListPage, MetadataStatistics, PageRequest,
    StorageFuture, StoredManifest, TaggedManifest,
};

/// The largest number of rows that are read to find affected repositories.
const AFFECTED: i64 = 1000;

impl Inventory for PostgresMetadata {
    fn statistics(&self) -> MetadataStatistics {
        MetadataStatistics {
            looks: Some(self.shared.look.statistics()),
            ..self.shared.cache.statistics()
        }
    }

    fn blobs(&self, page: PageRequest<i64>) -> StorageFuture<'_, ListPage<Blob>> {
        Box::pin(async move {
            let sql = format!(
                "SELECT {BLOB} FROM blobs b WHERE b.generation > $1 AND b.state IN (1, 2)
                 ORDER BY b.generation LIMIT $2"
            );
            let after = page.after.unwrap_or_default();
            list(self, &sql, &[&after, &wanted(&page)], page.limit, |row| {
                blob(row, 0)
            })
            .await
        })
    }

    fn linked<'a>(
        &'a self,
        name: &'a RepositoryName,
        page: PageRequest<i64>,
    ) -> StorageFuture<'a, ListPage<Blob>> {
        Box::pin(async move {
            let sql = format!(
                "SELECT b.* FROM repositories r LEFT JOIN LATERAL (
                     SELECT {BLOB} FROM links l JOIN blobs b ON b.generation = l.blob
                     WHERE l.repository = r.id AND l.blob > $2 AND b.state IN (1, 2)
                     ORDER BY l.blob LIMIT $3
                 ) b ON true WHERE r.name = $1 ORDER BY b.generation"
            );
            let after = page.after.unwrap_or_default();
            let rows = self
                .query(&sql, &[&name.as_str(), &after, &wanted(&page)])
                .await?;
            of_repository(&rows, page.limit, |row| blob(row, 0))
        })
    }

    fn manifests<'a>(
        &'a self,
        name: &'a RepositoryName,
        page: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<StoredManifest>> {
        Box::pin(async move {
            let sql = "SELECT m.* FROM repositories r LEFT JOIN LATERAL (
                    SELECT digest, media_type, bytes FROM manifests
                    WHERE repository = r.id AND digest > $2 ORDER BY digest LIMIT $3
                ) m ON true WHERE r.name = $1 ORDER BY m.digest";
            let (wanted, limit) = (wanted(&page), page.limit);
            let after = after(page.after);
            let rows = self.query(sql, &[&name.as_str(), &after, &wanted]).await?;
            of_repository(&rows, limit, |row| {
                Ok(StoredManifest {
                    digest: digest(row, 0)?,
                    media_type: column(row, 1)?,
                    bytes: Bytes::copy_from_slice(column(row, 2)?),
                })
            })
        })
    }

    fn tags<'a>(
        &'a self,
        name: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<TaggedManifest>> {
        Box::pin(async move {
            let sql = "SELECT t.* FROM repositories r LEFT JOIN LATERAL (
                    SELECT t.name, m.digest FROM tags t JOIN manifests m ON m.id = t.manifest
                    WHERE t.repository = r.id AND t.name > $2 ORDER BY t.name LIMIT $3
                ) t ON true WHERE r.name = $1 ORDER BY t.name";
            let after = begin(&page);
            let rows = self
                .query(sql, &[&name.as_str(), &after, &wanted(&page)])
                .await?;
            of_repository(&rows, page.limit, |row| {
                let tag: &str = column(row, 0)?;
                let tag = tag
                    .parse()
                    .map_err(|_| invalid("read a tag of the database"))?;
                let digest = digest(row, 1)?;
                Ok(TaggedManifest { tag, digest })
            })
        })
    }

    fn affected<'a>(&'a self, digest: &'a Digest) -> StorageFuture<'a, Vec<AffectedRepository>> {
        Box::pin(affected(self, digest))
    }
}

async fn affected(
    metadata: &PostgresMetadata,
    digest: &Digest,
) -> Result<Vec<AffectedRepository>, Error> {
    // From the manifests that refer to it, to the indexes that refer to these.
    let sql = "WITH RECURSIVE needing (id) AS (
            SELECT manifest FROM manifest_references WHERE digest = $1
            UNION SELECT id FROM manifests WHERE digest = $1
            UNION SELECT f.manifest FROM needing n JOIN manifests m ON m.id = n.id
                JOIN manifest_references f ON f.digest = m.digest AND f.repository = m.repository
        )
        SELECT r.name, t.name AS tag FROM needing n JOIN manifests m ON m.id = n.id
            JOIN repositories r ON r.id = m.repository LEFT JOIN tags t ON t.manifest = m.id
        UNION SELECT r.name, NULL FROM blobs b JOIN links l ON l.blob = b.generation
            JOIN repositories r ON r.id = l.repository WHERE b.digest = $1 AND b.state IN (1, 2)
        ORDER BY 1, 2 NULLS FIRST LIMIT $2";
    let mut all: Vec<AffectedRepository> = Vec::new();
    for row in metadata.query(sql, &[&pack(digest), &AFFECTED]).await? {
        let repository = name(&row, 0)?;
        let tag: Option<String> = column(&row, 1)?;
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
