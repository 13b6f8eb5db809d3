//! Manifests and tags.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use oci::{Digest, Reference, RepositoryName};
use postgresql::Row;

use super::columns::{column, digest};
use super::manifest_changes::ChangeColumns;
use super::{PostgresMetadata, pages};
use crate::packed_digest::pack;
use crate::{
    ChangeSet, Error, ListPage, ManifestChange, ManifestStore, PageRequest, QuotaWarning,
    ReferrerEntry, StorageFuture, StoredManifest,
};

const COLUMNS: &str =
    "m.id, r.id, extract(epoch FROM coalesce($1::timestamptz, now()) - m.leased_at)::float8,
    m.digest, m.media_type, m.bytes";

impl ManifestStore for PostgresMetadata {
    fn find<'a>(
        &'a self,
        name: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>> {
        Box::pin(async move {
            let stamp = match self.cache().await?.manifest(name, reference) {
                Ok(found) => return Ok(found),
                Err(stamp) => stamp,
            };
            let found = Arc::new(self.read_manifest(name, reference).await?.stored);
            let cache = &self.shared.cache;
            cache.insert_manifest(name, reference, Arc::clone(&found), stamp);
            Ok(found)
        })
    }

    fn lease<'a>(
        &'a self,
        name: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>> {
        Box::pin(async move {
            loop {
                let row = self.read_manifest(name, reference).await?;
                if row.age <= self.renewal_seconds() {
                    return Ok(Arc::new(row.stored));
                }
                let sql = "SELECT lease_manifest_1($1, $2, $3)";
                let leased = self
                    .one(sql, &[&self.at(), &row.repository, &row.id])
                    .await?;
                if column(&leased, 0)? {
                    return Ok(Arc::new(row.stored));
                }
                // It was removed meanwhile, or is there again.
            }
        })
    }

    fn apply<'a>(
        &'a self,
        repository: &'a RepositoryName,
        changes: ChangeSet,
    ) -> StorageFuture<'a, Vec<QuotaWarning>> {
        Box::pin(async move {
            let columns = ChangeColumns::new(repository, &changes);
            let mut warnings = Vec::new();
            let is_noticed = match &changes.change {
                ManifestChange::Push { manifest, tags } => {
                    let pushed = self.push(manifest, tags, &columns).await?;
                    warnings = pushed.warnings;
                    pushed.is_noticed
                }
                ManifestChange::Remove(digest) => {
                    self.remove(digest, &columns).await?;
                    true
                }
                ManifestChange::Untag(tag) => {
                    self.untag(tag, &columns).await?;
                    true
                }
            };
            // What is new is in no memory.
            if is_noticed {
                self.settle().await;
            }
            Ok(warnings)
        })
    }

    fn tags<'a>(
        &'a self,
        name: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<String>> {
        Box::pin(pages::tags(self, name, page))
    }

    fn referrers<'a>(
        &'a self,
        name: &'a RepositoryName,
        subject: &'a Digest,
        artifact_type: Option<&'a str>,
        page: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<ReferrerEntry>> {
        Box::pin(pages::referrers(self, name, subject, artifact_type, page))
    }

    fn repositories(&self, page: PageRequest<String>) -> StorageFuture<'_, ListPage<String>> {
        Box::pin(pages::repositories(self, page))
    }
}

struct ManifestRow {
    id: i64,
    repository: i64,
    /// The age of its lease in seconds.
    age: f64,
    stored: StoredManifest,
}

fn manifest_row(row: &Row) -> Result<ManifestRow, Error> {
    let id: Option<i64> = column(row, 0)?;
    let id = id.ok_or(Error::ManifestUnknown)?;
    Ok(ManifestRow {
        id,
        repository: column(row, 1)?,
        age: column(row, 2)?,
        stored: StoredManifest {
            digest: digest(row, 3)?,
            media_type: column(row, 4)?,
            bytes: Bytes::copy_from_slice(column(row, 5)?),
        },
    })
}

impl PostgresMetadata {
    /// The time of a statement.
    pub(super) fn at(&self) -> Option<SystemTime> {
        self.shared.clock.at()
    }

    async fn read_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestRow, Error> {
        let (at, name) = (self.at(), name.as_str());
        let prepares = self.shared.pool.prepares();
        let rows = match reference {
            Reference::Tag(tag) if prepares => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM repositories r
                     LEFT JOIN tags t ON t.repository = r.id AND t.name = $3
                     LEFT JOIN manifests m ON m.id = t.manifest WHERE r.name = $2"
                );
                self.query(&sql, &[&at, &name, &tag.as_str()]).await?
            }
            Reference::Digest(digest) if prepares => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM repositories r
                     LEFT JOIN manifests m ON m.repository = r.id AND m.digest = $3 WHERE r.name = $2"
                );
                self.query(&sql, &[&at, &name, &pack(digest)]).await?
            }
            Reference::Tag(tag) => {
                let sql = "SELECT * FROM find_manifest_1($1, $2, $3, NULL)";
                self.query(sql, &[&at, &name, &tag.as_str()]).await?
            }
            Reference::Digest(digest) => {
                let sql = "SELECT * FROM find_manifest_1($1, $2, NULL, $3)";
                self.query(sql, &[&at, &name, &pack(digest)]).await?
            }
        };
        manifest_row(rows.first().ok_or(Error::RepositoryUnknown)?)
    }
}
