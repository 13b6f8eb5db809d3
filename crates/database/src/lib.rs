//! The database: everything that must survive a power cut and is not a blob.
//!
//! One SQLite file ([`DatabaseLocation`]), opened by one server ([`Database::open_exclusive`]) and, beside
//! it, by the commands that an operator runs ([`Database::open`]). *Reads* run side by side, each
//! on a snapshot of its own; *writes* go to one thread that gathers whatever has arrived into one
//! commit. A write is answered after the commit, so what was acknowledged is on the disk.
//!
//! The tables and their history are here too (`migrations/`); the statements are with those who
//! need them. Names compare as bytes, SQLite's default.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use database::{Database, Error, DatabaseLocation};
//!
//! let database = Database::open_exclusive(&DatabaseLocation::at(directory.path().join("wharfinger.db"))).unwrap();
//! let write = database.write(|tx| tx.execute("DELETE FROM refresh_tokens", ()).map_err(Error::from));
//! assert_eq!(write.await.unwrap(), 0);
//! # });
//! ```

mod connection;
mod error;
mod file;
mod filesystem;
mod group_commit;
mod location;
mod lock;
mod migrations;
mod open;
mod reader_pool;

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

pub use connection::BUSY_TIMEOUT;
pub use error::{Error, SqliteCause};
pub use group_commit::Activity;
pub use location::{DatabaseLocation, DatabaseLocationError};
pub use open::DatabaseOpenError;

use file::DatabaseFile;
use group_commit::GroupCommit;
use lock::DataLock;
use open::OpenedDatabase;
use reader_pool::ReaderPool;

/// An open database. Clones share it; the last one to go waits until what was begun is written.
#[derive(Clone, Debug)]
pub struct Database {
    shared: Arc<Shared>,
}

impl Database {
    /// Opens the database for a server, the only one that may have it. It is made where there is
    /// none, readable by its owner alone, and brought up to this program's version.
    ///
    /// # Errors
    /// A sentence for the operator: see [`DatabaseOpenError`].
    pub fn open_exclusive(location: &DatabaseLocation) -> Result<Self, DatabaseOpenError> {
        Self::start(open::exclusively(location)?)
    }

    /// Opens a database that a server has made, beside a running server or without one. Nothing is
    /// made or migrated: the server's program decides about its file, and a command that ran as
    /// root would leave a file that no server can open.
    ///
    /// # Errors
    /// A sentence for the operator: see [`DatabaseOpenError`].
    pub fn open(location: &DatabaseLocation) -> Result<Self, DatabaseOpenError> {
        Self::start(open::beside(location)?)
    }

    /// Runs `work` in a transaction. The answer comes when its changes are on the disk; after an
    /// error it has made none.
    ///
    /// `work` shares its commit with whatever else is being written, and **may run more than once**
    /// when that commit fails, so it should change nothing but the database. It must not begin or
    /// end a transaction itself. If the future is dropped, the write may still happen.
    ///
    /// # Errors
    /// What `work` returned, or why it could not be committed.
    ///
    /// # Panics
    /// When `work` does, with its panic.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.shared.writer.write(work).await
    }

    /// Runs `work` on a snapshot: whatever it reads was true at one moment, and every write
    /// acknowledged before is in it.
    ///
    /// Must be called inside a tokio runtime, whose threads are not held up.
    ///
    /// # Errors
    /// What `work` returned, or why it could not read.
    ///
    /// # Panics
    /// When `work` does, with its panic.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.shared.readers.read(work).await
    }

    /// Where the file is, free of symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.place.path()
    }

    /// What has been written since the database was opened.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.shared.writer.activity()
    }

    fn start(opened: OpenedDatabase) -> Result<Self, DatabaseOpenError> {
        let OpenedDatabase {
            path,
            connection,
            lock,
        } = opened;
        let started = DatabaseFile::of(&path)
            .and_then(|place| Ok((GroupCommit::start(connection, place.clone())?, place)));
        let (writer, place) =
            started.map_err(|source| DatabaseOpenError::Unreachable { path, source })?;
        Ok(Self {
            shared: Arc::new(Shared {
                readers: ReaderPool::new(place.clone()),
                writer,
                place,
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
    /// Dropped last: the file is let go when nothing touches it any more.
    _lock: Option<DataLock>,
}
