//! What can go wrong between a client and a registry, and what to do about it.

use std::path::PathBuf;

use oci::{Digest, ManifestError};
use reqwest::{Method, StatusCode, Url};

use crate::credentials::CredentialsError;
use crate::transport::{ConnectionError, RootCause};
use crate::{ErrorResponse, Step};

/// Why something could not be done. [`Error::kind`] says who is at fault, [`Error::hint`] what to
/// try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer came, or only a part of one.
    #[error("{step}: {origin} {problem}")]
    Connection {
        /// What was being done.
        step: Step,
        /// Scheme, host and port.
        origin: String,
        /// What is the matter.
        problem: ConnectionError,
        /// What the machine says.
        source: RootCause,
    },
    /// The user's name and password, or refresh token, were not believed.
    #[error("{step}: the login{} is refused", of(.account.as_deref()))]
    LoginFailed {
        /// What was being done.
        step: Step,
        /// Whose login it was.
        account: Option<String>,
        /// What the server said.
        source: Box<ErrorResponse>,
    },
    /// What was asked for is not allowed to this caller.
    #[error("{step}: not allowed")]
    Denied {
        /// What was being done.
        step: Step,
        /// Whether a login was at hand.
        logged_in: bool,
        /// What the registry said.
        source: Box<ErrorResponse>,
    },
    /// What was asked for does not exist.
    #[error("{step}: not found")]
    NotFound {
        /// What was being done.
        step: Step,
        /// What the registry said.
        source: Box<ErrorResponse>,
    },
    /// Any other answer that is no success.
    #[error("{step}: refused")]
    ErrorResponse {
        /// What was being done.
        step: Step,
        /// What the server said.
        source: Box<ErrorResponse>,
    },
    /// The registry sends its callers to a place that makes no sense, or that nothing secret should
    /// be sent to.
    #[error("{host} asks for a token, but {why}")]
    Challenge {
        /// The registry.
        host: String,
        /// What is the matter.
        why: String,
    },
    /// A redirect that is not followed.
    #[error("{step}: {from} redirects to {to}, {why}")]
    Redirect {
        /// What was being done.
        step: Step,
        /// Who redirects.
        from: Box<Url>,
        /// Where to, as it was written.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// An answer that is not what the protocol says.
    #[error("{step}: {method} {url} answered {status}, but {what}")]
    Malformed {
        /// What was being done.
        step: Step,
        /// What was asked.
        method: Method,
        /// Whom.
        url: Box<Url>,
        /// What came.
        status: StatusCode,
        /// What is wrong with it.
        what: String,
    },
    /// Content is not what its name says.
    #[error("{what}: its digest should be {expected} and is {found}")]
    Digest {
        /// Where the content came from.
        what: String,
        /// The name.
        expected: Box<Digest>,
        /// What the content's name should be.
        found: Box<Digest>,
    },
    /// Content has not the length that its descriptor says.
    #[error("{what}: should have {expected} bytes and has {found}")]
    Size {
        /// Where the content came from.
        what: String,
        /// In bytes, as the descriptor says.
        expected: u64,
        /// In bytes, as it came.
        found: u64,
    },
    /// A manifest that cannot be read.
    #[error("{what} is no manifest that can be handled")]
    Manifest {
        /// Where it came from.
        what: String,
        /// Why.
        source: ManifestError,
    },
    /// A file or directory that does not do its part.
    #[error("{}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or directory that is not what it should be.
    #[error("{}: {what}", .path.display())]
    Layout {
        /// Which.
        path: PathBuf,
        /// What is the matter.
        what: String,
        /// Whether it is only that something is not in it.
        missing: bool,
    },
    /// What was asked for cannot be done this way.
    #[error("{0}")]
    Unsupported(String),
    /// Credentials that cannot be read or kept.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Who is at fault, as far as a script must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// User name, password or refresh token are wrong.
    Login,
    /// The caller may not do this.
    Denied,
    /// It does not exist.
    NotFound,
    /// No connection, or none that can be trusted.
    Unreachable,
    /// Content is not what its digest says.
    Content,
    /// The server did not do its part.
    Server,
    /// This machine did not do its part.
    Local,
    /// What was asked for makes no sense.
    Usage,
}

impl Error {
    /// Who is at fault.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connection { .. } => ErrorKind::Unreachable,
            Self::LoginFailed { .. } => ErrorKind::Login,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::NotFound { .. } | Self::Layout { missing: true, .. } => ErrorKind::NotFound,
            Self::Digest { .. } | Self::Size { .. } => ErrorKind::Content,
            Self::ErrorResponse { .. }
            | Self::Challenge { .. }
            | Self::Redirect { .. }
            | Self::Malformed { .. }
            | Self::Manifest { .. } => ErrorKind::Server,
            Self::File { .. } | Self::Credentials(_) => ErrorKind::Local,
            Self::Layout { .. } | Self::Unsupported(_) => ErrorKind::Usage,
        }
    }

    /// What the reader can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connection { origin, problem, .. } => problem.hint(origin),
            Self::LoginFailed { account: Some(_), .. } => {
                Some("check the user's name and password, and log in again: wharfinger login HOST".to_owned())
            }
            Self::LoginFailed { account: None, .. } => Some(
                "the stored refresh token is not good any more: log in again with wharfinger login HOST".to_owned(),
            ),
            Self::Denied { logged_in: false, source, .. } => {
                Some(format!("nobody is logged in: wharfinger login {}", source.host()))
            }
            Self::Denied { logged_in: true, source, .. } => Some(format!(
                "the login is good, but not allowed this; --trace shows what was asked for and granted, and wharfinger \
                 doctor {} looks for what is set up wrong",
                source.host()
            )),
            Self::ErrorResponse { source, .. } => source.hint(),
            Self::Redirect { from, to, .. } if from.scheme() == "https" && to.starts_with("http://") => {
                Some("a proxy in front that does not set X-Forwarded-Proto makes registries answer so".to_owned())
            }
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("the disk is full; what has arrived is kept and the next try goes on from there".to_owned())
            }
            Self::Digest { .. } => Some("nothing of it was kept".to_owned()),
            _ => None,
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Whether the same might succeed at another time.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Connection { problem, .. } => problem.may_pass(),
            Self::ErrorResponse { source, .. } => source.may_pass(),
            _ => false,
        }
    }
}

fn of(account: Option<&str>) -> String {
    account.map_or_else(String::new, |account| format!(" of {account:?}"))
}
