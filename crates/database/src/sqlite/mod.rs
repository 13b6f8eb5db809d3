//! A SQLite file: migrations, readers, and one writer that commits in groups.

mod access;
mod connection;
mod error;
mod file;
mod filesystem;
mod group_commit;
mod lock;
mod migrations;
mod open;
mod reader_pool;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use traces::{SpanKind, in_child_span};

pub use access::FileRefusal;
pub use connection::BUSY_TIMEOUT;
pub use group_commit::{Activity, CommitStatistics};
pub use open::DatabaseOpenError;

use crate::{DatabaseLocation, Error};

use access::FileAccess;
use file::DatabaseFile;
use group_commit::GroupCommit;
use lock::DataLock;
use open::OpenedDatabase;
use reader_pool::ReaderPool;

/// An open SQLite file. Clones share it. The drop of the last one waits for all queued writes.
#[derive(Clone, Debug)]
pub struct SqliteDatabase {
    shared: Arc<Shared>,
}

impl SqliteDatabase {
    /// Opens the database for the one server that may have it. A missing file is created, readable by
    /// its owner only. An older database is migrated.
    ///
    /// # Errors
    /// [`DatabaseOpenError`], with a message for the operator.
    pub fn open_exclusive(location: &DatabaseLocation) -> Result<Self, DatabaseOpenError> {
        Self::start(open::exclusively(location)?)
    }

    /// Opens an existing database for a command. A server may be running. Nothing is created or
    /// migrated: only a server migrates its file, and a file that root created could not be opened by
    /// the server. A process that may only read the file can read, and every write fails with
    /// [`Error::ReadOnly`].
    ///
    /// # Errors
    /// [`DatabaseOpenError`], with a message for the operator.
    pub fn open(location: &DatabaseLocation) -> Result<Self, DatabaseOpenError> {
        Self::start(open::existing(location)?)
    }

    /// Runs `work` in a transaction. It returns when the changes are on the disk. After an error,
    /// nothing has changed.
    ///
    /// `work` shares its commit with other writes. It **may run more than once** if that commit fails,
    /// so it should change only the database. It must not begin or end a transaction. If the future is
    /// dropped, the write may still happen.
    ///
    /// # Errors
    /// What `work` returned, or why it could not be committed.
    ///
    /// # Panics
    /// If `work` panics, with its panic.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.require_writable()?;
        let work = self.shared.writer.write(work);
        in_child_span("database write", SpanKind::Client, work).await
    }

    /// Runs `work` on a snapshot, which has every write that was acknowledged before.
    ///
    /// It must be called in a tokio runtime, whose threads are not blocked.
    ///
    /// # Errors
    /// What `work` returned, or why it could not read.
    ///
    /// # Panics
    /// If `work` panics, with its panic.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let work = self.shared.readers.read(work);
        in_child_span("database read", SpanKind::Client, work).await
    }

    /// Requires that this process may write to the file.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], with the user who may.
    pub fn require_writable(&self) -> Result<(), Error> {
        self.shared.access.require_write()
    }

    /// Another connection, which cannot write.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reader(&self) -> Result<Connection, Error> {
        connection::unmapped_reader(self.path(), &self.shared.access)
    }

    /// The path of the file, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.place.path()
    }

    /// Requires that the file is still at its path.
    ///
    /// # Errors
    /// [`Error::Moved`] if it was removed or replaced: then no write succeeds any more.
    pub fn check_file(&self) -> Result<(), Error> {
        self.shared.place.check()
    }

    /// Removes the file if this process has made it. No write succeeds any more.
    pub(crate) fn remove_if_new(&self) {
        if !self.shared.is_new || self.check_file().is_err() {
            return;
        }
        for end in ["", "-wal", "-shm"] {
            let mut path = self.path().as_os_str().to_owned();
            path.push(end);
            // What stays is an empty database, which does no harm.
            let _ = fs::remove_file(path);
        }
    }

    /// What has been written since the database was opened.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.shared.writer.activity()
    }

    /// How writes were committed since the database was opened.
    #[must_use]
    pub fn commits(&self) -> CommitStatistics {
        self.shared.writer.statistics()
    }

    fn start(opened: OpenedDatabase) -> Result<Self, DatabaseOpenError> {
        let OpenedDatabase {
            path,
            connection,
            access,
            lock,
            is_new,
        } = opened;
        let started = DatabaseFile::of(&path)
            .and_then(|place| Ok((GroupCommit::start(connection, place.clone())?, place)));
        let (writer, place) =
            started.map_err(|source| DatabaseOpenError::Unreachable { path, source })?;
        Ok(Self {
            shared: Arc::new(Shared {
                readers: ReaderPool::new(place.clone(), access.clone()),
                writer,
                place,
                access,
                is_new,
                _lock: lock,
            }),
        })
    }
}

#[derive(Debug)]
struct Shared {
    readers: Arc<ReaderPool>,
    writer: GroupCommit,
    place: DatabaseFile,
    access: FileAccess,
    /// Whether this process has made the file.
    is_new: bool,
    /// Dropped last, when nothing uses the file any more.
    _lock: Option<DataLock>,
}
