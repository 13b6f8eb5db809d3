//! Why a request to an API fails, and what to do about it.

use reqwest::StatusCode;

use super::address::ApiAddress;
use crate::{ConnectionError, Error, ErrorKind, HttpErrorResponse, ProblemDetails, Step};

/// Why something could not be done over an API.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The server refused the request, and says why.
    #[error("{problem}")]
    Refused {
        /// The response's status.
        status: StatusCode,
        /// What the server says.
        problem: ProblemDetails,
    },
    /// The caller lacks a right.
    #[error(
        "{} may not do this{}", .account.as_deref().unwrap_or("the login"), missing(.scope.as_deref())
    )]
    Denied {
        /// The account, if its login names it.
        account: Option<String>,
        /// The scope that is missing, if the server names it.
        scope: Option<String>,
    },
    /// No login was sent.
    #[error("{address} wants a login")]
    NoLogin {
        /// The server.
        address: String,
    },
    /// The login was rejected.
    #[error("{address} rejects the login")]
    LoginFailed {
        /// The server.
        address: String,
        /// What it said.
        source: Box<Error>,
    },
    /// There is no API.
    #[error("{address} has no API")]
    Absent {
        /// The server.
        address: String,
        /// What answered instead.
        source: Box<HttpErrorResponse>,
    },
    /// The list has no end.
    #[error("{address} sends a list without end: stopped after {objects} objects")]
    Endless {
        /// The server.
        address: String,
        /// How many came.
        objects: usize,
    },
    /// The request or its answer failed in another way.
    #[error(transparent)]
    Exchange(#[from] Error),
}

impl ApiError {
    /// What `error` of a request by `account` means.
    pub(super) fn of(address: &ApiAddress, account: Option<&str>, error: Error) -> Self {
        let address = address.to_string();
        match error {
            Error::Denied {
                logged_in: false, ..
            } => Self::NoLogin { address },
            Error::LoginFailed { .. } => Self::LoginFailed {
                address,
                source: Box::new(error),
            },
            Error::Denied { step, source, .. } if step != Step::Token => match *source {
                HttpErrorResponse {
                    status: StatusCode::UNAUTHORIZED,
                    ..
                } => Self::LoginFailed {
                    address,
                    source: Box::new(Error::HttpErrorResponse { step, source }),
                },
                HttpErrorResponse {
                    problem: Some(problem),
                    missing_scope: None,
                    status,
                    ..
                } => Self::Refused { status, problem },
                HttpErrorResponse { missing_scope, .. } => Self::Denied {
                    account: account.map(str::to_owned),
                    scope: missing_scope,
                },
            },
            Error::NotFound { step, source } if step != Step::Token => match source.problem {
                Some(problem) => Self::Refused {
                    status: source.status,
                    problem,
                },
                None => Self::Absent { address, source },
            },
            Error::HttpErrorResponse { step, source } if step != Step::Token => {
                match source.problem {
                    Some(problem) => Self::Refused {
                        status: source.status,
                        problem,
                    },
                    None => Self::Exchange(Error::HttpErrorResponse { step, source }),
                }
            }
            error => Self::Exchange(error),
        }
    }

    /// The status with which the server refused the request, if it did.
    #[must_use]
    pub fn refused(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Where the fault is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { status, .. } => match *status {
                StatusCode::FORBIDDEN => ErrorKind::Denied,
                StatusCode::NOT_FOUND => ErrorKind::NotFound,
                StatusCode::TOO_MANY_REQUESTS => ErrorKind::Server,
                status if status.is_client_error() => ErrorKind::Usage,
                _ => ErrorKind::Server,
            },
            Self::Denied { .. } => ErrorKind::Denied,
            Self::NoLogin { .. } | Self::LoginFailed { .. } => ErrorKind::Login,
            Self::Absent { .. } | Self::Endless { .. } => ErrorKind::Server,
            Self::Exchange(error) => error.kind(),
        }
    }

    /// What the reader can do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { status, .. } => match *status {
                StatusCode::PRECONDITION_FAILED => {
                    Some("it was changed meanwhile: run the command again".to_owned())
                }
                StatusCode::TOO_MANY_REQUESTS => {
                    Some("too many requests: run the command again later".to_owned())
                }
                _ => None,
            },
            Self::Denied { account, scope } => Some(rule(account.as_deref(), scope.as_deref())),
            Self::NoLogin { address } => Some(format!(
                "log in with `wharfinger login --server {address}`, or set WHARFINGER_TOKEN to a \
                 robot's or a personal token"
            )),
            Self::LoginFailed { address, .. } => Some(format!(
                "log in again with `wharfinger login --server {address}`; if WHARFINGER_TOKEN is set, its \
                 token is what was sent, and must be one of this server"
            )),
            Self::Absent { .. } => Some(
                "check the URL, and the section `api` of the server's configuration; older versions \
                 have no API"
                    .to_owned(),
            ),
            Self::Endless { .. } => None,
            // Requests to an API have no --plain-http: the URL says it.
            Self::Exchange(Error::Connection {
                problem: ConnectionError::PlainHttp,
                ..
            }) => Some("write --server http://HOST; better, give the server a certificate".to_owned()),
            Self::Exchange(error) => error.hint(),
        }
    }
}

fn missing(scope: Option<&str>) -> String {
    match scope {
        // A route for one's own objects names a second scope.
        Some(scope) => format!(": the right {} is missing", scope.replace(' ', " or ")),
        None => String::new(),
    }
}

/// The rule that would give the missing right.
fn rule(account: Option<&str>, scope: Option<&str>) -> String {
    // A route for one's own objects names a second scope, which gives the least.
    let scope = scope.unwrap_or_default().split(' ').next_back();
    let mut parts = scope.unwrap_or_default().splitn(3, ':');
    let (Some("wharfinger"), Some(name), Some(actions)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return "an administrator can give the right, by a rule".to_owned();
    };
    let is_plain = |text: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+,".contains(&b);
        !text.is_empty() && text.bytes().all(is_plain)
    };
    let account = account.filter(|account| is_plain(account));
    if !is_plain(name) || !is_plain(actions) {
        return "an administrator can give the right, by a rule".to_owned();
    }
    format!(
        "an administrator can give the right: `wharfinger rule add FILE --account {} --type \
         wharfinger --name {name} --actions {actions}`; a robot or a personal token needs it among \
         its scopes, too",
        account.unwrap_or("NAME")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_rule() {
        let denied = |account: Option<&str>, scope: Option<&str>| {
            let error = ApiError::Denied {
                account: account.map(str::to_owned),
                scope: scope.map(str::to_owned),
            };
            (error.to_string(), error.hint().unwrap())
        };
        let (words, hint) = denied(Some("bob"), Some("wharfinger:users:write"));
        assert_eq!(
            words,
            "bob may not do this: the right wharfinger:users:write is missing"
        );
        assert!(
            hint.contains("`wharfinger rule add FILE --account bob --type wharfinger --name users --actions write`"),
            "{hint}"
        );
        let either = denied(
            Some("bob"),
            Some("wharfinger:tokens:read wharfinger:own:read"),
        );
        assert!(
            either
                .0
                .contains("wharfinger:tokens:read or wharfinger:own:read is missing")
        );
        assert!(
            either.1.contains("--name own --actions read`"),
            "{}",
            either.1
        );
        let (words, hint) = denied(None, None);
        assert_eq!(words, "the login may not do this");
        assert_eq!(hint, "an administrator can give the right, by a rule");
        // What a server says never becomes a part of a command that a reader may copy.
        for scope in [
            "wharfinger:users`;rm -rf ~:write",
            "wharfinger:a b:c",
            "repository:a:b",
        ] {
            assert_eq!(denied(Some("bob"), Some(scope)).1, hint);
        }
        assert!(
            denied(Some("$(x)"), Some("wharfinger:a:b"))
                .1
                .contains("--account NAME ")
        );
    }
}
