//! Why there is no certificate, and what to do.

use std::time::Duration;

use instant_acme::{Error as ProtocolError, Problem};

use crate::http_client::AcmeHttpError;
use crate::{AcmeStoreError, CertificateFileError, CertificateHost, ChallengeKind};

/// Why an attempt brought no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The store of keys and certificates failed.
    #[error("the store of keys and certificates cannot be used")]
    Store(#[from] AcmeStoreError),
    /// No request can be sent.
    #[error("the HTTP client cannot be set up")]
    Http(#[from] AcmeHttpError),
    /// A step of the protocol failed.
    #[error("cannot {step}")]
    Exchange {
        /// What was to be done, such as `create an order`.
        step: &'static str,
        /// What happened.
        source: ProtocolError,
    },
    /// The ACME server did not find the answer to its challenge.
    #[error("the ACME server could not verify that this server is {host}: {problem}")]
    Challenge {
        /// The host.
        host: CertificateHost,
        /// How it was to be verified.
        kind: ChallengeKind,
        /// What the ACME server says.
        problem: Problem,
    },
    /// The ACME server has other challenges only.
    #[error("the ACME server does not offer the challenge {kind} for {host}")]
    NotOffered {
        /// The host.
        host: CertificateHost,
        /// What was wanted.
        kind: ChallengeKind,
    },
    /// The order ended without a reason.
    #[error("the ACME server ended the order without a reason")]
    OrderEnded,
    /// The stored account key is not usable.
    #[error("the account key in {0} cannot be used: an EC key on P-256 is needed")]
    AccountKey(&'static str),
    /// A key or a request for a certificate could not be made.
    #[error("no request for a certificate was made")]
    CertificateRequest(#[source] rcgen::Error),
    /// What the ACME server issued cannot be used.
    #[error("the issued certificate cannot be used")]
    Issued(#[source] CertificateFileError),
    /// The order took too long.
    #[error("the order was not finished within {0:?}")]
    TooLong(Duration),
}

impl std::fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl AcmeError {
    /// What an operator can do, in the words of the configuration.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Store(_) => {
                "cache_dir must exist, have space, and be writable by the user that runs the server; \
                 without cache_dir, the database must be writable"
            }
            Self::Http(_) => "see ca_certificate",
            Self::Exchange { source, .. } => hint_of_protocol(source),
            Self::Challenge { kind, .. } => match kind {
                ChallengeKind::Http01 => {
                    "port 80 of the host must reach http_addr of this server from outside: look at \
                     DNS (A and AAAA), firewalls and port mappings"
                }
                ChallengeKind::TlsAlpn01 => {
                    "port 443 of the host must reach this server from outside, and nothing in between \
                     may end TLS: look at DNS (A and AAAA), firewalls and proxies, or set \
                     challenge: http-01"
                }
            },
            Self::NotOffered { .. } => "set challenge to one that the ACME server offers",
            Self::AccountKey(_) => {
                "move the key away to register a new account, or put the right one back"
            }
            Self::OrderEnded | Self::CertificateRequest(_) | Self::Issued(_) | Self::TooLong(_) => {
                "it is tried again"
            }
        }
    }
}

fn hint_of_protocol(error: &ProtocolError) -> &'static str {
    let problem = match error {
        ProtocolError::Api(problem) => problem,
        ProtocolError::Other(other) => return hint_of_http(other.downcast_ref()),
        ProtocolError::Json(_) => {
            return "directory must be the URL of an ACME server's directory (RFC 8555)";
        }
        _ => return "it is tried again",
    };
    let kind = problem.r#type.as_deref().unwrap_or_default();
    match kind.rsplit(':').next().unwrap_or_default() {
        "rateLimited" => "the ACME server limits requests: wait until the next attempt",
        "externalAccountRequired" => {
            "the ACME server takes only accounts that are bound to one of its operator: set eab"
        }
        "unauthorized" | "accountDoesNotExist" => {
            "the ACME server refuses the account: look at eab, or move the account's key away to \
             register a new account"
        }
        "invalidContact" | "unsupportedContact" => "change email",
        "caa" => "let the host's CAA records name this authority",
        "rejectedIdentifier" => "the ACME server issues no certificate for this host: change host",
        "userActionRequired" => "follow the link of the message",
        _ => "it is tried again",
    }
}

fn hint_of_http(error: Option<&AcmeHttpError>) -> &'static str {
    match error {
        Some(AcmeHttpError::Request(_) | AcmeHttpError::Tls(_) | AcmeHttpError::Client(_)) => {
            "directory must be reachable from this machine, and its certificate must be trusted \
             (ca_certificate)"
        }
        Some(AcmeHttpError::Status { .. } | AcmeHttpError::TooLong) => {
            "directory must be the URL of an ACME server's directory (RFC 8555); a proxy in between \
             may have answered"
        }
        None => "it is tried again",
    }
}

/// The error and its causes in one line.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Some libraries repeat their causes.
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}
