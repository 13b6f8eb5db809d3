//! Noticing changes of other processes.
//!
//! A server removes from its cache what its own writes change. This module notices what a command
//! changes while the server runs. `PRAGMA data_version` reads shared memory and tells whether any
//! other connection has committed something. Only then a counter is read, which every write of a
//! command advances.
//!
//! The check costs more than the rest of a cache hit, so its result is used for a moment, the
//! [`LEASE`]. The cache is right nevertheless: a command waits that long before it reports success.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use crate::Error;

/// How long the result of a check is used. A command waits as long before it reports a change.
pub(super) const LEASE: Duration = Duration::from_millis(1);

pub(super) struct Watch {
    seen: Mutex<Seen>,
}

struct Seen {
    connection: Connection,
    /// The last `data_version`, which only this connection can compare.
    version: i64,
    foreign: i64,
    /// When the last check began.
    looked_at: Instant,
}

impl Watch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of what is in memory on the runtime's timer"
    )]
    pub(super) fn new(connection: Connection) -> Result<Self, Error> {
        let looked_at = Instant::now();
        let (version, foreign) = (version(&connection)?, foreign(&connection)?);
        Ok(Self {
            seen: Mutex::new(Seen {
                connection,
                version,
                foreign,
                looked_at,
            }),
        })
    }

    /// Calls `invalidate` if another process has changed something since the last check and reported it.
    /// Other callers wait until that is done. If the database cannot be read, it may have changed.
    pub(super) fn if_changed(&self, invalidate: impl FnOnce()) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.look().unwrap_or(true) {
            invalidate();
        }
    }
}

impl Seen {
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of what is in memory on the runtime's timer"
    )]
    fn look(&mut self) -> Result<bool, Error> {
        let now = Instant::now();
        if now.duration_since(self.looked_at) < LEASE {
            return Ok(false);
        }
        let version = version(&self.connection)?;
        let mut changed = false;
        if version != self.version {
            let foreign = foreign(&self.connection)?;
            changed = foreign != self.foreign;
            (self.version, self.foreign) = (version, foreign);
        }
        self.looked_at = now;
        Ok(changed)
    }
}

/// Counts a change of a command, in its transaction.
pub(super) fn count_change(connection: &Connection) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE foreign_changes SET count = count + 1")?
        .execute(())?;
    Ok(())
}

fn version(connection: &Connection) -> Result<i64, Error> {
    Ok(connection
        .prepare_cached("PRAGMA data_version")?
        .query_row((), |row| row.get(0))?)
}

fn foreign(connection: &Connection) -> Result<i64, Error> {
    Ok(connection
        .prepare_cached("SELECT count FROM foreign_changes")?
        .query_row((), |row| row.get(0))?)
}
