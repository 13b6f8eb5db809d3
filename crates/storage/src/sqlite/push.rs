//! Pushing a manifest.

use oci::{Descriptor, Digest, Manifest, RepositoryName, Tag};
use rusqlite::{Connection, OptionalExtension};

use super::columns::{Packed, make_repository, revive, state};
use super::manifest_rows::{self, count_change};
use crate::seams::MISSING_BLOBS;
use crate::{Error, NewManifest};

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
    let id = manifest_rows::store(connection, repository, manifest, now)?;
    let mut tag_it = connection.prepare_cached(
        "INSERT INTO tags VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (repository, name) DO UPDATE SET manifest = excluded.manifest, updated_at = excluded.updated_at",
    )?;
    for tag in tags {
        tag_it.execute((repository, tag.as_str(), id, now))?;
    }
    count_change(connection, repository)
}

/// The blobs of a manifest that the repository does not have. Blobs that are being deleted count as
/// missing. Marked blobs are unmarked.
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
        // The others are not looked for, because other writes wait.
        if missing.len() == MISSING_BLOBS {
            break;
        }
    }
    Ok(missing)
}
