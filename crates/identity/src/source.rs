//! The origin of a login: the key of limits and of the queue.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use common::{RequestContext, client_network};

/// Where a login comes from and which account it names. Logins of the same source share its limits
/// and its turns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LoginSource {
    /// The address that the login came from.
    pub address: SourceAddress,
    /// The account that it names; empty if it names no account.
    pub account: String,
}

/// An address that no client can choose: the connection's peer, or what a trusted proxy wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceAddress {
    /// One client's address.
    Client(ClientNetwork),
    /// The address of a proxy that many clients share, so only their accounts distinguish them.
    /// `None` stands for a Unix socket.
    Shared(Option<IpAddr>),
}

/// A client's address, which equals those of the same network: of an IPv6 address the first 64 bits
/// count, because one client usually has all of the rest.
#[derive(Clone, Copy, Debug)]
pub struct ClientNetwork(IpAddr);

impl LoginSource {
    /// The source of a login as `account` from `address`.
    #[must_use]
    pub fn new(address: impl Into<SourceAddress>, account: &str) -> Self {
        Self {
            address: address.into(),
            account: account.to_owned(),
        }
    }
}

impl SourceAddress {
    /// A client's own address.
    #[must_use]
    pub fn client(address: IpAddr) -> Self {
        Self::Client(ClientNetwork(address.to_canonical()))
    }

    /// The address of a proxy whose clients cannot be distinguished.
    #[must_use]
    pub fn shared(proxy: Option<IpAddr>) -> Self {
        Self::Shared(proxy.map(client_network))
    }

    /// The whole address of a client that has its own.
    #[must_use]
    pub fn of_client(self) -> Option<IpAddr> {
        match self {
            Self::Client(ClientNetwork(address)) => Some(address),
            Self::Shared(_) => None,
        }
    }
}

impl ClientNetwork {
    /// The address with only the bits that count.
    pub(crate) fn prefix(self) -> IpAddr {
        client_network(self.0)
    }
}

impl PartialEq for ClientNetwork {
    fn eq(&self, other: &Self) -> bool {
        self.prefix() == other.prefix()
    }
}

impl Eq for ClientNetwork {}

impl Hash for ClientNetwork {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.prefix().hash(state);
    }
}

impl From<Option<IpAddr>> for SourceAddress {
    /// A client's own address, or that of a Unix socket.
    fn from(address: Option<IpAddr>) -> Self {
        address.map_or(Self::Shared(None), Self::client)
    }
}

impl From<&RequestContext> for SourceAddress {
    /// The address that the client of a request cannot have chosen.
    fn from(context: &RequestContext) -> Self {
        match context.attributable_address() {
            Some(address) => Self::client(address),
            None => Self::shared(context.peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> SourceAddress {
        SourceAddress::client(address.parse().unwrap())
    }

    #[test]
    fn one_client_is_one_address() {
        assert_eq!(client("192.0.2.7"), client("::ffff:192.0.2.7"));
        assert_ne!(client("192.0.2.7"), client("192.0.2.8"));
        assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
        assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
        assert_ne!(
            client("192.0.2.7"),
            SourceAddress::shared("192.0.2.7".parse().ok())
        );
    }

    #[test]
    fn a_backend_sees_the_whole_address() {
        let whole = |address: &str| client(address).of_client().map(|ip| ip.to_string());
        assert_eq!(
            whole("2001:db8:0:1:ffff::2").as_deref(),
            Some("2001:db8:0:1:ffff::2")
        );
        assert_eq!(whole("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(
            SourceAddress::shared("192.0.2.7".parse().ok()).of_client(),
            None
        );
        let hash = |address: &str| {
            let mut hasher = std::hash::DefaultHasher::new();
            client(address).hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash("2001:db8:0:1::1"), hash("2001:db8:0:1:ffff::2"));
    }
}
