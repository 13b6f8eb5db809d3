//! Certificates: what a registry's bundle holds, and what `x5c` carries.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::pem::{self, Block};
use crate::{KeyError, PemError, PublicKey};

/// An X.509 certificate. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    key: Result<PublicKey, KeyError>,
    subject: String,
    issuer: String,
    not_before: SystemTime,
    not_after: SystemTime,
    names: Vec<String>,
    authority: bool,
    unknown_critical: bool,
}

impl Certificate {
    /// Reads one certificate.
    ///
    /// # Errors
    /// When it cannot be read. A key that cannot sign tokens is an error only in
    /// [`public_key`](Self::public_key).
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        Ok(Self(Arc::new(Inner {
            der: der.to_vec(),
            key: PublicKey::from_parsed_spki(parsed.public_key()),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            not_before: system_time(parsed.validity().not_before),
            not_after: system_time(parsed.validity().not_after),
            names: names(&parsed),
            authority: parsed.is_ca(),
            unknown_critical: parsed.extensions().iter().any(is_unknown_critical),
        })))
    }

    /// All certificates of a PEM text, in its order; other blocks are passed over, as registries
    /// do.
    ///
    /// # Errors
    /// When the text has no certificate, or one cannot be read.
    pub fn bundle_from_pem(text: &str) -> Result<Vec<Self>, CertificateError> {
        Self::of_blocks(pem::blocks(text)?)
    }

    /// The certificates of a PEM text as Distribution reads `rootcertbundle`: what is no block of
    /// PEM, because it was cut off or is not base64, is passed over. It is returned, too.
    ///
    /// # Errors
    /// When the text has no certificate, or a whole block is not a certificate.
    pub fn readable_in_pem(text: &str) -> Result<(Vec<Self>, Vec<PemError>), CertificateError> {
        let (mut blocks, mut broken) = (Vec::new(), Vec::new());
        for block in pem::each_block(text) {
            match block {
                Ok(block) => blocks.push(block),
                Err(error) => broken.push(error),
            }
        }
        match broken.first() {
            Some(error) if blocks.is_empty() => Err(error.clone().into()),
            _ => Ok((Self::of_blocks(blocks)?, broken)),
        }
    }

    fn of_blocks(blocks: Vec<Block>) -> Result<Vec<Self>, CertificateError> {
        let certificates = blocks.iter().filter(|block| block.label == "CERTIFICATE");
        let certificates = certificates.enumerate().map(|(index, block)| {
            Self::from_der(&block.der).map_err(|_| CertificateError::Nth { place: index + 1 })
        });
        match certificates.collect::<Result<Vec<_>, _>>()? {
            none if none.is_empty() => Err(CertificateError::Missing {
                found: blocks.into_iter().map(|b| b.label).collect(),
            }),
            certificates => Ok(certificates),
        }
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", self.der()).to_string()
    }

    /// The certified key.
    ///
    /// # Errors
    /// When it is not a key that tokens are signed with.
    pub fn public_key(&self) -> Result<&PublicKey, KeyError> {
        self.0.key.as_ref().map_err(Clone::clone)
    }

    /// Whether this certifies `key`.
    #[must_use]
    pub fn holds(&self, key: &PublicKey) -> bool {
        self.0.key.as_ref() == Ok(key)
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// From when it is valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.0.not_before
    }

    /// Until when it is valid, inclusive.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.0.not_after
    }

    /// Whether `time` lies within its validity (RFC 5280 §4.1.2.5).
    #[must_use]
    pub fn valid_at(&self, time: SystemTime) -> bool {
        (self.not_before()..=self.not_after()).contains(&time)
    }

    /// The host names and addresses it is for.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Whether it may sign other certificates.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.0.authority
    }

    /// Whether it has an extension that is critical and that Go's `crypto/x509` does not know. Such
    /// a certificate must not be used (RFC 5280 §4.2).
    #[must_use]
    pub fn has_unknown_critical_extension(&self) -> bool {
        self.0.unknown_critical
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.subject())
    }
}

/// What is wrong with certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The PEM text is broken.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The text has no certificate.
    #[error("there is no certificate in it, only {}", if found.is_empty() { "text".to_owned() } else { found.join(", ") })]
    Missing {
        /// The blocks that are there.
        found: Vec<String>,
    },
    /// One of several cannot be read.
    #[error("certificate {place} in it cannot be read: it is damaged")]
    Nth {
        /// Its place, counted from 1.
        place: usize,
    },
    /// It cannot be read.
    #[error("the certificate cannot be read: it is damaged")]
    Malformed,
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    if time.timestamp() < 0 {
        UNIX_EPOCH - seconds
    } else {
        UNIX_EPOCH + seconds
    }
}

/// Go's list of known extensions. Alternative names and name constraints count as known only if they
/// hold a kind of name that Go checks.
fn is_unknown_critical(extension: &X509Extension<'_>) -> bool {
    let checked = |name: &GeneralName<'_>| {
        matches!(
            name,
            GeneralName::DNSName(_)
                | GeneralName::RFC822Name(_)
                | GeneralName::URI(_)
                | GeneralName::IPAddress(_)
        )
    };
    let known = match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.iter().any(checked),
        ParsedExtension::NameConstraints(constraints) => {
            let subtrees = [
                &constraints.permitted_subtrees,
                &constraints.excluded_subtrees,
            ];
            let mut bases = subtrees.into_iter().flatten().flatten();
            bases.all(|subtree| checked(&subtree.base))
        }
        // RFC 5280 §4.2.1.2: a subject key identifier must not be critical.
        ParsedExtension::ParseError { .. } | ParsedExtension::SubjectKeyIdentifier(_) => false,
        _ => KNOWN_EXTENSIONS.contains(&extension.oid.to_id_string().as_str()),
    };
    extension.critical && !known
}

/// Key usage, basic constraints, certificate policies, policy mappings, policy constraints, CRL
/// distribution points, authority key identifier, extended key usage, inhibit any-policy.
const KNOWN_EXTENSIONS: [&str; 9] = [
    "2.5.29.15",
    "2.5.29.19",
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.36",
    "2.5.29.31",
    "2.5.29.35",
    "2.5.29.37",
    "2.5.29.54",
];

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(name)
        .collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|octets| Ipv4Addr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|octets| Ipv6Addr::from(octets).to_string()),
        },
        _ => None,
    }
}
