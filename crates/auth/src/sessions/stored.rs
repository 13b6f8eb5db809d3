//! Sessions in the table `refresh_tokens` of the database.

use std::time::SystemTime;

use common::BoxFuture;
use database::{
    AdministrativeChange, Administrator, Database, DatabaseConnection, DatabaseRow, Error,
    column_seconds, column_time, log_change, params,
};
use identity::CredentialFingerprint;
use policy::ScopeCeiling;
use serde_json::json;

use super::store::{
    InsertLimits, RevokedBy, Selection, SessionNote, SessionPosition, SessionStore,
};
use super::{Session, SessionsError, TokenHash};

/// How many sessions that are over are removed when one is opened: more than one, so that they
/// cannot pile up.
const PURGE: u32 = 100;

/// What the administration log calls the sessions of all accounts.
const ALL_SESSIONS: &str = "all sessions";

/// Every column, as [`stored`] reads them.
const COLUMNS: &str = "hash, id, account, labels, stamp, service, client_id, address, created_at, \
                       last_used_at, confirmed_at, expires_at, revoked_at IS NOT NULL AS revoked, \
                       backend, ceiling";

/// Keeps sessions in a [`Database`]. Clones share it.
#[derive(Clone, Debug)]
pub struct DatabaseSessions(Database);

impl DatabaseSessions {
    /// The sessions that `database` holds.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self(database)
    }
}

impl SessionStore for DatabaseSessions {
    fn insert(
        &self,
        session: Session,
        limits: InsertLimits,
    ) -> BoxFuture<'_, Result<(), SessionsError>> {
        Box::pin(self.0.write(move |connection: &DatabaseConnection| {
            purge(connection, &limits)?;
            insert(connection, &session)?;
            cap(connection, &limits, &session)
        }))
    }

    fn find(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<Session>, SessionsError>> {
        Box::pin(self.0.read(move |connection: &DatabaseConnection| {
            let sql = format!("SELECT {COLUMNS} FROM refresh_tokens WHERE hash = ?1");
            Ok(connection.query_optional(&sql, params![hash.0], stored)?)
        }))
    }

    fn note(&self, hash: TokenHash, note: SessionNote) -> BoxFuture<'_, Result<(), SessionsError>> {
        Box::pin(self.0.write(move |connection: &DatabaseConnection| {
            match &note {
                SessionNote::Used(now) => connection.execute(
                    "UPDATE refresh_tokens SET last_used_at = ?2
                     WHERE hash = ?1 AND last_used_at < ?2",
                    params![hash.0, column_seconds(*now)],
                )?,
                SessionNote::Confirmed(now, labels) => connection.execute(
                    "UPDATE refresh_tokens
                     SET confirmed_at = CASE WHEN confirmed_at < ?2 THEN ?2 ELSE confirmed_at END,
                         labels = ?3
                     WHERE hash = ?1",
                    params![hash.0, column_seconds(*now), json!(labels).to_string()],
                )?,
            };
            Ok(())
        }))
    }

    fn list(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Session>, SessionsError>> {
        Box::pin(self.0.read(move |connection: &DatabaseConnection| {
            let (condition, [first, second]) = condition(&selection);
            let sql = format!(
                "SELECT {COLUMNS} FROM refresh_tokens WHERE {condition} AND revoked_at IS NULL
                 ORDER BY account, last_used_at DESC, id"
            );
            Ok(connection.query(&sql, params![first, second], stored)?)
        }))
    }

    fn page(
        &self,
        selection: Selection,
        after: Option<SessionPosition>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Session>, SessionsError>> {
        Box::pin(self.0.read(move |connection: &DatabaseConnection| {
            let (condition, [first, second]) = condition(&selection);
            let sql = format!(
                "SELECT {COLUMNS} FROM refresh_tokens
                 WHERE {condition} AND revoked_at IS NULL AND account >= ?3 AND (account, id) > (?3, ?4)
                 ORDER BY account, id LIMIT ?5"
            );
            // No account is empty, so this is before all.
            let (account, id) = match &after {
                Some(after) => (after.account.as_str(), after.id.as_str()),
                None => ("", ""),
            };
            let values = params![first, second, account, id, limit];
            Ok(connection.query(&sql, values, stored)?)
        }))
    }

    fn revoke(
        &self,
        selection: Selection,
        by: RevokedBy,
        now: SystemTime,
    ) -> BoxFuture<'_, Result<usize, SessionsError>> {
        Box::pin(self.0.write(move |connection: &DatabaseConnection| {
            let object = match &by {
                RevokedBy::Client => None,
                RevokedBy::Administrator(by) => Some((by, object(connection, &selection)?)),
            };
            let (condition, [first, second]) = condition(&selection);
            let sql = format!(
                "UPDATE refresh_tokens SET revoked_at = ?3 WHERE {condition} AND revoked_at IS NULL"
            );
            let revoked = connection.execute(&sql, params![first, second, column_seconds(now)])?;
            deny_device_logins(connection, &selection)?;
            if let (1.., Some((by, object))) = (revoked, object) {
                log(connection, by, &selection, &object, revoked, now)?;
            }
            Ok(revoked)
        }))
    }
}

/// Denies the device logins of an account all of whose sessions are revoked: an approved one would
/// open a session again at its next poll.
fn deny_device_logins(
    connection: &DatabaseConnection,
    selection: &Selection,
) -> Result<(), SessionsError> {
    let account = match selection {
        Selection::All => None,
        Selection::Account(account) => Some(account),
        Selection::Id(_) | Selection::IdOf { .. } => return Ok(()),
    };
    let sql = "UPDATE device_logins SET status = 'denied'
               WHERE account IS NOT NULL AND (CAST(?1 AS TEXT) IS NULL OR account = ?1)
               AND status IN ('pending', 'approved')";
    connection.execute(sql, params![account])?;
    Ok(())
}

/// A condition on `?1` and `?2`, and these.
fn condition(selection: &Selection) -> (&'static str, [&str; 2]) {
    match selection {
        Selection::All => ("?1 = ?2", ["", ""]),
        Selection::Account(account) => ("account = ?1 AND ?2 = ''", [account, ""]),
        Selection::Id(id) => ("id = ?1 AND ?2 = ''", [id, ""]),
        Selection::IdOf { id, account } => ("id = ?1 AND account = ?2", [id, account]),
    }
}

/// What the administration log calls the sessions of `selection`: their account.
fn object(connection: &DatabaseConnection, selection: &Selection) -> Result<String, SessionsError> {
    let id = match selection {
        Selection::All => return Ok(ALL_SESSIONS.to_owned()),
        Selection::Account(account) | Selection::IdOf { account, .. } => return Ok(account.clone()),
        Selection::Id(id) => id,
    };
    let sql = "SELECT account FROM refresh_tokens WHERE id = ?1";
    let account = connection.query_optional(sql, params![id], |row| row.get(0))?;
    Ok(account.unwrap_or_default())
}

fn log(
    connection: &DatabaseConnection,
    by: &Administrator,
    selection: &Selection,
    object: &str,
    revoked: usize,
    now: SystemTime,
) -> Result<(), SessionsError> {
    let details = match selection {
        Selection::Id(id) | Selection::IdOf { id, .. } => json!({"id": id}),
        Selection::Account(_) | Selection::All => json!({"sessions": revoked}),
    };
    let change = AdministrativeChange {
        action: "session.revoke",
        object,
        details: &details,
    };
    Ok(log_change(connection, by, now, change)?)
}

fn insert(connection: &DatabaseConnection, session: &Session) -> Result<(), SessionsError> {
    connection.execute(
        "INSERT INTO refresh_tokens (hash, id, account, labels, stamp, service, client_id,
                 address, created_at, last_used_at, confirmed_at, expires_at, backend, ceiling)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            session.hash.0,
            session.id,
            session.account,
            json!(session.labels).to_string(),
            session.credential.map(|credential| *credential.as_bytes()),
            session.service,
            session.client_id,
            session.address,
            column_seconds(session.created_at),
            column_seconds(session.last_used_at),
            column_seconds(session.confirmed_at),
            column_seconds(session.expires_at),
            session.backend,
            session.ceiling.to_json(),
        ],
    )?;
    Ok(())
}

/// Removes some sessions that are over.
fn purge(connection: &DatabaseConnection, limits: &InsertLimits) -> Result<(), SessionsError> {
    let now = column_seconds(limits.now);
    let idle = i64::try_from(limits.idle.as_secs()).unwrap_or(i64::MAX);
    let idle_since = now.saturating_sub(idle);
    for (column, until) in [("expires_at", now), ("last_used_at", idle_since)] {
        let sql = format!(
            "DELETE FROM refresh_tokens
             WHERE hash IN (SELECT hash FROM refresh_tokens WHERE {column} <= ?1 ORDER BY {column} LIMIT {PURGE})"
        );
        connection.execute(&sql, params![until])?;
    }
    Ok(())
}

/// Removes the least recently used sessions of the account of `newest` until no more are left than
/// it may have.
fn cap(
    connection: &DatabaseConnection,
    limits: &InsertLimits,
    newest: &Session,
) -> Result<(), SessionsError> {
    let sql = "DELETE FROM refresh_tokens WHERE hash IN (
                   SELECT hash FROM refresh_tokens
                   WHERE account = ?1 AND hash <> ?2 AND revoked_at IS NULL
                   ORDER BY last_used_at DESC, created_at DESC LIMIT 9223372036854775807 OFFSET ?3
               )";
    let others = limits.per_account.saturating_sub(1);
    connection.execute(sql, params![newest.account, newest.hash.0, others])?;
    Ok(())
}

/// The session in a row of [`COLUMNS`].
fn stored(row: &DatabaseRow<'_>) -> Result<Session, Error> {
    let credential: Option<[u8; 32]> = row.get("stamp")?;
    let ceiling: Option<String> = row.get("ceiling")?;
    Ok(Session {
        hash: TokenHash(row.get("hash")?),
        id: row.get("id")?,
        account: row.get("account")?,
        labels: serde_json::from_str(&row.get::<String>("labels")?).map_err(Error::unreadable)?,
        credential: credential.map(CredentialFingerprint::from_bytes),
        backend: row.get("backend")?,
        ceiling: ScopeCeiling::from_json(ceiling.as_deref()).map_err(Error::unreadable)?,
        service: row.get("service")?,
        client_id: row.get("client_id")?,
        address: row.get("address")?,
        created_at: column_time(row.get("created_at")?),
        last_used_at: column_time(row.get("last_used_at")?),
        confirmed_at: column_time(row.get("confirmed_at")?),
        expires_at: column_time(row.get("expires_at")?),
        is_revoked: row.get("revoked")?,
    })
}
