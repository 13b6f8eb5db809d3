//! The configuration that a command names.

use std::path::Path;

use database::{Database, DatabaseLocation, DatabaseOpenError};

use crate::config::{self, LoadedConfig};
use crate::failure::Failure;

/// Loads the configuration at `file`. Its warnings are not shown.
pub(crate) fn load(file: &Path) -> Result<LoadedConfig, Failure> {
    config::load(file).map_err(|diagnostics| {
        Failure::usage(format!("the configuration is wrong\n{diagnostics}")).hint(format!(
            "`wharfinger check {}` says the same",
            file.display()
        ))
    })
}

/// Opens the database of a server, which may be running. `what` is in it.
pub(crate) fn open_database(location: &DatabaseLocation, what: &str) -> Result<Database, Failure> {
    Database::open(location).map_err(|error| {
        let failure = Failure::system(format!("{what} cannot be reached")).caused_by(&error);
        match error {
            DatabaseOpenError::Unreachable { .. } | DatabaseOpenError::Database { .. } => {
                failure.hint("run as the user that the server runs as; without `database`, the file is in $STATE_DIRECTORY")
            }
            DatabaseOpenError::Missing(_) => {
                failure.hint("without `database` in the configuration, $STATE_DIRECTORY says where it is")
            }
            _ => failure,
        }
    })
}
