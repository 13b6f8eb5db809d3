//! A session, and what opens and ends one.

use std::time::SystemTime;

use common::Secret;
use identity::{CredentialFingerprint, EarlierLogin, LifetimeBound};
use policy::{Labels, ScopeCeiling, Subject};

use super::TokenHash;

/// A login that asks for a session.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// The account, with its labels of this moment.
    pub subject: &'a Subject,
    /// The credential that was used, if the backend can tell.
    pub credential: Option<CredentialFingerprint>,
    /// The backend that accepted the login, by its section in the configuration.
    pub backend: &'a str,
    /// The most that its tokens may grant.
    pub ceiling: &'a ScopeCeiling,
    /// How long it may last.
    pub lifetime: LifetimeBound,
    /// The service that the token will be for.
    pub service: &'a str,
    /// What the client calls itself (`client_id`).
    pub client_id: &'a str,
    /// Its address, for lists.
    pub address: &'a str,
}

/// A session that was just opened.
#[derive(Debug)]
pub struct OpenedSession {
    /// What lists and logs call it.
    pub id: String,
    /// The refresh token. It is stored nowhere, so it cannot be recovered.
    pub token: Secret,
}

/// What is known of a session. Its token is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The hash of its token, by which it is stored.
    pub hash: TokenHash,
    /// What lists and logs call it: the first 16 hexadecimal digits of its token's SHA-256.
    pub id: String,
    /// Its account; never anonymous.
    pub account: String,
    /// The labels that the account had when it was last confirmed.
    pub labels: Labels,
    /// The credential that opened it. Once the account no longer has it, the session is over.
    pub credential: Option<CredentialFingerprint>,
    /// The backend that accepted the login, by its section in the configuration. `None` for a session
    /// that was opened before this was stored.
    pub backend: Option<String>,
    /// The most that its tokens may grant.
    pub ceiling: ScopeCeiling,
    /// The service that it is for.
    pub service: String,
    /// What the client that opened it called itself.
    pub client_id: String,
    /// The address of that client.
    pub address: String,
    /// When it was opened.
    pub created_at: SystemTime,
    /// When it was last used, to the minute.
    pub last_used_at: SystemTime,
    /// When the backend last confirmed the account, to the minute.
    pub confirmed_at: SystemTime,
    /// When it is over. A store keeps its absolute end, by the policy of the moment when it was
    /// opened. [`Sessions`](super::Sessions) returns when it is over unless it is used: the earliest
    /// of its ends, by the policy of today.
    pub expires_at: SystemTime,
    /// Whether it was revoked. Only a store returns such a session.
    pub is_revoked: bool,
}

/// A session that its own token revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What lists and logs call the session.
    pub id: String,
    /// Its account.
    pub account: String,
}

impl<'a> From<&'a Session> for EarlierLogin<'a> {
    fn from(session: &'a Session) -> Self {
        Self {
            account: &session.account,
            credential: session.credential.as_ref(),
            backend: session.backend.as_deref(),
        }
    }
}
