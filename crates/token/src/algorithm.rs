//! The signature algorithms of tokens, by the names that a token's header gives them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{self, VerificationAlgorithm};

use crate::KeyKind;

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
///
/// `none` and the HMAC algorithms are not among them and never will be: with them,
/// everyone with the public key could make tokens (RFC 8725 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are RFC 7518's")]
pub enum SignatureAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl SignatureAlgorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The name in a token's `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm that tokens are signed with by a key of this kind. Of RSA's it is the one that
    /// every registry knows.
    #[must_use]
    pub fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa { .. } => Self::RS256,
            KeyKind::P256 => Self::ES256,
            KeyKind::P384 => Self::ES384,
            KeyKind::P521 => Self::ES512,
            KeyKind::Ed25519 => Self::EdDSA,
        }
    }

    /// Whether a key of this kind can have made such a signature. A curve has one algorithm (RFC
    /// 7518 §3.4), so that no key is used with a hash it was not made for.
    #[must_use]
    pub fn fits(self, kind: KeyKind) -> bool {
        match kind {
            KeyKind::Rsa { .. } => self.is_rsa(),
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 | KeyKind::Ed25519 => {
                self == Self::of(kind)
            }
        }
    }

    fn is_rsa(self) -> bool {
        matches!(
            self,
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512
        )
    }

    pub(crate) fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::ES512 => &signature::ECDSA_P521_SHA512_FIXED,
            Self::EdDSA => &signature::ED25519,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SignatureAlgorithm {
    type Err = UnknownSignatureAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownSignatureAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|a| a.name() == name)
            .ok_or_else(|| UnknownSignatureAlgorithm(name.to_owned()))
    }
}

/// An `alg` that names no signature by a public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a signature algorithm for tokens: RS256 to RS512, PS256 to PS512, ES256, ES384, ES512 or EdDSA"
)]
pub struct UnknownSignatureAlgorithm(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_exactly() {
        for algorithm in SignatureAlgorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
        for name in ["none", "HS256", "es256", "", "ES256K"] {
            assert_eq!(
                name.parse::<SignatureAlgorithm>(),
                Err(UnknownSignatureAlgorithm(name.to_owned()))
            );
        }
    }

    #[test]
    fn a_key_signs_only_with_algorithms_of_its_kind() {
        let rsa = KeyKind::Rsa { bits: 2048 };
        assert!(
            SignatureAlgorithm::PS384.fits(rsa)
                && SignatureAlgorithm::RS256.fits(rsa)
                && !SignatureAlgorithm::ES256.fits(rsa)
        );
        assert!(
            SignatureAlgorithm::ES384.fits(KeyKind::P384)
                && !SignatureAlgorithm::ES256.fits(KeyKind::P384)
        );
        assert!(
            SignatureAlgorithm::EdDSA.fits(KeyKind::Ed25519)
                && !SignatureAlgorithm::ES512.fits(KeyKind::Ed25519)
        );
    }
}
