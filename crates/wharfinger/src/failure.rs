//! How a command fails: an `error:` line with its causes, a `hint:`, and an exit code for scripts.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use common::{EntropyError, escape_line, escape_lines};

/// Who is at fault, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The check was made and its result is negative: a configuration with errors, a token that does
    /// not verify. Exit 1.
    Negative,
    /// The command line or a file it names is wrong. Exit 2.
    Usage,
    /// The machine or a server failed. Exit 3.
    System,
    /// The user name, password or refresh token was refused. Exit 4.
    Login,
    /// The user is not allowed to do this. Exit 5.
    Denied,
    /// It does not exist. Exit 6.
    NotFound,
    /// The server cannot be reached, or its certificate is not trusted. Exit 7.
    Unreachable,
    /// Content is not what its digest says. Exit 8.
    Content,
    /// This signal ended the command. Exit 128 plus the signal's number, as shells report it.
    Interrupted(u8),
}

/// The hint for a disk without any room: SQLite cannot delete rows then, so neither garbage collection
/// nor a deletion makes room.
pub(crate) const FULL_DISK: &str = "free a few megabytes on that disk first: delete or move a file that does not belong to \
                                    the registry";

/// Why a command ended without success.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: FailureKind,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn negative(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Negative, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    pub(crate) fn system(message: impl Into<String>) -> Self {
        Self::new(FailureKind::System, message)
    }

    /// Adds `error` and everything it came from. No error repeats its source, but the words of the message
    /// may be those of `error`: then they are said once.
    pub(crate) fn caused_by(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let (cause, before) = (error.to_string(), self.causes.last());
            if cause != *before.unwrap_or(&self.message) {
                self.causes.push(cause);
            }
            next = error.source();
        }
        self
    }

    /// Adds what the reader can do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, for a command whose other exit codes mean something else.
    pub(crate) fn into_usage(self) -> Self {
        Self {
            kind: FailureKind::Usage,
            ..self
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            FailureKind::Negative => 1,
            FailureKind::Usage => 2,
            FailureKind::System => 3,
            FailureKind::Login => 4,
            FailureKind::Denied => 5,
            FailureKind::NotFound => 6,
            FailureKind::Unreachable => 7,
            FailureKind::Content => 8,
            FailureKind::Interrupted(signal) => 128 + signal,
        })
    }

    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }
}

impl From<EntropyError> for Failure {
    fn from(error: EntropyError) -> Self {
        Self::system("the server needs randomness").caused_by(&error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", escape_lines(&self.message))?;
        for cause in &self.causes {
            write!(f, ": {}", escape_line(cause))?;
        }
        writeln!(f)?;
        self.hint
            .iter()
            .try_for_each(|hint| writeln!(f, "hint: {}", escape_lines(hint)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_cause_and_hint_once_each() {
        let cause = std::io::Error::other("disk on fire");
        let failure = Failure::system("cannot write key.pem")
            .caused_by(&cause)
            .hint("put it out");
        assert_eq!(
            failure.to_string(),
            "error: cannot write key.pem: disk on fire\nhint: put it out\n"
        );
        let same = Failure::system("disk on fire").caused_by(&cause);
        assert_eq!(same.to_string(), "error: disk on fire\n");
        assert_eq!(Failure::negative("no").to_string(), "error: no\n");
    }
}
