//! Connections and their settings.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::access::FileAccess;
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
    let connection = open(path, &FileAccess::Write)?;
    // Every commit is synced before it is acknowledged. So tokens and tags survive a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// A connection that cannot write, and maps what it reads.
pub(crate) fn reader(path: &Path, access: &FileAccess) -> Result<Connection, Error> {
    let connection = unmapped_reader(path, access)?;
    // A mapped file that becomes shorter while no lock prevents it would kill the process.
    if !matches!(access, FileAccess::ReadClosed(..)) {
        connection.pragma_update(None, "mmap_size", MAPPED)?;
    }
    Ok(connection)
}

/// A connection that cannot write.
pub(crate) fn unmapped_reader(path: &Path, access: &FileAccess) -> Result<Connection, Error> {
    let connection = open(path, access)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Each connection is used by one thread at a time, so SQLite need not lock it. The last connection that
/// closes moves the log into the file, so each is opened for writing if that is allowed.
fn open(path: &Path, access: &FileAccess) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read_only = flags | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let opened = match access {
        FileAccess::Write => {
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)
        }
        // SQLite makes no index then.
        FileAccess::Read(_) => Connection::open_with_flags(uri(path, "readonly_shm"), read_only),
        FileAccess::ReadClosed(..) => {
            Connection::open_with_flags(uri(path, "immutable"), read_only)
        }
    };
    let connection = opened?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Otherwise SQLite plans a statement again for each value of a range or limit
    // (sqlite.org/queryplanner-ng, "stability"). That costs as much as reading a page of a list.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

/// The path as a URI that sets `parameter` (sqlite.org/uri.html).
fn uri(path: &Path, parameter: &str) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    format!("{uri}?{parameter}=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_its_bytes_in_a_uri() {
        let path = Path::new("/data/a b?c#d%20/é.db");
        assert_eq!(
            uri(path, "immutable"),
            "file:/data/a%20b%3Fc%23d%2520/%C3%A9.db?immutable=1"
        );
    }
}
