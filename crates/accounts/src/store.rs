//! The operations on accounts: what commands call, and the API.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Clock, Entropy, EntropyError, Secret, unix_seconds};
use database::{AdministrativeChange, Administrator, Database, log_change};
use identity::password::{Argon2id, Argon2idError};
use policy::Labels;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::AccountName;
use crate::labels::{self, LabelChange, LabelError};

/// The longest password, in bytes.
pub const MAX_PASSWORD: usize = 4096;

/// The most accounts that one page of a list has.
pub const MAX_ACCOUNTS_LISTED: u32 = 1000;

/// Accounts in a [`Database`]. Each change is logged in its own transaction, with the one who made
/// it, and is on the disk when the operation returns. Clones share the database.
#[derive(Clone)]
pub struct AccountStore {
    database: Database,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// An account, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its name.
    pub name: String,
    /// What rules can match besides the name.
    pub labels: Labels,
    /// Whether its logins are rejected and its sessions have ended.
    pub is_disabled: bool,
    /// When it was added, to the second.
    pub created_at: SystemTime,
    /// When it was last changed.
    pub changed_at: SystemTime,
}

/// An account with what proves it.
#[derive(Clone, Debug)]
pub(crate) struct AccountRow {
    pub(crate) record: AccountRecord,
    pub(crate) hash: String,
    pub(crate) epoch: i64,
}

/// Why an operation on an account failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The name is taken.
    #[error("the account {0:?} exists already")]
    Exists(String),
    /// There is no such account.
    #[error("there is no account {0:?} in the database")]
    Unknown(String),
    /// The password is empty: such an account would be open to all.
    #[error("the password is empty")]
    NoPassword,
    /// The password is too long.
    #[error("the password has {0} bytes, and at most {MAX_PASSWORD} are allowed")]
    LongPassword(usize),
    /// The labels cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// The password cannot be hashed.
    #[error("the password cannot be hashed")]
    Hash(#[from] Argon2idError),
    /// The system has no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl From<rusqlite::Error> for AccountError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

impl AccountStore {
    /// The accounts in `database`.
    #[must_use]
    pub fn new(database: Database, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            database,
            clock,
            entropy,
        }
    }

    /// Adds an account.
    ///
    /// # Errors
    /// When the name is taken, the password or the labels cannot be used, or the database fails.
    pub async fn add(
        &self,
        by: &Administrator,
        name: &AccountName,
        password: &Secret,
        labels: Labels,
    ) -> Result<AccountRecord, AccountError> {
        let change = LabelChange {
            set: labels,
            remove: Vec::new(),
        };
        let labels = change.applied_to(Labels::new())?;
        let hash = self.hash(password).await?;
        let details = json!({ "labels": labels });
        self.change(by, "user.add", name.as_str(), details, move |change| {
            let inserted = change.connection.execute(
                "INSERT INTO accounts (name, password, labels, created_at, changed_at)
                 VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (name) DO NOTHING",
                params![change.name, hash, labels::to_json(&labels), change.now],
            )?;
            match inserted {
                0 => Err(AccountError::Exists(change.name.to_owned())),
                _ => Ok(true),
            }
        })
        .await
    }

    /// The account of this name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, name: &str) -> Result<Option<AccountRecord>, AccountError> {
        Ok(self.row(name).await?.map(|row| row.record))
    }

    /// The accounts whose names come after `after`, by the bytes of the names: at most
    /// [`MAX_ACCOUNTS_LISTED`] and `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, after: &str, limit: u32) -> Result<Vec<AccountRecord>, AccountError> {
        let (after, limit) = (after.to_owned(), limit.min(MAX_ACCOUNTS_LISTED));
        let read = self.database.read(move |connection: &Connection| {
            let sql = format!("{SELECT} WHERE name > ?1 ORDER BY name LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![after, limit], row)?;
            Ok::<_, AccountError>(rows.collect::<Result<Vec<_>, _>>()?)
        });
        Ok(read.await?.into_iter().map(|row| row.record).collect())
    }

    /// How many accounts there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count(&self) -> Result<u64, AccountError> {
        let count = |connection: &Connection| {
            let sql = "SELECT count(*) FROM accounts";
            Ok(connection.query_row(sql, (), |row| row.get(0))?)
        };
        self.database.read(count).await
    }

    /// Sets another password. The sessions of the old one end.
    ///
    /// # Errors
    /// When there is no such account, the password cannot be used, or the database fails.
    pub async fn set_password(
        &self,
        by: &Administrator,
        name: &str,
        password: &Secret,
    ) -> Result<AccountRecord, AccountError> {
        let hash = self.hash(password).await?;
        self.change(by, "user.passwd", name, json!({}), move |change| {
            change.existing()?;
            change.connection.execute(
                "UPDATE accounts SET password = ?2, changed_at = ?3 WHERE name = ?1",
                params![change.name, hash, change.now],
            )?;
            Ok(true)
        })
        .await
    }

    /// Changes labels.
    ///
    /// # Errors
    /// When there is no such account, the labels cannot be used, or the database fails.
    pub async fn set_labels(
        &self,
        by: &Administrator,
        name: &str,
        labels: LabelChange,
    ) -> Result<AccountRecord, AccountError> {
        let details = json!({ "set": labels.set, "remove": labels.remove });
        self.change(by, "user.label", name, details, move |change| {
            let before = change.existing()?.record.labels;
            let after = labels.applied_to(before.clone())?;
            if after == before {
                return Ok(false);
            }
            change.connection.execute(
                "UPDATE accounts SET labels = ?2, changed_at = ?3 WHERE name = ?1",
                params![change.name, labels::to_json(&after), change.now],
            )?;
            Ok(true)
        })
        .await
    }

    /// Rejects logins of an account from now on, and ends its sessions for good; they do not return
    /// with [`enable`](Self::enable).
    ///
    /// # Errors
    /// When there is no such account, or the database fails.
    pub async fn disable(
        &self,
        by: &Administrator,
        name: &str,
    ) -> Result<AccountRecord, AccountError> {
        self.change(by, "user.disable", name, json!({}), move |change| {
            change.existing()?;
            let updated = change.connection.execute(
                "UPDATE accounts SET disabled = 1, epoch = epoch + 1, changed_at = ?2
                 WHERE name = ?1 AND disabled = 0",
                params![change.name, change.now],
            )?;
            Ok(updated > 0)
        })
        .await
    }

    /// Accepts logins again.
    ///
    /// # Errors
    /// When there is no such account, or the database fails.
    pub async fn enable(
        &self,
        by: &Administrator,
        name: &str,
    ) -> Result<AccountRecord, AccountError> {
        self.change(by, "user.enable", name, json!({}), move |change| {
            change.existing()?;
            let updated = change.connection.execute(
                "UPDATE accounts SET disabled = 0, changed_at = ?2
                 WHERE name = ?1 AND disabled = 1",
                params![change.name, change.now],
            )?;
            Ok(updated > 0)
        })
        .await
    }

    /// Removes an account and returns what it was. Its sessions end, and another person may get the
    /// name.
    ///
    /// # Errors
    /// When there is no such account, or the database fails.
    pub async fn remove(
        &self,
        by: &Administrator,
        name: &str,
    ) -> Result<AccountRecord, AccountError> {
        let (by, name, at) = (by.clone(), name.to_owned(), self.clock.now());
        let write = self.database.write(move |connection: &Connection| {
            let removed = existing(connection, &name)?.record;
            connection.execute("DELETE FROM accounts WHERE name = ?1", [&name])?;
            let details = json!({ "labels": removed.labels });
            let change = AdministrativeChange {
                action: "user.remove",
                object: &name,
                details: &details,
            };
            log_change(connection, &by, at, change)?;
            Ok::<_, AccountError>(removed)
        });
        write.await
    }

    /// The account of this name, with its hash.
    pub(crate) async fn row(&self, name: &str) -> Result<Option<AccountRow>, AccountError> {
        let name = name.to_owned();
        self.database
            .read(move |connection: &Connection| find(connection, &name))
            .await
    }

    /// Runs `work` in a transaction, logs it if it returns that it has changed something, and returns
    /// the account as it is then.
    async fn change<F>(
        &self,
        by: &Administrator,
        action: &'static str,
        name: &str,
        details: Value,
        mut work: F,
    ) -> Result<AccountRecord, AccountError>
    where
        F: FnMut(&AccountChange<'_>) -> Result<bool, AccountError> + Send + 'static,
    {
        let (by, name, at) = (by.clone(), name.to_owned(), self.clock.now());
        let write = self.database.write(move |connection: &Connection| {
            let has_changed = work(&AccountChange {
                connection,
                name: &name,
                now: unix_seconds(at),
            })?;
            if has_changed {
                let change = AdministrativeChange {
                    action,
                    object: &name,
                    details: &details,
                };
                log_change(connection, &by, at, change)?;
            }
            Ok::<_, AccountError>(existing(connection, &name)?.record)
        });
        write.await
    }

    async fn hash(&self, password: &Secret) -> Result<String, AccountError> {
        if password.is_empty() {
            return Err(AccountError::NoPassword);
        }
        let length = password.expose().len();
        if length > MAX_PASSWORD {
            return Err(AccountError::LongPassword(length));
        }
        let mut salt = [0; 16];
        self.entropy.fill(&mut salt)?;
        let password = password.clone();
        let (memory, passes) = (Argon2id::USUAL_MEMORY, Argon2id::USUAL_PASSES);
        let hash = spawn_blocking(move || {
            Argon2id::hash(password.expose().as_bytes(), &salt, memory, passes)
        });
        match hash.await {
            Ok(hash) => Ok(hash?),
            Err(_) => Err(database::Error::Closed.into()),
        }
    }
}

/// A change of one account that is being made.
struct AccountChange<'a> {
    connection: &'a Connection,
    name: &'a str,
    /// In seconds since the Unix epoch.
    now: u64,
}

impl AccountChange<'_> {
    fn existing(&self) -> Result<AccountRow, AccountError> {
        existing(self.connection, self.name)
    }
}

const SELECT: &str =
    "SELECT name, password, labels, disabled, epoch, created_at, changed_at FROM accounts";

fn existing(connection: &Connection, name: &str) -> Result<AccountRow, AccountError> {
    find(connection, name)?.ok_or_else(|| AccountError::Unknown(name.to_owned()))
}

fn find(connection: &Connection, name: &str) -> Result<Option<AccountRow>, AccountError> {
    let sql = format!("{SELECT} WHERE name = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([name], row).optional()?)
}

fn row(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    let time =
        |column| Ok::<_, rusqlite::Error>(UNIX_EPOCH + Duration::from_secs(row.get(column)?));
    let labels: String = row.get("labels")?;
    let labels = serde_json::from_str(&labels).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(AccountRow {
        record: AccountRecord {
            name: row.get("name")?,
            labels,
            is_disabled: row.get("disabled")?,
            created_at: time("created_at")?,
            changed_at: time("changed_at")?,
        },
        hash: row.get("password")?,
        epoch: row.get("epoch")?,
    })
}
