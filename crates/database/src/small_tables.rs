//! Copying the tables that are not the registry's: accounts, rules, robots and tokens, sign-ins,
//! sessions, the administration log, and the certificates of an ACME server.

use crate::table_rows::{Rows, has_table, insert, last_audit_number};
use crate::{Database, DatabaseConnection, Error, params};

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
const TABLES: [SmallTable; 11] = [
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
    SmallTable {
        name: "immutable_tag_rules",
        columns: &["number", "repository", "tag", "exceptions", "created_at"],
        identity: Some("number"),
    },
    table("audit_key", &["number", "key"]),
    table("acme_documents", &["name", "content"]),
];

impl Database {
    /// Makes the small tables of `target` what those of this database are. Returns how many tables were
    /// different. Logins of devices that wait, and keys of requests that may be repeated, are not copied:
    /// they last minutes.
    ///
    /// # Errors
    /// When one of the databases fails.
    pub async fn copy_small_tables(&self, target: &Self) -> Result<usize, SmallTablesError> {
        let (from_sqlite, to_sqlite) = (self.sqlite().is_some(), target.sqlite().is_some());
        let here = self.read(move |connection| all(connection, from_sqlite));
        let here = here.await.map_err(SmallTablesError::Source)?;
        let there = target.read(move |connection| all(connection, to_sqlite));
        let there = there.await.map_err(SmallTablesError::Target)?;
        let pairs = here.iter().zip(&there);
        let different = pairs.filter(|(here, there)| here != there).count();
        if different == 0 {
            return Ok(0);
        }
        let written = target.write(move |connection| replace(connection, &here, to_sqlite));
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

fn all(connection: &DatabaseConnection<'_>, is_sqlite: bool) -> Result<Vec<Rows>, Error> {
    let rows = |table| rows(connection, table, is_sqlite);
    TABLES.iter().map(rows).collect()
}

/// A table that does not exist has no rows.
fn rows(
    connection: &DatabaseConnection<'_>,
    table: &SmallTable,
    is_sqlite: bool,
) -> Result<Rows, Error> {
    if !has_table(connection, table.name, is_sqlite)? {
        return Ok(Rows::new());
    }
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
    let tables = TABLES.iter().zip(all);
    let mut existing = Vec::new();
    for (table, rows) in tables {
        if has_table(connection, table.name, is_sqlite)? {
            existing.push((table, rows));
        }
    }
    let recorded = last_audit_number(connection, is_sqlite)?;
    for (table, _) in existing.iter().rev() {
        connection.execute(&format!("DELETE FROM {}", table.name), &[])?;
    }
    for (table, rows) in existing {
        let SmallTable {
            name,
            columns,
            identity,
        } = table;
        insert(connection, name, columns, *identity, rows, is_sqlite)?;
    }
    // Triggers have recorded the entries of the administration log again.
    if let Some(recorded) = recorded {
        connection.execute("DELETE FROM audit WHERE id > ?1", params![recorded])?;
    }
    Ok(())
}
