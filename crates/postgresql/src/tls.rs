//! TLS towards the server, and the channel binding of SCRAM.
//!
//! `tls-server-end-point` (RFC 5929 §4.1) is a hash of the server's certificate. The proof of the
//! password includes it, so that a server in between, which has another certificate, cannot pass
//! the proof on.

use std::io;
use std::sync::Arc;

use aws_lc_rs::digest;
use client_tls::ClientTls;
use common::BoxFuture;
use rustls::pki_types::ServerName;
use tokio_postgres::Socket;
use tokio_postgres::tls::TlsConnect;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::bound_stream::BoundStream;
use crate::location::{PemSource, PostgresTlsSettings};

/// The largest file of certificates, or of a key.
const MAX_PEM: usize = 1024 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The configuration for rustls. Files are read each time, so that they can be replaced.
pub(crate) async fn client_config(
    settings: &PostgresTlsSettings,
) -> Result<Arc<rustls::ClientConfig>, BoxError> {
    let mut tls = ClientTls::default().verifying(settings.verification);
    if let Some(authorities) = &settings.authorities {
        tls = tls.trusting(&read(authorities).await?)?;
    }
    if let Some((certificate, key)) = &settings.certificate {
        tls = tls.with_certificate(&read(certificate).await?, &read(key).await?)?;
    }
    Ok(Arc::new(tls.config()?))
}

async fn read(source: &PemSource) -> io::Result<zeroize::Zeroizing<Vec<u8>>> {
    let file = match source {
        PemSource::Text(text) => return Ok(text.expose().as_bytes().to_vec().into()),
        PemSource::File(file) => file,
    };
    let bytes = tokio::fs::read(file)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    if bytes.len() > MAX_PEM {
        let text = format!("{}: it is larger than 1 MiB", file.display());
        return Err(io::Error::other(text));
    }
    Ok(bytes.into())
}

/// Makes TLS of a connection to one server.
pub(crate) struct ServerTls {
    pub(crate) config: Arc<rustls::ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

/// A protected connection.
pub(crate) type ServerStream = BoundStream<Box<TlsStream<Socket>>>;

impl TlsConnect<Socket> for ServerTls {
    type Stream = ServerStream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<ServerStream>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let connecting = TlsConnector::from(self.config).connect(self.name, stream);
        Box::pin(async move {
            let stream = connecting.await?;
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            let end_point = certificate.and_then(|certificate| end_point(certificate));
            Ok(BoundStream::new(Box::new(stream), end_point))
        })
    }
}

/// The hash of a certificate by the algorithm of its signature, with SHA-256 in place of MD5 and
/// SHA-1. There is none for a signature without a hash of its own, such as Ed25519.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // RSA with MD5, SHA-1, SHA-256; ECDSA with SHA-1, SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}
