//! The configuration that a command names.

use std::path::Path;

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
