//! What a backend answers.

use std::fmt;

use aws_lc_rs::digest;
use policy::{ScopeCeiling, Subject};

use crate::verifier::Rejection;

/// A backend's answer to a proof.
#[derive(Debug)]
pub enum AuthenticationOutcome {
    /// The backend does not know the account; the next one is asked.
    NoMatch,
    /// The client is the account that it claims to be.
    Accepted(Identity),
    /// The proof is wrong, and no other backend is asked. The value inside shows that this
    /// rejection cost as much as every other.
    Rejected(Rejection),
}

/// An account that was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account, with its labels.
    pub subject: Subject,
    /// The credential that proved it, for a session to keep. `None` if the backend cannot tell
    /// credentials apart.
    pub credential: Option<CredentialFingerprint>,
    /// The most that its tokens may grant.
    pub ceiling: ScopeCeiling,
}

impl Identity {
    /// An account whose credential the backend cannot tell from others.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            credential: None,
            ceiling: ScopeCeiling::Unlimited,
        }
    }

    /// The same account, proved by this credential.
    #[must_use]
    pub fn with_credential(self, credential: CredentialFingerprint) -> Self {
        Self {
            credential: Some(credential),
            ..self
        }
    }
}

/// What a backend knows of an account without seeing a proof, at once and at no cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountHint {
    /// Any password opens this account.
    AnyPassword(Identity),
    /// The backend does not have this account.
    NoMatch,
    /// Only [`authenticate`](crate::Authenticator::authenticate) can tell.
    NeedsProof,
}

/// What a backend says of an account that logged in some time ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recheck {
    /// The backend does not know the account; the next one is asked.
    NoMatch,
    /// The account is still there.
    Present {
        /// The account, with its labels of today.
        subject: Subject,
        /// The credentials that it has today.
        credentials: CurrentCredentials,
    },
    /// The backend cannot tell without a proof.
    Unknown,
}

/// The credentials of an account, as far as its backend can list them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CurrentCredentials {
    /// All of them. A session that another credential opened has ended.
    Known(Vec<CredentialFingerprint>),
    /// The backend can say that the account is there, but not whether its password changed. A
    /// directory is like that.
    Unknown,
}

/// Stands for one credential without revealing it: the SHA-256 of its password hash. A new password
/// has a new fingerprint.
///
/// An account with several passwords has as many fingerprints. Removing one password ends the
/// sessions that it opened and no others.
#[derive(Clone, Copy, PartialEq, Eq)]
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
