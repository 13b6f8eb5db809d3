//! `check --connect`: whether the content is that of the database.

use std::path::Path;
use std::sync::Arc;

use common::{SystemClock, SystemEntropy};
use database::{DatabaseLocation, SqliteDatabase};
use object_content::ObjectContent;
use postgresql::PostgresPool;
use storage::{ContentIdentity, Files, Storage, StorageOpenError, StorageSettings};

use crate::failure::Failure;
use crate::serve::shared_registry::SharedRegistry;

/// Where a registry's content is.
pub(super) enum TriedContent<'a> {
    Directory(&'a Path),
    Bucket(ObjectContent),
}

/// Requires that a server with this database would serve this content. Nothing is changed. A database
/// without tables belongs to no content yet.
pub(super) async fn try_content(
    location: &DatabaseLocation,
    has_tables: bool,
    content: TriedContent<'_>,
) -> Result<Result<(), StorageOpenError>, Failure> {
    let settings = StorageSettings::default();
    let opened = match (location, content) {
        (_, TriedContent::Directory(root)) if !root.exists() => return Ok(Ok(())),
        (DatabaseLocation::Postgres(..), TriedContent::Directory(_)) if !has_tables => {
            return Ok(Ok(()));
        }
        (DatabaseLocation::Postgres(..), TriedContent::Bucket(content)) if !has_tables => {
            return Ok(without_database(&content).await);
        }
        (DatabaseLocation::File(path), TriedContent::Bucket(content)) if !path.exists() => {
            return Ok(without_database(&content).await);
        }
        (DatabaseLocation::File(path), TriedContent::Directory(root)) if !path.exists() => {
            return Ok(Files::require_no_blobs(root));
        }
        (DatabaseLocation::Postgres(server, pool), content) => {
            let pool = PostgresPool::new((**server).clone(), *pool);
            let shared = SharedRegistry::new(&pool, settings, Arc::new(SystemEntropy))?;
            match content {
                TriedContent::Directory(root) => shared.open_for_command(root).await,
                TriedContent::Bucket(content) => shared.open_bucket_for_command(content).await,
            }
        }
        (DatabaseLocation::File(_), content) => {
            // A server migrates the tables of an older version first.
            let Ok(database) = SqliteDatabase::open(location) else {
                return Ok(Ok(()));
            };
            let clock = Arc::new(SystemClock);
            match content {
                TriedContent::Directory(root) => {
                    Storage::open_for_command(database, root, settings, clock).await
                }
                TriedContent::Bucket(content) => {
                    let content = Arc::new(content);
                    Storage::open_bucket_for_command(database, content, settings, clock).await
                }
            }
        }
    };
    Ok(opened.map(drop))
}

/// A bucket that belongs to another database cannot get a new one.
async fn without_database(content: &ObjectContent) -> Result<(), StorageOpenError> {
    match content.read_identity().await? {
        Some(_) => Err(StorageOpenError::OtherContent(content.location())),
        None => Ok(()),
    }
}
