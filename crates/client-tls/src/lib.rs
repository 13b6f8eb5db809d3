//! TLS towards the servers that this program asks: backends of logins, databases, providers.
//!
//! Without a list of certificates the authorities of the system are trusted. With one, only those
//! count. A certificate that is itself on the list is accepted even if it says that it is an
//! authority's: `openssl req -x509` makes such certificates for servers, and Go's clients, which
//! the configurations were written for, accept them.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// Which servers are trusted, and what this program shows to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    authorities: TrustedAuthorities,
    verification: ServerVerification,
    certificate: Option<OwnCertificate>,
}

/// What is verified of a server's certificate. The signatures of the handshake always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerVerification {
    /// That a trusted authority signed it, that it is valid now, and that it has the server's name.
    #[default]
    AuthorityAndName,
    /// The same without the name.
    Authority,
    /// Nothing: any server is accepted.
    Nothing,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum TrustedAuthorities {
    #[default]
    System,
    Only(Vec<CertificateDer<'static>>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// Certificates or a key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// A file of certificates has none.
    #[error("no certificate in it (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// A file of certificates cannot be read.
    #[error("a certificate in it cannot be read")]
    BrokenCertificate,
    /// A file has no private key that can be read.
    #[error("no private key in it that can be read (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// The certificate and the key belong to different pairs.
    #[error("the key does not belong to the certificate")]
    OtherKey,
    /// The TLS library refuses them.
    #[error("they cannot be used for TLS")]
    Unusable(#[source] rustls::Error),
}

impl ClientTls {
    /// The same, trusting only the certificates in `pem` and those that they signed.
    ///
    /// # Errors
    /// When it has no certificate, or one that cannot be read.
    pub fn trusting(self, pem: &[u8]) -> Result<Self, ClientTlsError> {
        Ok(Self {
            authorities: TrustedAuthorities::Only(certificates(pem)?),
            ..self
        })
    }

    /// The same, verifying so much of a server's certificate.
    #[must_use]
    pub fn verifying(self, verification: ServerVerification) -> Self {
        Self {
            verification,
            ..self
        }
    }

    /// The same, showing the certificate in `chain`, whose private key is in `key`, to servers that
    /// ask for one.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn with_certificate(self, chain: &[u8], key: &[u8]) -> Result<Self, ClientTlsError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| ClientTlsError::NoKey)?;
        let certificate = OwnCertificate {
            chain: certificates(chain)?,
            key: Arc::new(key),
        };
        let tls = Self {
            certificate: Some(certificate),
            ..Self::trusting_none()
        };
        tls.config()?;
        Ok(Self {
            certificate: tls.certificate,
            ..self
        })
    }

    /// The configuration for rustls. It offers TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// None that [`with_certificate`](Self::with_certificate) did not meet.
    pub fn config(&self) -> Result<ClientConfig, ClientTlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(ClientTlsError::Unusable)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier()?);
        let Some(OwnCertificate { chain, key }) = &self.certificate else {
            return Ok(builder.with_no_client_auth());
        };
        builder
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => ClientTlsError::OtherKey,
                other => ClientTlsError::Unusable(other),
            })
    }

    /// What verifies servers in [`config`](Self::config).
    ///
    /// # Errors
    /// When the TLS library refuses the authorities.
    pub fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, ClientTlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        let listed = match &self.authorities {
            // A certificate of the system that cannot be read is left out, as other clients do.
            TrustedAuthorities::System if self.verification != ServerVerification::Nothing => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                Vec::new()
            }
            TrustedAuthorities::System => Vec::new(),
            TrustedAuthorities::Only(listed) => {
                roots.add_parsable_certificates(listed.iter().cloned());
                listed.clone()
            }
        };
        let web_pki = match roots.is_empty() {
            true => None,
            false => Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|error| {
                        ClientTlsError::Unusable(rustls::Error::General(error.to_string()))
                    })?,
            ),
        };
        Ok(Arc::new(BackendVerifier {
            web_pki,
            listed,
            verification: self.verification,
            provider,
        }))
    }

    /// A configuration that trusts no server, for connections without TLS.
    #[must_use]
    pub fn trusting_none() -> Self {
        Self {
            authorities: TrustedAuthorities::Only(Vec::new()),
            ..Self::default()
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ClientTlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| ClientTlsError::BrokenCertificate)?;
    if certificates.is_empty() {
        return Err(ClientTlsError::NoCertificate);
    }
    for certificate in &certificates {
        ParsedCertificate::try_from(certificate).map_err(|_| ClientTlsError::BrokenCertificate)?;
    }
    Ok(certificates)
}

/// Accepts what an authority signed, and a listed certificate itself.
#[derive(Debug)]
struct BackendVerifier {
    /// Absent when no authority is trusted.
    web_pki: Option<Arc<WebPkiServerVerifier>>,
    listed: Vec<CertificateDer<'static>>,
    verification: ServerVerification,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for BackendVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use ServerVerification as Verification;
        if self.verification == Verification::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(web_pki) = &self.web_pki else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let outcome = web_pki.verify_server_cert(leaf, intermediates, name, ocsp, now);
        match (outcome, self.verification) {
            // webpki refuses an authority's certificate as a server's with an error that has no
            // name of its own. It has checked the dates by then, and not yet the name.
            (Err(rustls::Error::InvalidCertificate(CertificateError::Other(_))), verification)
                if self.listed.iter().any(|listed| listed == leaf) =>
            {
                if verification == Verification::AuthorityAndName {
                    verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            // The name is checked last.
            (
                Err(rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )),
                Verification::Authority,
            ) => Ok(ServerCertVerified::assertion()),
            (outcome, _) => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use peers::{TestCertificate, TestKeyKind};

    use super::*;

    fn pair(directory: &std::path::Path, name: &str) -> (Vec<u8>, Vec<u8>) {
        let pair = TestCertificate::new(TestKeyKind::P256, directory, name);
        let read = |path| std::fs::read(path).unwrap();
        (read(pair.certificate), read(pair.key))
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = pair(directory.path(), "one");
        let (_, other) = pair(directory.path(), "two");
        let tls = ClientTls::default;
        assert!(matches!(
            tls().trusting(&key),
            Err(ClientTlsError::NoCertificate)
        ));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            tls().trusting(broken),
            Err(ClientTlsError::BrokenCertificate)
        ));
        assert!(matches!(
            tls().with_certificate(&certificate, &certificate),
            Err(ClientTlsError::NoKey)
        ));
        assert!(matches!(
            tls().with_certificate(&certificate, &other),
            Err(ClientTlsError::OtherKey)
        ));
        let both = tls().with_certificate(&certificate, &key).unwrap();
        assert!(both.trusting(&certificate).unwrap().config().is_ok());
    }

    /// What each verification says of a listed certificate under another name, after its time, and
    /// of a certificate that is not listed.
    #[test]
    fn a_listed_certificate_counts_for_its_names_and_its_time_only() {
        use ServerVerification::{Authority, AuthorityAndName, Nothing};
        let directory = tempfile::tempdir().unwrap();
        let (pem, _) = pair(directory.path(), "one");
        let (other, _) = pair(directory.path(), "two");
        let (leaf, other) = (
            &certificates(&pem).unwrap()[0],
            &certificates(&other).unwrap()[0],
        );
        let now = UnixTime::now();
        let year = std::time::Duration::from_secs(365 * 24 * 3600 + now.as_secs());
        let later = UnixTime::since_unix_epoch(year);
        for (verification, other_name, too_late, unlisted) in [
            (AuthorityAndName, false, false, false),
            (Authority, true, false, false),
            (Nothing, true, true, true),
        ] {
            let tls = ClientTls::default().trusting(&pem).unwrap();
            let verifier = tls.verifying(verification).verifier().unwrap();
            let accepts = |leaf: &CertificateDer<'_>, name: &str, now: UnixTime| {
                let name = ServerName::try_from(name.to_owned()).unwrap();
                verifier
                    .verify_server_cert(leaf, &[], &name, &[], now)
                    .is_ok()
            };
            assert!(accepts(leaf, "localhost", now), "{verification:?}");
            let found = (
                accepts(leaf, "other.example", now),
                accepts(leaf, "localhost", later),
                accepts(other, "localhost", now),
            );
            assert_eq!(found, (other_name, too_late, unlisted), "{verification:?}");
        }
    }
}
