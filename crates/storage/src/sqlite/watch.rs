//! Noticing what others change.
//!
//! A server forgets what its own writes change. What a command beside it changes, it learns here: `PRAGMA data_version`
//! tells, at the cost of a look into shared memory, whether anybody at all has committed anything since the last look,
//! and only then is the counter read that every write of a command moves on.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use crate::Error;

pub(super) struct Watch {
    seen: Mutex<Seen>,
}

struct Seen {
    connection: Connection,
    /// The last `data_version`, which only this connection can compare.
    version: i64,
    foreign: i64,
}

impl Watch {
    pub(super) fn new(path: &Path) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(database::BUSY_TIMEOUT)?;
        let (version, foreign) = (version(&connection)?, foreign(&connection)?);
        Ok(Self { seen: Mutex::new(Seen { connection, version, foreign }) })
    }

    /// Whether somebody else has changed something since this was last asked. A database that cannot be read has changed,
    /// for all that is known.
    pub(super) fn has_changed(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.look().unwrap_or(true)
    }
}

impl Seen {
    fn look(&mut self) -> Result<bool, Error> {
        let version = version(&self.connection)?;
        if version == self.version {
            return Ok(false);
        }
        let foreign = foreign(&self.connection)?;
        let changed = foreign != self.foreign;
        (self.version, self.foreign) = (version, foreign);
        Ok(changed)
    }
}

/// Tells the server that something is changed behind its back, in the transaction that changes it.
pub(super) fn tell(connection: &Connection) -> Result<(), Error> {
    connection.prepare_cached("UPDATE foreign_changes SET count = count + 1")?.execute(())?;
    Ok(())
}

fn version(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))?)
}

fn foreign(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.prepare_cached("SELECT count FROM foreign_changes")?.query_row((), |row| row.get(0))?)
}
