//! The addresses of `server.addr`, `server.net` and `registry.addr`.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::schema::key::Words;

/// One place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    Tcp(TcpAddress),
    /// A Unix socket's file.
    Unix(PathBuf),
}

/// A host and a port; without a host, every address of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpAddress {
    host: String,
    port: u16,
    family: Family,
}

/// Which addresses are meant (Go's `tcp`, `tcp4`, `tcp6`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    V4,
    V6,
}

/// `server.net`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Net {
    Tcp(Family),
    Unix,
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    #[error("`{0}` has no port; write HOST:PORT, or :PORT for every address of this machine")]
    NoPort(String),
    #[error("`{0}` is not a port; a port is a number from 0 to 65535")]
    Port(String),
    #[error("write an IPv6 address in brackets: [{0}]:PORT")]
    Brackets(String),
    #[error("`{0}` is not of the family that server.net asks for")]
    OtherFamily(String),
    #[error("a Unix socket needs a path")]
    NoPath,
}

impl ListenAddress {
    /// The TCP address, if it is one.
    pub(crate) fn tcp(&self) -> Option<&TcpAddress> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Unix(_) => None,
        }
    }

    /// Reads an address. Without a `net`, what begins with `/` is a Unix socket.
    pub(super) fn parse(text: &str, net: Option<Net>) -> Result<Self, AddressError> {
        match net {
            Some(Net::Unix) if text.is_empty() => Err(AddressError::NoPath),
            Some(Net::Unix) => Ok(Self::Unix(text.into())),
            None if text.starts_with('/') => Ok(Self::Unix(text.into())),
            None => TcpAddress::parse(text, Family::Any).map(Self::Tcp),
            Some(Net::Tcp(family)) => TcpAddress::parse(text, family).map(Self::Tcp),
        }
    }
}

impl TcpAddress {
    /// The host and the port, if clients can use them: it listens on one address or name.
    pub(crate) fn of_clients(&self) -> Option<String> {
        let address = self.host.parse::<IpAddr>();
        let is_one =
            !self.host.is_empty() && !address.is_ok_and(|address| address.is_unspecified());
        (is_one && self.port != 0).then(|| self.to_string())
    }

    fn parse(text: &str, family: Family) -> Result<Self, AddressError> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(AddressError::Brackets(text.to_owned()));
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if inner.is_none() && host.contains(':') {
            return Err(AddressError::Brackets(host.to_owned()));
        }
        // `u16` would take a sign.
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let port = port
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| AddressError::Port(port.to_owned()))?;
        let host = inner.unwrap_or(host).to_owned();
        if host.parse::<IpAddr>().is_ok_and(|ip| !family.has(ip)) {
            return Err(AddressError::OtherFamily(host));
        }
        Ok(Self { host, port, family })
    }

    /// Its socket addresses, the preferred one first. A name is looked up; IPv4 comes first then, as
    /// in Go.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        if self.host.is_empty() {
            // An IPv6 socket takes IPv4 connections, too, if the machine has IPv6.
            let everywhere = [
                IpAddr::from(Ipv6Addr::UNSPECIFIED),
                IpAddr::from(Ipv4Addr::UNSPECIFIED),
            ];
            let addresses = everywhere.into_iter().filter(|ip| self.family.has(*ip));
            return Ok(addresses.map(|ip| SocketAddr::new(ip, self.port)).collect());
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let mut addresses: Vec<_> = found
            .filter(|address| self.family.has(address.ip()))
            .collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        Ok(addresses)
    }
}

impl Family {
    fn has(self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }
}

impl Words for Net {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("tcp", Self::Tcp(Family::Any)),
        ("tcp4", Self::Tcp(Family::V4)),
        ("tcp6", Self::Tcp(Family::V6)),
        ("unix", Self::Unix),
        // docker_auth takes the empty text for tcp.
        ("", Self::Tcp(Family::Any)),
    ];
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::key::parse_word;

    fn tcp(text: &str, net: &str) -> Result<String, AddressError> {
        ListenAddress::parse(text, Some(parse_word(net).unwrap())).map(|listen| listen.to_string())
    }

    #[test]
    fn addresses() {
        for text in [
            ":5001",
            "127.0.0.1:5001",
            "[::1]:5001",
            "localhost:0",
            "registry.example.com:443",
        ] {
            assert_eq!(tcp(text, "tcp").as_deref(), Ok(text));
        }
        assert_eq!(
            ListenAddress::parse("/run/w.sock", None),
            Ok(ListenAddress::Unix("/run/w.sock".into()))
        );
        assert_eq!(
            ListenAddress::parse("w.sock", Some(Net::Unix)),
            Ok(ListenAddress::Unix("w.sock".into()))
        );
    }

    #[test]
    fn what_is_no_address() {
        let port = |text: &str| Err(AddressError::Port(text.to_owned()));
        assert_eq!(
            tcp("5001", "tcp"),
            Err(AddressError::NoPort("5001".to_owned()))
        );
        assert_eq!(
            tcp("localhost", "tcp"),
            Err(AddressError::NoPort("localhost".to_owned()))
        );
        assert_eq!(tcp(":", "tcp"), port(""));
        assert_eq!(tcp(":65536", "tcp"), port("65536"));
        assert_eq!(tcp(":+80", "tcp"), port("+80"));
        assert_eq!(tcp("host:http", "tcp"), port("http"));
        assert_eq!(
            tcp("::1", "tcp"),
            Err(AddressError::Brackets("::1".to_owned()))
        );
        assert_eq!(
            tcp("fe80::x:5001", "tcp"),
            Err(AddressError::Brackets("fe80::x".to_owned()))
        );
        assert_eq!(
            tcp("127.0.0.1:80", "tcp6"),
            Err(AddressError::OtherFamily("127.0.0.1".to_owned()))
        );
        assert_eq!(tcp("", "unix"), Err(AddressError::NoPath));
        assert!(parse_word::<Net>("udp").is_err());
    }

    #[tokio::test]
    async fn no_host_is_every_address() {
        let resolve =
            async |net: &str| match ListenAddress::parse(":5", Some(parse_word(net).unwrap())) {
                Ok(ListenAddress::Tcp(address)) => address
                    .resolve()
                    .await
                    .unwrap()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                _ => Vec::new(),
            };
        assert_eq!(resolve("tcp").await, ["[::]:5", "0.0.0.0:5"]);
        assert_eq!(resolve("tcp4").await, ["0.0.0.0:5"]);
        assert_eq!(resolve("tcp6").await, ["[::]:5"]);
    }
}
