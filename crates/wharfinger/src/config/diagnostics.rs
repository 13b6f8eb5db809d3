//! What is wrong with a configuration, all of it at once.
//!
//! A diagnostic is one line that editors and people can follow: `auth.yml:12:5: error: …`. It never
//! shows a value that may be a secret, only where it stands.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::yaml::Position;

/// Whether a configuration can be used in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// A place in one of the configuration's files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) file: Arc<Path>,
    pub(crate) position: Position,
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) location: Location,
    pub(crate) message: String,
}

/// Why a configuration cannot be used: at least one error, with the warnings, in the order of the
/// file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Diagnostics {
    found: Vec<Diagnostic>,
    /// Every file that was looked at, those that are not there too: when one changes it is worth
    /// another try.
    pub(crate) files: Vec<PathBuf>,
}

impl Diagnostics {
    /// Sorts what was found: as `Err` when there is an error in it, as the warnings otherwise.
    pub(super) fn settle(
        mut found: Vec<Diagnostic>,
        file: &Path,
        files: &[PathBuf],
    ) -> Result<Vec<Diagnostic>, Self> {
        // The configuration itself first, then the files that it names.
        found.sort_by(|a, b| {
            let other = |d: &Diagnostic| *d.location.file != *file;
            (other(a), &a.location, a.severity).cmp(&(other(b), &b.location, b.severity))
        });
        found.dedup();
        if found
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
        {
            Err(Self {
                found,
                files: files.to_vec(),
            })
        } else {
            Ok(found)
        }
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.found.iter()
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// `FILE:LINE`, or the name of a variable, as the log and `explain` name a rule.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position.variable() {
            Some(_) => write!(f, "{}", self.file.display()),
            None => write!(f, "{}:{}", self.file.display(), self.position.line),
        }
    }
}

/// `FILE:LINE:COLUMN: error: …`, or `VARIABLE: error: …`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (location, position) = (&self.location, self.location.position);
        match position.variable() {
            Some(_) => write!(f, "{location}: {}: {}", self.severity, self.message),
            None => write!(
                f,
                "{location}:{}: {}: {}",
                position.column, self.severity, self.message
            ),
        }
    }
}

/// One line each.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for diagnostic in &self.found {
            write!(f, "{separator}{diagnostic}")?;
            separator = "\n";
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_decide_and_lines_are_in_the_order_of_the_file() {
        let file: Arc<Path> = Path::new("a.yml").into();
        let at = |severity, file: &Arc<Path>, line, message: &str| Diagnostic {
            severity,
            location: Location {
                file: Arc::clone(file),
                position: Position { line, column: 1 },
            },
            message: message.to_owned(),
        };
        let other: Arc<Path> = Path::new("a.htpasswd").into();
        let warning = at(Severity::Warning, &file, 9, "w");
        assert_eq!(
            Diagnostics::settle(vec![warning.clone()], &file, &[]),
            Ok(vec![warning.clone()])
        );
        let found = vec![
            at(Severity::Error, &other, 1, "o"),
            warning,
            at(Severity::Error, &file, 3, "e"),
        ];
        let told = Diagnostics::settle(found, &file, &[]).unwrap_err();
        assert_eq!(
            told.to_string(),
            "a.yml:3:1: error: e\na.yml:9:1: warning: w\na.htpasswd:1:1: error: o"
        );
    }
}
