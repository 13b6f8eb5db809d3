//! The rows of a manifest.

use oci::Digest;
use rusqlite::{Connection, OptionalExtension};

use super::columns::Packed;
use crate::{Error, NewManifest};

/// Stores a manifest, or renews the lease of an existing one. Returns the number of its row.
pub(super) fn store(
    connection: &Connection,
    repository: i64,
    manifest: &NewManifest,
    now: i64,
) -> Result<i64, Error> {
    let Some(id) = existing(connection, repository, manifest.digest())? else {
        return insert(connection, repository, manifest, now);
    };
    connection
        .prepare_cached("UPDATE manifests SET leased_at = max(leased_at, ?2) WHERE id = ?1")?
        .execute([id, now])?;
    Ok(id)
}

/// Invalidates what garbage collection has planned for a repository.
pub(super) fn count_change(connection: &Connection, repository: i64) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE repositories SET version = version + 1 WHERE id = ?1")?
        .execute([repository])?;
    Ok(())
}

fn existing(
    connection: &Connection,
    repository: i64,
    digest: Digest,
) -> Result<Option<i64>, Error> {
    let mut find = connection
        .prepare_cached("SELECT id FROM manifests WHERE repository = ?1 AND digest = ?2")?;
    Ok(find
        .query_row((repository, Packed(digest)), |row| row.get(0))
        .optional()?)
}

fn insert(
    connection: &Connection,
    repository: i64,
    new: &NewManifest,
    now: i64,
) -> Result<i64, Error> {
    let manifest = new.manifest();
    let subject = manifest
        .subject
        .as_ref()
        .map(|subject| Packed(subject.digest));
    connection
        .prepare_cached(
            "INSERT INTO manifests (repository, digest, media_type, subject, leased_at, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            repository,
            Packed(new.digest()),
            &manifest.media_type,
            subject,
            now,
            new.bytes().as_ref(),
        ))?;
    let id = connection.last_insert_rowid();
    let mut refer = connection
        .prepare_cached("INSERT OR IGNORE INTO manifest_references VALUES (?1, ?2, ?3)")?;
    for descriptor in new.references() {
        refer.execute((Packed(descriptor.digest), repository, id))?;
    }
    if let Some(subject) = subject {
        let entry = new.referrer_entry();
        connection
            .prepare_cached("INSERT INTO referrers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute((
                repository,
                subject,
                Packed(entry.digest),
                id,
                entry.media_type,
                entry.size,
                entry.artifact_type,
                entry.annotations,
            ))?;
    }
    Ok(id)
}
