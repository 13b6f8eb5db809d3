//! Digests that mean something only inside this process, or inside one installation.

use aws_lc_rs::hmac;
use common::{Entropy, EntropyError};

/// HMAC-SHA256 under a key that is made at start, kept in memory and never written anywhere, or that
/// is derived from a secret. A digest that leaks cannot be used to test guesses.
pub(crate) struct KeyedHash(hmac::Key);

/// What a [`KeyedHash`] makes.
pub(crate) type KeyedDigest = [u8; 32];

impl KeyedHash {
    pub(crate) fn new(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        entropy.fill(&mut *key)?;
        Ok(Self::from_key(&key))
    }

    /// Under a key that several servers share.
    pub(crate) fn from_key(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The digest of `parts`, whose borders count: ("ab", "c") is not ("a", "bc").
    pub(crate) fn digest(&self, parts: &[&[u8]]) -> KeyedDigest {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    #[test]
    fn parts_and_keys_are_told_apart() {
        let one = KeyedHash::new(&SystemEntropy).unwrap();
        assert_eq!(one.digest(&[b"ab", b"c"]), one.digest(&[b"ab", b"c"]));
        assert_ne!(one.digest(&[b"ab", b"c"]), one.digest(&[b"a", b"bc"]));
        let other = KeyedHash::new(&SystemEntropy).unwrap();
        assert_ne!(one.digest(&[b"ab", b"c"]), other.digest(&[b"ab", b"c"]));
    }
}
