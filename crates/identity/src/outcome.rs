//! What a client presents, and what a backend can say to it.

use std::fmt;

use aws_lc_rs::digest;
use policy::Subject;

use crate::verifier::Rejection;
use common::Secret;

/// A name and a password, as a client sent them; both empty when it sent none.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who the client says it is; the empty name is the anonymous account.
    pub account: String,
    /// What it offers as proof.
    pub password: Secret,
}

impl Credentials {
    /// What a request without credentials presents.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            account: String::new(),
            password: Secret::from(""),
        }
    }

    /// Whether nobody was named and nothing offered.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.account.is_empty() && self.password.is_empty()
    }
}

/// What one backend says to somebody's credentials.
#[derive(Debug)]
pub enum AuthenticationOutcome {
    /// This backend does not know the account; the next one is asked.
    NoMatch,
    /// It is who it says it is.
    Accepted(Identity),
    /// It is not: the chain stops here. The proof inside says that the refusal cost what every
    /// refusal costs.
    Rejected(Rejection),
}

/// Somebody who proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account, with its labels.
    pub subject: Subject,
    /// The credential that proved it, for a session to remember; none where the backend cannot tell
    /// credentials apart.
    pub credential: Option<CredentialFingerprint>,
}

/// What a backend can say of an account without seeing a password, at once and for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountHint {
    /// Anybody may be this account, whatever the password.
    AnyPassword(Identity),
    /// The account is not one of this backend's.
    NoMatch,
    /// Only [`authenticate`](crate::Authenticator::authenticate) can tell.
    NeedsProof,
}

/// What a backend says of an account that proved itself some time ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recheck {
    /// This backend does not know the account; the next one is asked.
    NoMatch,
    /// The account is there.
    Valid {
        /// The account, with the labels it has now.
        subject: Subject,
        /// The credentials it has now: a session made under another one is over.
        fingerprints: Vec<CredentialFingerprint>,
    },
    /// The backend cannot tell without a password.
    Unknown,
}

/// Stands for one credential without revealing it: the SHA-256 of its password hash. Another
/// password, another credential.
///
/// An account with several passwords has as many fingerprints, so that taking one password away ends the
/// sessions made with it and no others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CredentialFingerprint([u8; 32]);

impl CredentialFingerprint {
    /// The credential of an account that has no password, so that giving it one ends its sessions:
    /// SHA-256 of nothing.
    pub const NO_PASSWORD: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// The credential of the credential that is written as `text` where credentials are kept.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self(bytes)
    }

    /// A credential that was stored earlier.
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
        write!(
            f,
            "CredentialFingerprint({:02x}{:02x}…)",
            self.0[0], self.0[1]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_its_credentials_own() {
        let credential = CredentialFingerprint::of("$2b$04$one");
        assert_eq!(credential, CredentialFingerprint::of("$2b$04$one"));
        assert_ne!(credential, CredentialFingerprint::of("$2b$04$two"));
        assert_eq!(
            CredentialFingerprint::of(""),
            CredentialFingerprint::NO_PASSWORD
        );
        assert_eq!(
            CredentialFingerprint::from_bytes(*credential.as_bytes()),
            credential
        );
    }

    #[test]
    fn anonymous_is_nobody_with_nothing() {
        assert!(Credentials::anonymous().is_anonymous());
        for (account, password) in [("a", ""), ("", "p"), ("a", "p")] {
            assert!(
                !Credentials {
                    account: account.into(),
                    password: password.into()
                }
                .is_anonymous()
            );
        }
    }

    #[test]
    fn credentials_print_no_password() {
        let credentials = Credentials {
            account: "ann".into(),
            password: "hunter2".into(),
        };
        assert_eq!(
            format!("{credentials:?}"),
            r#"Credentials { account: "ann", password: Secret(…) }"#
        );
    }
}
