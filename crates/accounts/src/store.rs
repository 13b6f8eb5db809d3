//! The operations on accounts: what commands call, and the API.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Clock, Entropy, Secret, unix_seconds};
use database::{
    Administrator, Database, DatabaseConnection, DatabaseRow, Error, ObjectVersion, Precondition,
    params,
};
use identity::password::Argon2id;
use policy::Labels;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::AccountName;
use crate::error::{AccountError, MAX_PASSWORD};
use crate::labels::{self, LabelChange};
use crate::update::{AccountChange, AccountUpdate};

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
    /// Another one after each change, also of the password.
    pub version: ObjectVersion,
}

/// An account with what proves it.
#[derive(Clone)]
pub(crate) struct AccountRow {
    pub(crate) record: AccountRecord,
    pub(crate) hash: String,
    pub(crate) epoch: i64,
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
            ..LabelChange::default()
        };
        let labels = change.applied_to(Labels::new())?;
        let hash = self.hash(password).await?;
        let (by, name, at) = (by.clone(), name.clone(), self.clock.now());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let name = name.as_str();
            let inserted = connection.execute(
                "INSERT INTO accounts (name, password, labels, created_at, changed_at)
                 VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (name) DO NOTHING",
                params![name, hash, labels::to_json(&labels), unix_seconds(at)],
            )?;
            if inserted == 0 {
                return Err(AccountError::Exists(name.to_owned()));
            }
            let by = &by;
            let change = AccountChange {
                connection,
                name,
                by,
                at,
            };
            change.log("user.add", &json!({ "labels": labels }))?;
            Ok(existing(connection, name)?.record)
        });
        write.await
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
        let read = self.database.read(move |connection: &DatabaseConnection| {
            let sql = format!("{SELECT} WHERE name > ?1 ORDER BY name LIMIT ?2");
            Ok::<_, AccountError>(connection.query(&sql, params![after, limit], row)?)
        });
        Ok(read.await?.into_iter().map(|row| row.record).collect())
    }

    /// How many accounts there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count(&self) -> Result<u64, AccountError> {
        let count = |connection: &DatabaseConnection| {
            let sql = "SELECT count(*) FROM accounts";
            Ok(connection.query_one(sql, params![], |row| row.get(0))?)
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
        let update = AccountUpdate {
            password: Some(password.clone()),
            ..AccountUpdate::default()
        };
        self.update(by, name, update, Precondition::Unconditional)
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
        let update = AccountUpdate {
            labels: Some(labels),
            ..AccountUpdate::default()
        };
        self.update(by, name, update, Precondition::Unconditional)
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
        self.set_disabled(by, name, true).await
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
        self.set_disabled(by, name, false).await
    }

    async fn set_disabled(
        &self,
        by: &Administrator,
        name: &str,
        disabled: bool,
    ) -> Result<AccountRecord, AccountError> {
        let update = AccountUpdate {
            disabled: Some(disabled),
            ..AccountUpdate::default()
        };
        self.update(by, name, update, Precondition::Unconditional)
            .await
    }

    /// Makes all changes of `update`, or none. Each is logged by itself.
    ///
    /// # Errors
    /// When there is no such account, it is not what `precondition` demands, the password or the
    /// labels cannot be used, or the database fails.
    pub async fn update(
        &self,
        by: &Administrator,
        name: &str,
        update: AccountUpdate,
        precondition: Precondition,
    ) -> Result<AccountRecord, AccountError> {
        let hash = match &update.password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let (by, name, at) = (by.clone(), name.to_owned(), self.clock.now());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let before = existing(connection, &name)?.record;
            precondition.require(&before.version)?;
            let change = AccountChange {
                connection,
                name: &name,
                by: &by,
                at,
            };
            if let Some(hash) = &hash {
                change.set_password(hash)?;
            }
            if let Some(labels) = &update.labels {
                change.set_labels(&before.labels, labels)?;
            }
            if let Some(disabled) = update.disabled {
                change.set_disabled(disabled)?;
            }
            Ok::<_, AccountError>(existing(connection, &name)?.record)
        });
        write.await
    }

    /// Removes an account and returns what it was. Its sessions end, and another person may get the
    /// name.
    ///
    /// # Errors
    /// When there is no such account, it is not what `precondition` demands, or the database fails.
    pub async fn remove(
        &self,
        by: &Administrator,
        name: &str,
        precondition: Precondition,
    ) -> Result<AccountRecord, AccountError> {
        let (by, name, at) = (by.clone(), name.to_owned(), self.clock.now());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let removed = existing(connection, &name)?.record;
            precondition.require(&removed.version)?;
            connection.execute("DELETE FROM accounts WHERE name = ?1", params![name])?;
            let change = AccountChange {
                connection,
                name: &name,
                by: &by,
                at,
            };
            change.log("user.remove", &json!({ "labels": removed.labels }))?;
            Ok::<_, AccountError>(removed)
        });
        write.await
    }

    /// The account of this name, with its hash.
    pub(crate) async fn row(&self, name: &str) -> Result<Option<AccountRow>, AccountError> {
        let name = name.to_owned();
        self.database
            .read(move |connection: &DatabaseConnection| find(connection, &name))
            .await
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

const SELECT: &str =
    "SELECT name, password, labels, disabled, epoch, created_at, changed_at FROM accounts";

fn existing(connection: &DatabaseConnection, name: &str) -> Result<AccountRow, AccountError> {
    find(connection, name)?.ok_or_else(|| AccountError::Unknown(name.to_owned()))
}

fn find(connection: &DatabaseConnection, name: &str) -> Result<Option<AccountRow>, AccountError> {
    let sql = format!("{SELECT} WHERE name = ?1");
    Ok(connection.query_optional(&sql, params![name], row)?)
}

fn row(row: &DatabaseRow<'_>) -> Result<AccountRow, Error> {
    let time = |column: &str| Ok::<_, Error>(UNIX_EPOCH + Duration::from_secs(row.get(column)?));
    let stored: String = row.get("labels")?;
    let hash: String = row.get("password")?;
    let epoch: i64 = row.get("epoch")?;
    let (disabled, changed_at): (bool, i64) = (row.get("disabled")?, row.get("changed_at")?);
    let state = format!("{epoch} {disabled} {changed_at}");
    let labels = serde_json::from_str(&stored).map_err(Error::unreadable)?;
    Ok(AccountRow {
        record: AccountRecord {
            name: row.get("name")?,
            labels,
            is_disabled: disabled,
            created_at: time("created_at")?,
            changed_at: time("changed_at")?,
            version: ObjectVersion::of(&[&hash, &stored, &state]),
        },
        hash,
        epoch,
    })
}
