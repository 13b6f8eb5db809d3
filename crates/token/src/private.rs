//! Private keys: reading them from the files that people have, making new ones, signing.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
    RsaPublicKeyComponents,
};
use x509_parser::asn1_rs::{FromDer, Integer, Sequence};
use x509_parser::x509::AlgorithmIdentifier;
use zeroize::Zeroizing;

use crate::key_kind::Curve;
use crate::{KeyError, KeyKind, PublicKey, SignatureAlgorithm, der, pem};

/// After so many draws it is not chance that coordinates begin with zero.
const MOST_DRAWS: usize = 1000;

/// A private key, ready to sign. It is never printed and its numbers are wiped when it is dropped.
pub struct PrivateKey {
    pair: AnyKeyPair,
    public: PublicKey,
    algorithm: SignatureAlgorithm,
}

enum AnyKeyPair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// Reads the first private key of a PEM text: PKCS#8, PKCS#1 or SEC 1, with whatever else
    /// (certificates, curve parameters, remarks) beside it.
    ///
    /// # Errors
    /// When the text has no key, or it is encrypted, or it cannot sign tokens.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let blocks = pem::blocks(text)?;
        let Some(block) = blocks.iter().find(|b| b.label.ends_with("PRIVATE KEY")) else {
            return Err(KeyError::Missing {
                wanted: "private key",
                found: blocks.into_iter().map(|b| b.label).collect(),
            });
        };
        if block.encrypted || block.label == "ENCRYPTED PRIVATE KEY" {
            return Err(KeyError::Encrypted);
        }
        match block.label.as_str() {
            "PRIVATE KEY" => Self::from_pkcs8(&block.der),
            "RSA PRIVATE KEY" => Self::rsa(RsaKeyPair::from_der(&block.der)),
            "EC PRIVATE KEY" => Self::ecdsa(&block.der),
            other => Err(KeyError::Unsupported(other.to_owned())),
        }
    }

    /// Makes a new key that every registry accepts: an elliptic curve key is drawn again until
    /// [`PublicKey::has_leading_zero`] is false. That takes four draws on average on P-521.
    ///
    /// # Errors
    /// When RSA's size is not 2048, 3072 or 4096, or the system has no randomness.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        for _ in 0..MOST_DRAWS {
            let key = Self::draw(kind)?;
            if !key.public.has_leading_zero() {
                return Ok(key);
            }
        }
        Err(KeyError::Generation)
    }

    fn draw(kind: KeyKind) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generation;
        let pair = match kind {
            KeyKind::Rsa { bits } => {
                AnyKeyPair::Rsa(RsaKeyPair::generate(rsa_size(bits)?).map_err(failed)?)
            }
            KeyKind::P256 => {
                AnyKeyPair::Ecdsa(EcdsaKeyPair::generate(signing(Curve::P256)).map_err(failed)?)
            }
            KeyKind::P384 => {
                AnyKeyPair::Ecdsa(EcdsaKeyPair::generate(signing(Curve::P384)).map_err(failed)?)
            }
            KeyKind::P521 => {
                AnyKeyPair::Ecdsa(EcdsaKeyPair::generate(signing(Curve::P521)).map_err(failed)?)
            }
            KeyKind::Ed25519 => AnyKeyPair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        };
        Self::of_pair(pair)
    }

    /// The key's public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Signs `message`, in the form that tokens carry (RFC 7518 §3.3 to §3.5, RFC 8037 §3.1).
    ///
    /// # Errors
    /// When the cryptographic library fails, which it has no reason to.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.sign_with(message, <[u8]>::to_vec)
    }

    /// What `encode` makes of the signature of `message`. The signature itself stays on the stack
    /// if its kind is one that takes little time.
    pub(crate) fn sign_with<T>(
        &self,
        message: &[u8],
        encode: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, SignError> {
        let random = SystemRandom::new();
        match &self.pair {
            AnyKeyPair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding = &signature::RSA_PKCS1_SHA256;
                pair.sign(padding, &random, message, &mut signature)
                    .map_err(|_| SignError)?;
                Ok(encode(&signature))
            }
            AnyKeyPair::Ecdsa(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| SignError)?;
                Ok(encode(signature.as_ref()))
            }
            AnyKeyPair::Ed25519(pair) => {
                let signature = pair.try_sign(message).map_err(|_| SignError)?;
                Ok(encode(signature.as_ref()))
            }
        }
    }

    /// The key as PEM in PKCS#8 (RFC 5958), which every tool of the field reads.
    ///
    /// # Errors
    /// When the cryptographic library fails, which it has no reason to.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, SignError> {
        self.to_pkcs8().map(|der| pem::encode("PRIVATE KEY", &der))
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SignError> {
        let der = match &self.pair {
            AnyKeyPair::Rsa(pair) => {
                let der: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| SignError)?;
                der.as_ref().to_vec()
            }
            AnyKeyPair::Ecdsa(pair) => pair.to_pkcs8v1().map_err(|_| SignError)?.as_ref().to_vec(),
            AnyKeyPair::Ed25519(pair) => {
                pair.to_pkcs8v1().map_err(|_| SignError)?.as_ref().to_vec()
            }
        };
        Ok(Zeroizing::new(der))
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        match pkcs8_algorithm(der)
            .ok_or(KeyError::Malformed("private key"))?
            .as_str()
        {
            der::RSA => Self::rsa(RsaKeyPair::from_pkcs8(der)),
            der::EC => Self::ecdsa(der),
            der::ED25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
                Self::of_pair(AnyKeyPair::Ed25519(
                    pair.map_err(|_| KeyError::Malformed("Ed25519 private key"))?,
                ))
            }
            other => Err(KeyError::Unsupported(other.to_owned())),
        }
    }

    fn rsa(pair: Result<RsaKeyPair, KeyRejected>) -> Result<Self, KeyError> {
        let pair = pair.map_err(|rejected| match rejected.to_string().as_str() {
            "TooSmall" | "TooLarge" => KeyError::RsaPrivateSize,
            _ => KeyError::Malformed("RSA private key"),
        })?;
        Self::of_pair(AnyKeyPair::Rsa(pair))
    }

    /// Reads SEC 1 and PKCS#8 alike. The curve is found by trying: a key of another curve is
    /// refused.
    fn ecdsa(der: &[u8]) -> Result<Self, KeyError> {
        let mut curves = Curve::ALL.into_iter();
        let pair =
            curves.find_map(|curve| EcdsaKeyPair::from_private_key_der(signing(curve), der).ok());
        Self::of_pair(AnyKeyPair::Ecdsa(pair.ok_or(KeyError::EcPrivate)?))
    }

    fn of_pair(pair: AnyKeyPair) -> Result<Self, KeyError> {
        let public = match &pair {
            AnyKeyPair::Rsa(pair) => {
                let numbers: RsaPublicKeyComponents<Vec<u8>> = pair.public_key().into();
                PublicKey::rsa(&numbers.n, &numbers.e)?
            }
            AnyKeyPair::Ecdsa(pair) => {
                let point = pair.public_key().as_ref();
                let curve = Curve::ALL
                    .into_iter()
                    .find(|curve| point.len() == 1 + 2 * curve.size());
                PublicKey::ec_point(curve.ok_or(KeyError::EcPrivate)?, point)?
            }
            AnyKeyPair::Ed25519(pair) => PublicKey::ed25519(pair.public_key().as_ref())?,
        };
        Ok(Self {
            algorithm: SignatureAlgorithm::of(public.kind()),
            public,
            pair,
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey of {:?}", self.public)
    }
}

/// The cryptographic library failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signing failed")]
pub struct SignError;

fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn rsa_size(bits: usize) -> Result<KeySize, KeyError> {
    match bits {
        2048 => Ok(KeySize::Rsa2048),
        3072 => Ok(KeySize::Rsa3072),
        4096 => Ok(KeySize::Rsa4096),
        other => Err(KeyError::NewRsaSize(other)),
    }
}

/// The object identifier of a PKCS#8 key's algorithm (RFC 5958 §2).
fn pkcs8_algorithm(der: &[u8]) -> Option<String> {
    let (_, info) = Sequence::from_der(der).ok()?;
    let (rest, _version) = Integer::from_der(&info.content).ok()?;
    let (_, algorithm) = AlgorithmIdentifier::from_der(rest).ok()?;
    Some(algorithm.algorithm.to_id_string())
}
