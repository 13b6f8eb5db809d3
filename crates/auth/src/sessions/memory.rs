//! Sessions in memory, for tests.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{BoxFuture, unix_seconds};

use super::store::{
    InsertLimits, RevokedBy, Selection, SessionNote, SessionPosition, SessionStore,
};
use super::{Session, SessionsError, TokenHash};

/// Keeps sessions until the process ends.
#[derive(Debug, Default)]
pub struct MemorySessions(Mutex<BTreeMap<TokenHash, Session>>);

impl MemorySessions {
    /// A store without sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<TokenHash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert_now(&self, session: Session, limits: InsertLimits) {
        let InsertLimits {
            per_account,
            idle,
            now,
        } = limits;
        let now = to_the_second(now);
        let mut sessions = self.sessions();
        sessions.retain(|_, other| {
            let is_idle = now
                .duration_since(other.last_used_at)
                .is_ok_and(|age| age >= idle);
            other.expires_at > now && !is_idle
        });
        let mut others: Vec<_> = sessions
            .values()
            .filter(|other| other.account == session.account && !other.is_revoked)
            .map(|other| (Reverse((other.last_used_at, other.created_at)), other.hash))
            .collect();
        others.sort_unstable();
        let kept = per_account.saturating_sub(1) as usize;
        for (_, hash) in others.iter().skip(kept) {
            sessions.remove(hash);
        }
        let session = Session {
            created_at: to_the_second(session.created_at),
            last_used_at: to_the_second(session.last_used_at),
            confirmed_at: to_the_second(session.confirmed_at),
            expires_at: to_the_second(session.expires_at),
            ..session
        };
        sessions.insert(session.hash, session);
    }

    fn note_now(&self, hash: TokenHash, note: SessionNote) {
        let mut sessions = self.sessions();
        let Some(session) = sessions.get_mut(&hash) else {
            return;
        };
        match note {
            SessionNote::Used(now) => {
                session.last_used_at = session.last_used_at.max(to_the_second(now));
            }
            SessionNote::Confirmed(now, labels) => {
                session.confirmed_at = session.confirmed_at.max(to_the_second(now));
                session.labels = labels;
            }
        }
    }

    fn list_now(&self, selection: &Selection) -> Vec<Session> {
        let sessions = self.sessions();
        let selected = sessions
            .values()
            .filter(|session| !session.is_revoked && selection.contains(session));
        let mut listed: Vec<Session> = selected.cloned().collect();
        listed.sort_by(|a, b| {
            let key = |session: &Session| (Reverse(session.last_used_at), session.id.clone());
            (&a.account, key(a)).cmp(&(&b.account, key(b)))
        });
        listed
    }

    fn page_now(
        &self,
        selection: &Selection,
        after: Option<&SessionPosition>,
        limit: u32,
    ) -> Vec<Session> {
        let mut listed = self.list_now(selection);
        listed.sort_by_key(SessionPosition::of);
        listed.retain(|session| after.is_none_or(|after| SessionPosition::of(session) > *after));
        listed.truncate(limit as usize);
        listed
    }

    fn revoke_now(&self, selection: &Selection) -> usize {
        let mut sessions = self.sessions();
        let selected = sessions
            .values_mut()
            .filter(|session| !session.is_revoked && selection.contains(session));
        selected.map(|session| session.is_revoked = true).count()
    }
}

impl SessionStore for MemorySessions {
    fn insert(
        &self,
        session: Session,
        limits: InsertLimits,
    ) -> BoxFuture<'_, Result<(), SessionsError>> {
        self.insert_now(session, limits);
        ready(())
    }

    fn find(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<Session>, SessionsError>> {
        ready(self.sessions().get(&hash).cloned())
    }

    fn note(&self, hash: TokenHash, note: SessionNote) -> BoxFuture<'_, Result<(), SessionsError>> {
        self.note_now(hash, note);
        ready(())
    }

    fn list(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Session>, SessionsError>> {
        ready(self.list_now(&selection))
    }

    fn page(
        &self,
        selection: Selection,
        after: Option<SessionPosition>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Session>, SessionsError>> {
        ready(self.page_now(&selection, after.as_ref(), limit))
    }

    fn revoke(
        &self,
        selection: Selection,
        _: RevokedBy,
        _: SystemTime,
    ) -> BoxFuture<'_, Result<usize, SessionsError>> {
        ready(self.revoke_now(&selection))
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T, SessionsError>> {
    Box::pin(std::future::ready(Ok(value)))
}

fn to_the_second(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_seconds(time))
}
