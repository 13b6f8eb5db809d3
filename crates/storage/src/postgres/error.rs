//! Errors of the database, as the seams report them.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use oci::{Digest, Tag};
use postgresql::{PostgresError, PostgresServerError};

use crate::{Error, RemotePart};

/// When to try again what the database could not do.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<PostgresError> for Error {
    fn from(error: PostgresError) -> Self {
        match (&error, error.sql_state()) {
            (PostgresError::Unavailable(source), _) => {
                let source = &**source as &dyn StdError;
                match error.is_outage() {
                    // The log says it already, and what failed because of it.
                    true => tracing::debug!(error = source, "the database is away"),
                    false => tracing::warn!(error = source, "the database cannot answer now"),
                }
                Self::Unavailable {
                    what: RemotePart::Database,
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
    let (_, positions) = message(error, "WH001")?.rsplit_once(' ')?;
    positions.split(',').map(|one| one.parse().ok()).collect()
}

/// The tag and its digest that the message of WH006 ends with: an immutable tag is in the way.
pub(super) fn immutable_tag(error: &PostgresError) -> Option<(Tag, Digest)> {
    let mut words = message(error, "WH006")?.rsplit(' ');
    let digest = words.next()?.parse().ok()?;
    Some((words.next()?.parse().ok()?, digest))
}

/// What the message of WH007 ends with: what a change does to the usage of each prefix, one of which does
/// not have room.
pub(super) fn usage_without_room(error: &PostgresError) -> Option<Vec<i64>> {
    let (_, usage) = message(error, "WH007")?.rsplit_once(' ')?;
    usage.split(',').map(|one| one.parse().ok()).collect()
}

/// Whether a prefix of a quota is not counted.
pub(super) fn is_not_counted(error: &PostgresError) -> bool {
    message(error, "WH008").is_some()
}

/// The message of an error with this code.
fn message<'a>(error: &'a PostgresError, code: &str) -> Option<&'a str> {
    let PostgresError::Other(source) = error else {
        return None;
    };
    let server = source.downcast_ref::<PostgresServerError>()?;
    (server.code == code).then_some(server.message.as_str())
}
