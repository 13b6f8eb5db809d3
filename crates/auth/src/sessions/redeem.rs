//! What a running server does with sessions: open, redeem, confirm.

use std::time::{Duration, SystemTime};

use common::Secret;
use common::unix_seconds;
use policy::Subject;
use rusqlite::{Connection, OptionalExtension, params};

use super::row::{COLUMNS, Row, seconds, session};
use super::token::{Fingerprint, generate};
use super::{NewSession, OpenedSession, Session, SessionPolicy, Sessions, SessionsError};

/// A use, or a confirmation, is not written down again within this time.
const PRECISION: Duration = Duration::from_secs(60);

/// Sessions that are over and are removed as one is opened: more than one, so that they cannot pile
/// up.
const PURGE: u32 = 100;

/// Why a refresh token is not taken. Callers answer all of them alike (RFC 6749 §5.2,
/// `invalid_grant`): which one it was is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshTokenError {
    /// It is not one of ours, or its session is gone from the database.
    #[error("no such refresh token")]
    Unknown,
    /// It was revoked.
    #[error("the refresh token was revoked")]
    Revoked,
    /// It was not used for too long, or is too old.
    #[error("the refresh token has expired")]
    Expired,
    /// It is good, but for another service.
    #[error("the refresh token is for another service")]
    WrongService,
}

impl Sessions {
    /// Opens a session. It is on the disk before its token is handed out.
    ///
    /// # Errors
    /// For nobody, and when the token can be neither made nor stored.
    pub async fn open(
        &self,
        new: NewSession<'_>,
        now: SystemTime,
    ) -> Result<OpenedSession, SessionsError> {
        if new.subject.account.is_empty() {
            return Err(SessionsError::Anonymous);
        }
        let (token, fingerprint) = generate(self.entropy.as_ref())?;
        let row = Row::new(&new, fingerprint, now, &self.policy);
        let (id, policy) = (row.id.clone(), self.policy);
        let write = move |connection: &Connection| {
            purge(connection, &policy, now)?;
            row.insert(connection)?;
            cap(connection, &policy, &row)
        };
        self.database.write(write).await?;
        Ok(OpenedSession { id, token })
    }

    /// The session that `token` stands for, if it is good for `service`.
    ///
    /// It says nothing of the account, which may be gone: see [`confirm`](Self::confirm).
    ///
    /// # Errors
    /// The outer one when the database cannot be read. That a use cannot be written down is logged
    /// and no error: who has a good token gets in when the disk is full, too.
    pub async fn redeem(
        &self,
        token: &Secret,
        service: &str,
        now: SystemTime,
    ) -> Result<Result<Session, RefreshTokenError>, SessionsError> {
        let Some(fingerprint) = Fingerprint::of(token) else {
            return Ok(Err(RefreshTokenError::Unknown));
        };
        let policy = self.policy;
        let read = move |connection: &Connection| find(connection, fingerprint, &policy);
        let Some((session, revoked)) = self.database.read(read).await? else {
            return Ok(Err(RefreshTokenError::Unknown));
        };
        if revoked {
            return Ok(Err(RefreshTokenError::Revoked));
        }
        if session.expires_at <= now {
            return Ok(Err(RefreshTokenError::Expired));
        }
        if session.service != service {
            return Ok(Err(RefreshTokenError::WrongService));
        }
        if is_due(session.last_used_at, now, self.policy.idle) {
            let sql =
                "UPDATE refresh_tokens SET last_used_at = ?2 WHERE id = ?1 AND last_used_at < ?2";
            let id = session.id.clone();
            self.note(move |connection| {
                Ok(connection
                    .prepare_cached(sql)?
                    .execute((&id, seconds(now)))?)
            })
            .await;
        }
        Ok(Ok(session))
    }

    /// Takes down that the backend calls the session's account good, as `subject`.
    pub async fn confirm(&self, session: &Session, subject: &Subject, now: SystemTime) {
        let news = session.labels != subject.labels;
        if !news && !is_due(session.confirmed_at, now, self.policy.recheck_max_age) {
            return;
        }
        let sql = "UPDATE refresh_tokens SET confirmed_at = max(confirmed_at, ?2), labels = ?3 WHERE id = ?1";
        let (id, labels) = (
            session.id.clone(),
            serde_json::json!(subject.labels).to_string(),
        );
        self.note(move |connection| {
            Ok(connection
                .prepare_cached(sql)?
                .execute((&id, seconds(now), &labels))?)
        })
        .await;
    }

    /// Whom to take the session's user for while the backend cannot say; none when it has been
    /// silent for too long.
    #[must_use]
    pub fn recently_confirmed(&self, session: &Session, now: SystemTime) -> Option<Subject> {
        let age = now.duration_since(session.confirmed_at).unwrap_or_default();
        let subject = || Subject {
            account: session.account.clone(),
            labels: session.labels.clone(),
        };
        (age <= self.policy.recheck_max_age).then(subject)
    }

    /// Writes down something that may as well be lost.
    async fn note(
        &self,
        write: impl FnMut(&Connection) -> Result<usize, SessionsError> + Send + 'static,
    ) {
        if let Err(error) = self.database.write(write).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "the use of a refresh token could not be written down"
            );
        }
    }
}

/// Whether something last written down at `then` is written down again: once a minute, or ten times
/// within `limit` where that is short.
fn is_due(then: SystemTime, now: SystemTime, limit: Duration) -> bool {
    now.duration_since(then)
        .is_ok_and(|since| since >= PRECISION.min(limit / 10))
}

/// The session of a token, and whether it was revoked.
fn find(
    connection: &Connection,
    fingerprint: Fingerprint,
    policy: &SessionPolicy,
) -> Result<Option<(Session, bool)>, SessionsError> {
    let sql = format!(
        "SELECT {COLUMNS}, revoked_at IS NOT NULL AS revoked FROM refresh_tokens WHERE hash = ?1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row([fingerprint.0], |row| {
        Ok((session(row, policy)?, row.get("revoked")?))
    });
    Ok(found.optional()?)
}

/// Removes some sessions that are over.
fn purge(
    connection: &Connection,
    policy: &SessionPolicy,
    now: SystemTime,
) -> Result<(), SessionsError> {
    let now = unix_seconds(now);
    let idle_since = now.saturating_sub(policy.idle.as_secs());
    for (column, until) in [("expires_at", now), ("last_used_at", idle_since)] {
        let sql = format!(
            "DELETE FROM refresh_tokens
             WHERE hash IN (SELECT hash FROM refresh_tokens WHERE {column} <= ?1 ORDER BY {column} LIMIT {PURGE})"
        );
        connection
            .prepare_cached(&sql)?
            .execute([until.cast_signed()])?;
    }
    Ok(())
}

/// Removes the least recently used sessions of the account of `newest` until no more are left than
/// it may have.
fn cap(connection: &Connection, policy: &SessionPolicy, newest: &Row) -> Result<(), SessionsError> {
    let sql = "DELETE FROM refresh_tokens WHERE hash IN (
                   SELECT hash FROM refresh_tokens
                   WHERE account = ?1 AND hash <> ?2 AND revoked_at IS NULL
                   ORDER BY last_used_at DESC, created_at DESC LIMIT -1 OFFSET ?3
               )";
    let others = policy.per_user.saturating_sub(1);
    connection.prepare_cached(sql)?.execute(params![
        newest.account,
        newest.fingerprint.0,
        others
    ])?;
    Ok(())
}
