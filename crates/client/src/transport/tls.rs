//! TLS as registries need it: the system's authorities, a host's own, and self-signed certificates
//! named by hand.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::certificates::HostCertificates;

/// The configuration for one host. `insecure` believes every certificate.
pub(crate) fn configuration(
    mut found: HostCertificates,
    insecure: bool,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let own = std::mem::take(&mut found.authorities);
    let belief = if insecure {
        ServerTrust::Anything
    } else {
        ServerTrust::Vouched(TrustAnchors::new(own, &provider)?)
    };
    let verifier = Arc::new(ServerVerifier {
        belief,
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

/// Who is believed to be whom he says, and how signatures are checked.
#[derive(Debug)]
struct ServerVerifier {
    belief: ServerTrust,
    provider: Arc<CryptoProvider>,
}

impl ServerVerifier {
    fn verify_signature(
        &self,
        verify: impl FnOnce(&WebPkiSupportedAlgorithms) -> Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.belief {
            ServerTrust::Anything => Ok(HandshakeSignatureValid::assertion()),
            ServerTrust::Vouched(_) => verify(&self.provider.signature_verification_algorithms),
        }
    }
}

#[derive(Debug)]
enum ServerTrust {
    /// `--insecure`: whoever answers is whom we called, and what he signs is his.
    Anything,
    /// Those for whom somebody vouches.
    Vouched(TrustAnchors),
}

/// The system's authorities and those of the host. A certificate that is itself among the latter is
/// believed, too, even when it says that it is an authority's: that is what `openssl req -x509`
/// makes and what Go's clients accept, while RFC 5280 would have it sign others only.
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
        // What of the system's store cannot be read is left out, as everywhere.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(own.iter().cloned());
        let web_pki = if roots.is_empty() {
            None
        } else {
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            Some(
                builder
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?,
            )
        };
        Ok(Self { web_pki, own })
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
            Some(web_pki) => web_pki
                .verify_server_cert(leaf, intermediates, name, ocsp, now)
                .map(|_| ()),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        // Of a self-signed authority webpki says only that it must not be a server's; nobody trusts
        // it is the truth.
        outcome.map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::Other(_)) => {
                CertificateError::UnknownIssuer.into()
            }
            error => error,
        })
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
        if let ServerTrust::Vouched(trust) = &self.belief {
            trust.verify(leaf, intermediates, name, ocsp, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(|known| verify_tls12_signature(message, certificate, signed, known))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(|known| verify_tls13_signature(message, certificate, signed, known))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Whether `leaf`, which is known byte for byte, is for this name and this time.
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
