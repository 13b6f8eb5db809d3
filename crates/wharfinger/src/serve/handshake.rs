//! The beginning of a connection to a port with TLS.

use std::io;
use std::sync::Arc;

use acme::ServerCertificates;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::client_stream::ClientStream;
use super::lingering_close::StillSending;

/// The response to an HTTP request where TLS is expected, with the words of Go's servers.
const HTTPS_ONLY: &str = "HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 48\r\n\
    Connection: close\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// How the beginning of a connection ended.
#[expect(
    clippy::large_enum_variant,
    reason = "most handshakes succeed, and one is moved twice"
)]
pub(super) enum HandshakeOutcome<S> {
    /// TLS was agreed on.
    Tls(TlsStream<S>),
    /// The client sent an HTTP request instead, and was told so.
    PlainRequest,
    /// The client was an ACME server that asked for the answer to its challenge.
    Challenge,
}

/// Accepts TLS with the certificate of `config`, or with those of an ACME server.
pub(super) async fn accept_tls<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<rustls::ServerConfig>,
    acme: Option<Arc<ServerCertificates>>,
    mut stream: ClientStream<S>,
    still_sending: &StillSending,
) -> io::Result<HandshakeOutcome<ClientStream<S>>> {
    // A record of TLS begins with a control character (RFC 8446 §5.1), a request with a method.
    if stream
        .first_byte()
        .await?
        .is_some_and(|byte| byte.is_ascii_uppercase())
    {
        // Its request may be longer than what is read here.
        still_sending.note();
        stream.write_all(HTTPS_ONLY.as_bytes()).await?;
        stream.shutdown().await?;
        return Ok(HandshakeOutcome::PlainRequest);
    }
    let Some(acme) = acme else {
        let accepted = TlsAcceptor::from(config).accept(stream).await?;
        return Ok(HandshakeOutcome::Tls(accepted));
    };
    let accepted = acme::accept(stream, config, &acme).await?;
    Ok(accepted.map_or(HandshakeOutcome::Challenge, HandshakeOutcome::Tls))
}
