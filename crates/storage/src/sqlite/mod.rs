//! Metadata in SQLite.
//!
//! Every method of the seams is one transaction of the [`database`]: reads on a snapshot, writes
//! gathered into one commit with whatever else is being written. One writer at a time means that a
//! row that was read in a write cannot change before its end, so nothing here needs a lock; an
//! implementation with many writers does (`FOR UPDATE`).

mod adoption;
mod blobs;
mod cache;
mod collection;
mod columns;
mod garbage;
mod inventory;
mod manifests;
mod outbox;
mod pages;
mod push;
mod uploads;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use database::Database;
use rusqlite::Connection;

use crate::{Clock, Error};
use cache::{Cache, Stale};
use watch::Watch;

/// What is agreed on about time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For how long after its last use collection leaves something alone.
    pub grace: Duration,
    /// After how long without a move an upload ends.
    pub upload_expiry: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(24 * 3600),
            upload_expiry: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl Retention {
    /// How old a lease may be before it is worth a write to renew it, in seconds.
    fn renewal(&self) -> i64 {
        seconds(self.grace / 8).min(3600)
    }
}

/// Metadata in SQLite. Clones share it.
#[derive(Clone)]
pub struct Sqlite {
    shared: Arc<SharedState>,
}

struct SharedState {
    database: Database,
    retention: Retention,
    clock: Clock,
    cache: Cache,
    watch: Watch,
    /// Whether this is not the server, which must be told what is changed behind its back.
    beside: bool,
}

impl Sqlite {
    /// Metadata of the one server that has `database`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn new(database: Database, retention: Retention, clock: Clock) -> Result<Self, Error> {
        Self::with(database, retention, clock, false)
    }

    /// Metadata of a command that runs beside the server, or without one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn beside(database: Database, retention: Retention, clock: Clock) -> Result<Self, Error> {
        Self::with(database, retention, clock, true)
    }

    fn with(
        database: Database,
        retention: Retention,
        clock: Clock,
        beside: bool,
    ) -> Result<Self, Error> {
        let watch = Watch::new(database.path())?;
        Ok(Self {
            shared: Arc::new(SharedState {
                database,
                retention,
                clock,
                cache: Cache::new(),
                watch,
                beside,
            }),
        })
    }

    /// Reads on a snapshot.
    async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.shared.database.read(work).await
    }

    /// Changes something, and forgets what `stale` says of the answer is no longer so. It goes on
    /// to the end when nobody waits for it: what is remembered must not outlive what is changed.
    async fn write<T, F, S>(&self, work: F, stale: S) -> Result<T, Error>
    where
        F: Fn(&Connection) -> Result<T, Error> + Send + 'static,
        S: FnOnce(&T) -> Stale + Send + 'static,
        T: Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            let beside = shared.beside;
            let work = move |connection: &Connection| {
                let answer = work(connection)?;
                if beside {
                    watch::tell(connection)?;
                }
                Ok::<T, Error>(answer)
            };
            let answer: T = shared.database.write(work).await?;
            shared.cache.forget(stale(&answer));
            if beside {
                // Until then the server may not have looked again.
                tokio::time::sleep(watch::LEASE).await;
            }
            Ok(answer)
        });
        task.await.unwrap_or_else(Error::ended)
    }

    /// The present moment, in seconds since the Unix epoch.
    fn now(&self) -> i64 {
        seconds(
            (self.shared.clock)()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }

    fn cache(&self) -> &Cache {
        let cache = &self.shared.cache;
        self.shared
            .watch
            .if_changed(|| cache.forget(Stale::Everything));
        cache
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("database", &self.shared.database.path())
            .finish_non_exhaustive()
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
