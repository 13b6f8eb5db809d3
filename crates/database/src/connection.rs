//! A connection, set up the way all of ours are.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::Error;

/// For how long a write waits while another process (a command beside the server) holds the
/// database.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of the file a reader maps, in bytes: all that SQLite allows. Pages that are read one by
/// one make a row of a large database dearer than one of a small database, by nearly half; mapped,
/// by much less (docs/performance.md). The price is that a disk which fails under a mapping ends
/// the process (sqlite.org/mmap), so the connection that writes has none.
const MAPPED: i64 = 1 << 31;

/// Statements are prepared once and kept; no program of ours has more of them than this.
const PREPARED: usize = 64;

/// The connection that writes. The file must be there.
pub(crate) fn writer(path: &Path) -> Result<Connection, Error> {
    let connection = open(path)?;
    // Every commit is on the disk before it is answered: a token that was handed out, a tag that
    // was accepted, survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// A connection that cannot write.
pub(crate) fn reader(path: &Path) -> Result<Connection, Error> {
    let connection = open(path)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "mmap_size", MAPPED)?;
    Ok(connection)
}

/// Each connection is used by one thread at a time, so SQLite need not lock it; and paths are
/// paths, never URIs.
fn open(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Otherwise a statement is planned anew for each value that a range or a limit is given
    // (sqlite.org/queryplanner-ng, "stability"), which costs a page of a list as much as reading
    // it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}
