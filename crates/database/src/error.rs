//! Why a read or a write did not happen, told apart by what a caller or an operator can do about
//! it.

use std::ops::Deref;
use std::sync::Arc;

use rusqlite::ErrorCode;

/// Why a read or a write did not happen.
///
/// It can be cloned, because one failed commit is the answer to every write that it gathered.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No room is left on the disk. Reads still work; writes work again once there is room.
    #[error("the disk that holds the database is full")]
    Full(#[source] SqliteCause),
    /// The file or its file system may only be read.
    #[error("the database cannot be written to")]
    ReadOnly(#[source] SqliteCause),
    /// Another process held the database for longer than [`BUSY_TIMEOUT`](crate::BUSY_TIMEOUT).
    /// Trying again may help.
    #[error("another process keeps the database locked")]
    Busy(#[source] SqliteCause),
    /// The file is damaged or no database at all. Only a backup helps.
    #[error("the file is damaged, or is no database")]
    Corrupt(#[source] SqliteCause),
    /// The operating system failed to read or write the file.
    #[error("the database file cannot be accessed")]
    Io(#[source] SqliteCause),
    /// The file was removed, or another was put in its place, while this one was open: what is
    /// written is lost.
    #[error(
        "the database's file was removed or replaced while it was open: start the server again"
    )]
    Moved,
    /// The statement itself is at fault: a broken constraint, a missing row, a wrong type.
    #[error("a database statement failed")]
    Statement(#[source] SqliteCause),
    /// A write ended the transaction that it ran in.
    #[error("a write ended the transaction it was part of")]
    Unfinished,
    /// The database is being closed.
    #[error("the database is closed")]
    Closed,
}

/// What SQLite said: its error, shared, and without the source that it repeats.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SqliteCause(Arc<rusqlite::Error>);

impl Deref for SqliteCause {
    type Target = rusqlite::Error;

    fn deref(&self) -> &rusqlite::Error {
        &self.0
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let error = SqliteCause(Arc::new(error));
        match code {
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error),
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport,
            ) => Self::Io(error),
            _ => Self::Statement(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use rusqlite::ffi;

    use super::*;

    fn error(code: i32) -> Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("what SQLite said".to_owned()))
            .into()
    }

    #[test]
    fn what_an_operator_can_do_tells_errors_apart() {
        for (code, expected) in [
            (ffi::SQLITE_FULL, "Full("),
            (ffi::SQLITE_READONLY, "ReadOnly("),
            (ffi::SQLITE_READONLY_DBMOVED, "ReadOnly("),
            (ffi::SQLITE_BUSY, "Busy("),
            (ffi::SQLITE_BUSY_SNAPSHOT, "Busy("),
            (ffi::SQLITE_LOCKED, "Busy("),
            (ffi::SQLITE_CORRUPT, "Corrupt("),
            (ffi::SQLITE_NOTADB, "Corrupt("),
            (ffi::SQLITE_IOERR_FSYNC, "Io("),
            (ffi::SQLITE_CANTOPEN, "Io("),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, "Statement("),
            (ffi::SQLITE_ERROR, "Statement("),
        ] {
            assert!(format!("{:?}", error(code)).starts_with(expected), "{code}");
        }
        assert!(matches!(
            Error::from(rusqlite::Error::QueryReturnedNoRows),
            Error::Statement(_)
        ));
    }

    #[test]
    fn nothing_is_said_twice() {
        let error = error(ffi::SQLITE_NOTADB);
        let cause = error.source().unwrap();
        assert_eq!(error.to_string(), "the file is damaged, or is no database");
        assert_eq!(cause.to_string(), "what SQLite said");
        assert!(cause.source().is_none());
    }
}
