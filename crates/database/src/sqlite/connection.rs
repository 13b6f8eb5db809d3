//! Connections and their settings.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::Error;

/// How long a write waits while another process, such as a command, holds the database.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of the file a reader maps, in bytes: all that SQLite allows. Without mapping, a row of a
/// large database costs nearly half more than a row of a small one; with mapping, much less
/// (docs/performance.md). But a disk error in a mapping kills the process (sqlite.org/mmap), so the
/// connection that writes has no mapping.
const MAPPED: i64 = 1 << 31;

/// How many prepared statements are kept: more than this program has.
const PREPARED: usize = 192;

/// The connection that writes. The file must exist.
pub(crate) fn writer(path: &Path) -> Result<Connection, Error> {
    let connection = open(path)?;
    // Every commit is synced before it is acknowledged. So tokens and tags survive a power cut.
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

/// Each connection is used by one thread at a time, so SQLite need not lock it. Paths are never read
/// as URIs.
fn open(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Otherwise SQLite plans a statement again for each value of a range or limit
    // (sqlite.org/queryplanner-ng, "stability"). That costs as much as reading a page of a list.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}
