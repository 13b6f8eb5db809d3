//! A loopback address that is a test's own.
//!
//! A port that was free a moment ago may belong to another test by now. A connection that is to be
//! refused then reaches the server of that test, and its client asks there for what is not there.
//! So an address is bound before it is used, and stays bound when its server has ended.

use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};

use tokio::net::TcpSocket;

/// How many addresses stay reserved after they were needed. Each costs a file descriptor.
const KEPT: usize = 128;

/// The last addresses. A client of a test that has ended may still ask there for a while.
static LAST: Mutex<VecDeque<ReservedAddress>> = Mutex::new(VecDeque::new());

/// An address on 127.0.0.1 whose port neither another test nor the source of a connection gets.
///
/// Connections to it are refused until a server listens there, and again when it has ended. A server
/// can listen if it sets `SO_REUSEADDR`, as all of them do: the standard library, tokio, Go, …
#[derive(Clone, Debug)]
pub struct ReservedAddress {
    address: SocketAddrV4,
    /// It is bound and never listens.
    _socket: Arc<TcpSocket>,
}

impl ReservedAddress {
    /// An address where nothing listens.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "each is another one: it is no default value"
    )]
    pub fn new() -> Self {
        let reserved = Self::bind();
        let mut last = LAST.lock().unwrap();
        last.push_back(reserved.clone());
        if last.len() > KEPT {
            last.pop_front();
        }
        reserved
    }

    fn bind() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // Two sockets may have one address if both set this and neither listens yet.
        socket
            .set_reuseaddr(true)
            .expect("a socket that shares its address");
        socket
            .bind((Ipv4Addr::LOCALHOST, 0).into())
            .expect("a loopback port");
        let Ok(SocketAddr::V4(address)) = socket.local_addr() else {
            panic!("the socket's own address");
        };
        Self {
            address,
            _socket: Arc::new(socket),
        }
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl fmt::Display for ReservedAddress {
    /// `127.0.0.1:PORT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn is_refused(reserved: &ReservedAddress) -> bool {
        let connected = TcpStream::connect(reserved.address());
        connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }

    #[test]
    fn it_refuses_connections_unless_a_server_listens() {
        let reserved = ReservedAddress::new();
        assert!(is_refused(&reserved));
        for _ in 0..2 {
            let listener = TcpListener::bind(reserved.address()).unwrap();
            assert!(TcpStream::connect(reserved.address()).is_ok());
            drop(listener);
            assert!(is_refused(&reserved));
        }
    }
}
