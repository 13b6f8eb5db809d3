//! The handle of a database of either kind.

use postgresql::PostgresPool;

use crate::postgres::{self, MigrationReport, PostgresDatabase, SchemaVersion};
use crate::{
    ClusterSecret, DatabaseConnection, DatabaseLocation, DatabaseOpenError, Error, SqliteDatabase,
};

/// An open database. Clones share it. The drop of the last one waits for all queued writes.
#[derive(Clone, Debug)]
pub struct Database(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Sqlite(SqliteDatabase),
    Postgres(PostgresDatabase),
}

impl Database {
    /// Opens the database for a server. Of a SQLite file, only one server can have it: see
    /// [`SqliteDatabase::open_exclusive`]. Of PostgreSQL nothing is asked here: a task creates or
    /// migrates the tables, as soon as that is possible ([`ready`](Self::ready)). It must be called
    /// in a tokio runtime.
    ///
    /// # Errors
    /// [`DatabaseOpenError`], with a message for the operator.
    pub fn open_exclusive(location: &DatabaseLocation) -> Result<Self, DatabaseOpenError> {
        match location {
            DatabaseLocation::File(_) => SqliteDatabase::open_exclusive(location).map(Self::from),
            DatabaseLocation::Postgres(server, settings) => Ok(Self(Kind::Postgres(
                PostgresDatabase::of_server((**server).clone(), *settings),
            ))),
        }
    }

    /// Opens an existing database for a command. A server may be running. Nothing is created or
    /// migrated: only a server does that. A SQLite file may be one that this process can only read: see
    /// [`SqliteDatabase::open`]. Of PostgreSQL nothing is asked before the first read or write.
    ///
    /// # Errors
    /// [`DatabaseOpenError`], with a message for the operator.
    pub fn open(location: &DatabaseLocation) -> Result<Self, DatabaseOpenError> {
        match location {
            DatabaseLocation::File(_) => SqliteDatabase::open(location).map(Self::from),
            DatabaseLocation::Postgres(server, settings) => Ok(Self(Kind::Postgres(
                PostgresDatabase::of_command((**server).clone(), *settings),
            ))),
        }
    }

    /// Removes the SQLite file if it did not exist before this process opened it for a server. For a start
    /// that is refused: an empty database in the place of a lost one would hide the loss. No write
    /// succeeds any more.
    pub fn remove_if_new(&self) {
        if let Kind::Sqlite(database) = &self.0 {
            database.remove_if_new();
        }
    }

    /// Runs `work` in a transaction. It returns when the changes are on the disk. After an error,
    /// nothing has changed.
    ///
    /// `work` **may run more than once**, so it should change only the database. It must not begin or
    /// end a transaction, and it must fail if one of its statements does. If the future is dropped,
    /// the write may still happen.
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
            Kind::Postgres(database) => database.write(work).await,
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
            Kind::Postgres(database) => database.read(work).await,
        }
    }

    /// Returns when the database can be used. A SQLite file can be used at once. A server waits for
    /// PostgreSQL without end; meanwhile every read and write fails.
    ///
    /// # Errors
    /// [`Error::Schema`] when this program cannot use its tables. For a command, also when PostgreSQL
    /// cannot be reached.
    pub async fn ready(&self) -> Result<(), Error> {
        match &self.0 {
            Kind::Sqlite(_) => Ok(()),
            Kind::Postgres(database) => database.ready().await,
        }
    }

    /// What the servers of this database share; `None` for a SQLite file, which only one server can
    /// have.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn cluster_secret(&self) -> Result<Option<ClusterSecret>, Error> {
        match &self.0 {
            Kind::Sqlite(_) => Ok(None),
            Kind::Postgres(database) => database.secret().await.map(Some),
        }
    }

    /// Requires that this process may write to a SQLite file. PostgreSQL is not asked.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], with the user who may.
    pub fn require_writable(&self) -> Result<(), Error> {
        match &self.0 {
            Kind::Sqlite(database) => database.require_writable(),
            Kind::Postgres(_) => Ok(()),
        }
    }

    /// Requires that a SQLite file is still at its path, or that PostgreSQL answers.
    ///
    /// # Errors
    /// [`Error::Moved`] if the file was removed or replaced: then no write succeeds any more.
    pub async fn check(&self) -> Result<(), Error> {
        match &self.0 {
            Kind::Sqlite(database) => database.check_file(),
            Kind::Postgres(database) => database.check().await,
        }
    }

    /// The SQLite file, if it is one.
    #[must_use]
    pub fn sqlite(&self) -> Option<&SqliteDatabase> {
        match &self.0 {
            Kind::Sqlite(database) => Some(database),
            Kind::Postgres(_) => None,
        }
    }

    /// The connections to PostgreSQL, if it is one. Before [`ready`](Self::ready) has returned, its
    /// tables may be missing.
    #[must_use]
    pub fn postgres(&self) -> Option<&PostgresPool> {
        match &self.0 {
            Kind::Sqlite(_) => None,
            Kind::Postgres(database) => Some(database.pool()),
        }
    }
}

/// The version of PostgreSQL's tables; `None` if there are none.
///
/// # Errors
/// When they cannot be read.
pub async fn schema_version(pool: &PostgresPool) -> Result<Option<SchemaVersion>, Error> {
    postgres::version(pool).await
}

/// What [`migrate`] would do.
///
/// # Errors
/// When the tables serve newer programs only, or cannot be read.
pub async fn pending_migration(pool: &PostgresPool) -> Result<MigrationReport, Error> {
    postgres::pending(pool).await
}

/// Creates or migrates PostgreSQL's tables, as a server does when it starts.
///
/// # Errors
/// When the tables serve newer programs only, or cannot be changed now.
pub async fn migrate(pool: &PostgresPool) -> Result<MigrationReport, Error> {
    postgres::migrate(pool).await
}

impl From<SqliteDatabase> for Database {
    fn from(database: SqliteDatabase) -> Self {
        Self(Kind::Sqlite(database))
    }
}
