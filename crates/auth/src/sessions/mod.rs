//! Refresh tokens: logins that last.
//!
//! Docker's `login` asks for one (`offline_token=true`) and keeps it instead of the password. Behind
//! each token is a *session*: its account, its service, and the credential that opened it. A token
//! is *reused*, never rotated: clients store it once and send it from several processes at the same
//! time (moby#39718). A session ends
//! - by its *idle* time, counted from the last use, or its *absolute* time, counted from the login;
//! - by [`revoke`](Sessions::revoke), at the next use, in whatever process;
//! - by the number of sessions per account, which ends the least recently used;
//! - with its account: [`redeem`](Sessions::redeem) says that the token is valid, not that the
//!   account still exists. The caller asks identity, and tells the answer to
//!   [`confirm`](Sessions::confirm). If identity cannot tell,
//!   [`recently_confirmed`](Sessions::recently_confirmed) decides.
//!
//! [`Sessions`] knows these rules, and a [`SessionStore`] keeps the sessions. Nothing else is kept. A
//! use costs one read. It is written at most once a minute per session, because a write waits for
//! the disk. Sessions that are over are removed when new ones are opened.

mod memory;
mod record;
mod session;
mod store;
mod stored;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Entropy, EntropyError, Secret};
use identity::{AuthenticatorChain, EarlierLogin, SessionStatus};
use policy::Subject;

use self::token::generate;

pub use self::memory::MemorySessions;
pub use self::record::SessionRecord;
pub use self::session::{NewSession, OpenedSession, Revocation, Session};
pub use self::store::{
    InsertLimits, RevokedBy, Selection, SessionNote, SessionPosition, SessionStore,
};
pub use self::stored::DatabaseSessions;
pub use self::token::TokenHash;
pub(crate) use self::token::is_refresh_token;

/// A use or a confirmation is not written again within this time.
const PRECISION: Duration = Duration::from_secs(60);

/// How long sessions live, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// A session that is not used for this long is over.
    pub idle: Duration,
    /// A session is over this long after its login, however much it is used.
    pub absolute: Duration,
    /// The sessions that one account may have. A further login ends the least recently used.
    pub per_user: u32,
    /// How long the last confirmation counts while the backend cannot tell whether the account still
    /// exists.
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

/// A page of a list of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPage {
    /// The sessions. A page with a next one may have fewer than were asked for.
    pub sessions: Vec<Session>,
    /// Behind which session the next page begins; `None` if this is the last one.
    pub next: Option<SessionPosition>,
}

/// Why a refresh token is rejected. Clients get the same response for all of them (RFC 6749 §5.2,
/// `invalid_grant`); the log says which one it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshTokenError {
    /// It is not one of ours, or its session is gone from the store.
    #[error("no such refresh token")]
    Unknown,
    /// It was revoked.
    #[error("the refresh token was revoked")]
    Revoked,
    /// It was not used for too long, or is too old.
    #[error("the refresh token has expired")]
    Expired,
    /// It is valid, but for another service.
    #[error("the refresh token is for another service")]
    WrongService,
}

/// Why the sessions failed. None of these is the client's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionsError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The system has no randomness for a token.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A session was to be opened for an anonymous login.
    #[error("an anonymous login has no session")]
    Anonymous,
}

/// The sessions of one installation, under a policy that counts for those that are already open,
/// too. Clones share the store.
#[derive(Clone)]
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    policy: SessionPolicy,
    entropy: Arc<dyn Entropy>,
}

impl Sessions {
    /// The sessions that `store` keeps.
    #[must_use]
    pub fn new(
        store: Arc<dyn SessionStore>,
        policy: SessionPolicy,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            policy,
            entropy,
        }
    }

    /// The same sessions under another policy.
    #[must_use]
    pub fn under(self, policy: SessionPolicy) -> Self {
        Self { policy, ..self }
    }

    /// Opens a session. It is stored before its token is handed out.
    ///
    /// # Errors
    /// For an anonymous login, and when the token can be neither made nor stored.
    pub async fn open(
        &self,
        new: NewSession<'_>,
        now: SystemTime,
    ) -> Result<OpenedSession, SessionsError> {
        if new.subject.account.is_empty() {
            return Err(SessionsError::Anonymous);
        }
        let (token, hash) = generate(self.entropy.as_ref())?;
        let id = hash.id();
        let session = Session {
            hash,
            id: id.clone(),
            account: new.subject.account.clone(),
            labels: new.subject.labels.clone(),
            credential: new.credential,
            backend: Some(new.backend.to_owned()),
            ceiling: new.ceiling.clone(),
            service: new.service.to_owned(),
            client_id: new.client_id.to_owned(),
            address: new.address.to_owned(),
            created_at: now,
            last_used_at: now,
            confirmed_at: now,
            expires_at: after(now, new.lifetime.limit(self.policy.absolute)),
            is_revoked: false,
        };
        let limits = InsertLimits {
            per_account: self.policy.per_user,
            idle: self.policy.idle,
            now,
        };
        self.store.insert(session, limits).await?;
        Ok(OpenedSession { id, token })
    }

    /// The session of `token`, if it is valid for `service`.
    ///
    /// It says nothing of the account, which may be gone: see [`confirm`](Self::confirm).
    ///
    /// # Errors
    /// The outer one when the store cannot be read. If a use cannot be written, that is logged and
    /// no error: a valid token works even when the disk is full.
    pub async fn redeem(
        &self,
        token: &Secret,
        service: &str,
        now: SystemTime,
    ) -> Result<Result<Session, RefreshTokenError>, SessionsError> {
        let Some(hash) = TokenHash::of(token) else {
            return Ok(Err(RefreshTokenError::Unknown));
        };
        let Some(stored) = self.store.find(hash).await? else {
            return Ok(Err(RefreshTokenError::Unknown));
        };
        if stored.is_revoked {
            return Ok(Err(RefreshTokenError::Revoked));
        }
        let session = self.under_policy(stored);
        if session.expires_at <= now {
            return Ok(Err(RefreshTokenError::Expired));
        }
        if session.service != service {
            return Ok(Err(RefreshTokenError::WrongService));
        }
        if is_due(session.last_used_at, now, self.policy.idle) {
            self.note(hash, SessionNote::Used(now)).await;
        }
        Ok(Ok(session))
    }

    /// Notes that the backend confirmed the session's account, as `subject`.
    pub async fn confirm(&self, session: &Session, subject: &Subject, now: SystemTime) {
        let has_new_labels = session.labels != subject.labels;
        if has_new_labels || is_due(session.confirmed_at, now, self.policy.recheck_max_age) {
            let note = SessionNote::Confirmed(now, subject.labels.clone());
            self.note(session.hash, note).await;
        }
    }

    /// The session's account while the backend cannot tell whether it still exists. `None` if it was
    /// not confirmed for too long.
    #[must_use]
    pub fn recently_confirmed(&self, session: &Session, now: SystemTime) -> Option<Subject> {
        let age = now.duration_since(session.confirmed_at).unwrap_or_default();
        (age <= self.policy.recheck_max_age).then(|| Subject {
            account: session.account.clone(),
            labels: session.labels.clone(),
        })
    }

    /// The sessions of `selection` that could be redeemed now, by account, the last used first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(
        &self,
        selection: Selection,
        now: SystemTime,
    ) -> Result<Vec<Session>, SessionsError> {
        let stored = self.store.list(selection).await?;
        let sessions = stored.into_iter().map(|stored| self.under_policy(stored));
        Ok(sessions
            .filter(|session| session.expires_at > now)
            .collect())
    }

    /// A page of the sessions of `selection` that could be redeemed now, by account and id: at most
    /// `limit`, those behind `after` if it is given.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn page(
        &self,
        selection: Selection,
        after: Option<SessionPosition>,
        limit: u32,
        now: SystemTime,
    ) -> Result<SessionPage, SessionsError> {
        let stored = self.store.page(selection, after, limit).await?;
        let is_full = stored.len() >= limit as usize;
        let next = stored.last().filter(|_| is_full).map(SessionPosition::of);
        let sessions = stored.into_iter().map(|stored| self.under_policy(stored));
        let sessions = sessions.filter(|session| session.expires_at > now);
        Ok(SessionPage {
            sessions: sessions.collect(),
            next,
        })
    }

    /// Ends the sessions of `selection` and returns how many there were. Every server that uses this
    /// store rejects their tokens from the next use on.
    ///
    /// # Errors
    /// When the store cannot be written to; then none of them has ended.
    pub async fn revoke(
        &self,
        selection: Selection,
        by: RevokedBy,
        now: SystemTime,
    ) -> Result<usize, SessionsError> {
        self.store.revoke(selection, by, now).await
    }

    /// Ends the session of `token`. `None` if it has none that can still be revoked.
    ///
    /// # Errors
    /// When the store fails; then the session has not ended.
    pub async fn revoke_token(
        &self,
        token: &Secret,
        now: SystemTime,
    ) -> Result<Option<Revocation>, SessionsError> {
        let Some(hash) = TokenHash::of(token) else {
            return Ok(None);
        };
        let Some(Session { id, account, .. }) = self.store.find(hash).await? else {
            return Ok(None);
        };
        let selection = Selection::Id(id.clone());
        let revoked = self.store.revoke(selection, RevokedBy::Client, now).await?;
        Ok((revoked > 0).then_some(Revocation { id, account }))
    }

    /// A stored session as the policy of today sees it.
    fn under_policy(&self, stored: Session) -> Session {
        let absolute = after(stored.created_at, self.policy.absolute);
        let idle = after(stored.last_used_at, self.policy.idle);
        Session {
            expires_at: absolute.min(idle).min(stored.expires_at),
            ..stored
        }
    }

    /// Writes something that may as well be lost.
    async fn note(&self, hash: TokenHash, note: SessionNote) {
        if let Err(error) = self.store.note(hash, note).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the use of a refresh token could not be written");
        }
    }
}

/// Those of `sessions` whose account is still there with the same credential. A session counts if its
/// backend has no answer, or cannot tell without a password.
pub async fn without_ended(sessions: Vec<Session>, accounts: &AuthenticatorChain) -> Vec<Session> {
    let mut accepted = Vec::with_capacity(sessions.len());
    for session in sessions {
        let status = accounts.recheck(&EarlierLogin::from(&session)).await;
        if !matches!(status, Ok(SessionStatus::Ended)) {
            accepted.push(session);
        }
    }
    accepted
}

/// Whether something that was written at `then` is written again: once a minute, or ten times within
/// a short `limit`.
fn is_due(then: SystemTime, now: SystemTime, limit: Duration) -> bool {
    now.duration_since(then)
        .is_ok_and(|since| since >= PRECISION.min(limit / 10))
}

/// `then` and `duration` later, or as late as can be stored.
fn after(then: SystemTime, duration: Duration) -> SystemTime {
    /// The year 9999, which RFC 3339 can still write.
    const LATEST: u64 = 253_402_300_799;
    let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(LATEST);
    then.checked_add(duration)
        .map_or(latest, |end| end.min(latest))
}
