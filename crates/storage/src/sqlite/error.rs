//! Errors of the database, as the seams report them.

use std::sync::Arc;

use crate::Error;

impl From<database::Error> for Error {
    fn from(error: database::Error) -> Self {
        match error {
            database::Error::Full(_) => Self::Full,
            database::Error::ReadOnly(_) => Self::ReadOnly,
            database::Error::Busy(_)
            | database::Error::Unavailable(_)
            | database::Error::NotReached => Self::Busy,
            // What else is wrong with the database, only the operator can put right.
            other => Self::Metadata(Arc::new(other)),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        database::Error::from(error).into()
    }
}
