//! What `check --connect` says of one server or program.

use std::error::Error;
use std::fmt;

use common::with_causes;
use serde::Serialize;

/// A backend or a policy that was tried.
#[derive(Debug, Serialize)]
pub(super) struct TriedConnection {
    /// Its section in the configuration.
    section: &'static str,
    pub(super) fine: bool,
    /// What was found, or what went wrong.
    found: String,
}

impl TriedConnection {
    pub(super) fn new(section: &'static str, outcome: Result<Option<String>, impl Error>) -> Self {
        Self::of_text(section, outcome.map_err(|error| with_causes(&error)))
    }

    /// The same for an error that says first that its section failed, and then why.
    pub(super) fn of_backend(
        section: &'static str,
        outcome: Result<Option<String>, impl Error>,
    ) -> Self {
        let reason = |error: &dyn Error| with_causes(error.source().unwrap_or(error));
        Self::of_text(section, outcome.map_err(|error| reason(&error)))
    }

    fn of_text(section: &'static str, outcome: Result<Option<String>, String>) -> Self {
        let fine = outcome.is_ok();
        let found = match outcome {
            Ok(Some(found)) => found,
            Ok(None) => "nothing to connect to".to_owned(),
            Err(reason) => reason,
        };
        Self {
            section,
            fine,
            found,
        }
    }
}

impl fmt::Display for TriedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = if self.fine { "" } else { "error: " };
        write!(f, "{}: {error}{}", self.section, self.found)
    }
}
