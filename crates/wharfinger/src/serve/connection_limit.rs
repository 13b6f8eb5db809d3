//! How many connections one address may have, so that no single client takes all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use common::client_network;

use super::throttled_warning::ThrottledWarning;

/// Counts the open connections of each address.
pub(super) struct ConnectionLimit {
    limit: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
    refused: ThrottledWarning,
}

/// The place of one connection, given back when it is dropped.
pub(super) struct CountedConnection(Option<(Arc<ConnectionLimit>, IpAddr)>);

impl ConnectionLimit {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            open: Mutex::default(),
            refused: ThrottledWarning::default(),
        }
    }

    /// Counts a connection from `address`; `None` if the address has too many. Of an IPv6 address the
    /// first 64 bits count. Without an address the connection is not counted.
    pub(super) fn admit(this: &Arc<Self>, address: Option<IpAddr>) -> Option<CountedConnection> {
        let Some(address) = address.map(client_network) else {
            return Some(CountedConnection(None));
        };
        let mut open = this.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count < this.limit {
            *count += 1;
            return Some(CountedConnection(Some((Arc::clone(this), address))));
        }
        drop(open);
        if this.refused.is_due() {
            tracing::warn!(
                %address,
                limit = this.limit,
                "a connection was closed: the address has as many as \
                 server.limits.connections_per_address allows"
            );
        }
        None
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let Some((limit, address)) = self.0.take() else {
            return;
        };
        let mut open = limit.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let limit = Arc::new(ConnectionLimit::new(2));
        let admit = |text: &str| ConnectionLimit::admit(&limit, Some(text.parse().unwrap()));
        let (first, second) = (admit("192.0.2.1"), admit("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some(), "another address has its own");
        assert!(ConnectionLimit::admit(&limit, None).is_some());
        let (one, other) = (admit("2001:db8::1"), admit("2001:db8::2:1"));
        assert!(one.is_some() && other.is_some() && admit("2001:db8::3").is_none());
        assert!(admit("2001:db8:0:1::1").is_some(), "another network");
        drop((one, other));
        drop(first);
        assert!(admit("192.0.2.1").is_some(), "a closed one makes room");
        drop(second);
        let open = limit.open.lock().unwrap();
        assert!(open.is_empty(), "{open:?}");
    }
}
