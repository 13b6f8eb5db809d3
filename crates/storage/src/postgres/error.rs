//! Errors of the database, as the seams report them.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use postgresql::{PostgresError, PostgresServerError};

use crate::Error;

/// When to try again what the database could not do.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<PostgresError> for Error {
    fn from(error: PostgresError) -> Self {
        match (&error, error.sql_state()) {
            (PostgresError::Unavailable(source), _) => {
                tracing::warn!(
                    error = &**source as &dyn StdError,
                    "the database cannot answer now"
                );
                Self::Unavailable {
                    retry_after: RETRY_AFTER,
                }
            }
            (PostgresError::Conflict(_), _) => Self::Conflict,
            (PostgresError::Full(_), _) => Self::Full,
            // What the functions of the database raise.
            (_, Some("WH002")) => Self::RepositoryUnknown,
            (_, Some("WH003")) => Self::ManifestUnknown,
            (_, Some("WH004")) => Self::BlobUnknown,
            (_, Some("WH005")) => Self::UploadUnknown,
            // A trigger refuses changes while the registry is copied (`database::read_only`).
            (_, Some("WH090")) => Self::ReadOnly,
            // What else is wrong with the database, only the operator can put right.
            _ => Self::Metadata(Arc::new(error)),
        }
    }
}

/// Whether another server's statement was in the way: the same row was inserted, or the row that was
/// referred to was removed. The same statement then finds what the other one did.
pub(super) fn has_lost_a_race(error: &PostgresError) -> bool {
    matches!(error.sql_state(), Some("23505" | "23503"))
}

/// The positions that the message of WH001 ends with, of blobs that a manifest lacks.
pub(super) fn missing_positions(error: &PostgresError) -> Option<Vec<usize>> {
    let PostgresError::Other(source) = error else {
        return None;
    };
    let server = source.downcast_ref::<PostgresServerError>()?;
    if server.code != "WH001" {
        return None;
    }
    let (_, positions) = server.message.rsplit_once(' ')?;
    positions.split(',').map(|one| one.parse().ok()).collect()
}
