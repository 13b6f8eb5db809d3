//! Refresh tokens: a login that lasts.
//!
//! Docker's `login` asks for one (`offline_token=true`) and then keeps it instead of the password.
//! Behind each is a *session*: whose it is, for which service, and which credential opened it. A
//! token is *reused*, never rotated: clients store it once and send it from several processes at
//! the same time (moby#39718). So a session ends by
//! - its *idle* time, counted from the last use, or its *absolute* time, counted from the login;
//! - [`revoke`](Sessions::revoke), at its next use, by whatever process;
//! - the cap per account, which takes the least recently used;
//! - its user: [`redeem`](Sessions::redeem) says that the token is good, not that its account still
//!   is. Whoever redeems asks identity again, and answers to it with [`confirm`](Sessions::confirm)
//!   or, where identity cannot say, [`recently_confirmed`](Sessions::recently_confirmed).
//!
//! Nothing is remembered outside the database. A use costs one read; it is written down at most
//! once a minute per session, because a write waits for the disk. Sessions that are over are
//! removed as new ones are opened.

mod manage;
mod redeem;
mod row;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::Secret;
use common::{Entropy, EntropyError};
use database::Database;
use identity::CredentialFingerprint;
use policy::{Labels, Subject};

pub use manage::Selection;
pub use redeem::RefreshTokenError;
pub(crate) use token::is_refresh_token;

/// How long sessions live, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// A session that is not used for this long is over.
    pub idle: Duration,
    /// A session is over this long after its login, however much it is used.
    pub absolute: Duration,
    /// The sessions one account may have; a further login ends the least recently used.
    pub per_user: u32,
    /// How long the last confirmation counts while the backend cannot say whether the user is still
    /// good.
    pub recheck_max_age: Duration,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            idle: 30 * DAY,
            absolute: 365 * DAY,
            per_user: 100,
            recheck_max_age: DAY / 2,
        }
    }
}

/// The sessions of one installation, under a policy that counts for those that are open already,
/// too. Clones share the database.
#[derive(Clone)]
pub struct Sessions {
    database: Database,
    policy: SessionPolicy,
    entropy: Arc<dyn Entropy>,
}

impl Sessions {
    /// The sessions that `database` holds.
    #[must_use]
    pub fn new(database: Database, policy: SessionPolicy, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            database,
            policy,
            entropy,
        }
    }
}

/// A login that asks to last.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Who logged in, with the labels of this moment.
    pub subject: &'a Subject,
    /// The credential that was used, where the backend can tell.
    pub credential: Option<CredentialFingerprint>,
    /// The service that the token will be good for.
    pub service: &'a str,
    /// What the client calls itself (`client_id`).
    pub client_id: &'a str,
    /// Where it is, for lists.
    pub address: &'a str,
}

/// A session just opened.
#[derive(Debug)]
pub struct OpenedSession {
    /// What lists and logs call it.
    pub id: String,
    /// The refresh token. It is nowhere else: lost is lost.
    pub token: Secret,
}

/// What is known of a session; its token is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What lists and logs call it: the first 16 hexadecimal digits of its token's SHA-256.
    pub id: String,
    /// Whose it is; never anonymous.
    pub account: String,
    /// The labels that the account had when it was last confirmed.
    pub labels: Labels,
    /// The credential that opened it: once the account has that no more, the session is over.
    pub credential: Option<CredentialFingerprint>,
    /// The service that it is good for.
    pub service: String,
    /// What the client that opened it called itself.
    pub client_id: String,
    /// Where that client was.
    pub address: String,
    /// When it was opened.
    pub created_at: SystemTime,
    /// When it was last used, to the minute.
    pub last_used_at: SystemTime,
    /// When the backend last said that the account is good, to the minute.
    pub confirmed_at: SystemTime,
    /// When it is over, unless it is used: the earlier of its idle and its absolute end.
    pub expires_at: SystemTime,
}

/// Why sessions cannot be worked with. None of these is the client's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionsError {
    /// The database did not do its part.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The system has no randomness for a token.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A session was to be opened for nobody.
    #[error("an anonymous login has no session")]
    Anonymous,
}

impl From<rusqlite::Error> for SessionsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}
