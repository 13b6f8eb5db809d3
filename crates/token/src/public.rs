//! Public keys, whatever they come in, and how a signature is checked.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{ParsedPublicKey, UnparsedPublicKey};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::key_kind::{Curve, KeyKind, KeyMaterial};
use crate::{KeyError, SignatureAlgorithm, der, pem};

/// A public key that was found to be one: its numbers lie in range, its point on its curve. Cheap
/// to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    material: KeyMaterial,
    kind: KeyKind,
    /// The SubjectPublicKeyInfo in the one form that DER has for it, whatever form the key came in:
    /// key ids are made of it.
    spki: Vec<u8>,
    /// For the algorithm that keys of this kind commonly sign with.
    parsed: ParsedPublicKey,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    /// When it is no key, or not one that tokens are signed with.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let (rest, spki) =
            SubjectPublicKeyInfo::from_der(der).map_err(|_| KeyError::Malformed("public key"))?;
        if !rest.is_empty() {
            return Err(KeyError::Malformed("public key"));
        }
        Self::from_parsed_spki(&spki)
    }

    /// Reads the first `PUBLIC KEY` or `RSA PUBLIC KEY` block of a PEM text.
    ///
    /// # Errors
    /// When the text has no key, or the first is not a key that can sign tokens.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let blocks = pem::blocks(text)?;
        for block in &blocks {
            match block.label.as_str() {
                "PUBLIC KEY" => return Self::from_spki(&block.der),
                "RSA PUBLIC KEY" => return Self::from_spki(&der::rsa_spki_of_pkcs1(&block.der)),
                _ => {}
            }
        }
        Err(KeyError::Missing {
            wanted: "public key",
            found: blocks.into_iter().map(|b| b.label).collect(),
        })
    }

    pub(crate) fn from_parsed_spki(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, KeyError> {
        let algorithm = &spki.algorithm;
        let curve = algorithm
            .parameters
            .as_ref()
            .and_then(|p| p.as_oid().ok())
            .map(|oid| oid.to_id_string());
        let bits = &spki.subject_public_key.data;
        match (
            algorithm.algorithm.to_id_string().as_str(),
            curve.as_deref(),
        ) {
            (der::RSA, _) => match spki.parsed() {
                Ok(ParsedKey::RSA(rsa)) => Self::rsa(rsa.modulus, rsa.exponent),
                _ => Err(KeyError::Malformed("RSA public key")),
            },
            (der::ED25519, _) => Self::ed25519(bits),
            (der::EC, Some(curve)) => {
                match Curve::ALL.into_iter().find(|c| der::curve_oid(*c) == curve) {
                    Some(curve) => Self::ec_point(curve, bits),
                    None => Err(KeyError::Curve(curve.to_owned())),
                }
            }
            (der::EC, None) => Err(KeyError::Curve("explicit parameters".to_owned())),
            (other, _) => Err(KeyError::Unsupported(other.to_owned())),
        }
    }

    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let (modulus, exponent) = (trimmed(modulus), trimmed(exponent));
        let bits = modulus.first().map_or(0, |first| {
            modulus.len() * 8 - first.leading_zeros() as usize
        });
        if !(2048..=8192).contains(&bits) {
            return Err(KeyError::RsaSize(bits));
        }
        let material = KeyMaterial::Rsa {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
        };
        Self::checked(material, KeyKind::Rsa { bits })
    }

    /// A key of the coordinates, each of the curve's full length.
    pub(crate) fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        if x.len() != curve.size() || y.len() != curve.size() {
            return Err(KeyError::Malformed("elliptic curve point"));
        }
        Self::checked(
            KeyMaterial::Ec {
                curve,
                x: x.to_vec(),
                y: y.to_vec(),
            },
            curve.kind(),
        )
    }

    /// A key of an uncompressed point (SEC 1 §2.3.3).
    pub(crate) fn ec_point(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        match point.split_first() {
            Some((4, xy)) if xy.len() == 2 * curve.size() => {
                Self::ec(curve, &xy[..curve.size()], &xy[curve.size()..])
            }
            _ => Err(KeyError::Malformed("elliptic curve point")),
        }
    }

    pub(crate) fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes = bytes
            .try_into()
            .map_err(|_| KeyError::Malformed("Ed25519 public key"))?;
        Self::checked(KeyMaterial::Ed25519(bytes), KeyKind::Ed25519)
    }

    /// What kind of key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.0.kind
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// Whether a coordinate of an elliptic curve key begins with a zero byte. Registry 3.1 computes
    /// another thumbprint for such a key, so that a `kid` does not find it there.
    #[must_use]
    pub fn has_leading_zero(&self) -> bool {
        match self.material() {
            KeyMaterial::Ec { x, y, .. } => x.first() == Some(&0) || y.first() == Some(&0),
            KeyMaterial::Rsa { .. } | KeyMaterial::Ed25519(_) => false,
        }
    }

    pub(crate) fn material(&self) -> &KeyMaterial {
        &self.0.material
    }

    /// Checks that the holder of this key signed `message`.
    ///
    /// # Errors
    /// When the algorithm is not one of this kind of key, or the signature is not its.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if !algorithm.fits(self.kind()) {
            return Err(SignatureError::Algorithm {
                algorithm,
                kind: self.kind(),
            });
        }
        let outcome = if algorithm == SignatureAlgorithm::of(self.kind()) {
            self.0.parsed.verify_sig(message, signature)
        } else {
            UnparsedPublicKey::new(algorithm.verification(), self.spki()).verify(message, signature)
        };
        outcome.map_err(|_| SignatureError::Wrong)
    }

    fn checked(material: KeyMaterial, kind: KeyKind) -> Result<Self, KeyError> {
        let spki = der::spki(&material);
        let parsed = ParsedPublicKey::new(SignatureAlgorithm::of(kind).verification(), &spki);
        let parsed = parsed.map_err(|_| KeyError::Malformed("public key"))?;
        Ok(Self(Arc::new(Inner {
            material,
            kind,
            spki,
            parsed,
        })))
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.kind(), self.thumbprint())
    }
}

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The token's `alg` is not one that this key signs with.
    #[error("a key of kind {kind} makes no {algorithm} signature")]
    Algorithm {
        /// What the token says.
        algorithm: SignatureAlgorithm,
        /// What the key is.
        kind: KeyKind,
    },
    /// The signature was made with another key, or over other words.
    #[error("the signature does not verify: made with another key, or the token was changed since")]
    Wrong,
}

fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
