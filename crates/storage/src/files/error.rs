//! Why the storage cannot be opened.

use std::io;
use std::path::PathBuf;

use crate::Error;

/// Why the storage cannot be opened. Each message is for the operator and names the directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageOpenError {
    /// The directory cannot be created or reached.
    #[error("cannot create or reach the storage directory {}", path.display())]
    Unreachable {
        /// The directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Part of it cannot be written to, perhaps because a command of another user created it.
    #[error(
        "cannot read and write {}: it belongs to another user; give it to the server's user with chown -R",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// There is content without rows.
    #[error(
        "the storage directory {at} holds blobs, but the database has none: the database was lost, or database.url names \
         another one. Restore the database from a backup, or correct database.url. To begin with an empty registry, move {at}/blobs away",
        at = .0.display()
    )]
    NoRows(PathBuf),
    /// There are rows without content.
    #[error(
        "the database has blobs, but the storage directory {at} is empty: its disk is not mounted, or it is another \
         directory. Mount it, or restore the content from a backup",
        at = .0.display()
    )]
    NoContent(PathBuf),
    /// The content of the database's blobs is in files.
    #[error(
        "the database has blobs whose content is in files, so it cannot be used with {0}: begin with an empty database, and push or copy the images"
    )]
    ContentInFiles(String),
    /// The content of the database's blobs is in a bucket.
    #[error(
        "the content of this database is in a bucket: configure registry.storage.s3, or begin with another database"
    )]
    ContentInBucket,
    /// The bucket belongs to another database.
    #[error(
        "{0} has the content of another database: correct the bucket or its prefix, or restore the database that belongs to it"
    )]
    OtherContent(String),
    /// The bucket lacks the database's content.
    #[error(
        "the database has blobs, but {0} has no content of it: correct the bucket or its prefix, or restore the content"
    )]
    NoContentInBucket(String),
    /// The servers of the database have another directory.
    #[error(
        "the directory {} is not that of the other servers of this database: mount the same directory at all of them",
        .0.display()
    )]
    OtherDirectory(PathBuf),
    /// Another server has it.
    #[error("another server has the storage directory {} open", .0.display())]
    InUse(PathBuf),
    /// The database failed, or the disk failed during recovery.
    #[error(transparent)]
    Storage(#[from] Error),
}
