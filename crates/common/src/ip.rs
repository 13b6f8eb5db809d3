//! Addresses and networks as Go's package `net` reads them.
//!
//! An IPv6 address that holds an IPv4 one (`::ffff:10.0.0.1`) *is* that IPv4 address here, as it is
//! for Go: a rule for `10.0.0.0/8` has to hold for a client that came over a dual-stack socket.
//!
//! By hand because `ipnet` reads other texts than Go does: `/08`, mapped networks, zeros in front.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Reads an address as Go's [`net.ParseIP`] does: no zone, no port, no leading zeros in the parts
/// of an IPv4 address.
///
/// ```
/// assert_eq!(common::parse_ip("::ffff:10.0.0.1"), "10.0.0.1".parse().ok());
/// assert_eq!(common::parse_ip("010.0.0.1"), None);
/// ```
///
/// [`net.ParseIP`]: https://pkg.go.dev/net#ParseIP
#[must_use]
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

/// The part of an address that limits count. Of an IPv6 address it is the first 64 bits, because one
/// client usually has all of the rest.
///
/// ```
/// let network = |text: &str| common::client_network(text.parse().unwrap());
/// assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::2"));
/// assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
/// assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
/// assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
/// ```
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// An address, or all addresses that begin alike: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`.
///
/// Read as Go's [`net.ParseCIDR`] does: bits beyond the prefix are ignored, `/08` is `/8`, and a
/// prefix of 96 bits and more of `::ffff:0:0` is a network of IPv4 addresses. `::/0` is every IPv6
/// address and no other.
///
/// [`net.ParseCIDR`]: https://pkg.go.dev/net#ParseCIDR
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork {
    /// Its first address.
    first: IpAddr,
    prefix: u32,
}

/// A text that is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a network such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct IpNetworkError(String);

impl IpNetwork {
    /// Whether `address` is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                address.to_bits() & mask == first.to_bits()
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => masked(address, self.prefix) == first,
            _ => false,
        }
    }

    /// The network of `prefix` bits around `address`; `None` when the address has fewer.
    fn around(address: IpAddr, prefix: u32) -> Option<Self> {
        let (all, v4_bits) = match address {
            IpAddr::V4(address) => (address.to_ipv6_mapped(), 96),
            IpAddr::V6(address) => (address, 0),
        };
        let prefix = v4_bits + prefix;
        if prefix > 128 {
            return None;
        }
        // A shorter prefix than the 96 bits of `::ffff:0:0` leaves nothing of an IPv4 address to
        // compare.
        Some(match IpAddr::from(masked(all, prefix)).to_canonical() {
            first @ IpAddr::V4(_) => Self {
                first,
                prefix: prefix.saturating_sub(96),
            },
            first @ IpAddr::V6(_) => Self { first, prefix },
        })
    }
}

impl FromStr for IpNetwork {
    type Err = IpNetworkError;

    fn from_str(text: &str) -> Result<Self, IpNetworkError> {
        let parsed = match text.split_once('/') {
            None => parse_ip(text).and_then(|address| {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                Self::around(address, bits)
            }),
            // Not canonical: the prefix counts the bits of the address as it is written.
            Some((address, bits)) => {
                let digits = bits.bytes().all(|byte| byte.is_ascii_digit());
                let bits = bits.parse().ok().filter(|_| digits);
                address
                    .parse()
                    .ok()
                    .zip(bits)
                    .and_then(|(address, bits)| Self::around(address, bits))
            }
        };
        parsed.ok_or_else(|| IpNetworkError(text.to_owned()))
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

fn masked(address: Ipv6Addr, prefix: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network
            .parse::<IpNetwork>()
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(contains("::ffff:10.1.2.3", "10.1.2.3"));
        assert!(contains("::ffff:10.0.0.0/104", "10.200.0.1"));
        assert!(contains("::ffff:0:0/96", "192.0.2.1"));
        assert!(
            !contains("::ffff:0:0/95", "192.0.2.1"),
            "shorter than the mapping: IPv6 only"
        );
    }

    #[test]
    fn everything_of_one_version_is_nothing_of_the_other() {
        assert!(contains("::/0", "2001:db8::1") && !contains("::/0", "10.0.0.1"));
        assert!(contains("0.0.0.0/0", "10.0.0.1") && !contains("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn networks_print_as_they_are_compared() {
        let printed = |text: &str| text.parse::<IpNetwork>().unwrap().to_string();
        assert_eq!(printed("10.1.2.3/08"), "10.0.0.0/8");
        assert_eq!(printed("192.0.2.1"), "192.0.2.1/32");
        assert_eq!(printed("::ffff:10.0.0.0/104"), "10.0.0.0/8");
        assert_eq!(printed("2001:db8::7/32"), "2001:db8::/32");
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "",
            "10.0.0.1/33",
            "10.0.0.1/",
            "10.0.0.1/+8",
            "::/129",
            "010.0.0.1",
            "10.0.0.0/8/8",
            "localhost",
        ] {
            assert_eq!(
                text.parse::<IpNetwork>(),
                Err(IpNetworkError(text.to_owned()))
            );
        }
    }
}
