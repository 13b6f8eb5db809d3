//! Noticing what others change.
//!
//! A server forgets what its own writes change. What a command beside it changes, it learns here:
//! `PRAGMA data_version` tells, at the cost of a look into shared memory, whether anybody at all
//! has committed anything since the last look, and only then is the counter read that every write
//! of a command moves on.
//!
//! That look costs more than everything else about a remembered manifest, so it counts for a
//! moment, the [`LEASE`]. It is no less true for that: a command says that something is changed
//! only when every look from before has run out.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use crate::Error;

/// For how long a look counts. Who changes something behind the server's back waits as long before
/// it says so.
pub(super) const LEASE: Duration = Duration::from_millis(1);

pub(super) struct Watch {
    seen: Mutex<Seen>,
}

struct Seen {
    connection: Connection,
    /// The last `data_version`, which only this connection can compare.
    version: i64,
    foreign: i64,
    /// When the last look began.
    looked_at: Instant,
}

impl Watch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of what is in memory on the runtime's timer"
    )]
    pub(super) fn new(path: &Path) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(database::BUSY_TIMEOUT)?;
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

    /// Does `forget` if somebody else has changed something since this was last asked, and has said
    /// so. Nobody else hears that nothing is changed before that is done. A database that cannot be
    /// read has changed, for all that is known.
    pub(super) fn if_changed(&self, forget: impl FnOnce()) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.look().unwrap_or(true) {
            forget();
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

/// Tells the server that something is changed behind its back, in the transaction that changes it.
pub(super) fn tell(connection: &Connection) -> Result<(), Error> {
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
