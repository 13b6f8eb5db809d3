//! PostgreSQL's errors, by what a caller or an operator can do about them.

use std::error::Error as _;

use common::with_causes;
use postgresql::PostgresError;

use crate::{DatabaseCause, Error};

impl From<PostgresError> for Error {
    fn from(error: PostgresError) -> Self {
        // Its own text says no more than the variant's.
        let cause = match error.source() {
            Some(cause) => DatabaseCause::text(with_causes(cause)),
            None => DatabaseCause::of(&error),
        };
        let code = error.sql_state().map(str::to_owned);
        match error {
            PostgresError::Unavailable(_) => Self::Unavailable(cause),
            PostgresError::Conflict(_) => Self::Busy(cause),
            PostgresError::Full(_) => Self::Full(cause),
            PostgresError::Unique { .. } => Self::Unique(cause),
            // A trigger of `read_only` refuses changes.
            PostgresError::Other(_) if code.as_deref() == Some("WH090") => Self::ReadOnly(cause),
            PostgresError::Other(_) => Self::Statement(cause),
        }
    }
}
