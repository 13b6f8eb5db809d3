//! The trait that every store of sessions implements.

use std::time::{Duration, SystemTime};

use common::BoxFuture;
use database::Administrator;
use policy::Labels;

use super::{Session, SessionsError, TokenHash};

/// A store of sessions.
///
/// # Contract
/// - What a method changes is durable when its future is ready, and visible to the next call. A
///   method that fails has changed nothing.
/// - Times are kept to the second, rounded down.
/// - Calls may come at once. Each is atomic.
/// - A future may be dropped at any await. Its change then happens as a whole or not at all.
///
/// One suite in `tests/it/sessions` holds every implementation to this.
pub trait SessionStore: Send + Sync {
    /// Stores a new session. In the same step it removes some sessions that are over, and those of
    /// the same account that are beyond its number: the least recently used go first, never the new
    /// one.
    fn insert(
        &self,
        session: Session,
        limits: InsertLimits,
    ) -> BoxFuture<'_, Result<(), SessionsError>>;

    /// The session of a token, revoked or not.
    fn find(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<Session>, SessionsError>>;

    /// Notes a use or a confirmation. A session that is gone is no error.
    fn note(&self, hash: TokenHash, note: SessionNote) -> BoxFuture<'_, Result<(), SessionsError>>;

    /// The sessions of `selection` that are not revoked, by account, the last used first.
    fn list(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Session>, SessionsError>>;

    /// At most `limit` of the sessions of `selection` that are not revoked, by account and id, those
    /// behind `after` if it is given.
    fn page(
        &self,
        selection: Selection,
        after: Option<SessionPosition>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Session>, SessionsError>>;

    /// Revokes the sessions of `selection` and returns how many were not revoked before. If a store has
    /// an administration log, the entry is written in the same step.
    fn revoke(
        &self,
        selection: Selection,
        by: RevokedBy,
        now: SystemTime,
    ) -> BoxFuture<'_, Result<usize, SessionsError>>;
}

/// What a new session may displace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsertLimits {
    /// The sessions of one account, the new one included.
    pub per_account: u32,
    /// A session that was not used for this long is over.
    pub idle: Duration,
    /// Now.
    pub now: SystemTime,
}

/// What is written of a session while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionNote {
    /// It was used. An earlier time than the stored one changes nothing.
    Used(SystemTime),
    /// Its account was confirmed with these labels.
    Confirmed(SystemTime, Labels),
}

/// Which sessions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every session.
    All,
    /// The sessions of one account.
    Account(String),
    /// The session with this id.
    Id(String),
    /// The session with this id, if it is one of this account.
    IdOf {
        /// The session's id.
        id: String,
        /// The account that it must have.
        account: String,
    },
}

/// A place in a list of sessions by account and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionPosition {
    /// The account of the session there.
    pub account: String,
    /// Its id.
    pub id: String,
}

/// Who revokes sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// The client that has the refresh token (RFC 7009). Only the server's log says so.
    Client,
    /// An administrator, by a command or by the API. The administration log has the name.
    Administrator(Administrator),
}

impl Selection {
    /// Whether `session` is meant.
    #[must_use]
    pub fn contains(&self, session: &Session) -> bool {
        match self {
            Self::All => true,
            Self::Account(account) => session.account == *account,
            Self::Id(id) => session.id == *id,
            Self::IdOf { id, account } => session.id == *id && session.account == *account,
        }
    }
}

impl SessionPosition {
    /// The place of `session`.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self {
            account: session.account.clone(),
            id: session.id.clone(),
        }
    }
}
