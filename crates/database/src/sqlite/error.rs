//! SQLite's errors, by what a caller or an operator can do about them.

use rusqlite::{ErrorCode, ffi};

use crate::read_only::MESSAGE;
use crate::{DatabaseCause, Error};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let extended = error.sqlite_error().map(|error| error.extended_code);
        let is_refused = extended == Some(ffi::SQLITE_CONSTRAINT_TRIGGER)
            && matches!(&error, rusqlite::Error::SqliteFailure(_, Some(said)) if said == MESSAGE);
        let error = DatabaseCause::of(&error);
        if is_refused {
            return Self::ReadOnly(error);
        }
        if let Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) = extended {
            return Self::Unique(error);
        }
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
            (ffi::SQLITE_CONSTRAINT_UNIQUE, "Unique("),
            (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, "Unique("),
            (ffi::SQLITE_CONSTRAINT_CHECK, "Statement("),
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
