//! Why a read or a write failed, by what a caller or an operator can do about it.

use std::sync::Arc;

use crate::SchemaError;

/// Why a read or a write failed.
///
/// It can be cloned, because a failed commit is the error of every write in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is full. Reads work. Writes work again when there is room.
    #[error("the disk that holds the database is full")]
    Full(#[source] DatabaseCause),
    /// The file or its file system is read-only.
    #[error("the database cannot be written to")]
    ReadOnly(#[source] DatabaseCause),
    /// Another process held the SQLite file for longer than [`BUSY_TIMEOUT`](crate::BUSY_TIMEOUT), or
    /// changed the same rows of PostgreSQL again and again. Another try may succeed.
    #[error("another process keeps the database locked, or changes the same rows")]
    Busy(#[source] DatabaseCause),
    /// PostgreSQL cannot be reached, refuses the login, or does not answer in time. Another try may
    /// succeed.
    #[error("the database cannot be used")]
    Unavailable(#[source] DatabaseCause),
    /// PostgreSQL was not reached since this server has started. Another try may succeed.
    #[error("the database was not reached yet")]
    NotReached,
    /// This program cannot use the tables that PostgreSQL has.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The file is damaged, or is not a database. Only a backup helps.
    #[error("the file is damaged, or is not a database")]
    Corrupt(#[source] DatabaseCause),
    /// The operating system failed to read or write the file.
    #[error("the database file cannot be accessed")]
    Io(#[source] DatabaseCause),
    /// The file was removed or replaced while it was open. What is written now would be lost.
    #[error(
        "the database's file was removed or replaced while it was open: start the server again"
    )]
    Moved,
    /// A row with the same unique values is there already.
    #[error("a row with the same values is there already")]
    Unique(#[source] DatabaseCause),
    /// The statement is at fault: a violated constraint, a missing row, a wrong type.
    #[error("a database statement failed")]
    Statement(#[source] DatabaseCause),
    /// A statement that always has a row has none.
    #[error("a database statement returned no row")]
    NoRow,
    /// A row has what this program does not write.
    #[error("a row of the database cannot be read")]
    Unreadable(#[source] RowCause),
    /// A write ended the transaction that it ran in.
    #[error("a write ended the transaction it was part of")]
    Unfinished,
    /// The database is being closed.
    #[error("the database is closed")]
    Closed,
}

impl Error {
    /// Whether the same statement may succeed later: when the disk has room or can be written to, when
    /// another process has ended, when PostgreSQL can be reached or has its tables.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Full(_)
                | Self::ReadOnly(_)
                | Self::Busy(_)
                | Self::Unavailable(_)
                | Self::NotReached
                | Self::Schema(_)
        )
    }

    /// A row cannot be read, because of this.
    #[must_use]
    pub fn unreadable(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unreadable(RowCause(Arc::new(cause)))
    }
}

/// The error of the database's library, shared, as a text: so that it does not repeat its own source.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseCause(Arc<str>);

impl DatabaseCause {
    /// What `error` says itself.
    pub(crate) fn of(error: &dyn std::error::Error) -> Self {
        Self::text(error.to_string())
    }

    pub(crate) fn text(text: String) -> Self {
        Self(text.into())
    }
}

/// Why a row cannot be read, shared.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RowCause(Arc<dyn std::error::Error + Send + Sync>);

/// What is wrong with the value of a column.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ColumnFault {
    /// It is of another type than this program writes.
    #[error("the column {0} does not have the expected type")]
    Column(String),
}
