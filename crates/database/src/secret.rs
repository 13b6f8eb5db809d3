//! The secret that the servers of one database share.
//!
//! Pages of lists, cookies and counters are bound to keys. With one server, a key can be random for
//! each process. With several, each of them must be able to continue what another began. So all keys
//! are derived from one secret (HKDF, RFC 5869). No key tells anything of the others.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use common::{Entropy, EntropyError};
use zeroize::Zeroizing;

/// A secret of 32 bytes, of which keys are derived. Clones share it.
#[derive(Clone)]
pub struct ClusterSecret(Arc<Zeroizing<[u8; 32]>>);

impl ClusterSecret {
    /// The secret of one server alone, until it ends.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(&mut *secret)?;
        Ok(Self(Arc::new(secret)))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let secret: [u8; 32] = bytes.try_into().ok()?;
        Some(Self(Arc::new(Zeroizing::new(secret))))
    }

    /// The key for one purpose, such as `catalog cursor`. It is different for each.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "32 bytes are one block of SHA-256, and HKDF gives up to 255 of them"
    )]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let secret = Salt::new(HKDF_SHA256, b"wharfinger").extract(&**self.0);
        let info = [purpose.as_bytes()];
        secret
            .expand(&info, HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut *key))
            .expect("one block can be derived");
        key
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret")
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    #[test]
    fn keys_differ_by_secret_and_by_purpose() {
        let one = ClusterSecret::random(&SystemEntropy).unwrap();
        let other = ClusterSecret::random(&SystemEntropy).unwrap();
        assert_eq!(one.derive("a"), one.clone().derive("a"));
        assert_ne!(one.derive("a"), one.derive("b"));
        assert_ne!(one.derive("a"), other.derive("a"));
        assert_eq!(format!("{one:?}"), "ClusterSecret");
    }

    #[test]
    fn a_stored_secret_has_32_bytes() {
        assert!(ClusterSecret::from_bytes(&[7; 31]).is_none());
        let secret = ClusterSecret::from_bytes(&[7; 32]).unwrap();
        // RFC 5869 with this salt, for another implementation.
        assert_eq!(secret.derive("x").len(), 32);
    }
}
