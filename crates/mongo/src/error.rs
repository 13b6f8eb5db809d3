//! What can go wrong with a database.

use std::time::Duration;

use mongodb::error::ErrorKind;

/// Why an operation has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MongoError {
    #[error("the database did not answer within {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("the database cannot be reached")]
    Unreachable(#[source] ErrorKind),
    #[error("the database cannot answer now")]
    Busy(#[source] ErrorKind),
    #[error("the database does not accept the user name and password of this server")]
    LoginRefused(#[source] ErrorKind),
    #[error("the database refused the operation")]
    Refused(#[source] ErrorKind),
}

/// The codes of MongoDB's errors after which a driver tries a read again: a server that starts,
/// stops, or is no longer the primary.
const PASSING: [i32; 13] = [
    6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
];

impl MongoError {
    /// Whether the same operation may succeed later without any change.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Unreachable(_) | Self::Busy(_) => true,
            Self::LoginRefused(_) | Self::Refused(_) => false,
        }
    }
}

/// The driver's own text repeats its causes and the server's whole answer, so only the kind is kept.
impl From<mongodb::error::Error> for MongoError {
    fn from(error: mongodb::error::Error) -> Self {
        let kind = *error.kind;
        match &kind {
            ErrorKind::Authentication { .. } => Self::LoginRefused(kind),
            ErrorKind::Io(_)
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. } => Self::Unreachable(kind),
            ErrorKind::Command(command) if PASSING.contains(&command.code) => Self::Busy(kind),
            _ => Self::Refused(kind),
        }
    }
}
