//! Sockets: one for each address of the configuration.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use crate::config::ListenAddress;
use crate::failure::Failure;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A socket that takes connections.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The bytes of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, and the address of its peer; `None` for a Unix socket.
pub(super) type AcceptedConnection = (Box<dyn Stream>, Option<IpAddr>);

impl Listener {
    pub(super) async fn bind(listen: &ListenAddress) -> Result<Self, Failure> {
        match listen {
            ListenAddress::Unix(path) => {
                let listener = bind_unix(path)
                    .map_err(|error| cannot_listen(&path.display().to_string(), &error))?;
                Ok(Self::Unix(listener, SocketFile(path.clone())))
            }
            ListenAddress::Tcp(tcp) => {
                let listener = bind_tcp(tcp)
                    .await
                    .map_err(|error| cannot_listen(&tcp.to_string(), &error))?;
                Ok(Self::Tcp(listener))
            }
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<AcceptedConnection> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                tcp_connection(stream, peer)
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), None))
            }
        }
    }

    /// Takes no further connections. Returns those that clients have opened and that were not accepted
    /// yet: the system would reset them.
    pub(super) fn close(self) -> Vec<AcceptedConnection> {
        // The runtime may not know yet that they wait, so the system is asked.
        let mut waiting = Vec::new();
        match self {
            Self::Tcp(listener) => {
                let Ok(listener) = listener.into_std() else {
                    return waiting;
                };
                while let Ok((stream, peer)) = listener.accept() {
                    let stream = stream.set_nonblocking(true).map(|()| stream);
                    let stream = stream.and_then(TcpStream::from_std);
                    waiting.extend(stream.and_then(|stream| tcp_connection(stream, peer)));
                }
            }
            Self::Unix(listener, _file) => {
                let Ok(listener) = listener.into_std() else {
                    return waiting;
                };
                while let Ok((stream, _)) = listener.accept() {
                    let stream = stream.set_nonblocking(true).map(|()| stream);
                    let stream = stream.and_then(UnixStream::from_std);
                    waiting.extend(stream.map(|stream| (Box::new(stream) as _, None)));
                }
            }
        }
        waiting
    }

    /// The address to which it is bound, with the port that the system chose for port 0.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |a| a.to_string()),
            Self::Unix(_, file) => file.0.display().to_string(),
        }
    }
}

/// A Unix socket's file, removed when its listener ends.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A file that stays does no harm: the next start removes it.
        let _ = fs::remove_file(&self.0);
    }
}

fn cannot_listen(address: &str, error: &io::Error) -> Failure {
    let failure = Failure::system(format!("cannot listen on {address}")).caused_by(error);
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            failure.hint("another program uses this address: stop it, or change server.addr")
        }
        io::ErrorKind::PermissionDenied => failure.hint(
            "choose a port above 1023 in server.addr, or grant the program CAP_NET_BIND_SERVICE",
        ),
        io::ErrorKind::AddrNotAvailable => {
            failure.hint("server.addr names an address that this machine does not have")
        }
        _ => failure,
    }
}

fn tcp_connection(stream: TcpStream, peer: SocketAddr) -> io::Result<AcceptedConnection> {
    stream.set_nodelay(true)?;
    Ok((Box::new(stream), Some(peer.ip())))
}

async fn bind_tcp(tcp: &crate::config::TcpAddress) -> io::Result<TcpListener> {
    let mut last = None;
    for address in tcp.resolve().await? {
        match bind_address(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    Err(last
        .unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host name has no address")))
}

fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for the last connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Binds `path`. A socket file there that no process listens on is removed first.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket =
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket
        && StdUnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}
