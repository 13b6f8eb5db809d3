//! The handle of a database of either kind.

use crate::{DatabaseConnection, DatabaseLocation, DatabaseOpenError, Error, SqliteDatabase};

/// An open database. Clones share it. The drop of the last one waits for all queued writes.
#[derive(Clone, Debug)]
pub struct Database(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Sqlite(SqliteDatabase),
}

impl Database {
    /// Opens the database for a server. Of a SQLite file, only one server can have it: see
    /// [`SqliteDatabase::open_exclusive`].
    ///
    /// # Errors
    /// [`DatabaseOpenError`], with a message for the operator.
    pub fn open_exclusive(location: &DatabaseLocation) -> Result<Self, DatabaseOpenError> {
        SqliteDatabase::open_exclusive(location).map(Self::from)
    }

    /// Opens an existing database for a command. A server may be running. Nothing is created or
    /// migrated: only a server does that.
    ///
    /// # Errors
    /// [`DatabaseOpenError`], with a message for the operator.
    pub fn open(location: &DatabaseLocation) -> Result<Self, DatabaseOpenError> {
        SqliteDatabase::open(location).map(Self::from)
    }

    /// Runs `work` in a transaction. It returns when the changes are on the disk. After an error,
    /// nothing has changed.
    ///
    /// `work` **may run more than once**, so it should change only the database. It must not begin or
    /// end a transaction. If the future is dropped, the write may still happen.
    ///
    /// # Errors
    /// What `work` returned, or why it could not be committed.
    ///
    /// # Panics
    /// If `work` panics, with its panic.
    pub async fn write<T, E, F>(&self, mut work: F) -> Result<T, E>
    where
        F: FnMut(&DatabaseConnection<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.0 {
            Kind::Sqlite(database) => {
                let work = move |connection: &rusqlite::Connection| {
                    work(&DatabaseConnection::sqlite(connection))
                };
                database.write(work).await
            }
        }
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
        F: FnOnce(&DatabaseConnection<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.0 {
            Kind::Sqlite(database) => {
                let work = move |connection: &rusqlite::Connection| {
                    work(&DatabaseConnection::sqlite(connection))
                };
                database.read(work).await
            }
        }
    }

    /// Requires that a SQLite file is still at its path.
    ///
    /// # Errors
    /// [`Error::Moved`] if it was removed or replaced: then no write succeeds any more.
    pub fn check_file(&self) -> Result<(), Error> {
        match &self.0 {
            Kind::Sqlite(database) => database.check_file(),
        }
    }

    /// The SQLite file, if it is one.
    #[must_use]
    pub fn sqlite(&self) -> Option<&SqliteDatabase> {
        match &self.0 {
            Kind::Sqlite(database) => Some(database),
        }
    }
}

impl From<SqliteDatabase> for Database {
    fn from(database: SqliteDatabase) -> Self {
        Self(Kind::Sqlite(database))
    }
}
