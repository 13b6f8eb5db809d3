//! What stands for a credential in a session.

use std::fmt;

use aws_lc_rs::digest;

/// Stands for one credential without revealing it: the SHA-256 of its password hash. A new password
/// has a new fingerprint.
///
/// An account with several passwords has as many fingerprints. Removing one password ends the
/// sessions that it opened and no others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CredentialFingerprint([u8; 32]);

impl CredentialFingerprint {
    /// Stands for having no password, so that setting one ends the account's sessions: SHA-256 of
    /// the empty text.
    pub const NO_PASSWORD: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// The fingerprint of a credential that is stored as `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self(bytes)
    }

    /// A fingerprint that was stored earlier.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CredentialFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.0;
        write!(f, "CredentialFingerprint({first:02x}{second:02x}…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_belongs_to_one_credential() {
        let one = CredentialFingerprint::of("$2b$04$one");
        assert_eq!(one, CredentialFingerprint::of("$2b$04$one"));
        assert_ne!(one, CredentialFingerprint::of("$2b$04$two"));
        assert_eq!(
            CredentialFingerprint::of(""),
            CredentialFingerprint::NO_PASSWORD
        );
        assert_eq!(CredentialFingerprint::from_bytes(*one.as_bytes()), one);
    }
}
