//! Taking a manifest in.

use oci::{Descriptor, Digest, Manifest, ManifestContent, RepositoryName, Tag};
use rusqlite::{Connection, OptionalExtension};

use super::columns::{Packed, make_repository, revive, state};
use super::manifests::count_change;
use crate::{Error, NewManifest};

/// Of how many missing blobs a caller is told. The rest is not looked for: this is the only writer,
/// and others wait.
const TOLD: usize = 100;

pub(super) fn push(
    connection: &Connection,
    name: &RepositoryName,
    manifest: &NewManifest,
    tags: &[Tag],
    now: i64,
) -> Result<(), Error> {
    let repository = make_repository(connection, name)?;
    let missing = missing_blobs(connection, repository, manifest.manifest(), now)?;
    if !missing.is_empty() && !manifest.may_lack_blobs() {
        return Err(Error::ReferencesUnknown(missing));
    }
    let id = take_in(connection, repository, manifest, now)?;
    let mut tag_it = connection.prepare_cached(
        "INSERT INTO tags VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (repository, name) DO UPDATE SET manifest = excluded.manifest, updated_at = excluded.updated_at",
    )?;
    for tag in tags {
        tag_it.execute((repository, tag.as_str(), id, now))?;
    }
    count_change(connection, repository)
}

/// Takes a manifest in, or begins the lease of the one that is there anew. Answers its row's
/// number.
pub(super) fn take_in(
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

/// The blobs of a manifest that the repository does not have, or that are about to be removed. A
/// blob that was marked for removal is needed again.
fn missing_blobs(
    connection: &Connection,
    repository: i64,
    manifest: &Manifest,
    now: i64,
) -> Result<Vec<Digest>, Error> {
    let mut find = connection.prepare_cached(
        "SELECT b.generation, b.state FROM blobs b JOIN links l ON l.blob = b.generation AND l.repository = ?1
         WHERE b.digest = ?2 AND b.state IN (1, 2)",
    )?;
    let mut missing: Vec<Digest> = Vec::new();
    for Descriptor { digest, .. } in manifest.blobs() {
        let row = find.query_row((repository, Packed(*digest)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        match row.optional()? {
            Some((generation, state::MARKED)) => revive(connection, generation, now)?,
            Some(_) => {}
            None if missing.contains(digest) => {}
            None => missing.push(*digest),
        }
        if missing.len() == TOLD {
            break;
        }
    }
    Ok(missing)
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
    for descriptor in everything(manifest) {
        refer.execute((Packed(descriptor.digest), repository, id))?;
    }
    if let Some(subject) = subject {
        let annotations = serde_json::Value::from_iter(manifest.annotations.clone()).to_string();
        let artifact_type = manifest.effective_artifact_type();
        connection
            .prepare_cached("INSERT INTO referrers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute((
                repository,
                subject,
                Packed(new.digest()),
                id,
                &manifest.media_type,
                new.bytes().len(),
                artifact_type,
                annotations,
            ))?;
    }
    Ok(id)
}

/// All that a manifest holds together, foreign layers included: who pushed one of those wants it
/// kept.
fn everything(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    let (config, rest) = match &manifest.content {
        ManifestContent::Image { config, layers } => (Some(config), layers),
        ManifestContent::Index { manifests } => (None, manifests),
    };
    config.into_iter().chain(rest)
}
