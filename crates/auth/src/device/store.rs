//! Device logins in the table `device_logins` of the database.
//!
//! Each change is one statement with its condition, so of two at once only one succeeds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use database::{
    Database, DatabaseConnection, DatabaseRow, Error, ToValue, column_seconds, column_time, params,
};
use identity::{CredentialFingerprint, LifetimeBound};
use policy::{Labels, ScopeCeiling};

use super::{DeviceLoginError, DeviceLoginPolicy, SecretHash, UserCode};

/// How many logins that are over are removed when one is begun.
const PURGE: u32 = 100;

const COLUMNS: &str = "hash, status, service, client_id, device_name, user_agent, address, \
                       created_at, expires_at, account, labels, stamp, backend, ceiling, \
                       session_seconds";

/// Keeps device logins in a [`Database`].
pub(super) struct DeviceLoginStore(pub(super) Database);

/// What a device says of itself, and where it asked from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceDescription {
    /// The service that the login is for.
    pub service: String,
    /// What the program calls itself (`client_id`).
    pub client_id: String,
    /// The name of the machine; empty if it did not say.
    pub device_name: String,
    /// Its `User-Agent`.
    pub user_agent: String,
    /// The address that it asked from; empty if that is not known.
    pub address: String,
}

/// A login that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingDeviceLogin {
    /// The device.
    pub device: DeviceDescription,
    /// How long ago it asked.
    pub age: Duration,
    /// The person who has signed in to decide; `None` if no one has.
    pub account: Option<String>,
}

/// What a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceDecision {
    /// The device gets a session of the person's account.
    Approve,
    /// It gets nothing.
    Deny,
}

/// A login as it is stored.
pub(crate) struct StoredDeviceLogin {
    pub(super) hash: SecretHash,
    pub(crate) status: DeviceLoginStatus,
    pub(crate) device: DeviceDescription,
    pub(super) created_at: SystemTime,
    pub(super) expires_at: SystemTime,
    pub(crate) approver: Option<Approver>,
}

/// The state of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceLoginStatus {
    Pending,
    Approved,
    Denied,
    /// A poll has opened the session.
    Used,
}

/// The person who signed in, as a session keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Approver {
    pub(crate) account: String,
    pub(crate) labels: Labels,
    pub(crate) credential: Option<CredentialFingerprint>,
    pub(crate) backend: String,
    pub(crate) ceiling: ScopeCeiling,
    /// How long the session may last.
    pub(crate) session: LifetimeBound,
}

/// What became of a login that was to begin.
pub(super) enum BeginOutcome {
    Begun,
    /// Another login has the same user code.
    CodeTaken,
    /// There are too many, until one of them is over.
    TooMany {
        until: SystemTime,
    },
}

impl DeviceLoginStore {
    /// Stores a new login, unless there are too many. Some that are over are removed.
    pub(super) async fn begin(
        &self,
        new: (SecretHash, UserCode),
        device: DeviceDescription,
        network: String,
        policy: DeviceLoginPolicy,
        now: SystemTime,
    ) -> Result<BeginOutcome, DeviceLoginError> {
        self.0
            .write(move |connection: &DatabaseConnection| {
                purge(connection, &policy, now)?;
                let full = [
                    full(connection, "?2 = ''", "", policy.max_logins, now)?,
                    match network.as_str() {
                        "" => None,
                        network => {
                            full(connection, "network = ?2", network, policy.per_network, now)?
                        }
                    },
                ];
                if let Some(until) = full.into_iter().flatten().max() {
                    return Ok(BeginOutcome::TooMany { until });
                }
                let inserted = connection.execute(
                    "INSERT INTO device_logins (hash, user_code, status, service, client_id,
                         device_name, user_agent, address, network, created_at, expires_at)
                     VALUES (?1, ?2, 'pending', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                     ON CONFLICT DO NOTHING",
                    params![
                        new.0.0,
                        new.1.letters(),
                        device.service,
                        device.client_id,
                        device.device_name,
                        device.user_agent,
                        device.address,
                        network,
                        column_seconds(now),
                        column_seconds(now + policy.ttl),
                    ],
                )?;
                Ok(match inserted {
                    0 => BeginOutcome::CodeTaken,
                    _ => BeginOutcome::Begun,
                })
            })
            .await
    }

    /// The login of a device code, also one that is over.
    pub(super) async fn find(
        &self,
        hash: SecretHash,
    ) -> Result<Option<StoredDeviceLogin>, DeviceLoginError> {
        self.0
            .read(move |connection: &DatabaseConnection| {
                let sql = format!("SELECT {COLUMNS} FROM device_logins WHERE hash = ?1");
                Ok(connection.query_optional(&sql, params![hash.0], stored)?)
            })
            .await
    }

    /// The login that waits for a person with this code; with `browser`, only if a person has signed
    /// in there to decide about it.
    pub(super) async fn find_pending(
        &self,
        code: &UserCode,
        browser: Option<SecretHash>,
        now: SystemTime,
    ) -> Result<Option<StoredDeviceLogin>, DeviceLoginError> {
        let code = code.clone();
        self.0
            .read(move |connection: &DatabaseConnection| {
                let mut sql = format!(
                    "SELECT {COLUMNS} FROM device_logins
                     WHERE user_code = ?1 AND status = 'pending' AND expires_at > ?2"
                );
                let (letters, now) = (code.letters(), column_seconds(now));
                let mut values = vec![letters.to_value(), now.to_value()];
                if let Some(browser) = &browser {
                    sql.push_str(" AND browser = ?3");
                    values.push(browser.0.to_value());
                }
                Ok(connection.query_optional(&sql, &values, stored)?)
            })
            .await
    }

    /// Notes who has signed in, in which browser. It replaces what another browser noted. `false` if
    /// the login does not wait any more.
    pub(super) async fn set_approver(
        &self,
        code: &UserCode,
        browser: SecretHash,
        approver: Approver,
        now: SystemTime,
    ) -> Result<bool, DeviceLoginError> {
        let code = code.clone();
        self.0
            .write(move |connection: &DatabaseConnection| {
                let session = match approver.session {
                    LifetimeBound::Configured => None,
                    LifetimeBound::AtMost(bound) => i64::try_from(bound.as_secs()).ok(),
                };
                let changed = connection.execute(
                    "UPDATE device_logins
                     SET browser = ?1, account = ?2, labels = ?3, stamp = ?4, backend = ?5,
                         ceiling = ?6, session_seconds = ?7
                     WHERE user_code = ?8 AND status = 'pending' AND expires_at > ?9",
                    params![
                        browser.0,
                        approver.account,
                        serde_json::json!(approver.labels).to_string(),
                        approver.credential.map(|credential| *credential.as_bytes()),
                        approver.backend,
                        approver.ceiling.to_json(),
                        session,
                        code.letters(),
                        column_seconds(now),
                    ],
                )?;
                Ok(changed > 0)
            })
            .await
    }

    /// Writes the decision of the person who signed in in this browser, and returns the login;
    /// `None` if it does not wait for that browser.
    pub(super) async fn decide(
        &self,
        code: &UserCode,
        browser: SecretHash,
        decision: DeviceDecision,
        now: SystemTime,
    ) -> Result<Option<StoredDeviceLogin>, DeviceLoginError> {
        let code = code.clone();
        let status = match decision {
            DeviceDecision::Approve => "approved",
            DeviceDecision::Deny => "denied",
        };
        self.0
            .write(move |connection: &DatabaseConnection| {
                let sql = format!(
                    "UPDATE device_logins SET status = ?1
                     WHERE user_code = ?2 AND browser = ?3 AND status = 'pending'
                       AND expires_at > ?4
                     RETURNING {COLUMNS}"
                );
                Ok(connection.query_optional(
                    &sql,
                    params![status, code.letters(), browser.0, column_seconds(now)],
                    stored,
                )?)
            })
            .await
    }

    /// Marks an approved login as used. `false` if another poll was faster, or it is over.
    pub(super) async fn take(
        &self,
        hash: SecretHash,
        now: SystemTime,
    ) -> Result<bool, DeviceLoginError> {
        self.0
            .write(move |connection: &DatabaseConnection| {
                let changed = connection.execute(
                    "UPDATE device_logins SET status = 'used'
                     WHERE hash = ?1 AND status = 'approved' AND expires_at > ?2",
                    params![hash.0, column_seconds(now)],
                )?;
                Ok(changed > 0)
            })
            .await
    }
}

/// When there is room again; `None` if there is some now.
fn full(
    connection: &DatabaseConnection,
    condition: &str,
    value: &str,
    most: u32,
    now: SystemTime,
) -> Result<Option<SystemTime>, DeviceLoginError> {
    let sql = format!(
        "SELECT count(*), min(expires_at) FROM device_logins
         WHERE expires_at > ?1 AND {condition}"
    );
    let (count, first): (u32, Option<i64>) =
        connection.query_one(&sql, params![column_seconds(now), value], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok((count >= most).then(|| first.map_or(now, column_time)))
}

/// Removes some logins that were over a lifetime ago. Until then a device is told that its code has
/// expired.
fn purge(
    connection: &DatabaseConnection,
    policy: &DeviceLoginPolicy,
    now: SystemTime,
) -> Result<(), DeviceLoginError> {
    let until = now.checked_sub(policy.ttl).unwrap_or(UNIX_EPOCH);
    connection.execute(
        "DELETE FROM device_logins WHERE hash IN
             (SELECT hash FROM device_logins WHERE expires_at <= ?1
              ORDER BY expires_at LIMIT ?2)",
        params![column_seconds(until), PURGE],
    )?;
    Ok(())
}

/// The login in a row of [`COLUMNS`].
fn stored(row: &DatabaseRow<'_>) -> Result<StoredDeviceLogin, Error> {
    let status: String = row.get("status")?;
    let status = match status.as_str() {
        "approved" => DeviceLoginStatus::Approved,
        "denied" => DeviceLoginStatus::Denied,
        "used" => DeviceLoginStatus::Used,
        _ => DeviceLoginStatus::Pending,
    };
    let account: Option<String> = row.get("account")?;
    Ok(StoredDeviceLogin {
        hash: SecretHash(row.get("hash")?),
        status,
        device: DeviceDescription {
            service: row.get("service")?,
            client_id: row.get("client_id")?,
            device_name: row.get("device_name")?,
            user_agent: row.get("user_agent")?,
            address: row.get("address")?,
        },
        created_at: column_time(row.get("created_at")?),
        expires_at: column_time(row.get("expires_at")?),
        approver: account.map(|account| approver(account, row)).transpose()?,
    })
}

fn approver(account: String, row: &DatabaseRow<'_>) -> Result<Approver, Error> {
    let credential: Option<[u8; 32]> = row.get("stamp")?;
    let ceiling: Option<String> = row.get("ceiling")?;
    let session: Option<i64> = row.get("session_seconds")?;
    Ok(Approver {
        account,
        labels: serde_json::from_str(&row.get::<String>("labels")?).map_err(Error::unreadable)?,
        credential: credential.map(CredentialFingerprint::from_bytes),
        backend: row.get("backend")?,
        ceiling: ScopeCeiling::from_json(ceiling.as_deref()).map_err(Error::unreadable)?,
        session: session.map_or(LifetimeBound::Configured, |seconds| {
            LifetimeBound::AtMost(Duration::from_secs(seconds.unsigned_abs()))
        }),
    })
}
