//! Manifests and tags: finding and removing them.

use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, Reference, RepositoryName, Tag};
use rusqlite::{Connection, OptionalExtension, Row};

use super::columns::{Packed, repository};
use super::manifest_rows::count_change;
use super::quotas::QuotaCheck;
use super::tag_history::SqliteTagChanges;
use super::{Sqlite, outbox, pages, push};
use crate::cache::Stale;
use crate::{
    ChangeSet, Error, ListPage, ManifestChange, ManifestStore, PageRequest, QuotaWarning,
    ReferrerEntry, StorageFuture, StoredManifest,
};

impl ManifestStore for Sqlite {
    fn find<'a>(
        &'a self,
        name: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>> {
        Box::pin(async move {
            let stamp = match self.cache().manifest(name, reference) {
                Ok(found) => return Ok(found),
                Err(stamp) => stamp,
            };
            let (of, by) = (name.clone(), reference.clone());
            let found = Arc::new(
                self.read(move |connection| read(connection, &of, &by))
                    .await?
                    .stored,
            );
            self.shared
                .cache
                .insert_manifest(name, reference, Arc::clone(&found), stamp);
            Ok(found)
        })
    }

    fn lease<'a>(
        &'a self,
        name: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>> {
        let (of, by, now) = (name.clone(), reference.clone(), self.now());
        let renewal = self.renewal();
        Box::pin(async move {
            let row = self
                .read(move |connection| read(connection, &of, &by))
                .await?;
            if row.leased_at >= now - renewal {
                return Ok(Arc::new(row.stored));
            }
            let (of, by) = (name.clone(), reference.clone());
            let work = move |connection: &Connection| {
                let row = read(connection, &of, &by)?;
                connection
                    .prepare_cached(
                        "UPDATE manifests SET leased_at = max(leased_at, ?2) WHERE id = ?1",
                    )?
                    .execute([row.id, now])?;
                count_change(connection, row.repository)?;
                Ok(Arc::new(row.stored))
            };
            self.write(work, |_| Stale::Nothing).await
        })
    }

    fn apply<'a>(
        &'a self,
        repository: &'a RepositoryName,
        changes: ChangeSet,
    ) -> StorageFuture<'a, Vec<QuotaWarning>> {
        let (of, name, now) = (repository.clone(), repository.clone(), self.now());
        let work = move |connection: &Connection| {
            let quotas = QuotaCheck::begin(connection, &changes.quotas)?;
            let of_tags = SqliteTagChanges {
                repository: &name,
                author: changes.author.as_ref(),
                immutable: &changes.immutable,
                now,
            };
            let references = match &changes.change {
                ManifestChange::Push { manifest, tags } => {
                    of_tags.push(connection, tags, manifest.digest())?;
                    push::push(connection, &name, manifest, tags, now)?;
                    tags.iter().cloned().map(Reference::Tag).collect()
                }
                ManifestChange::Remove(digest) => remove(connection, &of_tags, *digest)?,
                ManifestChange::Untag(tag) => {
                    untag(connection, &of_tags, tag)?;
                    vec![Reference::Tag(tag.clone())]
                }
            };
            outbox::write(connection, &name, &changes.outbox, now)?;
            Ok((references, quotas.end(connection)?))
        };
        Box::pin(async move {
            let stale = |(references, _): &(Vec<_>, _)| Stale::Manifests(of, references.clone());
            let (_, warnings) = self.write(work, stale).await?;
            Ok(warnings)
        })
    }

    fn tags<'a>(
        &'a self,
        name: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<String>> {
        let name = name.clone();
        Box::pin(self.read(move |connection| pages::tags(connection, &name, &page)))
    }

    fn referrers<'a>(
        &'a self,
        name: &'a RepositoryName,
        subject: &'a Digest,
        artifact_type: Option<&'a str>,
        page: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<ReferrerEntry>> {
        let (name, subject, artifact_type) =
            (name.clone(), *subject, artifact_type.map(str::to_owned));
        Box::pin(self.read(move |connection| {
            pages::referrers(connection, &name, &subject, artifact_type.as_deref(), &page)
        }))
    }

    fn repositories(&self, page: PageRequest<String>) -> StorageFuture<'_, ListPage<String>> {
        Box::pin(self.read(move |connection| pages::repositories(connection, &page)))
    }
}

struct ManifestRow {
    id: i64,
    repository: i64,
    leased_at: i64,
    stored: StoredManifest,
}

const COLUMNS: &str = "m.id, m.repository, m.leased_at, m.digest, m.media_type, m.bytes";

fn manifest_row(row: &Row<'_>) -> rusqlite::Result<ManifestRow> {
    let stored = StoredManifest {
        digest: row.get::<_, Packed>(3)?.0,
        media_type: row.get(4)?,
        bytes: Bytes::copy_from_slice(row.get_ref(5)?.as_blob()?),
    };
    Ok(ManifestRow {
        id: row.get(0)?,
        repository: row.get(1)?,
        leased_at: row.get(2)?,
        stored,
    })
}

fn read(
    connection: &Connection,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<ManifestRow, Error> {
    let Some(id) = repository(connection, name)? else {
        return Err(Error::RepositoryUnknown);
    };
    let found = match reference {
        Reference::Tag(tag) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM tags t JOIN manifests m ON m.id = t.manifest WHERE t.repository = ?1 AND t.name = ?2"
            ))?
            .query_row((id, tag.as_str()), manifest_row),
        Reference::Digest(digest) => connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM manifests m WHERE m.repository = ?1 AND m.digest = ?2"))?
            .query_row((id, Packed(*digest)), manifest_row),
    };
    found.optional()?.ok_or(Error::ManifestUnknown)
}

/// Removes a manifest and says by what it was known.
fn remove(
    connection: &Connection,
    of_tags: &SqliteTagChanges<'_>,
    digest: Digest,
) -> Result<Vec<Reference>, Error> {
    let Some(repository) = repository(connection, of_tags.repository)? else {
        return Err(Error::RepositoryUnknown);
    };
    let exists = connection
        .prepare_cached("SELECT 1 FROM manifests WHERE repository = ?1 AND digest = ?2")?
        .exists((repository, Packed(digest)))?;
    if !exists {
        return Err(Error::ManifestUnknown);
    }
    let mut list = connection.prepare_cached(
        "SELECT t.name FROM manifests m JOIN tags t ON t.manifest = m.id
         WHERE m.repository = ?1 AND m.digest = ?2 ORDER BY t.name",
    )?;
    let mut tags: Vec<Tag> = Vec::new();
    for tag in list.query_map((repository, Packed(digest)), |row| row.get::<_, String>(0))? {
        tags.extend(tag?.parse());
    }
    of_tags.remove(connection, repository, digest, &tags)?;
    let mut references = vec![Reference::Digest(digest)];
    references.extend(tags.into_iter().map(Reference::Tag));
    // Tags, references and the entry in a list of referrers go with it.
    connection
        .prepare_cached("DELETE FROM manifests WHERE repository = ?1 AND digest = ?2")?
        .execute((repository, Packed(digest)))?;
    count_change(connection, repository)?;
    Ok(references)
}

fn untag(connection: &Connection, of_tags: &SqliteTagChanges<'_>, tag: &Tag) -> Result<(), Error> {
    let Some(repository) = repository(connection, of_tags.repository)? else {
        return Err(Error::RepositoryUnknown);
    };
    of_tags.untag(connection, repository, tag)?;
    let removed = connection
        .prepare_cached("DELETE FROM tags WHERE repository = ?1 AND name = ?2")?
        .execute((repository, tag.as_str()))?;
    if removed == 0 {
        return Err(Error::ManifestUnknown);
    }
    count_change(connection, repository)
}
