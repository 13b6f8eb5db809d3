//! TLS towards PostgreSQL, as lib/pq does it.
//!
//! sqlx trusts Mozilla's authorities beside the one that `sslrootcert` names, so that
//! `sslmode=verify-ca` would accept the certificate of any web server. So TLS is done here. sqlx
//! speaks to the other end of a tunnel: an abstract Unix socket that takes one connection, of this
//! process.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use identity::tls::ClientTls;
use postgresql::{PemSource, PostgresTlsSettings};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::SqlError;

/// `SSLRequest` of the protocol: a length of 8, and the code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A protected connection whose other end is a socket for sqlx. It ends when this is dropped.
pub(super) struct TlsTunnel {
    socket_directory: String,
    forwarding: JoinHandle<io::Result<()>>,
}

#[derive(Debug, thiserror::Error)]
enum PostgresTlsError {
    #[error("the server has no TLS: turn it on there, or write sslmode=disable")]
    NoTls,
    #[error("the server answered the request for TLS with an error")]
    Refused,
}

/// Connects, and verifies the server as `settings` say.
pub(super) async fn open(
    host: &str,
    port: u16,
    settings: &PostgresTlsSettings,
) -> Result<TlsTunnel, SqlError> {
    let config = client_config(settings).await.map_err(connect_error)?;
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| connect_error(error.into()))?;
    let stream = request_tls(host, port).await.map_err(connect_error)?;
    let connector = TlsConnector::from(Arc::new(config));
    let tls = connector.connect(name, stream).await;
    let tls = tls.map_err(|error| connect_error(error.into()))?;
    TlsTunnel::new(tls, port).map_err(|error| connect_error(error.into()))
}

async fn request_tls(
    host: &str,
    port: u16,
) -> Result<TcpStream, Box<dyn std::error::Error + Send + Sync>> {
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&SSL_REQUEST).await?;
    match stream.read_u8().await? {
        b'S' => Ok(stream),
        b'N' => Err(PostgresTlsError::NoTls.into()),
        _ => Err(PostgresTlsError::Refused.into()),
    }
}

async fn client_config(
    settings: &PostgresTlsSettings,
) -> Result<rustls::ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let mut tls = ClientTls::default().verifying(settings.verification);
    if let Some(authorities) = &settings.authorities {
        tls = tls.trusting(&read(authorities).await?)?;
    }
    if let Some((certificate, key)) = &settings.certificate {
        tls = tls.with_certificate(&read(certificate).await?, &read(key).await?)?;
    }
    Ok(tls.config()?)
}

async fn read(source: &PemSource) -> io::Result<zeroize::Zeroizing<Vec<u8>>> {
    let bytes = match source {
        PemSource::Text(text) => text.expose().as_bytes().to_vec(),
        PemSource::File(file) => tokio::fs::read(file).await.map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", file.display()))
        })?,
    };
    Ok(bytes.into())
}

impl TlsTunnel {
    fn new(tls: TlsStream<TcpStream>, port: u16) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // The NUL makes it abstract: there is no file. libpq's name follows the directory.
        let socket_directory = format!("\0wharfinger-{}-{number}", process::id());
        let listener = UnixListener::bind(format!("{socket_directory}/.s.PGSQL.{port}"))?;
        let forwarding = tokio::spawn(async move {
            let local = accept_own(listener).await?;
            forward(local, tls).await
        });
        Ok(Self {
            socket_directory,
            forwarding,
        })
    }

    /// The directory of the socket, as libpq counts it.
    pub(super) fn socket_directory(&self) -> &str {
        &self.socket_directory
    }
}

impl Drop for TlsTunnel {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

/// The first connection of this process. Those of others are closed.
async fn accept_own(listener: UnixListener) -> io::Result<UnixStream> {
    loop {
        let (stream, _) = listener.accept().await?;
        let peer = stream.peer_cred()?.pid();
        if peer.and_then(|id| u32::try_from(id).ok()) == Some(process::id()) {
            return Ok(stream);
        }
    }
}

/// Carries both directions until one of them ends.
async fn forward(local: UnixStream, tls: TlsStream<TcpStream>) -> io::Result<()> {
    let (mut from_local, mut to_local) = local.into_split();
    let (mut from_server, mut to_server) = split(tls);
    tokio::select! {
        sent = copy(&mut from_local, &mut to_server) => sent.map(drop),
        received = copy(&mut from_server, &mut to_local) => received.map(drop),
    }
}

fn connect_error(source: Box<dyn std::error::Error + Send + Sync>) -> SqlError {
    SqlError::Connect { hint: "", source }
}
