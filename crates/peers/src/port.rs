//! Proof that the right process got a port.
//!
//! A program that was not started by this process may have taken a port before a peer listens on it. A
//! connection would then reach the wrong server. So a daemon is ready only if the listening socket is
//! its own.

use std::fs;

/// Whether the process `id` itself listens on `port`, on any IPv4 or IPv6 address.
pub(crate) fn is_listened_on_by(port: u16, id: u32) -> bool {
    let sockets = listening_sockets(port);
    let Ok(descriptors) = fs::read_dir(format!("/proc/{id}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| {
            let target = target.to_string_lossy();
            target
                .strip_prefix("socket:[")
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|inode| sockets.iter().any(|socket| socket == inode))
        })
}

/// The inodes of the sockets that listen on `port` (proc(5), `/proc/net/tcp`; state `0A` is
/// listening).
fn listening_sockets(port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| {
            fs::read_to_string(table)
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            (fields.get(1)?.ends_with(&suffix) && fields.get(3) == Some(&"0A"))
                .then(|| fields.get(9).map(|&inode| inode.to_owned()))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process;

    use super::*;
    use crate::ReservedAddress;

    #[test]
    fn tells_our_own_listener_from_one_that_is_not() {
        let address = ReservedAddress::new();
        assert!(!is_listened_on_by(address.port(), process::id()));
        let _listener = TcpListener::bind(address.address()).unwrap();
        assert!(is_listened_on_by(address.port(), process::id()));
        assert!(!is_listened_on_by(address.port(), 1));
    }
}
