//! Why a read or a write did not happen, told apart by what a caller or an operator can do about it.

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
    Full(#[source] Arc<rusqlite::Error>),
    /// The file or its file system may only be read.
    #[error("the database cannot be written to")]
    ReadOnly(#[source] Arc<rusqlite::Error>),
    /// Another process held the database for longer than [`BUSY_TIMEOUT`](crate::BUSY_TIMEOUT). Trying again may help.
    #[error("another process keeps the database locked")]
    Busy(#[source] Arc<rusqlite::Error>),
    /// The file is damaged or no database at all. Only a backup helps.
    #[error("the database file is damaged")]
    Corrupt(#[source] Arc<rusqlite::Error>),
    /// The operating system failed to read or write the file.
    #[error("the database file cannot be accessed")]
    Io(#[source] Arc<rusqlite::Error>),
    /// The statement itself is at fault: a broken constraint, a missing row, a wrong type.
    #[error("a database statement failed")]
    Statement(#[source] Arc<rusqlite::Error>),
    /// A write ended the transaction that it ran in.
    #[error("a write ended the transaction it was part of")]
    Unfinished,
    /// The database is being closed.
    #[error("the database is closed")]
    Closed,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let error = Arc::new(error);
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
