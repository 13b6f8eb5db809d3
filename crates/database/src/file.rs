//! Whether a database's file is still where it was opened.
//!
//! SQLite goes on with a file that was removed or replaced: what it writes then is on the disk and
//! under no name, and gone with the process. So whoever acknowledges a write looks first.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// A file by its path and by what it is.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl DatabaseFile {
    /// The file at `path`, as it is now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// That the file is there, and still the same.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match identity(&self.path) {
            Ok(identity) if identity != self.identity => Err(Error::Moved),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Moved),
            // Where the file cannot be looked at, SQLite says more of what is wrong.
            _ => Ok(()),
        }
    }
}

/// Device and inode (stat(2)).
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
