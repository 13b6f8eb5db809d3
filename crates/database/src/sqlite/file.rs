//! Whether a database's file still has its path.
//!
//! SQLite continues with a file that was removed or replaced. What it writes then is lost when the
//! process ends. So the file is checked before a write is acknowledged.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// A file, by its path and its identity.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl DatabaseFile {
    /// The file that is at `path` now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Requires that the same file is still at its path.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match identity(&self.path) {
            Ok(identity) if identity != self.identity => Err(Error::Moved),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Moved),
            // If the file cannot be examined, SQLite's own error says more.
            _ => Ok(()),
        }
    }
}

/// Device and inode (stat(2)).
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
