//! Where a request comes from.
//!
//! Behind a proxy the connection's peer is the proxy, and the client's address stands in a header
//! that anybody can write. So an address has two uses with two standards: rules (`match: {ip: …}`)
//! take what the configuration says to take, as `docker_auth` does; the limit on failed logins
//! counts an address only where nobody but a trusted proxy can have made it up.

use std::net::IpAddr;

use common::{IpNetwork, parse_ip};
use http::{HeaderMap, HeaderName};

/// How the client's address is found.
#[derive(Debug, Default)]
pub struct AddressRule {
    /// The header that holds it (`real_ip_header`); without one the connection's peer is the
    /// client.
    pub header: Option<HeaderName>,
    /// Which of the header's comma-separated addresses it is; a negative position counts from the
    /// end.
    pub position: i32,
    /// The proxies whose header counts; without a list, everybody's does.
    pub trusted: Option<Vec<IpNetwork>>,
}

/// A client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    /// What rules see; none for the peer of a Unix socket that no header tells more of.
    pub(crate) ip: Option<IpAddr>,
    /// Whether the client cannot have made it up, nor shares it with everyone behind the same
    /// proxy.
    pub(crate) attributable: bool,
}

/// A header that was wanted and does not hold an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error(
        "the header {0} is missing or empty: the proxy in front must send the client's address in it"
    )]
    Missing(HeaderName),
    #[error("the header {header} has no address at position {position}")]
    Position { header: HeaderName, position: i32 },
    #[error("{text:?} in the header {header} is no IP address")]
    Malformed { header: HeaderName, text: String },
}

impl AddressRule {
    /// The address of the client that sent `headers` over a connection from `peer` (none: a Unix
    /// socket).
    pub(crate) fn resolve(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<ClientAddress, AddressError> {
        let peer = peer.map(|ip| ip.to_canonical());
        let trusted = self.trusts(peer);
        let Some(header) = self.header.as_ref().filter(|_| trusted != Some(false)) else {
            // What came through a proxy that nobody told us of has the proxy's address, which all
            // its clients share.
            let proxied =
                headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
            let known = trusted == Some(false) || !proxied;
            return Ok(ClientAddress {
                ip: peer,
                attributable: known && peer.is_some(),
            });
        };
        let ip = self.forwarded(header, headers)?;
        Ok(ClientAddress {
            ip: Some(ip),
            attributable: trusted == Some(true),
        })
    }

    /// Whether `peer` is a trusted proxy; none where no list says so. Who may open a Unix socket is
    /// on this machine and passed its file permissions: that is a proxy of ours.
    fn trusts(&self, peer: Option<IpAddr>) -> Option<bool> {
        let trusted = self.trusted.as_ref()?;
        Some(peer.is_none_or(|ip| trusted.iter().any(|network| network.contains(ip))))
    }

    /// The address at `position` of the header's first line, as `docker_auth` reads it.
    fn forwarded(&self, header: &HeaderName, headers: &HeaderMap) -> Result<IpAddr, AddressError> {
        let missing = || AddressError::Missing(header.clone());
        let line = headers.get(header).ok_or_else(missing)?;
        let line = String::from_utf8_lossy(line.as_bytes());
        let entries: Vec<&str> = line.split(',').collect();
        let index = match usize::try_from(self.position) {
            Ok(from_start) => from_start,
            Err(_) => entries
                .len()
                .saturating_sub(self.position.unsigned_abs() as usize),
        };
        let position = || AddressError::Position {
            header: header.clone(),
            position: self.position,
        };
        let text = entries.get(index).ok_or_else(position)?.trim();
        if text.is_empty() {
            return Err(missing());
        }
        parse_ip(without_port(text)).ok_or_else(|| AddressError::Malformed {
            header: header.clone(),
            text: text.to_owned(),
        })
    }
}

/// `text` without its port, where it has one: behind an IPv4 address, or behind an IPv6 one in
/// brackets.
fn without_port(text: &str) -> &str {
    let Some((host, _)) = text
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
    else {
        return text;
    };
    match host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
    {
        Some(inner) if !inner.contains(['[', ']']) => inner,
        None if !host.contains([':', '[', ']']) => host,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: HeaderName = HeaderName::from_static("x-forwarded-for");

    fn rule(position: i32, trusted: Option<&[&str]>) -> AddressRule {
        let trusted = trusted.map(|list| list.iter().map(|text| text.parse().unwrap()).collect());
        AddressRule {
            header: Some(HEADER),
            position,
            trusted,
        }
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (HEADER, line.parse().unwrap()))
            .collect()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn forwarded(position: i32, lines: &[&str]) -> Result<Option<IpAddr>, AddressError> {
        rule(position, None)
            .resolve(ip("192.0.2.1"), &headers(lines))
            .map(|address| address.ip)
    }

    #[test]
    fn the_header_is_read_as_docker_auth_reads_it() {
        assert_eq!(forwarded(0, &["10.0.0.1, 10.0.0.2"]), Ok(ip("10.0.0.1")));
        assert_eq!(forwarded(1, &["10.0.0.1 , 10.0.0.2 "]), Ok(ip("10.0.0.2")));
        assert_eq!(forwarded(-1, &["10.0.0.1,10.0.0.2"]), Ok(ip("10.0.0.2")));
        assert_eq!(
            forwarded(-9, &["10.0.0.1,10.0.0.2"]),
            Ok(ip("10.0.0.1")),
            "a negative one stops at the first"
        );
        assert_eq!(
            forwarded(0, &["10.0.0.1", "10.0.0.2"]),
            Ok(ip("10.0.0.1")),
            "only the first line counts"
        );
        assert_eq!(forwarded(0, &["1.2.3.4:99"]), Ok(ip("1.2.3.4")));
        assert_eq!(forwarded(0, &["[::1]:9"]), Ok(ip("::1")));
        assert_eq!(forwarded(0, &["2001:db8::5"]), Ok(ip("2001:db8::5")));
        assert_eq!(forwarded(0, &["::ffff:10.1.2.3"]), Ok(ip("10.1.2.3")));
    }

    #[test]
    fn a_header_without_an_address_is_an_error() {
        let malformed = |text: &str| {
            Err(AddressError::Malformed {
                header: HEADER,
                text: text.to_owned(),
            })
        };
        assert_eq!(forwarded(0, &[]), Err(AddressError::Missing(HEADER)));
        assert_eq!(forwarded(0, &[""]), Err(AddressError::Missing(HEADER)));
        assert_eq!(
            forwarded(-1, &["10.0.0.1, "]),
            Err(AddressError::Missing(HEADER))
        );
        assert_eq!(
            forwarded(2, &["a,b"]),
            Err(AddressError::Position {
                header: HEADER,
                position: 2
            })
        );
        for text in [
            "junk",
            "[::1]",
            "1.2.3.4:",
            "1.2.3.4:99999",
            "1.2.3.4:5:6",
            "fe80::1%eth0",
            "010.0.0.1",
        ] {
            assert_eq!(forwarded(0, &[text]), malformed(text));
        }
    }

    #[test]
    fn a_stranger_s_header_does_not_count_where_proxies_are_listed() {
        let rule = rule(0, Some(&["192.0.2.0/24"]));
        let claim = headers(&["10.0.0.1"]);
        let through_proxy = rule.resolve(ip("192.0.2.7"), &claim).unwrap();
        assert_eq!(
            through_proxy,
            ClientAddress {
                ip: ip("10.0.0.1"),
                attributable: true
            }
        );
        let direct = rule.resolve(ip("198.51.100.1"), &claim).unwrap();
        assert_eq!(
            direct,
            ClientAddress {
                ip: ip("198.51.100.1"),
                attributable: true
            }
        );
        assert_eq!(
            rule.resolve(None, &claim).unwrap(),
            through_proxy,
            "a Unix socket's peer is a proxy of ours"
        );
        assert!(rule.resolve(ip("192.0.2.7"), &headers(&[])).is_err());
    }

    #[test]
    fn an_address_that_anyone_can_write_is_nobody_s() {
        assert!(
            !rule(0, None)
                .resolve(ip("192.0.2.1"), &headers(&["10.0.0.1"]))
                .unwrap()
                .attributable
        );
        let none = AddressRule::default();
        assert!(
            none.resolve(ip("192.0.2.1"), &headers(&[]))
                .unwrap()
                .attributable
        );
        let unknown_proxy = none
            .resolve(ip("192.0.2.1"), &headers(&["10.0.0.1"]))
            .unwrap();
        assert_eq!(
            unknown_proxy,
            ClientAddress {
                ip: ip("192.0.2.1"),
                attributable: false
            }
        );
        assert_eq!(
            none.resolve(None, &headers(&[])).unwrap(),
            ClientAddress::default()
        );
        assert_eq!(
            none.resolve(ip("::ffff:10.1.2.3"), &headers(&[]))
                .unwrap()
                .ip,
            ip("10.1.2.3")
        );
    }
}
