//! Why no response came, as far as hyper, rustls and the operating system tell.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustls::CertificateError;

use super::ProxySettings;

/// What is wrong with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The name has no address.
    UnknownHost,
    /// No server listens there, or no route leads there.
    Unreachable,
    /// No response in time.
    Timeout,
    /// The connection ended early.
    Broken,
    /// The server speaks plain HTTP instead of TLS.
    PlainHttp,
    /// The server does not speak HTTP.
    NotHttp,
    /// The certificate is signed by an unknown authority.
    UnknownAuthority,
    /// The certificate is for these other names; empty when it has no names.
    WrongName(Vec<String>),
    /// The certificate has expired, or is not valid yet.
    Expired,
    /// The server asks for a client certificate, or for another one.
    ClientCertificate,
    /// Any other problem with TLS.
    Tls,
    /// The proxy refuses the connection.
    Proxy,
}

impl ConnectionError {
    /// Looks through an error and its sources.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        // rustls' error comes first: the errors around it repeat its text, which holds names that the
        // server chose.
        if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            return of_tls(tls);
        }
        let said = |begin: &str| causes(error).any(|cause| cause.to_string().starts_with(begin));
        if said("tunnel error") {
            return Self::Proxy;
        }
        if said("dns error") || said("failed to lookup address") {
            return Self::UnknownHost;
        }
        // hyper's words for a response that it cannot parse; the error's type is private.
        if said("invalid HTTP") || said("message head is too large") {
            return Self::NotHttp;
        }
        if let Some(problem) = causes(error).find_map(|cause| of_io(cause.downcast_ref()?)) {
            return problem;
        }
        match error {
            _ if error.is_timeout() => Self::Timeout,
            _ if error.is_connect() => Self::Unreachable,
            _ => Self::Broken,
        }
    }

    /// Whether another try may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Timeout | Self::Broken)
    }

    /// Whether the other end speaks TLS, and only its certificate may be the problem.
    pub(crate) fn is_of_certificate(&self) -> bool {
        matches!(
            self,
            Self::UnknownAuthority | Self::WrongName(_) | Self::Expired | Self::Tls
        )
    }

    /// Whether the server may speak plain HTTP.
    pub(crate) fn may_be_plain(&self) -> bool {
        matches!(self, Self::PlainHttp | Self::Tls | Self::Broken)
    }

    pub(crate) fn hint(&self, origin: &str) -> Option<String> {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        let hint = match self {
            Self::UnknownHost => {
                "check the spelling of the name, and the DNS settings and /etc/hosts of this machine"
                    .to_owned()
            }
            Self::Unreachable => match proxy_variable(origin) {
                Some(variable) => format!(
                    "check that the proxy that {variable} names is running, or add {host} to NO_PROXY"
                ),
                None => "check that the server is running, and that no firewall blocks the way"
                    .to_owned(),
            },
            Self::NotHttp => {
                "check the port: the server that listens there is not a web server".to_owned()
            }
            Self::Timeout => {
                "check that no firewall drops the connection, and that the server is not overloaded"
                    .to_owned()
            }
            Self::Broken => "check the port, and look at the server's log".to_owned(),
            Self::PlainHttp => {
                format!("use --plain-http; better, give {host} a certificate")
            }
            Self::UnknownAuthority => format!(
                "put the certificate of the authority (or the server's own certificate) into \
                 /etc/docker/certs.d/{host}/ca.crt, or name its file with --ca-file"
            ),
            Self::WrongName(names) if names.is_empty() => {
                "create a certificate with a subjectAltName: clients ignore the common name"
                    .to_owned()
            }
            Self::WrongName(_) => {
                "use one of these names, or create a certificate that has this name as \
                 subjectAltName"
                    .to_owned()
            }
            Self::Expired => "renew the certificate, or set the clock of this machine".to_owned(),
            Self::ClientCertificate => {
                format!("put client.cert and client.key into /etc/docker/certs.d/{host}/")
            }
            Self::Proxy => "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY".to_owned(),
            Self::Tls => return None,
        };
        Some(hint)
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownHost => "cannot be found by name",
            Self::Unreachable => "cannot be reached",
            Self::Timeout => "did not respond in time",
            Self::Broken => "closed the connection early",
            Self::PlainHttp => "speaks plain http instead of https",
            Self::NotHttp => "does not speak HTTP",
            Self::UnknownAuthority => "has a certificate signed by an unknown authority",
            Self::WrongName(names) if names.is_empty() => {
                "has a certificate without a subjectAltName"
            }
            Self::WrongName(names) => {
                return write!(f, "has a certificate for other names: {}", names.join(", "));
            }
            Self::Expired => "has a certificate that has expired or is not valid yet",
            Self::ClientCertificate => "asks for a client certificate",
            Self::Tls => "and this client do not agree on TLS",
            Self::Proxy => "cannot be reached: the proxy refuses the connection",
        })
    }
}

/// The variable that names the proxy for this origin.
fn proxy_variable(origin: &str) -> Option<&'static str> {
    ProxySettings::from_env().variable_for(&origin.parse().ok()?)
}

/// The innermost of an error's sources, which says what happened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RootCause(String);

impl RootCause {
    pub(crate) fn of(error: &(dyn StdError + 'static)) -> Self {
        Self(
            causes(error)
                .last()
                .map_or_else(String::new, ToString::to_string),
        )
    }

    pub(crate) fn saying(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An I/O error keeps the error that it is made of one step deeper than others do.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(|io| io.get_ref());
        inner
            .map(|inner| inner as &(dyn StdError + 'static))
            .or_else(|| error.source())
    })
}

fn of_io(error: &io::Error) -> Option<ConnectionError> {
    use io::ErrorKind as Kind;
    Some(match error.kind() {
        Kind::ConnectionRefused
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::AddrNotAvailable => ConnectionError::Unreachable,
        Kind::TimedOut => ConnectionError::Timeout,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof => ConnectionError::Broken,
        _ => return None,
    })
}

fn of_tls(error: &rustls::Error) -> ConnectionError {
    use rustls::AlertDescription as Alert;
    match error {
        rustls::Error::InvalidMessage(_) => ConnectionError::PlainHttp,
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => ConnectionError::UnknownAuthority,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => ConnectionError::Expired,
            CertificateError::NotValidForName => ConnectionError::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                ConnectionError::WrongName(presented.iter().map(|name| plain_name(name)).collect())
            }
            _ => ConnectionError::Tls,
        },
        rustls::Error::AlertReceived(
            Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA,
        ) => ConnectionError::ClientCertificate,
        _ => ConnectionError::Tls,
    }
}

/// `DnsName("a.example")` as `a.example`.
fn plain_name(name: &str) -> String {
    name.split_once('(')
        .map_or(name, |(_, inner)| inner.trim_end_matches(')'))
        .trim_matches('"')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cause_is_shown() {
        let inner = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        let outer = io::Error::other(inner);
        assert_eq!(
            RootCause::of(&outer).to_string(),
            rustls::Error::DecryptError.to_string()
        );
    }

    #[test]
    fn names_are_written_plainly() {
        assert_eq!(plain_name(r#"DnsName("a.example")"#), "a.example");
        assert_eq!(plain_name("IpAddress(10.0.0.1)"), "10.0.0.1");
    }

    #[test]
    fn only_passing_problems_are_tried_again() {
        assert!(ConnectionError::Timeout.is_transient() && ConnectionError::Broken.is_transient());
        assert!(
            !ConnectionError::UnknownAuthority.is_transient()
                && !ConnectionError::UnknownHost.is_transient()
        );
    }
}
