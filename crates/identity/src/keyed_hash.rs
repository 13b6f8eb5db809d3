//! Fingerprints that mean something only inside this process.

use aws_lc_rs::hmac;
use common::{Entropy, EntropyError};

/// HMAC-SHA256 under a key that is made at start, kept in memory and never written anywhere:
/// whoever reads a fingerprint cannot test guesses against it.
pub(crate) struct KeyedHash(hmac::Key);

/// A fingerprint.
pub(crate) type KeyedDigest = [u8; 32];

impl KeyedHash {
    pub(crate) fn new(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        entropy.fill(&mut *key)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &*key)))
    }

    /// The fingerprint of `parts`, which are told apart: ("ab", "c") is not ("a", "bc").
    pub(crate) fn fingerprint(&self, parts: &[&[u8]]) -> KeyedDigest {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.sign().as_ref());
        fingerprint
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    #[test]
    fn tells_parts_and_keys_apart() {
        let keyed = KeyedHash::new(&SystemEntropy).unwrap();
        assert_eq!(
            keyed.fingerprint(&[b"ab", b"c"]),
            keyed.fingerprint(&[b"ab", b"c"])
        );
        assert_ne!(
            keyed.fingerprint(&[b"ab", b"c"]),
            keyed.fingerprint(&[b"a", b"bc"])
        );
        let other = KeyedHash::new(&SystemEntropy).unwrap();
        assert_ne!(
            keyed.fingerprint(&[b"ab", b"c"]),
            other.fingerprint(&[b"ab", b"c"])
        );
    }
}
