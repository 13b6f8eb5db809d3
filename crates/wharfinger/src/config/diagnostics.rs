//! What is wrong with a configuration, all of it at once.
//!
//! A diagnostic is one line that editors and people can follow:
//! `auth.yml:12:5: error: server.addr: …`. It names the key and the kind of the problem, and never
//! shows a value that may be a secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use common::nearest;

use super::yaml::Position;

/// Whether a configuration can be used in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Error,
    Warning,
    /// Worth knowing once, and as the operator most likely wants it.
    Note,
}

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The file is not YAML, or too large.
    Syntax,
    /// A key is there twice.
    Duplicate,
    /// No setting has this name.
    UnknownKey,
    /// A required key is not there.
    Missing,
    /// A value of another type is expected.
    WrongType,
    /// The value cannot be used.
    Invalid,
    /// A file that is named cannot be read or used.
    File,
    /// Two settings contradict each other.
    Conflict,
    /// This program cannot do it, or not yet.
    Unsupported,
    /// The setting changes nothing.
    NoEffect,
    /// Access is wider than most operators want.
    Insecure,
    /// Legal, and most likely not what was meant.
    Doubtful,
}

/// A place in one of the configuration's files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) file: Arc<Path>,
    pub(crate) position: Position,
}

impl Location {
    /// The place without its directory, as the log shows it: `auth.yml:31`.
    pub(crate) fn short(&self) -> String {
        let file = self.file.file_name().unwrap_or(self.file.as_os_str());
        format!("{}:{}", file.display(), self.position.line)
    }
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) location: Location,
    /// The key's path with the names that the file uses; empty for the file as a whole.
    pub(crate) key: String,
    pub(crate) problem: Problem,
    /// What is wrong, and what to do. The key is not repeated.
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
            Self::Note => "note",
        })
    }
}

/// One word, as `check --json` has it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "syntax",
            Self::Duplicate => "duplicate",
            Self::UnknownKey => "unknown-key",
            Self::Missing => "missing",
            Self::WrongType => "wrong-type",
            Self::Invalid => "invalid",
            Self::File => "file",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::NoEffect => "no-effect",
            Self::Insecure => "insecure",
            Self::Doubtful => "doubtful",
        })
    }
}

impl Location {
    /// The line `line` of a file that the configuration names.
    pub(crate) fn of_line(file: &Path, line: usize) -> Self {
        Self {
            file: file.into(),
            position: Position { line, column: 1 },
        }
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

impl Diagnostic {
    /// The key, what is wrong with it and what to do, without the place.
    pub(crate) fn text(&self) -> String {
        match (self.key.as_str(), self.problem) {
            ("", _) | (_, Problem::UnknownKey | Problem::Duplicate) => self.message.clone(),
            (key, Problem::Missing) => format!("{key} is missing: {}", self.message),
            (key, _) => format!("{key}: {}", self.message),
        }
    }

    /// Writes it to the log, at the level of its severity.
    pub(crate) fn log(&self) {
        let (place, text) = (self.place(), self.text());
        match self.severity {
            Severity::Error => tracing::error!("{place}: {text}"),
            Severity::Warning => tracing::warn!("{place}: {text}"),
            Severity::Note => tracing::info!("{place}: {text}"),
        }
    }

    /// Where it is: `FILE:LINE:COLUMN`, or the name of a variable.
    pub(crate) fn place(&self) -> String {
        let position = self.location.position;
        match position.variable() {
            Some(_) => self.location.to_string(),
            None => format!("{}:{}", self.location, position.column),
        }
    }
}

/// `FILE:LINE:COLUMN: error: …`, or `VARIABLE: error: …`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place(), self.severity, self.text())
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
            key: String::new(),
            problem: Problem::Invalid,
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
