//! Making certificates.
//!
//! Certificates serve a registry twice: its TLS, where clients look at the names, and
//! `rootcertbundle`, where only the key counts, or, for `x5c`, the path to a trusted one. Those
//! made here do for both.

use std::net::IpAddr;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};

use crate::{Certificate, KeyKind, PrivateKey, SignError};
use common::{Entropy, EntropyError};

/// The contents of a new certificate.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// The name in its subject, for people: programs look at `hosts` and `addresses`.
    pub common_name: String,
    /// Host names that it is for; `*.example.com` is one.
    pub hosts: Vec<String>,
    /// Addresses that it is for.
    pub addresses: Vec<IpAddr>,
    /// From when it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// Whether it may sign others, and then only those directly below it.
    pub authority: bool,
}

impl CertificateRequest {
    /// A certificate for `key`, signed by `key` itself.
    ///
    /// # Errors
    /// When a name cannot be written into one.
    pub fn self_signed(
        &self,
        key: &PrivateKey,
        entropy: &dyn Entropy,
    ) -> Result<Certificate, CertificateIssueError> {
        let parameters = self.parameters(key.public().kind(), entropy)?;
        finished(parameters.self_signed(&signing_key(key)?))
    }

    /// A certificate for `key`, signed by the authority of `issuer`, whose key is `issuer_key`.
    ///
    /// # Errors
    /// When a name cannot be written into a certificate, or `authority` is not an authority or does not
    /// belong to the key.
    pub fn signed_by(
        &self,
        key: &PrivateKey,
        issuer: &Certificate,
        issuer_key: &PrivateKey,
        entropy: &dyn Entropy,
    ) -> Result<Certificate, CertificateIssueError> {
        if !issuer.holds(issuer_key.public()) {
            return Err(CertificateIssueError::OtherKey {
                subject: issuer.subject().to_owned(),
            });
        }
        if !issuer.is_authority() {
            return Err(CertificateIssueError::NoAuthority {
                subject: issuer.subject().to_owned(),
            });
        }
        let mut parameters = self.parameters(key.public().kind(), entropy)?;
        parameters.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_der(&issuer.der().into(), signing_key(issuer_key)?)
            .map_err(rejected)?;
        let public = SubjectPublicKeyInfo::from_der(key.public().spki()).map_err(rejected)?;
        finished(parameters.signed_by(&public, &issuer))
    }

    fn parameters(
        &self,
        kind: KeyKind,
        entropy: &dyn Entropy,
    ) -> Result<CertificateParams, CertificateIssueError> {
        let mut parameters = CertificateParams::default();
        parameters.not_before = self.not_before.into();
        parameters.not_after = self.not_after.into();
        parameters.serial_number = Some(serial(entropy)?);
        parameters.distinguished_name = DistinguishedName::new();
        parameters
            .distinguished_name
            .push(DnType::CommonName, self.common_name.as_str());
        for host in &self.hosts {
            let name = host
                .as_str()
                .try_into()
                .map_err(|_| CertificateIssueError::Host(host.clone()))?;
            parameters.subject_alt_names.push(SanType::DnsName(name));
        }
        parameters
            .subject_alt_names
            .extend(self.addresses.iter().copied().map(SanType::IpAddress));
        if self.authority {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        } else {
            parameters.is_ca = IsCa::ExplicitNoCa;
            parameters.key_usages = leaf_usages(kind);
            parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
        Ok(parameters)
    }
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateIssueError {
    /// Not a host name.
    #[error("{0:?} is not a host name; write names beyond ASCII in their xn-- form")]
    Host(String),
    /// The issuer's key is another.
    #[error("the key does not belong to the authority's certificate ({subject})")]
    OtherKey {
        /// The authority.
        subject: String,
    },
    /// The issuer may not sign.
    #[error("the certificate of {subject} is not an authority's: it may not sign others")]
    NoAuthority {
        /// The certificate.
        subject: String,
    },
    /// No serial number could be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The key could not be handed over for signing.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Something else that the library for certificates would not do.
    #[error("the certificate cannot be made: {0}")]
    Rejected(String),
}

fn finished(
    made: Result<rcgen::Certificate, rcgen::Error>,
) -> Result<Certificate, CertificateIssueError> {
    Certificate::from_der(made.map_err(rejected)?.der())
        .map_err(|error| CertificateIssueError::Rejected(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands behind map_err")]
fn rejected(error: rcgen::Error) -> CertificateIssueError {
    CertificateIssueError::Rejected(error.to_string())
}

fn signing_key(key: &PrivateKey) -> Result<KeyPair, CertificateIssueError> {
    KeyPair::try_from(&key.to_pkcs8()?[..]).map_err(rejected)
}

/// 16 unpredictable bytes: positive, and a different one each time, so that a reissued certificate
/// is told from the one before (RFC 5280 §4.1.2.2).
fn serial(entropy: &dyn Entropy) -> Result<SerialNumber, EntropyError> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes)?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(bytes.to_vec().into())
}

/// TLS 1.2 still lets a client encrypt to an RSA key; other keys only sign.
fn leaf_usages(kind: KeyKind) -> Vec<KeyUsagePurpose> {
    match kind {
        KeyKind::Rsa { .. } => vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ],
        _ => vec![KeyUsagePurpose::DigitalSignature],
    }
}
