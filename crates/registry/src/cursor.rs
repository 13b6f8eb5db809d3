//! Where the next page of a filtered catalog begins.
//!
//! A page ends when enough repositories were examined, and the last of them may be one that the
//! client must not know of. So the address of the next page has its name encrypted, for this client
//! only, and in one length for every name.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use common::{Entropy, EntropyError};
use data_encoding::BASE64URL_NOPAD;

/// Longer than any repository's name, in bytes.
const PADDED: usize = 256;

/// Encrypts and decrypts cursors. A list that was begun under another key must be begun again.
pub struct CursorKey(LessSafeKey);

impl CursorKey {
    /// A random key, for one server alone.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut key = [0; 32];
        entropy.fill(&mut key)?;
        Ok(Self::from_bytes(&key))
    }

    /// This key, which several servers share.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "AES-256 takes every key of 32 bytes, and no other"
    )]
    pub fn from_bytes(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// A cursor behind `name`, which only `account` can use.
    pub(crate) fn seal(
        &self,
        name: &str,
        account: &str,
        entropy: &dyn Entropy,
    ) -> Result<String, EntropyError> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce)?;
        let mut text = name.as_bytes().to_vec();
        text.resize(PADDED.max(text.len()), 0);
        let context = Aad::from(account.as_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), context, &mut text)
            .map_err(|_| EntropyError)?;
        Ok(BASE64URL_NOPAD.encode(&[nonce.as_slice(), &text].concat()))
    }

    /// The name in a cursor of `account`, if it is one of ours.
    pub(crate) fn open(&self, cursor: &str, account: &str) -> Option<String> {
        let mut sealed = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let (nonce, text) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self
            .0
            .open_in_place(nonce, Aad::from(account.as_bytes()), text)
            .ok()?;
        let end = text
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(text.len());
        String::from_utf8(text[..end].to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    #[test]
    fn a_cursor_shows_nothing_of_its_name() {
        let key = CursorKey::new(&SystemEntropy).unwrap();
        let seal = |name: &str| key.seal(name, "alice", &SystemEntropy).unwrap();
        let (one, again, long) = (
            seal("secret/one"),
            seal("secret/one"),
            seal(&"x".repeat(255)),
        );
        assert_ne!(one, again);
        assert_eq!(one.len(), long.len(), "not even how long it is");
        assert_eq!(key.open(&one, "alice").as_deref(), Some("secret/one"));
        assert_eq!(key.open(&long, "alice").map(|name| name.len()), Some(255));
    }

    #[test]
    fn a_cursor_is_its_caller_s_alone() {
        let key = CursorKey::new(&SystemEntropy).unwrap();
        let cursor = key.seal("secret", "alice", &SystemEntropy).unwrap();
        assert_eq!(key.open(&cursor, "bob"), None);
        assert_eq!(
            CursorKey::new(&SystemEntropy)
                .unwrap()
                .open(&cursor, "alice"),
            None
        );
        for text in ["", "AAAA", "not base64!", &cursor[1..], "secret"] {
            assert_eq!(key.open(text, "alice"), None, "{text}");
        }
    }
}
