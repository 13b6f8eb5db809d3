//! Why there is no answer, found out from what hyper, rustls and the system say.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustls::CertificateError;

use crate::Host;

/// What is the matter with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The name leads to no address.
    UnknownHost,
    /// Nobody listens, or no way leads there.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The connection ended before its time.
    Broken,
    /// It speaks plain HTTP where TLS was expected.
    PlainHttp,
    /// What it says is no HTTP.
    NotHttp,
    /// The certificate is signed by nobody who is trusted here.
    UnknownAuthority,
    /// The certificate is for other names; empty where it names none.
    WrongName(Vec<String>),
    /// The certificate's time is over, or has not come.
    Expired,
    /// The server wants a certificate of the client, or another one.
    ClientCertificate,
    /// Anything else between the two ends of TLS.
    Tls,
    /// The proxy does not let us through.
    Proxy,
}

impl ConnectionError {
    /// Looks through an error and all that it came from.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        // What rustls says comes first: errors around it repeat its words, names of strangers'
        // certificates among them.
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
        // What hyper says of an answer that it cannot parse; its own type is not for us to see.
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

    /// Whether the same might succeed at another time.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Timeout | Self::Broken)
    }

    /// Whether the other end speaks TLS, and only its certificate may be what we do not agree with.
    pub(crate) fn is_of_certificate(&self) -> bool {
        matches!(
            self,
            Self::UnknownAuthority | Self::WrongName(_) | Self::Expired | Self::Tls
        )
    }

    /// Whether a server that speaks plain HTTP may be behind it.
    pub(crate) fn may_be_plain(&self) -> bool {
        matches!(self, Self::PlainHttp | Self::Tls | Self::Broken)
    }

    pub(crate) fn hint(&self, origin: &str) -> Option<String> {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        let hint = match self {
            Self::UnknownHost => "check the spelling, and the DNS or /etc/hosts of this machine".to_owned(),
            Self::Unreachable => match proxy_variable(origin) {
                Some(variable) => format!("{variable} names a proxy: is it running, or should NO_PROXY name {host}?"),
                None => "is it running, and does a firewall let this machine through?".to_owned(),
            },
            Self::NotHttp => "is the port right? Something else than a web server listens there".to_owned(),
            Self::Timeout => "does a firewall swallow what is sent there, or is the server overloaded?".to_owned(),
            Self::Broken => {
                "look at the log of whatever listens there, and whether the port is the right one".to_owned()
            }
            Self::PlainHttp => format!("--plain-http speaks http to it; better is to give {host} a certificate"),
            Self::UnknownAuthority => format!(
                "put the certificate of the authority that signed it (or the server's own) into \
                 /etc/docker/certs.d/{host}/ca.crt, or name it with --ca-file"
            ),
            Self::WrongName(names) if names.is_empty() => {
                "make a certificate with a subjectAltName: a common name alone counts for no client of today".to_owned()
            }
            Self::WrongName(_) => {
                "use one of its names, or make a certificate with this one as subjectAltName".to_owned()
            }
            Self::Expired => "renew it, or set the clock of this machine".to_owned(),
            Self::ClientCertificate => format!("put client.cert and client.key into /etc/docker/certs.d/{host}/"),
            Self::Proxy => "look at HTTPS_PROXY, HTTP_PROXY and NO_PROXY".to_owned(),
            Self::Tls => return None,
        };
        Some(hint)
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownHost => "is a name without an address",
            Self::Unreachable => "cannot be reached",
            Self::Timeout => "does not answer in time",
            Self::Broken => "broke the connection off",
            Self::PlainHttp => "speaks plain http where https was expected",
            Self::NotHttp => "speaks no HTTP",
            Self::UnknownAuthority => {
                "shows a certificate signed by an authority that is not trusted here"
            }
            Self::WrongName(names) if names.is_empty() => {
                "shows a certificate without any subjectAltName"
            }
            Self::WrongName(names) => {
                return write!(
                    f,
                    "shows a certificate for other names: {}",
                    names.join(", ")
                );
            }
            Self::Expired => "shows a certificate outside its time",
            Self::ClientCertificate => "wants a certificate of the client",
            Self::Tls => "cannot agree with us on TLS",
            Self::Proxy => "is behind a proxy that does not let us through",
        })
    }
}

/// The variable of the environment that names a proxy for this origin. Whether `NO_PROXY` makes an
/// exception of it is not looked at: it is a hint.
fn proxy_variable(origin: &str) -> Option<&'static str> {
    let (scheme, host) = origin.split_once("://")?;
    let names = match scheme {
        "https" => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        _ => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
    };
    let local = host.parse().is_ok_and(|host: Host| host.is_loopback());
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if local {
        None
    } else {
        names.into_iter().find(is_set)
    }
}

/// The innermost of an error's causes, which is the one that says something.
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
        // An I/O error hides the error that it is made of one step deeper than others do.
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
    fn the_innermost_cause_is_what_is_shown() {
        let inner = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        let outer = io::Error::other(inner);
        assert_eq!(
            RootCause::of(&outer).to_string(),
            rustls::Error::DecryptError.to_string()
        );
    }

    #[test]
    fn names_as_people_write_them() {
        assert_eq!(plain_name(r#"DnsName("a.example")"#), "a.example");
        assert_eq!(plain_name("IpAddress(10.0.0.1)"), "10.0.0.1");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(ConnectionError::Timeout.may_pass() && ConnectionError::Broken.may_pass());
        assert!(
            !ConnectionError::UnknownAuthority.may_pass()
                && !ConnectionError::UnknownHost.may_pass()
        );
    }
}
