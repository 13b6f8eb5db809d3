//! The administration log: who changed what by a command or by the API.
//!
//! A change and its entry are written in one transaction ([`log_change`]), so neither exists without
//! the other. Nothing here knows what is changed: each crate names its own actions (`user.add`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{rfc3339, unix_seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DatabaseConnection, DatabaseRow, Error, ToValue, params};

/// Who makes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Administrator {
    /// A user of the server's system, who runs a command: `root (uid 0)`.
    SystemUser(String),
    /// An account of the token server, which uses the API.
    Account(String),
}

impl Administrator {
    /// How the change was made: `command` or `api`.
    #[must_use]
    pub fn origin(&self) -> &'static str {
        match self {
            Self::SystemUser(_) => "command",
            Self::Account(_) => "api",
        }
    }

    /// The name alone. An account and a system's user may have the same.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::SystemUser(name) | Self::Account(name) => name,
        }
    }
}

/// A change, as it is logged.
#[derive(Clone, Copy, Debug)]
pub struct AdministrativeChange<'a> {
    /// The kind of object and what is done with it: `user.add`, `rule.move`.
    pub action: &'static str,
    /// The name of the object: an account's, a rule's number.
    pub object: &'a str,
    /// What else is known of the change: a JSON object, without secrets.
    pub details: &'a Value,
}

/// A change that was logged.
#[derive(Clone, Debug, PartialEq)]
pub struct AdministrationEntry {
    /// Its number. A later entry has a higher one.
    pub id: i64,
    /// When it was made, to the second.
    pub at: SystemTime,
    /// Who made it.
    pub by: Administrator,
    /// What was done: `user.add`.
    pub action: String,
    /// What it was done to.
    pub object: String,
    /// What else is known of it.
    pub details: Value,
}

/// A change that was logged as programs read it: by `audit list --json`, and by the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Change")]
pub struct AdministrationRecord {
    /// Its number. A later entry has a higher one.
    pub id: i64,
    /// When it was made, to the second: RFC 3339 in UTC.
    pub time: String,
    /// How it was made: `command` or `api`.
    pub origin: String,
    /// Who made it.
    pub actor: String,
    /// What was done: `user.add`.
    pub action: String,
    /// What it was done to.
    pub object: String,
    /// What else is known of it.
    pub details: Value,
}

/// Which entries are read: those that fit all of what is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdministrationFilter {
    /// Entries of this administrator, by name.
    pub actor: Option<String>,
    /// Entries about this object.
    pub object: Option<String>,
    /// Entries with a lower number than this, for the page before one that was read.
    pub before: Option<i64>,
}

impl From<AdministrationEntry> for AdministrationRecord {
    fn from(entry: AdministrationEntry) -> Self {
        Self {
            id: entry.id,
            time: rfc3339(unix_seconds(entry.at)),
            origin: entry.by.origin().to_owned(),
            actor: entry.by.name().to_owned(),
            action: entry.action,
            object: entry.object,
            details: entry.details,
        }
    }
}

/// Logs a change. It must run in the transaction that makes the change.
///
/// # Errors
/// When the entry cannot be written; then the transaction must fail.
pub fn log_change(
    connection: &DatabaseConnection,
    by: &Administrator,
    at: SystemTime,
    change: AdministrativeChange<'_>,
) -> Result<(), Error> {
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    connection.execute(
        "INSERT INTO administration (at, origin, actor, action, object, details)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            at,
            by.origin(),
            by.name(),
            change.action,
            change.object,
            change.details.to_string()
        ],
    )?;
    Ok(())
}

/// The last entries that `filter` selects, at most `limit`, the latest first.
///
/// # Errors
/// When they cannot be read.
pub fn logged_changes(
    connection: &DatabaseConnection,
    filter: &AdministrationFilter,
    limit: u32,
) -> Result<Vec<AdministrationEntry>, Error> {
    // Only conditions that are asked for, so that each filter uses its index.
    let mut sql = "SELECT id, at, origin, actor, action, object, details FROM administration
                   WHERE id < ?1"
        .to_owned();
    let before = filter.before.unwrap_or(i64::MAX);
    let mut values = vec![before.to_value()];
    for (column, value) in [("actor", &filter.actor), ("object", &filter.object)] {
        if let Some(value) = value {
            values.push(value.to_value());
            sql.push_str(&format!(" AND {column} = ?{}", values.len()));
        }
    }
    values.push(limit.to_value());
    sql.push_str(&format!(" ORDER BY id DESC LIMIT ?{}", values.len()));
    connection.query(&sql, &values, entry)
}

fn entry(row: &DatabaseRow<'_>) -> Result<AdministrationEntry, Error> {
    let origin: String = row.get("origin")?;
    let actor = row.get("actor")?;
    let details: String = row.get("details")?;
    Ok(AdministrationEntry {
        id: row.get("id")?,
        at: UNIX_EPOCH + Duration::from_secs(row.get("at")?),
        by: match origin.as_str() {
            "api" => Administrator::Account(actor),
            _ => Administrator::SystemUser(actor),
        },
        action: row.get("action")?,
        object: row.get("object")?,
        details: serde_json::from_str(&details).unwrap_or(Value::Null),
    })
}
