//! What can go wrong between a client and a registry, and what to do about it.

use std::path::PathBuf;

use oci::{Digest, ManifestError};
use reqwest::{Method, StatusCode, Url};

use crate::credentials::CredentialsError;
use crate::http_error_response::without_secrets;
use crate::transport::{ConnectionError, RootCause};
use crate::{HttpErrorResponse, Step};

/// Why something could not be done. [`Error::kind`] says where the fault is, [`Error::hint`] what to
/// try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No response came, or only a part of one.
    #[error("{step}: {origin} {problem}")]
    Connection {
        /// What the request was for.
        step: Step,
        /// Scheme, host and port.
        origin: String,
        /// What went wrong.
        problem: ConnectionError,
        /// What the operating system or a library says.
        source: RootCause,
    },
    /// The server rejected the user's name and password, or the refresh token.
    #[error("{step}: login{} rejected", of(.account.as_deref()))]
    LoginFailed {
        /// What the request was for.
        step: Step,
        /// The account that tried to log in.
        account: Option<String>,
        /// What the server said.
        source: Box<HttpErrorResponse>,
    },
    /// The caller lacks the right.
    #[error("{step}: {}", if .source.rejects_token { "token rejected" } else { "access denied" })]
    Denied {
        /// What the request was for.
        step: Step,
        /// Whether the request was made with a login.
        logged_in: bool,
        /// What the registry said.
        source: Box<HttpErrorResponse>,
    },
    /// The requested thing does not exist.
    #[error("{step}: not found")]
    NotFound {
        /// What the request was for.
        step: Step,
        /// What the registry said.
        source: Box<HttpErrorResponse>,
    },
    /// Any other response that is not a success.
    #[error("{step}: request failed")]
    HttpErrorResponse {
        /// What the request was for.
        step: Step,
        /// What the server said.
        source: Box<HttpErrorResponse>,
    },
    /// The registry asks for a token from an address that is wrong or unsafe.
    #[error("{host} asks for a token, but {why}")]
    Challenge {
        /// The registry.
        host: String,
        /// What is wrong with the challenge.
        why: String,
    },
    /// The token server has no logins by a page (RFC 8628).
    #[error("{server} has no login by browser (device authorization, RFC 8628)")]
    NoDeviceLogin {
        /// The token server, or the registry if that checks passwords itself.
        server: String,
        /// What the server said.
        source: Option<Box<HttpErrorResponse>>,
    },
    /// A login by a page ended without a token.
    #[error("{end}")]
    DeviceLogin {
        /// The registry.
        host: String,
        /// Why.
        end: DeviceLoginEnd,
    },
    /// A redirect that is not followed.
    #[error(
        "{step}: {} redirects to {}, {why}", without_secrets(.from), hide_query(.to)
    )]
    Redirect {
        /// What the request was for.
        step: Step,
        /// The URL that redirects.
        from: Box<Url>,
        /// The URL that it redirects to, as it was written.
        to: String,
        /// Why it is not followed.
        why: &'static str,
    },
    /// A response that breaks the protocol.
    #[error("{step}: {method} {} responded {status}, but {what}", without_secrets(.url))]
    Malformed {
        /// What the request was for.
        step: Step,
        /// The request's method.
        method: Method,
        /// The URL that responded.
        url: Box<Url>,
        /// The response's status.
        status: StatusCode,
        /// What is wrong with the response.
        what: String,
    },
    /// Content does not match its digest.
    #[error("{what}: content does not match its digest: expected {expected}, found {found}")]
    Digest {
        /// Where the content came from.
        what: String,
        /// The digest that it should have.
        expected: Box<Digest>,
        /// The digest that it has.
        found: Box<Digest>,
    },
    /// Content does not have the length that its descriptor says.
    #[error("{what}: content has {found} bytes, expected {expected}")]
    Size {
        /// Where the content came from.
        what: String,
        /// In bytes, as the descriptor says.
        expected: u64,
        /// In bytes, as it came.
        found: u64,
    },
    /// A manifest that cannot be read.
    #[error("cannot read the manifest {what}")]
    Manifest {
        /// Where it came from.
        what: String,
        /// Why.
        source: ManifestError,
    },
    /// A file or directory that cannot be read or written.
    #[error("{}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or directory whose content is not as expected.
    #[error("{}: {what}", .path.display())]
    Layout {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// Whether it is only that something is not in it.
        missing: bool,
    },
    /// The request cannot be fulfilled, for the reason given.
    #[error("{0}")]
    Unsupported(String),
    /// Credentials that cannot be read or stored.
    #[error(transparent)]
    LoginCredentials(#[from] CredentialsError),
}

/// Why a device login ended without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceLoginEnd {
    /// The person denied it, or their account was disabled meanwhile.
    #[error("the login was denied in the browser")]
    Denied,
    /// No one approved it in time.
    #[error("no one approved the login in the browser in time")]
    Expired,
}

/// Where the fault is, as far as a script needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The user name, password or refresh token.
    Login,
    /// The caller's rights.
    Denied,
    /// The requested thing does not exist.
    NotFound,
    /// There is no connection, or none that can be trusted.
    Unreachable,
    /// Content does not match its digest.
    Content,
    /// The server.
    Server,
    /// This machine.
    Local,
    /// The arguments.
    Usage,
}

impl Error {
    /// Where the fault is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connection { .. } => ErrorKind::Unreachable,
            Self::LoginFailed { .. } | Self::DeviceLogin { .. } => ErrorKind::Login,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::NotFound { .. } | Self::Layout { missing: true, .. } => ErrorKind::NotFound,
            Self::Digest { .. } | Self::Size { .. } => ErrorKind::Content,
            Self::HttpErrorResponse { .. }
            | Self::Challenge { .. }
            | Self::Redirect { .. }
            | Self::Malformed { .. }
            | Self::Manifest { .. } => ErrorKind::Server,
            Self::File { .. } | Self::LoginCredentials(_) => ErrorKind::Local,
            Self::Layout { .. } | Self::Unsupported(_) | Self::NoDeviceLogin { .. } => {
                ErrorKind::Usage
            }
        }
    }

    /// What the reader can do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            // docker and containerd look nowhere else for a token server's authority.
            Self::Connection {
                step: Step::Token,
                problem: ConnectionError::UnknownAuthority,
                ..
            } => Some(
                "put the certificate of the authority (or the token server's own certificate) into ca.crt in the \
                 directory of the registry, /etc/docker/certs.d/REGISTRY:PORT, or name its file with --ca-file"
                    .to_owned(),
            ),
            Self::Connection {
                origin, problem, ..
            } => problem.hint(origin),
            Self::LoginFailed {
                account, source, ..
            } => Some(match account {
                Some(_) => "check the user name and the password, and log in again".to_owned(),
                None => format!(
                    "the stored refresh token has expired or was revoked: log in again with \
                     `wharfinger login {}`",
                    source.host()
                ),
            }),
            // A rule of the registry refuses it to everyone.
            Self::Denied { source, .. } if source.errors.iter().any(|error| error.has_details) => {
                None
            }
            Self::Denied {
                logged_in: false,
                source,
                ..
            } => Some(format!(
                "no login was sent: log in with `wharfinger login {}`",
                source.host()
            )),
            Self::Denied { source, .. } if source.rejects_token => Some(format!(
                "the registry does not accept the token that its token server issued: `wharfinger \
                 doctor {}` finds out why",
                source.host()
            )),
            Self::Denied {
                logged_in: true,
                source,
                ..
            } => Some(format!(
                "the login works but does not have this right: --trace shows what was requested \
                 and granted, and `wharfinger doctor {}` looks for wrong settings",
                source.host()
            )),
            Self::HttpErrorResponse { source, .. } => source.hint(),
            Self::NoDeviceLogin { .. } => Some(
                "log in with a name and a password instead: `wharfinger login HOST` without --web"
                    .to_owned(),
            ),
            Self::DeviceLogin {
                host,
                end: DeviceLoginEnd::Expired,
            } => Some(format!("try again: `wharfinger login --web {host}`")),
            Self::Redirect { from, to, .. }
                if from.scheme() == "https" && to.starts_with("http://") =>
            {
                Some(
                    "a proxy in front of the registry must set X-Forwarded-Proto (nginx: \
                     `proxy_set_header X-Forwarded-Proto $scheme;`)"
                        .to_owned(),
                )
            }
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("the disk is full: free some space and run the command again; it continues where it stopped".to_owned())
            }
            Self::Digest { .. } => Some("the content was discarded".to_owned()),
            Self::LoginCredentials(error) => error.hint(),
            _ => None,
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Whether a registry refused a manifest because it lacks something that the manifest refers
    /// to. Registries say so with 400 or 404, and some of them for a manifest of an index, too.
    pub(crate) fn is_incomplete_push(&self) -> bool {
        const CODES: [&str; 3] = ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"];
        match self {
            Self::HttpErrorResponse { source, .. } | Self::NotFound { source, .. } => {
                source.method == Method::PUT && CODES.iter().any(|code| source.has(code))
            }
            _ => false,
        }
    }

    /// Whether another try may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { problem, .. } => problem.is_transient(),
            Self::HttpErrorResponse { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// How long the server asks to wait before another try.
    pub(crate) fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::HttpErrorResponse { source, .. } => source.retry_after,
            _ => None,
        }
    }
}

fn of(account: Option<&str>) -> String {
    account.map_or_else(String::new, |account| format!(" as {account:?}"))
}

/// A URL as a server wrote it, without its query, which may be signed.
fn hide_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(path, _)| path)
}
