//! Copying the tables that are not the registry's: accounts, rules, robots and tokens, sign-ins,
//! sessions, and the administration log.

use crate::{Database, DatabaseConnection, DatabaseValue, Error, FromValue, ToValue};

/// A table, its columns, and the column whose numbers are never used twice.
struct SmallTable {
    name: &'static str,
    columns: &'static [&'static str],
    identity: Option<&'static str>,
}

const fn table(name: &'static str, columns: &'static [&'static str]) -> SmallTable {
    SmallTable {
        name,
        columns,
        identity: None,
    }
}

/// Those that others refer to come first.
const TABLES: [SmallTable; 8] = [
    table(
        "accounts",
        &[
            "name",
            "password",
            "labels",
            "disabled",
            "epoch",
            "created_at",
            "changed_at",
        ],
    ),
    SmallTable {
        name: "rules",
        columns: &["number", "position", "rule", "created_at"],
        identity: Some("number"),
    },
    table(
        "personal_tokens",
        &[
            "id",
            "kind",
            "name",
            "owner",
            "owner_backend",
            "ceiling",
            "networks",
            "created_at",
            "created_by",
            "disabled_at",
            "revoked_at",
        ],
    ),
    table(
        "personal_token_secrets",
        &["hash", "token", "created_at", "expires_at"],
    ),
    table(
        "personal_token_uses",
        &["hash", "used_at", "address", "repository"],
    ),
    table("sign_ins", &["backend", "kind", "account", "content"]),
    table(
        "refresh_tokens",
        &[
            "hash",
            "id",
            "account",
            "labels",
            "stamp",
            "service",
            "client_id",
            "address",
            "created_at",
            "last_used_at",
            "confirmed_at",
            "expires_at",
            "revoked_at",
            "backend",
            "ceiling",
        ],
    ),
    SmallTable {
        name: "administration",
        columns: &["id", "at", "origin", "actor", "action", "object", "details"],
        identity: Some("id"),
    },
];

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OwnedValue {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl FromValue for OwnedValue {
    fn from_value(value: DatabaseValue<'_>) -> Option<Self> {
        Some(match value {
            DatabaseValue::Null => Self::Null,
            DatabaseValue::Boolean(value) => Self::Integer(i64::from(value)),
            DatabaseValue::Integer(number) => Self::Integer(number),
            DatabaseValue::Text(text) => Self::Text(text.to_owned()),
            DatabaseValue::Blob(bytes) => Self::Blob(bytes.to_vec()),
        })
    }
}

impl ToValue for OwnedValue {
    fn to_value(&self) -> DatabaseValue<'_> {
        match self {
            Self::Null => DatabaseValue::Null,
            Self::Integer(number) => DatabaseValue::Integer(*number),
            Self::Text(text) => DatabaseValue::Text(text),
            Self::Blob(bytes) => DatabaseValue::Blob(bytes),
        }
    }
}

/// The rows of a table, sorted.
type Rows = Vec<Vec<OwnedValue>>;

impl Database {
    /// Makes the small tables of `target` what those of this database are. Returns how many tables were
    /// different. Logins of devices that wait, and keys of requests that may be repeated, are not copied:
    /// they last minutes.
    ///
    /// # Errors
    /// When one of the databases fails.
    pub async fn copy_small_tables(&self, target: &Self) -> Result<usize, SmallTablesError> {
        let here = self.read(all).await.map_err(SmallTablesError::Source)?;
        let there = target.read(all).await.map_err(SmallTablesError::Target)?;
        let different = here
            .iter()
            .zip(&there)
            .filter(|(here, there)| here != there);
        let different = different.count();
        if different == 0 {
            return Ok(0);
        }
        let is_sqlite = target.sqlite().is_some();
        let written = target.write(move |connection| replace(connection, &here, is_sqlite));
        written.await.map_err(SmallTablesError::Target)?;
        Ok(different)
    }

    /// Whether there is no account, rule, robot or token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_no_accounts(&self) -> Result<bool, Error> {
        self.read(|connection| {
            for table in TABLES.iter().take(3) {
                let sql = format!("SELECT count(*) FROM {}", table.name);
                let count: i64 = connection.query_one(&sql, &[], |row| row.get(0))?;
                if count > 0 {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }
}

/// Why the small tables were not copied.
#[derive(Debug, thiserror::Error)]
pub enum SmallTablesError {
    /// This database failed.
    #[error("cannot read the database that is copied")]
    Source(#[source] Error),
    /// The other database failed.
    #[error("cannot write to the new database")]
    Target(#[source] Error),
}

fn all(connection: &DatabaseConnection<'_>) -> Result<Vec<Rows>, Error> {
    TABLES.iter().map(|table| rows(connection, table)).collect()
}

fn rows(connection: &DatabaseConnection<'_>, table: &SmallTable) -> Result<Rows, Error> {
    let sql = format!("SELECT {} FROM {}", table.columns.join(", "), table.name);
    let mut rows: Rows = connection.query(&sql, &[], |row| {
        (0..table.columns.len())
            .map(|column| row.get(column))
            .collect()
    })?;
    rows.sort();
    Ok(rows)
}

fn replace(
    connection: &DatabaseConnection<'_>,
    all: &[Rows],
    is_sqlite: bool,
) -> Result<(), Error> {
    // The tokens of an account go before it: without it, they would be revoked.
    for table in TABLES.iter().rev() {
        connection.execute(&format!("DELETE FROM {}", table.name), &[])?;
    }
    for (table, rows) in TABLES.iter().zip(all) {
        let SmallTable {
            name,
            columns,
            identity,
        } = table;
        let places: Vec<_> = (1..=columns.len())
            .map(|place| format!("?{place}"))
            .collect();
        let overriding = match identity {
            Some(_) if !is_sqlite => " OVERRIDING SYSTEM VALUE",
            _ => "",
        };
        let sql = format!(
            "INSERT INTO {name} ({}){overriding} VALUES ({})",
            columns.join(", "),
            places.join(", ")
        );
        for row in rows {
            let values: Vec<_> = row.iter().map(ToValue::to_value).collect();
            connection.execute(&sql, &values)?;
        }
        if let Some(identity) = identity.filter(|_| !is_sqlite) {
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence('{name}', '{identity}'), coalesce(max({identity}), 1)) FROM {name}"
            );
            connection.query(&sql, &[], |_| Ok(()))?;
        }
    }
    Ok(())
}
