//! A temporary directory for what must not stay, or cannot be written in its own place. It ends with
//! the process.
//!
//! - A registry whose storage is `inmemory` has its content and its database there.
//! - A registry in maintenance may have a data directory that can only be read, as on a volume
//!   mounted `:ro`: registry:2 starts on one. Its database, which must be written while content is
//!   read, goes into a temporary directory: a copy of the one that is there, or a new one in which
//!   the directory of registry:2 is adopted.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use database::DatabaseLocation;
use rustix::fs::{Access, access};
use tempfile::TempDir;

use super::registry_state::ContentRoot;
use crate::config::{Config, StorageDriver};
use crate::failure::Failure;

/// A temporary directory with a registry's database, and its content if that is not elsewhere.
pub(super) struct ScratchDirectory {
    pub(super) database: DatabaseLocation,
    /// The root of the registry's own content.
    root: PathBuf,
    purpose: ScratchPurpose,
    _directory: TempDir,
}

/// Why there is a temporary directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScratchPurpose {
    /// The storage is `inmemory`.
    InMemory,
    /// The data directory can only be read.
    ReadOnlyData,
}

impl ScratchDirectory {
    /// One, if the registry is in maintenance and its database cannot be written, or if it is to
    /// end with the server.
    pub(super) fn if_needed(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(registry) = &config.registry else {
            return Ok(None);
        };
        let root = match &registry.storage {
            StorageDriver::Filesystem(root) => root,
            StorageDriver::S3(_) => return Ok(None),
            StorageDriver::InMemory => {
                return Self::in_memory()
                    .map(Some)
                    .map_err(|error| cannot_make(&error));
            }
        };
        let Some(database) = config.database.as_ref().and_then(DatabaseLocation::path) else {
            return Ok(None);
        };
        let home = database.parent().unwrap_or(Path::new("/"));
        if !registry.read_only || !is_read_only(home) {
            return Ok(None);
        }
        let scratch = Self::of_read_only_data(database, root);
        let scratch = scratch.map_err(|error| cannot_make(&error))?;
        tracing::warn!(
            directory = %home.display(),
            scratch = %scratch.root.display(),
            "the data directory can only be read: the database is in a temporary directory until \
             the server ends"
        );
        Ok(Some(scratch))
    }

    /// Where the registry's content is.
    pub(super) fn content(&self) -> ContentRoot<'_> {
        ContentRoot {
            path: &self.root,
            is_read_only: self.purpose == ScratchPurpose::ReadOnlyData,
        }
    }

    fn in_memory() -> io::Result<Self> {
        let directory = TempDir::with_prefix("wharfinger-")?;
        Ok(Self {
            database: DatabaseLocation::at(directory.path().join("wharfinger.db")),
            root: directory.path().join("content"),
            purpose: ScratchPurpose::InMemory,
            _directory: directory,
        })
    }

    fn of_read_only_data(database: &Path, root: &Path) -> io::Result<Self> {
        let directory = TempDir::with_prefix("wharfinger-")?;
        let copy = directory.path().join("wharfinger.db");
        let is_copied = copy_if_there(database, &copy)?;
        if is_copied {
            // What SQLite has not moved into the file yet.
            copy_if_there(&beside(database, "-wal"), &beside(&copy, "-wal"))?;
        }
        let root = if is_copied {
            root.to_owned()
        } else {
            directory.path().join("content")
        };
        Ok(Self {
            database: DatabaseLocation::at(copy),
            root,
            purpose: ScratchPurpose::ReadOnlyData,
            _directory: directory,
        })
    }
}

fn cannot_make(error: &io::Error) -> Failure {
    Failure::system("cannot make a temporary directory for the database").caused_by(error)
}

/// Whether this process cannot write into a directory that is there.
fn is_read_only(directory: &Path) -> bool {
    let writable = access(directory, Access::WRITE_OK).map_err(rustix::io::Errno::kind);
    matches!(
        writable,
        Err(ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
    )
}

fn copy_if_there(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::copy(from, to) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
