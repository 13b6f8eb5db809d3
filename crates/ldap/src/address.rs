//! The address of a directory server, and when TLS begins on a connection to it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::ServerName;

/// When TLS begins on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never: names and passwords are sent in clear text.
    None,
    /// At once (`ldaps`).
    Always,
    /// After the operation `StartTLS` (RFC 4511 §4.14).
    StartTls,
}

/// A server of a directory: `ldaps://HOST:PORT`, `ldap://HOST`, `HOST:PORT` or `HOST`.
///
/// ```
/// use ldap::{DirectoryAddress, TlsMode};
///
/// let address = DirectoryAddress::parse("ldap.example.com:636", None)?;
/// assert_eq!(address.tls(), TlsMode::Always);
/// assert_eq!(address.to_string(), "ldaps://ldap.example.com:636");
/// # Ok::<(), ldap::DirectoryAddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryAddress {
    name: ServerName<'static>,
    port: u16,
    tls: TlsMode,
}

/// Why a text is not the address of a directory server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryAddressError {
    /// The URL has another scheme.
    #[error("unknown scheme `{0}`: write ldap:// or ldaps://")]
    Scheme(String),
    /// Something follows the port.
    #[error("only a host and a port can be given here; the base of searches is the key `base`")]
    Path,
    /// The host is no DNS name and no IP address.
    #[error("`{0}` is no host name and no IP address")]
    Host(String),
    /// An IPv6 address has a port, and no brackets around it.
    #[error("write an IPv6 address with a port as [ADDRESS]:PORT")]
    Brackets,
    /// The port is no number from 1 to 65535.
    #[error("`{0}` is no port: write a number from 1 to 65535")]
    Port(String),
    /// `ldaps://` together with another value of `tls`.
    #[error("ldaps:// begins with TLS, and `tls` says otherwise: remove one of them")]
    Conflict,
}

/// The port of `ldap`, and of `ldaps`.
const PORTS: (u16, u16) = (389, 636);

impl DirectoryAddress {
    /// Reads an address. Without `tls`, a connection begins with TLS if the scheme is `ldaps` or
    /// the port is 636, as in `docker_auth`.
    ///
    /// # Errors
    /// When the text is not an address, or contradicts `tls`.
    pub fn parse(text: &str, tls: Option<TlsMode>) -> Result<Self, DirectoryAddressError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let is_ldaps = match scheme.to_ascii_lowercase().as_str() {
            "" | "ldap" => false,
            "ldaps" => true,
            _ => return Err(DirectoryAddressError::Scheme(scheme.to_owned())),
        };
        if is_ldaps && tls.is_some_and(|tls| tls != TlsMode::Always) {
            return Err(DirectoryAddressError::Conflict);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(DirectoryAddressError::Path);
        }
        let (host, port) = split_port(rest)?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| DirectoryAddressError::Host(host.to_owned()))?;
        let begins_with_tls = is_ldaps || port == Some(PORTS.1);
        let tls = tls.unwrap_or(if begins_with_tls {
            TlsMode::Always
        } else {
            TlsMode::None
        });
        let usual = match tls {
            TlsMode::Always => PORTS.1,
            TlsMode::None | TlsMode::StartTls => PORTS.0,
        };
        Ok(Self {
            name,
            port: port.unwrap_or(usual),
            tls,
        })
    }

    /// When TLS begins.
    #[must_use]
    pub fn tls(&self) -> TlsMode {
        self.tls
    }

    /// Whether the host is this machine, so that no other machine sees what is sent.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.name {
            ServerName::IpAddress(ip) => IpAddr::from(*ip).to_canonical().is_loopback(),
            name => name.to_str() == "localhost",
        }
    }

    /// The name that a certificate must have.
    pub(crate) fn server_name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// The DNS name or the IP address, without brackets.
    pub(crate) fn host(&self) -> Cow<'_, str> {
        self.name.to_str()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// The host, and the port if there is one.
fn split_port(text: &str) -> Result<(&str, Option<u16>), DirectoryAddressError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => return Err(DirectoryAddressError::Host(text.to_owned())),
            },
            None => return Err(DirectoryAddressError::Host(text.to_owned())),
        }
    } else {
        match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return match text.parse::<IpAddr>() {
                    Ok(_) => Ok((text, None)),
                    Err(_) => Err(DirectoryAddressError::Brackets),
                };
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let Some(port) = port else {
        return Ok((host, None));
    };
    let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number @ 1..) if is_digits => Ok((host, Some(number))),
        _ => Err(DirectoryAddressError::Port(port.to_owned())),
    }
}

/// As a URL, by which logs and errors name a server.
impl fmt::Display for DirectoryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.tls {
            TlsMode::Always => "ldaps",
            TlsMode::None | TlsMode::StartTls => "ldap",
        };
        let (host, port) = (self.host(), self.port);
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_ports_and_modes() {
        let parsed =
            |text, tls| DirectoryAddress::parse(text, tls).map(|it| (it.to_string(), it.tls));
        let (none, always, start) = (TlsMode::None, TlsMode::Always, TlsMode::StartTls);
        for (text, tls, url, mode) in [
            (
                "ldap.example.com:389",
                None,
                "ldap://ldap.example.com:389",
                none,
            ),
            (
                "ldap.example.com",
                None,
                "ldap://ldap.example.com:389",
                none,
            ),
            (
                "ldap.example.com:636",
                None,
                "ldaps://ldap.example.com:636",
                always,
            ),
            (
                "ldap.example.com",
                Some(always),
                "ldaps://ldap.example.com:636",
                always,
            ),
            ("h:636", Some(none), "ldap://h:636", none),
            ("h", Some(start), "ldap://h:389", start),
            ("ldap://h", None, "ldap://h:389", none),
            ("ldap://h/", Some(start), "ldap://h:389", start),
            ("LDAPS://h", None, "ldaps://h:636", always),
            ("ldaps://h:1636", Some(always), "ldaps://h:1636", always),
            ("[::1]:1389", None, "ldap://[::1]:1389", none),
            (
                "ldaps://[2001:db8::7]",
                None,
                "ldaps://[2001:db8::7]:636",
                always,
            ),
            ("::1", None, "ldap://[::1]:389", none),
            ("192.0.2.7:1", None, "ldap://192.0.2.7:1", none),
        ] {
            assert_eq!(parsed(text, tls), Ok((url.to_owned(), mode)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let refused = |text, tls| DirectoryAddress::parse(text, tls).unwrap_err();
        for (text, error) in [
            ("http://h", DirectoryAddressError::Scheme("http".into())),
            ("ldap://h/dc=example", DirectoryAddressError::Path),
            ("ldap://reader@h", DirectoryAddressError::Path),
            ("", DirectoryAddressError::Host(String::new())),
            ("a b", DirectoryAddressError::Host("a b".into())),
            ("[::1", DirectoryAddressError::Host("[::1".into())),
            ("[::1]1", DirectoryAddressError::Host("[::1]1".into())),
            ("::1:x", DirectoryAddressError::Brackets),
            ("h:0", DirectoryAddressError::Port("0".into())),
            ("h:+1", DirectoryAddressError::Port("+1".into())),
            ("h:65536", DirectoryAddressError::Port("65536".into())),
        ] {
            assert_eq!(refused(text, None), error, "{text}");
        }
        for tls in [TlsMode::None, TlsMode::StartTls] {
            assert_eq!(
                refused("ldaps://h", Some(tls)),
                DirectoryAddressError::Conflict
            );
        }
    }

    #[test]
    fn this_machine_is_told_from_others() {
        let is_loopback = |text| DirectoryAddress::parse(text, None).unwrap().is_loopback();
        assert!(is_loopback("localhost") && is_loopback("127.0.0.2:1") && is_loopback("::1"));
        assert!(!is_loopback("localhost.example.com") && !is_loopback("192.0.2.7"));
    }
}
