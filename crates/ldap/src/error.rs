//! Why a directory has no answer.

use std::time::Duration;

use identity::BackendError;
use ldap3::{LdapError, LdapResult};

use crate::labels::TooManyLabels;
use crate::refusal::is_refusal;

/// The section of the configuration.
pub(crate) const SECTION: &str = "ldap_auth";

/// What went wrong between this program and the directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("no server can be reached: {0}")]
    Unreachable(String),
    #[error("{server}: the connection was lost while {operation}: {reason}")]
    Lost {
        server: String,
        operation: &'static str,
        reason: String,
    },
    #[error("{server}: no answer within {limit:?} while {operation}")]
    Slow {
        server: String,
        operation: &'static str,
        limit: Duration,
    },
    #[error("{server}: the answer while {operation} was code {code} ({name}), {text:?}{hint}")]
    Result {
        server: String,
        operation: &'static str,
        code: u32,
        name: &'static str,
        text: String,
        hint: &'static str,
    },
    #[error(
        "{server}: it refers to {to} while {operation}, and referrals are not followed; write a \
         server that holds the base into ldap_auth.addr"
    )]
    Referral {
        server: String,
        operation: &'static str,
        to: String,
    },
    #[error(
        "{reason}; the password is not tried again within {pause:?} of this, or the directory may \
         lock the reader"
    )]
    ReaderRefused { reason: String, pause: Duration },
    #[error("{server}: the answer while {operation} is no LDAP message")]
    Malformed {
        server: String,
        operation: &'static str,
    },
    #[error("the search for groups found more than {0} entries")]
    TooManyGroups(usize),
    #[error("the attributes that it sent have more than {0} bytes")]
    TooMuch(usize),
    #[error("it sent only some values of an attribute, and none for {0}")]
    NoRange(String),
    #[error("it sent the values of an entry in more than {0} parts")]
    TooManyRanges(usize),
    #[error(transparent)]
    Labels(#[from] TooManyLabels),
}

/// Which server was asked for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperationContext<'a> {
    pub(crate) server: &'a str,
    /// As `while {operation}` reads: `searching dc=example`.
    pub(crate) operation: &'static str,
}

impl OperationContext<'_> {
    /// The library has no answer.
    pub(crate) fn lost(self, error: &LdapError) -> DirectoryError {
        DirectoryError::Lost {
            server: self.server.to_owned(),
            operation: self.operation,
            reason: reason(error),
        }
    }

    pub(crate) fn slow(self, limit: Duration) -> DirectoryError {
        DirectoryError::Slow {
            server: self.server.to_owned(),
            operation: self.operation,
            limit,
        }
    }

    pub(crate) fn malformed(self) -> DirectoryError {
        DirectoryError::Malformed {
            server: self.server.to_owned(),
            operation: self.operation,
        }
    }

    /// The server's answer is an error.
    pub(crate) fn result(self, result: &LdapResult) -> DirectoryError {
        if result.rc == REFERRAL {
            return self.referral(&result.refs);
        }
        let (name, hint) = describe(result.rc);
        DirectoryError::Result {
            server: self.server.to_owned(),
            operation: self.operation,
            code: result.rc,
            name,
            text: result.text.chars().take(200).collect(),
            hint,
        }
    }

    fn referral(self, to: &[String]) -> DirectoryError {
        DirectoryError::Referral {
            server: self.server.to_owned(),
            operation: self.operation,
            to: names(to),
        }
    }
}

impl DirectoryError {
    /// Whether another connection may bring an answer.
    pub(crate) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Slow { .. })
    }

    /// Whether the server refused a name or its password.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Result { code, .. } if is_refusal(*code))
    }

    /// Whether an answer may come later without a change of the configuration.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Lost { .. } | Self::Slow { .. } => true,
            // timeLimitExceeded, busy, unavailable.
            Self::Result { code, .. } => matches!(code, 3 | 51 | 52),
            Self::Referral { .. }
            | Self::ReaderRefused { .. }
            | Self::Malformed { .. }
            | Self::TooManyGroups(_)
            | Self::TooMuch(_)
            | Self::NoRange(_)
            | Self::TooManyRanges(_)
            | Self::Labels(_) => false,
        }
    }
}

impl From<DirectoryError> for BackendError {
    fn from(error: DirectoryError) -> Self {
        if error.is_passing() {
            Self::unavailable(SECTION, error)
        } else {
            Self::broken(SECTION, error)
        }
    }
}

/// The result code `referral`.
const REFERRAL: u32 = 10;

/// URLs in a list for the log, without control characters and not too long.
pub(crate) fn names(urls: &[String]) -> String {
    let text: String = urls.join(", ").chars().take(300).collect();
    common::escape_line(&text).into_owned()
}

/// The library's error in words that say what happened.
pub(crate) fn reason(error: &LdapError) -> String {
    match error {
        LdapError::Io { source } => match tls_hint(source) {
            Some(hint) => format!("{source}; {hint}"),
            None => source.to_string(),
        },
        LdapError::Timeout { .. } => "no answer in time".to_owned(),
        LdapError::LdapResult { result } => {
            let (name, _) = describe(result.rc);
            format!("it answers code {} ({name}), {:?}", result.rc, result.text)
        }
        LdapError::OpSend { .. }
        | LdapError::ResultRecv { .. }
        | LdapError::IdScrubSend { .. }
        | LdapError::EndOfStream => "the server closed it".to_owned(),
        other => other.to_string(),
    }
}

/// What to do about a certificate.
fn tls_hint(error: &std::io::Error) -> Option<&'static str> {
    use rustls::{CertificateError, Error};
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Some("set ldap_auth.ca_certificate to the certificate of its authority")
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some("write a name of the certificate into ldap_auth.addr"),
        Error::InvalidMessage(_) => Some("does the server begin with TLS? see ldap_auth.tls"),
        _ => None,
    }
}

/// The name of a result code (RFC 4511 §4.1.9), and what to do about it.
fn describe(code: u32) -> (&'static str, &'static str) {
    match code {
        1 => (
            "operationsError",
            "; Active Directory answers so to a search without a bind: set bind_dn",
        ),
        2 => ("protocolError", "; does the server know StartTLS?"),
        3 => ("timeLimitExceeded", ""),
        4 => ("sizeLimitExceeded", ""),
        7 => ("authMethodNotSupported", ""),
        8 => ("strongerAuthRequired", "; set ldap_auth.tls"),
        11 => ("adminLimitExceeded", ""),
        13 => ("confidentialityRequired", "; set ldap_auth.tls"),
        32 => ("noSuchObject", "; is the base right?"),
        34 => ("invalidDNSyntax", ""),
        48 => ("inappropriateAuthentication", ""),
        49 => (
            "invalidCredentials",
            "; are bind_dn and its password right?",
        ),
        50 => ("insufficientAccessRights", "; may the reader search there?"),
        51 => ("busy", ""),
        52 => ("unavailable", ""),
        53 => ("unwillingToPerform", ""),
        80 => ("other", ""),
        _ => ("see RFC 4511", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: OperationContext<'_> = OperationContext {
        server: "ldap://h:389",
        operation: "searching",
    };

    fn result(rc: u32, refs: &[&str]) -> LdapResult {
        LdapResult {
            rc,
            matched: String::new(),
            text: "a\nb".to_owned(),
            refs: refs.iter().map(|url| (*url).to_owned()).collect(),
            ctrls: Vec::new(),
        }
    }

    #[test]
    fn results_are_named() {
        let said = |rc| CONTEXT.result(&result(rc, &[])).to_string();
        assert_eq!(
            said(32),
            r#"ldap://h:389: the answer while searching was code 32 (noSuchObject), "a\nb"; is the base right?"#
        );
        assert!(said(13).ends_with("; set ldap_auth.tls"));
        let referral = CONTEXT.result(&result(10, &["ldap://other/dc=x", "ldap://third\n"]));
        let text = referral.to_string();
        assert!(
            text.contains(r"it refers to ldap://other/dc=x, ldap://third\n while"),
            "{text}"
        );
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for (error, passes) in [
            (DirectoryError::Unreachable(String::new()), true),
            (CONTEXT.slow(Duration::ZERO), true),
            (CONTEXT.lost(&LdapError::EndOfStream), true),
            (CONTEXT.result(&result(51, &[])), true),
            (CONTEXT.result(&result(52, &[])), true),
            (CONTEXT.result(&result(49, &[])), false),
            (CONTEXT.result(&result(10, &[])), false),
            (CONTEXT.malformed(), false),
            (DirectoryError::TooManyGroups(1), false),
            (TooManyLabels.into(), false),
        ] {
            assert_eq!(error.is_passing(), passes, "{error}");
        }
    }
}
