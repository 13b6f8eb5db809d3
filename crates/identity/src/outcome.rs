//! What a backend answers.

use policy::{ScopeCeiling, Subject};

use crate::{CredentialFingerprint, LifetimeBound, LoginTerms, Rejection};

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
    /// The proof is a token that the backend [recognizes](crate::Authenticator::recognizes), and it
    /// is refused. [`Login`](crate::Login) makes this cost as much as every rejection if the token may
    /// be a guess.
    TokenRefused(TokenRefusal),
}

/// What a backend knows of a token that it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Nothing shows that its issuer made it: it may be a guess, and counts as a failed login.
    Unverified,
    /// Its issuer made it, and it does not log in: it has expired, is for another service, or no rule
    /// takes it. It is no guess, and its refusal tells nothing about any account.
    Verified,
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
    /// The bounds of this login.
    pub terms: LoginTerms,
    /// About whom the rules are asked, below the ceiling.
    pub permissions: PermissionSource,
    /// The token of this server that proved it, by its id in lists.
    pub opaque_token: Option<Box<str>>,
}

/// About whom the rules are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PermissionSource {
    /// The account itself.
    #[default]
    Account,
    /// The owner of the account, which is a robot.
    Owner(Box<Subject>),
    /// The rules are not asked: the ceiling alone decides. For robots of the system.
    Ceiling,
}

impl Identity {
    /// An account whose credential the backend cannot tell from others.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            credential: None,
            ceiling: ScopeCeiling::Unlimited,
            terms: LoginTerms::default(),
            permissions: PermissionSource::Account,
            opaque_token: None,
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

    /// The account that the rules are asked about; `None` if the ceiling alone decides.
    #[must_use]
    pub fn ruled_subject(&self) -> Option<&Subject> {
        match &self.permissions {
            PermissionSource::Account => Some(&self.subject),
            PermissionSource::Owner(owner) => Some(owner),
            PermissionSource::Ceiling => None,
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
    /// The backend keeps no accounts, only rules by which it accepts proofs. A session goes on, with
    /// the labels of its login, while the credential that opened it is one of these.
    ByCredential(Vec<RecheckedCredential>),
    /// The account is there, and no proof opens it: its sessions have ended, and the next backend is
    /// not asked.
    Disabled,
    /// The backend cannot tell without a proof.
    Unknown,
}

/// A credential by which sessions go on, of a backend that keeps no accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecheckedCredential {
    /// The credential: what stands for a rule.
    pub credential: CredentialFingerprint,
    /// How long an access token of such a session may live.
    pub token_lifetime: LifetimeBound,
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
