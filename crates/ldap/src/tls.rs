//! TLS to one server, whatever kind of name it has.

use std::sync::Arc;

use identity::tls::{ClientTls, ClientTlsError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// The configuration for the server called `name`.
pub(crate) fn configuration(
    tls: &ClientTls,
    name: ServerName<'static>,
) -> Result<ClientConfig, ClientTlsError> {
    let mut configuration = tls.config()?;
    // SNI holds DNS names only (RFC 6066 §3).
    configuration.enable_sni = matches!(name, ServerName::DnsName(_));
    let verifier = NamedVerifier {
        name,
        verifier: tls.verifier()?,
    };
    let verifier = Arc::new(verifier);
    configuration.dangerous().set_certificate_verifier(verifier);
    Ok(configuration)
}

/// Verifies the certificate of the one server that it was made for. The crate `ldap3` takes the name
/// from a URL, in which an IPv6 address is not one that rustls can read.
#[derive(Debug)]
struct NamedVerifier {
    name: ServerName<'static>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let outcome = self
            .verifier
            .verify_server_cert(leaf, intermediates, &self.name, ocsp, now);
        match outcome {
            // webpki says of a self-signed authority only that it must not be a server's
            // certificate. The operator's problem is that it is not trusted.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) => {
                Err(CertificateError::UnknownIssuer.into())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
