//! The store of metadata in SQLite.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use common::{Clock, unix_seconds};
use database::SqliteDatabase;
use rusqlite::{Connection, OptionalExtension};
use traces::in_current_span;

use super::watch::{self, Watch};
use crate::cache::{Cache, Stale};
use crate::shared::{ContentRows, OwnBlobs};
use crate::{Error, Retention};

/// Metadata in SQLite. Clones share it.
#[derive(Clone)]
pub struct Sqlite {
    pub(super) shared: Arc<SqliteState>,
}

pub(super) struct SqliteState {
    pub(super) database: SqliteDatabase,
    pub(super) retention: Retention,
    clock: Arc<dyn Clock>,
    pub(super) cache: Cache,
    watch: Watch,
    /// Whether this process runs a command. Then a server may have to notice its changes.
    is_command: bool,
}

impl Sqlite {
    /// Metadata of the one server that has `database`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn new(
        database: SqliteDatabase,
        retention: Retention,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        Self::with(database, retention, clock, false)
    }

    /// Metadata of a command. A server may be running.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn for_command(
        database: SqliteDatabase,
        retention: Retention,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        Self::with(database, retention, clock, true)
    }

    fn with(
        database: SqliteDatabase,
        retention: Retention,
        clock: Arc<dyn Clock>,
        is_command: bool,
    ) -> Result<Self, Error> {
        let watch = Watch::new(database.reader()?)?;
        Ok(Self {
            shared: Arc::new(SqliteState {
                database,
                retention,
                clock,
                cache: Cache::new(),
                watch,
                is_command,
            }),
        })
    }

    /// From now on, content is in the bucket with this identity.
    pub(crate) async fn set_content_identity(&self, identity: String) -> Result<(), Error> {
        let work = move |connection: &Connection| {
            let sql = "INSERT OR REPLACE INTO content_store (one, identity) VALUES (1, ?1)";
            Ok(connection.execute(sql, [&identity]).map(drop)?)
        };
        self.write(work, |()| Stale::Nothing).await
    }

    /// Reads on a snapshot.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.shared.database.read(work).await
    }

    /// Makes a change, and removes from the cache what `stale` returns for the result. It runs to its
    /// end even if the caller stops waiting: the cache must not outlive the change.
    pub(super) async fn write<T, F, S>(&self, work: F, stale: S) -> Result<T, Error>
    where
        F: Fn(&Connection) -> Result<T, Error> + Send + 'static,
        S: FnOnce(&T) -> Stale + Send + 'static,
        T: Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(in_current_span(async move {
            let is_command = shared.is_command;
            let work = move |connection: &Connection| {
                let result = work(connection)?;
                if is_command {
                    watch::count_change(connection)?;
                }
                Ok::<T, Error>(result)
            };
            let result: T = shared.database.write(work).await?;
            shared.cache.invalidate(stale(&result));
            if is_command {
                // Only then has the server certainly looked again.
                tokio::time::sleep(watch::LEASE).await;
            }
            Ok(result)
        }));
        task.await.unwrap_or_else(Error::from_join_error)
    }

    /// The current time, in seconds since the Unix epoch.
    pub(super) fn now(&self) -> i64 {
        i64::try_from(unix_seconds(self.shared.clock.now())).unwrap_or(i64::MAX)
    }

    /// How old a lease must be before it is renewed, in seconds.
    pub(super) fn renewal(&self) -> i64 {
        seconds(self.shared.retention.grace / 8).min(3600)
    }

    /// The cache, without entries that another process has made stale.
    pub(super) fn cache(&self) -> &Cache {
        let cache = &self.shared.cache;
        self.shared
            .watch
            .if_changed(|| cache.invalidate(Stale::Everything));
        cache
    }
}

impl ContentRows for Sqlite {
    async fn own_blobs(&self) -> Result<OwnBlobs, Error> {
        self.read(|connection| {
            let any = "SELECT EXISTS (SELECT 1 FROM blobs WHERE store = 0)";
            let live = "SELECT EXISTS (SELECT 1 FROM blobs WHERE store = 0 AND state IN (1, 2))";
            let exists = |sql| connection.query_row(sql, (), |row| row.get(0));
            Ok(OwnBlobs {
                any: exists(any)?,
                any_live: exists(live)?,
            })
        })
        .await
    }

    async fn content_identity(&self) -> Result<Option<String>, Error> {
        self.read(|connection| {
            let sql = "SELECT identity FROM content_store";
            Ok(connection.query_row(sql, (), |row| row.get(0)).optional()?)
        })
        .await
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("database", &self.shared.database.path())
            .finish_non_exhaustive()
    }
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
