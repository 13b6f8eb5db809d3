//! Manifests and tags.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use oci::{Digest, Reference, RepositoryName, Tag};
use postgresql::Row;

use super::columns::{column, digest, text};
use super::error::missing_positions;
use super::{PostgresMetadata, pages};
use crate::packed_digest::pack;
use crate::{
    ChangeSet, Error, ListPage, ManifestChange, ManifestStore, NewManifest, NewOutboxRecord,
    PageRequest, ReferrerEntry, StorageFuture, StoredManifest,
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
    ) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let ChangeSet { change, outbox } = changes;
            let records = Records::new(&outbox);
            let is_noticed = match change {
                ManifestChange::Push { manifest, tags } => {
                    self.push(repository, &manifest, &tags, &records).await?
                }
                ManifestChange::Remove(digest) => {
                    let sql = "SELECT remove_manifest_1($1, $2, $3, $4, $5)";
                    let Records { kinds, payloads } = &records;
                    let (name, digest) = (repository.as_str(), pack(&digest));
                    self.query(sql, &[&self.at(), &name, &digest, kinds, payloads])
                        .await?;
                    true
                }
                ManifestChange::Untag(tag) => {
                    let sql = "SELECT untag_1($1, $2, $3, $4, $5)";
                    let Records { kinds, payloads } = &records;
                    let (name, tag) = (repository.as_str(), tag.as_str());
                    self.query(sql, &[&self.at(), &name, &tag, kinds, payloads])
                        .await?;
                    true
                }
            };
            // What is new is in no memory.
            if is_noticed {
                self.settle().await;
            }
            Ok(())
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

/// The outbox records of a change, as columns.
struct Records<'a> {
    kinds: Vec<Cow<'a, str>>,
    payloads: Vec<&'a [u8]>,
}

impl<'a> Records<'a> {
    fn new(records: &'a [NewOutboxRecord]) -> Self {
        Self {
            kinds: records.iter().map(|record| text(&record.kind)).collect(),
            payloads: records.iter().map(|record| &*record.payload).collect(),
        }
    }
}

/// A manifest's columns that its functions take.
pub(super) struct ManifestColumns<'a> {
    pub(super) digest: Vec<u8>,
    pub(super) media_type: Cow<'a, str>,
    pub(super) subject: Option<Vec<u8>>,
    pub(super) bytes: &'a [u8],
    pub(super) references: Vec<Vec<u8>>,
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: Option<String>,
}

impl<'a> ManifestColumns<'a> {
    pub(super) fn new(manifest: &'a NewManifest) -> Self {
        let parsed = manifest.manifest();
        let subject = parsed.subject.as_ref();
        let entry = subject.map(|_| manifest.referrer_entry());
        let (artifact_type, annotations) = entry.map_or((None, None), |entry| {
            let artifact_type = entry.artifact_type.map(|kind| text(&kind).into_owned());
            (artifact_type, Some(text(&entry.annotations).into_owned()))
        });
        Self {
            digest: pack(&manifest.digest()),
            media_type: text(&parsed.media_type),
            subject: subject.map(|subject| pack(&subject.digest)),
            bytes: manifest.bytes().as_ref(),
            references: manifest.references().map(|it| pack(&it.digest)).collect(),
            artifact_type,
            annotations,
        }
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

    /// Pushes a manifest. Returns whether a tag has moved, which servers have to notice.
    async fn push(
        &self,
        repository: &RepositoryName,
        manifest: &NewManifest,
        tags: &[Tag],
        records: &Records<'_>,
    ) -> Result<bool, Error> {
        let columns = ManifestColumns::new(manifest);
        let mut needed: Vec<Digest> = Vec::new();
        for descriptor in manifest.manifest().blobs() {
            if !needed.contains(&descriptor.digest) {
                needed.push(descriptor.digest);
            }
        }
        let packed: Vec<Vec<u8>> = needed.iter().map(pack).collect();
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        let sql =
            "SELECT push_manifest_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
        let pushed = self
            .try_query(
                sql,
                &[
                    &self.at(),
                    &repository.as_str(),
                    &columns.digest,
                    &columns.media_type,
                    &columns.subject,
                    &columns.bytes,
                    &columns.references,
                    &columns.artifact_type,
                    &columns.annotations,
                    &packed,
                    &manifest.may_lack_blobs(),
                    &tags,
                    &records.kinds,
                    &records.payloads,
                ],
            )
            .await;
        let pushed = match pushed {
            Ok(rows) => rows,
            Err(error) => {
                return Err(match missing_positions(&error) {
                    Some(positions) => {
                        let digests = positions
                            .iter()
                            .filter_map(|at| needed.get(at.wrapping_sub(1)));
                        Error::ReferencesUnknown(digests.copied().collect())
                    }
                    None => error.into(),
                });
            }
        };
        pushed.first().map_or(Ok(true), |row| column(row, 0))
    }
}
