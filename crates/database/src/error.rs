//! Why a read or a write failed, by what a caller or an operator can do about it.

use std::ops::Deref;
use std::sync::Arc;

use rusqlite::ErrorCode;

/// Why a read or a write failed.
///
/// It can be cloned, because a failed commit is the error of every write in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is full. Reads work. Writes work again when there is room.
    #[error("the disk that holds the database is full")]
    Full(#[source] SqliteCause),
    /// The file or its file system is read-only.
    #[error("the database cannot be written to")]
    ReadOnly(#[source] SqliteCause),
    /// Another process held the database for longer than [`BUSY_TIMEOUT`](crate::BUSY_TIMEOUT).
    /// Another try may succeed.
    #[error("another process keeps the database locked")]
    Busy(#[source] SqliteCause),
    /// The file is damaged, or is not a database. Only a backup helps.
    #[error("the file is damaged, or is not a database")]
    Corrupt(#[source] SqliteCause),
    /// The operating system failed to read or write the file.
    #[error("the database file cannot be accessed")]
    Io(#[source] SqliteCause),
    /// The file was removed or replaced while it was open. What is written now would be lost.
    #[error(
        "the database's file was removed or replaced while it was open: start the server again"
    )]
    Moved,
    /// The statement is at fault: a violated constraint, a missing row, a wrong type.
    #[error("a database statement failed")]
    Statement(#[source] SqliteCause),
    /// A write ended the transaction that it ran in.
    #[error("a write ended the transaction it was part of")]
    Unfinished,
    /// The database is being closed.
    #[error("the database is closed")]
    Closed,
}

impl Error {
    /// Whether the same statement may succeed later, when the disk has room or can be written to, or
    /// when another process has ended.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Full(_) | Self::ReadOnly(_) | Self::Busy(_))
    }
}

/// SQLite's error, shared, and without the source whose text it repeats.
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
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("SQLite's message".to_owned()))
            .into()
    }

    #[test]
    fn errors_differ_by_what_an_operator_can_do() {
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
    fn what_the_disk_or_another_process_stops_may_pass() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_READONLY, ffi::SQLITE_BUSY] {
            assert!(error(code).may_pass(), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_IOERR, ffi::SQLITE_ERROR] {
            assert!(!error(code).may_pass(), "{code}");
        }
    }

    #[test]
    fn no_message_repeats_its_source() {
        let error = error(ffi::SQLITE_NOTADB);
        let cause = error.source().unwrap();
        assert_eq!(
            error.to_string(),
            "the file is damaged, or is not a database"
        );
        assert_eq!(cause.to_string(), "SQLite's message");
        assert!(cause.source().is_none());
    }
}
