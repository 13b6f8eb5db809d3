//! Opening a database. Everything that can be wrong with its location is found here.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::access::{
    FileAccess, FileRefusal, UnreadableFile, server_refusal, unreachable_directory,
};
use super::lock::DataLock;
use super::migrations::{self, State};
use super::{connection, filesystem};
use crate::{DatabaseLocation, Error};

/// Why a database cannot be opened. Each message is for the operator and names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseOpenError {
    /// The file does not exist, and only a server creates it.
    #[error("the database {} does not exist: a server creates it when it first starts", .0.display())]
    Missing(PathBuf),
    /// It is on a server.
    #[error("{0} is not a SQLite file")]
    NotAFile(String),
    /// The directory or the file cannot be created or reached.
    #[error("cannot create or open the database {}", path.display())]
    Unreachable {
        /// The database's file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// This process may not read it.
    #[error("the database {} cannot be read: {refusal}", path.display())]
    Refused {
        /// The database's file.
        path: PathBuf,
        /// Which file may not be read, and who may.
        refusal: FileRefusal,
    },
    /// This process may only read it, and its last changes are not in it yet.
    #[error(
        "the last changes of the database {} are in its log {}-wal, which only a process that may write can take over: {refusal}",
        path.display(),
        path.display()
    )]
    HasLog {
        /// The database's file.
        path: PathBuf,
        /// Why it is not written to.
        refusal: FileRefusal,
    },
    /// The server may not write it, or not into its directory.
    #[error("the database {} cannot be written: {}", path.display(), refusal.of_server())]
    NotWritable {
        /// The database's file.
        path: PathBuf,
        /// Which file may not be written, and who may.
        refusal: FileRefusal,
    },
    /// Its file system cannot hold a database.
    #[error(
        "the database {} is on {filesystem}, where SQLite would lose data: move it to a local disk with `database: {{url: sqlite:///…}}`",
        path.display()
    )]
    FileSystem {
        /// The database's file.
        path: PathBuf,
        /// The file system's name.
        filesystem: &'static str,
    },
    /// Another server has it.
    #[error("another server has the database {} open", .0.display())]
    InUse(PathBuf),
    /// A newer program has migrated it.
    #[error(
        "the database {} was last opened by a newer wharfinger (its version is {found}, this program knows {known}): run the newer program, or restore an older backup",
        path.display()
    )]
    Newer {
        /// The database's file.
        path: PathBuf,
        /// The database's version.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// It must be migrated, which a server does when it starts.
    #[error("the database {} was written by an older wharfinger: start the server with this program first", .0.display())]
    Older(PathBuf),
    /// The file belongs to another program.
    #[error("{} is another program's database: choose another file with `database: {{url: sqlite:///…}}`", .0.display())]
    Foreign(PathBuf),
    /// The file is damaged.
    #[error(
        "the database {} is damaged, or is not a database: stop the server and restore a backup",
        path.display()
    )]
    Damaged {
        /// The database's file.
        path: PathBuf,
        /// What SQLite found.
        source: Error,
    },
    /// SQLite failed.
    #[error("the database {} cannot be used", path.display())]
    Database {
        /// The database's file.
        path: PathBuf,
        /// Why.
        source: Error,
    },
}

impl DatabaseOpenError {
    /// Whether the reason is that the disk has no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Database { source, .. } => matches!(source, Error::Full(_)),
            Self::Unreachable { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}

impl DatabaseOpenError {
    fn of(path: &Path, source: Error) -> Self {
        let path = path.to_owned();
        match source {
            Error::Corrupt(_) => Self::Damaged { path, source },
            _ => Self::Database { path, source },
        }
    }
}

/// An open database.
pub(crate) struct OpenedDatabase {
    pub(crate) path: PathBuf,
    /// It writes, if that is allowed.
    pub(crate) connection: Connection,
    pub(crate) access: FileAccess,
    pub(crate) lock: Option<DataLock>,
    /// Whether this process has made it.
    pub(crate) is_new: bool,
}

/// Returns the magic number of the file system of a path.
type FileSystem = fn(&Path) -> io::Result<u32>;

/// Opens an existing database for a command.
pub(crate) fn existing(location: &DatabaseLocation) -> Result<OpenedDatabase, DatabaseOpenError> {
    beside_on(location, filesystem::magic)
}

/// Opens the database for the one server that may have it. Creates a missing one, and migrates an
/// older one.
pub(crate) fn exclusively(
    location: &DatabaseLocation,
) -> Result<OpenedDatabase, DatabaseOpenError> {
    exclusively_on(location, filesystem::magic)
}

fn beside_on(
    location: &DatabaseLocation,
    on: FileSystem,
) -> Result<OpenedDatabase, DatabaseOpenError> {
    let path = file(location)?.to_owned();
    let path = match fs::canonicalize(&path) {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DatabaseOpenError::Missing(path));
        }
        Err(source) => {
            let is_refused = source.kind() == io::ErrorKind::PermissionDenied;
            let refusal = is_refused.then(|| unreachable_directory(&path)).flatten();
            return Err(match refusal {
                Some(refusal) => DatabaseOpenError::Refused { path, refusal },
                None => DatabaseOpenError::Unreachable { path, source },
            });
        }
    };
    check_filesystem(&path, on)?;
    let access = FileAccess::of(&path).map_err(|error| match error {
        UnreadableFile::Refused(refusal) => DatabaseOpenError::Refused {
            path: path.clone(),
            refusal,
        },
        UnreadableFile::HasLog(refusal) => DatabaseOpenError::HasLog {
            path: path.clone(),
            refusal,
        },
        UnreadableFile::Failed(source) => DatabaseOpenError::Unreachable {
            path: path.clone(),
            source,
        },
    })?;
    let at = |source| DatabaseOpenError::of(&path, source);
    let connection = match &access {
        FileAccess::Write => connection::writer(&path),
        access => connection::reader(&path, access),
    };
    let connection = connection.map_err(at)?;
    match migrations::state(&connection).map_err(at)? {
        State::Current => Ok(OpenedDatabase {
            path,
            connection,
            access,
            lock: None,
            is_new: false,
        }),
        State::Empty | State::Behind => Err(DatabaseOpenError::Older(path)),
        State::Newer(found) => Err(DatabaseOpenError::Newer {
            path,
            found,
            known: migrations::VERSION,
        }),
        State::Foreign => Err(DatabaseOpenError::Foreign(path)),
    }
}

fn exclusively_on(
    location: &DatabaseLocation,
    on: FileSystem,
) -> Result<OpenedDatabase, DatabaseOpenError> {
    let path = file(location)?;
    create_or_open(path, on).map_err(|error| match error {
        // The system and SQLite do not say who may write.
        DatabaseOpenError::Unreachable { .. } | DatabaseOpenError::Database { .. } => {
            match server_refusal(path) {
                Some(refusal) => DatabaseOpenError::NotWritable {
                    path: path.to_owned(),
                    refusal,
                },
                None => error,
            }
        }
        other => other,
    })
}

fn create_or_open(path: &Path, on: FileSystem) -> Result<OpenedDatabase, DatabaseOpenError> {
    let place = |source| DatabaseOpenError::Unreachable {
        path: path.to_owned(),
        source,
    };
    // Before a file is created, and again for the target of a symbolic link.
    check_filesystem(&create_directory(path).map_err(place)?, on)?;
    let (path, is_created) = create_file(path).map_err(place)?;
    check_filesystem(&path, on)?;
    let Some(lock) = DataLock::take(&path).map_err(place)? else {
        return Err(DatabaseOpenError::InUse(path));
    };
    let at = |source| DatabaseOpenError::of(&path, source);
    let connection = connection::writer(&path).map_err(at)?;
    let state = migrations::state(&connection).map_err(at)?;
    let is_new = is_created && matches!(state, State::Empty);
    let is_current = match state {
        State::Current => true,
        State::Empty | State::Behind => false,
        State::Newer(found) => {
            return Err(DatabaseOpenError::Newer {
                path,
                found,
                known: migrations::VERSION,
            });
        }
        State::Foreign => return Err(DatabaseOpenError::Foreign(path)),
    };
    if !use_log(&connection).map_err(at)? {
        return Err(DatabaseOpenError::FileSystem {
            path,
            filesystem: "a file system without shared memory",
        });
    }
    // Even a transaction that changes nothing would be synced.
    if !is_current {
        migrations::apply(&connection).map_err(at)?;
    }
    Ok(OpenedDatabase {
        path,
        connection,
        access: FileAccess::Write,
        lock: Some(lock),
        is_new,
    })
}

fn file(location: &DatabaseLocation) -> Result<&Path, DatabaseOpenError> {
    let path = location.path();
    path.ok_or_else(|| DatabaseOpenError::NotAFile(location.to_string()))
}

/// Creates missing directories above the file, which only their owner can read.
fn create_directory(path: &Path) -> io::Result<PathBuf> {
    let directory = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let directory = fs::canonicalize(directory)?;
    // SQLite syncs the directory of its files, but not the directory above.
    if let Some(above) = directory.parent() {
        File::open(above)?.sync_all()?;
    }
    Ok(directory)
}

/// Creates a missing file, which only its owner can read. SQLite gives its log the same permissions.
/// Returns the path without symbolic links, so that every path of a file leads to the same lock; and
/// whether the file was missing.
fn create_file(path: &Path) -> io::Result<(PathBuf, bool)> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    let is_created = match options.clone().create_new(true).open(path) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Also the missing target of a symbolic link.
            options.create(true).truncate(false).open(path)?;
            false
        }
        Err(error) => return Err(error),
    };
    Ok((fs::canonicalize(path)?, is_created))
}

fn check_filesystem(path: &Path, on: FileSystem) -> Result<(), DatabaseOpenError> {
    let magic = on(path).map_err(|source| DatabaseOpenError::Unreachable {
        path: path.to_owned(),
        source,
    })?;
    match filesystem::unsuitable(magic) {
        None => Ok(()),
        Some(filesystem) => Err(DatabaseOpenError::FileSystem {
            path: path.to_owned(),
            filesystem,
        }),
    }
}

/// Switches the file to the write-ahead log for good. Returns false if SQLite cannot have one here.
fn use_log(connection: &Connection) -> Result<bool, Error> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    Ok(mode == "wal")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NFS: FileSystem = |_| Ok(0x6969);

    #[track_caller]
    fn is_refused(opened: Result<OpenedDatabase, DatabaseOpenError>) {
        let Err(refused) = opened else {
            panic!("it was opened")
        };
        assert!(
            matches!(
                refused,
                DatabaseOpenError::FileSystem {
                    filesystem: "NFS",
                    ..
                }
            ),
            "{refused:?}"
        );
        let told = refused.to_string();
        assert!(
            told.contains("is on NFS") && told.contains("`database: {url: sqlite:///…}`"),
            "{told}"
        );
    }

    #[test]
    fn a_database_across_a_network_is_refused_and_nothing_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let location = DatabaseLocation::at(directory.path().join("wharfinger.db"));
        is_refused(exclusively_on(&location, NFS));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        drop(exclusively(&location).unwrap());
        // It was moved there since, or it is the target of a link.
        is_refused(beside_on(&location, NFS));
        is_refused(exclusively_on(&location, |path| {
            Ok(if path.is_dir() { 0xef53 } else { 0x6969 })
        }));
        drop(existing(&location).unwrap());
    }
}
