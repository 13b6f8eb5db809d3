//! TLS as registries need it: the system's authorities, a host's own, and self-signed certificates
//! that are trusted by name.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::certificates::HostCertificates;

/// The configuration for one host. `insecure` accepts every certificate.
pub(crate) fn configuration(
    mut found: HostCertificates,
    insecure: bool,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let own = std::mem::take(&mut found.authorities);
    let trust = if insecure {
        ServerTrust::Anything
    } else {
        ServerTrust::Anchors(TrustAnchors::new(own, &provider)?)
    };
    let verifier = Arc::new(ServerVerifier {
        trust,
        provider: provider.clone(),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match found.client {
        Some(client) => builder.with_client_auth_cert(client.chain, client.key),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Verifies a server's certificate and the signatures of its handshake.
#[derive(Debug)]
struct ServerVerifier {
    trust: ServerTrust,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum ServerTrust {
    /// `--insecure`: every certificate and every signature.
    Anything,
    Anchors(TrustAnchors),
}

/// The system's authorities and those of the host. A certificate that is itself among the host's is
/// trusted, even when it says that it is an authority's. `openssl req -x509` makes such, and Go's
/// clients accept them, though RFC 5280 would have them sign only other certificates.
#[derive(Debug)]
struct TrustAnchors {
    web_pki: Option<Arc<WebPkiServerVerifier>>,
    own: Vec<CertificateDer<'static>>,
}

impl TrustAnchors {
    fn new(
        own: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        // Certificates of the system that cannot be read are left out, as other clients do.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(own.iter().cloned());
        if roots.is_empty() {
            return Ok(Self { web_pki: None, own });
        }
        let web_pki =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        Ok(Self {
            web_pki: Some(web_pki.map_err(|error| Error::General(error.to_string()))?),
            own,
        })
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.own.iter().any(|own| own == leaf) {
            return verify_known(leaf, name, now);
        }
        let outcome = match &self.web_pki {
            Some(web_pki) => web_pki.verify_server_cert(leaf, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        match outcome {
            Ok(_) => Ok(()),
            // webpki says of a self-signed authority only that it must not be a server's
            // certificate. The reader's problem is that it is not trusted.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) => {
                Err(CertificateError::UnknownIssuer.into())
            }
            Err(error) => Err(error),
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let ServerTrust::Anchors(anchors) = &self.trust {
            anchors.verify(leaf, intermediates, name, ocsp, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if matches!(self.trust, ServerTrust::Anything) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if matches!(self.trust, ServerTrust::Anything) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Verifies name and time of a certificate that is trusted itself.
fn verify_known(
    leaf: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
    let certificate =
        token::Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
    let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
    if now < certificate.not_before() {
        return Err(CertificateError::NotValidYet.into());
    }
    if certificate.valid_at(now) {
        Ok(())
    } else {
        Err(CertificateError::Expired.into())
    }
}
