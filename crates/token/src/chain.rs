//! Whether a certificate leads to one that is trusted.
//!
//! Registries are written in Go, and people compare what we say with what their registry says. So a
//! path is searched as Go's `crypto/x509` searches one, and its errors have Go's texts, which the
//! registry's log shows.

use std::fmt;
use std::time::SystemTime;

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer;

use crate::{Certificate, KeyKind, PublicKey, der, name_constraints};
use common::rfc3339;
use common::unix_seconds;

/// Signatures that are checked for one chain before the search is given up, as in Go.
const MOST_CHECKS: usize = 100;

/// What Go says of an extension that it does not know and that is critical.
const CRITICAL: &str = "x509: unhandled critical extension";

/// Why there is no path from a certificate to a trusted one.
///
/// Its `Display` is what Go says; `…` stands for the time at which the registry looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// The certificate itself is not valid yet.
    NotYetValid {
        /// When it will be.
        not_before: SystemTime,
    },
    /// The certificate itself is no longer valid.
    Expired {
        /// Until when it was.
        not_after: SystemTime,
    },
    /// No trusted certificate signed it, directly or through the others.
    UnknownAuthority {
        /// The first certificate that has the right name and still did not serve: why, and its
        /// name.
        hint: Option<(String, String)>,
    },
    /// An authority on the path does not allow one of the names below it.
    NameNotAllowed {
        /// Which name, in Go's words.
        detail: String,
    },
    /// The certificate has an extension that is critical and not known (RFC 5280 §4.2).
    CriticalExtension,
    /// So many candidates that the search was given up.
    TooMany,
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let validity = "x509: certificate has expired or is not yet valid: current time …";
        let date = |time| rfc3339(unix_seconds(time));
        match self {
            Self::NotYetValid { not_before } => {
                write!(f, "{validity} is before {}", date(*not_before))
            }
            Self::Expired { not_after } => write!(f, "{validity} is after {}", date(*not_after)),
            Self::UnknownAuthority { hint: None } => {
                f.write_str("x509: certificate signed by unknown authority")
            }
            Self::UnknownAuthority {
                hint: Some((why, name)),
            } => write!(
                f,
                "x509: certificate signed by unknown authority (possibly because of {why:?} while trying to verify \
                 candidate authority certificate {name:?})"
            ),
            Self::NameNotAllowed { detail } => write!(
                f,
                "x509: a root or intermediate certificate is not authorized to sign for this name: {detail}"
            ),
            Self::CriticalExtension => f.write_str(CRITICAL),
            Self::TooMany => f.write_str(
                "x509: signature check attempts limit reached while verifying certificate chain",
            ),
        }
    }
}

impl std::error::Error for ChainError {}

/// Looks for a path from the first of `chain` over the others to one of `roots`, all of them valid
/// at `now`.
pub fn verify(
    chain: &[Certificate],
    roots: &[Certificate],
    now: SystemTime,
) -> Result<(), ChainError> {
    let unknown = || ChainError::UnknownAuthority { hint: None };
    let (leaf, intermediates) = chain.split_first().ok_or_else(unknown)?;
    if leaf.has_unknown_critical_extension() {
        return Err(ChainError::CriticalExtension);
    }
    validity(leaf, now)?;
    if roots.contains(leaf) {
        return Ok(());
    }
    // The client chose the certificates: each is parsed once, not at each step of the search.
    let leaf = Link::new(leaf).ok_or_else(unknown)?;
    let (roots, intermediates) = (Link::all(roots), Link::all(intermediates));
    let mut search = Search {
        intermediates: &intermediates,
        roots: &roots,
        now,
        checks: 0,
        hint: None,
        forbidden: None,
    };
    if search.reaches_a_root(&[&leaf])? {
        return Ok(());
    }
    Err(match search.forbidden {
        Some(detail) => ChainError::NameNotAllowed { detail },
        None => ChainError::UnknownAuthority { hint: search.hint },
    })
}

fn validity(certificate: &Certificate, now: SystemTime) -> Result<(), ChainError> {
    if now < certificate.not_before() {
        Err(ChainError::NotYetValid {
            not_before: certificate.not_before(),
        })
    } else if now > certificate.not_after() {
        Err(ChainError::Expired {
            not_after: certificate.not_after(),
        })
    } else {
        Ok(())
    }
}

/// A certificate that may be a part of a path.
struct Link<'a> {
    certificate: &'a Certificate,
    parsed: X509Certificate<'a>,
}

impl<'a> Link<'a> {
    fn all(certificates: &'a [Certificate]) -> Vec<Self> {
        certificates.iter().filter_map(Self::new).collect()
    }

    fn new(certificate: &'a Certificate) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate.der()).ok()?;
        Some(Self {
            certificate,
            parsed,
        })
    }
}

struct Search<'a> {
    intermediates: &'a [Link<'a>],
    roots: &'a [Link<'a>],
    now: SystemTime,
    checks: usize,
    hint: Option<(String, String)>,
    /// The first name that made a path to a root worthless.
    forbidden: Option<String>,
}

impl<'a> Search<'a> {
    /// Whether the last of `path` leads to a root; roots are tried before the token's own
    /// certificates.
    fn reaches_a_root(&mut self, path: &[&Link<'a>]) -> Result<bool, ChainError> {
        for root in self.roots {
            if self.is_next(path, root, false)? {
                let path: Vec<_> = path
                    .iter()
                    .chain([&root])
                    .map(|link| &link.parsed)
                    .collect();
                match name_constraints::check(&path) {
                    Ok(()) => return Ok(true),
                    Err(detail) => {
                        self.forbidden.get_or_insert(detail);
                    }
                }
            }
        }
        for intermediate in self.intermediates {
            if self.is_next(path, intermediate, true)?
                && self.reaches_a_root(&[path, &[intermediate]].concat())?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether `candidate` signed the last of `path` and may have done so.
    fn is_next(
        &mut self,
        path: &[&Link<'_>],
        candidate: &Link<'_>,
        intermediate: bool,
    ) -> Result<bool, ChainError> {
        let Some(child) = path.last().map(|link| &link.parsed) else {
            return Ok(false);
        };
        let parent = &candidate.parsed;
        if child.issuer().as_raw() != parent.subject().as_raw() {
            return Ok(false);
        }
        self.checks += 1;
        if self.checks > MOST_CHECKS {
            return Err(ChainError::TooMany);
        }
        if path
            .iter()
            .any(|seen| is_same_authority(parent, &seen.parsed))
        {
            return Ok(false);
        }
        match signed_by(child, parent)
            .and_then(|()| self.may_sign(candidate, path.len() - 1, intermediate))
        {
            Ok(()) => Ok(true),
            Err(why) => {
                self.hint.get_or_insert_with(|| (why, display_name(parent)));
                Ok(false)
            }
        }
    }

    fn may_sign(
        &self,
        candidate: &Link<'_>,
        between: usize,
        intermediate: bool,
    ) -> Result<(), String> {
        if candidate.certificate.has_unknown_critical_extension() {
            return Err(CRITICAL.to_owned());
        }
        validity(candidate.certificate, self.now).map_err(|e| e.to_string())?;
        let constraints = candidate
            .parsed
            .basic_constraints()
            .ok()
            .flatten()
            .map(|extension| extension.value);
        if intermediate && !constraints.is_some_and(|constraints| constraints.ca) {
            return Err(
                "x509: certificate is not authorized to sign other certificates".to_owned(),
            );
        }
        let most = constraints.and_then(|constraints| constraints.path_len_constraint);
        if most.is_some_and(|most| between > usize::try_from(most).unwrap_or(usize::MAX)) {
            return Err("x509: too many intermediates for path length constraint".to_owned());
        }
        Ok(())
    }
}

/// RFC 5280 §4.2.1.3 and §4.2.1.9, and the signature itself.
fn signed_by(child: &X509Certificate<'_>, parent: &X509Certificate<'_>) -> Result<(), String> {
    let constraints = parent.basic_constraints().ok().flatten();
    let usage = parent.key_usage().ok().flatten();
    let is_authority = constraints.map_or(parent.version().0 != 2, |extension| extension.value.ca);
    if !is_authority || usage.is_some_and(|extension| !extension.value.key_cert_sign()) {
        return Err(
            "x509: invalid signature: parent certificate cannot sign this kind of certificate"
                .to_owned(),
        );
    }
    if signature_holds(child, parent) {
        return Ok(());
    }
    Err(match parent
        .public_key()
        .algorithm
        .algorithm
        .to_id_string()
        .as_str()
    {
        der::RSA => "crypto/rsa: verification error",
        der::ED25519 => "x509: Ed25519 verification failure",
        _ => "x509: ECDSA verification failure",
    }
    .to_owned())
}

fn signature_holds(child: &X509Certificate<'_>, parent: &X509Certificate<'_>) -> bool {
    let Ok(key) = PublicKey::from_parsed_spki(parent.public_key()) else {
        return false;
    };
    let algorithm = child.signature_algorithm.algorithm.to_id_string();
    let Some(algorithm) = verification(&algorithm, key.kind()) else {
        return false;
    };
    let tbs = child.tbs_certificate.as_ref();
    UnparsedPublicKey::new(algorithm, key.spki())
        .verify(tbs, &child.signature_value.data)
        .is_ok()
}

/// How a certificate's signature is checked (RFC 3279 §2.2, RFC 4055 §5, RFC 5758 §3.2, RFC 8410
/// §3). SHA-1 is not accepted, as in Go.
fn verification(oid: &str, kind: KeyKind) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (oid, kind) {
        ("1.2.840.113549.1.1.11", KeyKind::Rsa { .. }) => &signature::RSA_PKCS1_2048_8192_SHA256,
        ("1.2.840.113549.1.1.12", KeyKind::Rsa { .. }) => &signature::RSA_PKCS1_2048_8192_SHA384,
        ("1.2.840.113549.1.1.13", KeyKind::Rsa { .. }) => &signature::RSA_PKCS1_2048_8192_SHA512,
        ("1.2.840.10045.4.3.2", KeyKind::P256) => &signature::ECDSA_P256_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", KeyKind::P256) => &signature::ECDSA_P256_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", KeyKind::P256) => &signature::ECDSA_P256_SHA512_ASN1,
        ("1.2.840.10045.4.3.2", KeyKind::P384) => &signature::ECDSA_P384_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", KeyKind::P384) => &signature::ECDSA_P384_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", KeyKind::P384) => &signature::ECDSA_P384_SHA512_ASN1,
        ("1.2.840.10045.4.3.2", KeyKind::P521) => &signature::ECDSA_P521_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", KeyKind::P521) => &signature::ECDSA_P521_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", KeyKind::P521) => &signature::ECDSA_P521_SHA512_ASN1,
        (der::ED25519, KeyKind::Ed25519) => &signature::ED25519,
        _ => return None,
    })
}

/// Go takes a certificate with the same subject, key and names for the same authority, and a path
/// goes through an authority once. So a key's reissued self-signed certificate does not follow from
/// its old one.
fn is_same_authority(one: &X509Certificate<'_>, other: &X509Certificate<'_>) -> bool {
    one.subject().as_raw() == other.subject().as_raw()
        && one.public_key().raw == other.public_key().raw
        && names(one) == names(other)
}

fn names<'a>(certificate: &X509Certificate<'a>) -> Option<&'a [u8]> {
    let mut extensions = certificate.extensions().iter();
    extensions
        .find(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME)
        .map(|extension| extension.value)
}

fn display_name(certificate: &X509Certificate<'_>) -> String {
    let subject = certificate.subject();
    let common = subject
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok());
    let organization = || {
        subject
            .iter_organization()
            .next()
            .and_then(|name| name.as_str().ok())
    };
    common
        .filter(|name| !name.is_empty())
        .or_else(organization)
        .map_or_else(
            || format!("serial:{}", certificate.tbs_certificate.serial),
            str::to_owned,
        )
}
