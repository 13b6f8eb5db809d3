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
    /// Another server has it.
    #[error("another server has the storage directory {} open", .0.display())]
    InUse(PathBuf),
    /// The database failed, or the disk failed during recovery.
    #[error(transparent)]
    Storage(#[from] Error),
}
