//! What can go wrong with a database.

use std::error::Error;
use std::time::Duration;

/// Why a query has no rows to give.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqlError {
    #[error("cannot connect to the database{place}{hint}")]
    Connect {
        /// ` at 127.0.0.1:3306`; empty if the source says it.
        place: String,
        hint: &'static str,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the database did not answer within {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("the connection to the database broke")]
    Lost(#[source] Box<dyn Error + Send + Sync>),
    #[error("the database cannot answer now")]
    Busy(#[source] Box<dyn Error + Send + Sync>),
    #[error("the table of the query does not exist")]
    NoTable(#[source] Box<dyn Error + Send + Sync>),
    #[error("the query names a column that does not exist")]
    UnknownColumn(#[source] Box<dyn Error + Send + Sync>),
    #[error("{gap}, and `{statement}` failed: {failure}")]
    Schema {
        gap: String,
        statement: String,
        failure: String,
    },
    #[error("the database refused the query")]
    Query(#[source] Box<dyn Error + Send + Sync>),
    #[error("the query has no column `{0}`: name the columns with AS")]
    NoColumn(&'static str),
    #[error("the column `{column}` has the type {found}: cast it to text")]
    ColumnType { column: &'static str, found: String },
    #[error("the column `{0}` has a text that is not UTF-8")]
    NotUtf8(&'static str),
}

impl SqlError {
    /// Whether the same query may succeed later without any change.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::TimedOut(_) | Self::Lost(_) | Self::Busy(_) => true,
            Self::NoTable(_)
            | Self::UnknownColumn(_)
            | Self::Schema { .. }
            | Self::Query(_)
            | Self::NoColumn(_)
            | Self::ColumnType { .. }
            | Self::NotUtf8(_) => false,
        }
    }

    /// Whether the connection that it happened on is of no use any more.
    pub(crate) fn breaks_connection(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Busy(_) | Self::Connect { .. })
    }
}
