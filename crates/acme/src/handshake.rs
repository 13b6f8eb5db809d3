//! The beginning of a TLS connection, which may be the ACME server's challenge (RFC 8737).

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::ServerCertificates;
use crate::settings::ACME_TLS_PROTOCOL;

/// Accepts TLS with `config`. A handshake that asks for nothing but the answer to a challenge gets it
/// if there is one, and ends there; then there is no stream.
///
/// # Errors
/// When the handshake fails.
pub async fn accept<S>(
    stream: S,
    config: Arc<ServerConfig>,
    certificates: &ServerCertificates,
) -> io::Result<Option<TlsStream<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let hello = start.client_hello();
    let is_challenge = hello.alpn().is_some_and(|mut protocols| {
        protocols.next() == Some(ACME_TLS_PROTOCOL) && protocols.next().is_none()
    });
    if !is_challenge {
        return start.into_stream(config).await.map(Some);
    }
    let host = hello.server_name().map(str::to_owned);
    let answer = match &host {
        Some(host) => certificates.tls_answer(host).await,
        None => None,
    };
    let Some(answer) = answer else {
        // No protocol in common: the alert `no_application_protocol` (RFC 7301 §3.2).
        return start.into_stream(config).await.map(Some);
    };
    let mut stream = start.into_stream(answer).await?;
    tracing::info!(
        host,
        "answered the challenge tls-alpn-01 of the ACME server"
    );
    stream.shutdown().await?;
    Ok(None)
}
