//! A session as a row of the table `refresh_tokens`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::unix_seconds;
use identity::CredentialFingerprint;
use rusqlite::types::Type;
use rusqlite::{Connection, named_params};

use super::token::Fingerprint;
use super::{NewSession, Session, SessionPolicy, SessionsError};

/// The columns that [`session`] reads.
pub(super) const COLUMNS: &str = "id, account, labels, stamp, service, client_id, address, created_at, last_used_at, confirmed_at, expires_at";

/// The session in a row of [`COLUMNS`], as `policy` sees it.
pub(super) fn session(
    row: &rusqlite::Row<'_>,
    policy: &SessionPolicy,
) -> rusqlite::Result<Session> {
    let created_at: i64 = row.get("created_at")?;
    let last_used_at: i64 = row.get("last_used_at")?;
    let absolute = created_at.saturating_add(whole_seconds(policy.absolute));
    let idle = last_used_at.saturating_add(whole_seconds(policy.idle));
    Ok(Session {
        id: row.get("id")?,
        account: row.get("account")?,
        labels: serde_json::from_str(&row.get::<_, String>("labels")?).map_err(not_json)?,
        credential: row
            .get::<_, Option<[u8; 32]>>("stamp")?
            .map(CredentialFingerprint::from_bytes),
        service: row.get("service")?,
        client_id: row.get("client_id")?,
        address: row.get("address")?,
        created_at: time(created_at),
        last_used_at: time(last_used_at),
        confirmed_at: time(row.get("confirmed_at")?),
        expires_at: time(absolute.min(idle).min(row.get("expires_at")?)),
    })
}

/// A session about to be stored.
pub(super) struct Row {
    pub(super) fingerprint: Fingerprint,
    pub(super) id: String,
    pub(super) account: String,
    labels: String,
    credential: Option<[u8; 32]>,
    service: String,
    client_id: String,
    address: String,
    now: i64,
    expires_at: i64,
}

impl Row {
    pub(super) fn new(
        new: &NewSession<'_>,
        fingerprint: Fingerprint,
        now: SystemTime,
        policy: &SessionPolicy,
    ) -> Self {
        let now = seconds(now);
        Self {
            fingerprint,
            id: fingerprint.id(),
            account: new.subject.account.clone(),
            labels: serde_json::json!(new.subject.labels).to_string(),
            credential: new.credential.map(|credential| *credential.as_bytes()),
            service: new.service.to_owned(),
            client_id: new.client_id.to_owned(),
            address: new.address.to_owned(),
            now,
            expires_at: now.saturating_add(whole_seconds(policy.absolute)),
        }
    }

    pub(super) fn insert(&self, connection: &Connection) -> Result<(), SessionsError> {
        let sql = "INSERT INTO refresh_tokens (hash, id, account, labels, stamp, service, client_id, address,
                                               created_at, last_used_at, confirmed_at, expires_at)
                   VALUES (:hash, :id, :account, :labels, :stamp, :service, :client_id, :address,
                           :now, :now, :now, :expires_at)";
        connection.prepare_cached(sql)?.execute(named_params! {
            ":hash": self.fingerprint.0,
            ":id": self.id,
            ":account": self.account,
            ":labels": self.labels,
            ":stamp": self.credential,
            ":service": self.service,
            ":client_id": self.client_id,
            ":address": self.address,
            ":now": self.now,
            ":expires_at": self.expires_at,
        })?;
        Ok(())
    }
}

/// A moment as the table has it.
pub(super) fn seconds(time: SystemTime) -> i64 {
    i64::try_from(unix_seconds(time)).unwrap_or(i64::MAX)
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

fn not_json(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into())
}
