//! What an operator does with sessions, beside a running server: list and revoke.

use std::time::SystemTime;

use rusqlite::Connection;

use super::row::{COLUMNS, seconds, session};
use super::{Session, Sessions, SessionsError};

/// Which sessions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every one.
    All,
    /// Those of one account.
    Account(String),
    /// The one with this id.
    Id(String),
}

impl Selection {
    /// A condition on `?1`, and `?1`.
    fn condition(&self) -> (&'static str, &str) {
        match self {
            Self::All => ("?1 = ''", ""),
            Self::Account(account) => ("account = ?1", account),
            Self::Id(id) => ("id = ?1", id),
        }
    }
}

impl Sessions {
    /// The sessions of `selection` that could be redeemed now, by account, the last used first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(
        &self,
        selection: Selection,
        now: SystemTime,
    ) -> Result<Vec<Session>, SessionsError> {
        let policy = self.policy;
        let read = move |connection: &Connection| {
            let (condition, value) = selection.condition();
            let sql = format!(
                "SELECT {COLUMNS} FROM refresh_tokens WHERE {condition} AND revoked_at IS NULL
                 ORDER BY account, last_used_at DESC, id"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let sessions = statement.query_map([value], |row| session(row, &policy))?;
            let live = |session: &Result<Session, _>| {
                session
                    .as_ref()
                    .map_or(true, |session| session.expires_at > now)
            };
            Ok(sessions.filter(live).collect::<Result<_, _>>()?)
        };
        self.database.read(read).await
    }

    /// Ends the sessions of `selection` and says how many there were. Every server that uses this
    /// database refuses their tokens from their next use on.
    ///
    /// # Errors
    /// When the database cannot be written to; then none of them has ended.
    pub async fn revoke(
        &self,
        selection: Selection,
        now: SystemTime,
    ) -> Result<usize, SessionsError> {
        let write = move |connection: &Connection| {
            let (condition, value) = selection.condition();
            let sql = format!(
                "UPDATE refresh_tokens SET revoked_at = ?2 WHERE {condition} AND revoked_at IS NULL"
            );
            Ok(connection
                .prepare_cached(&sql)?
                .execute((value, seconds(now)))?)
        };
        self.database.write(write).await
    }
}
