//! Refusing writes while a registry is copied to another place.
//!
//! Triggers refuse, so that no write of any process is acknowledged once they are there: creating
//! them waits for the writes that are under way. They cost nothing while they are not there.

use crate::{Database, DatabaseConnection, Error};

/// What the triggers say. SQLite has no other way to tell them from other constraints.
pub(crate) const MESSAGE: &str =
    "nothing can be stored now: the registry is being copied to another place";

/// Tables that can still be written to: what ends with the cut over, and what the copy itself needs.
const WRITABLE: [&str; 21] = [
    "attempts",
    "change_counters",
    "cluster",
    "collection_holds",
    "copies",
    "device_logins",
    "device_polls",
    "duties",
    "foreign_changes",
    "idempotency_keys",
    "manifest_pulls",
    "notification_deliveries",
    "outbox",
    "outbox_positions",
    "personal_token_uses",
    "pull_recording",
    "quota_blobs",
    "quota_prefixes",
    "quota_repositories",
    "refresh_tokens",
    "replicas",
];

impl Database {
    /// From now on, every process is refused to change what a registry must not lose: images, accounts,
    /// rules, robots, tokens and sign-ins. The error is [`Error::ReadOnly`]. Sessions can be opened.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn make_read_only(&self) -> Result<(), Error> {
        let is_sqlite = self.sqlite().is_some();
        self.write(move |connection| {
            if !is_sqlite {
                connection.execute(REFUSE, &[])?;
            }
            for table in tables(connection, is_sqlite)? {
                for statement in refusing(&table, is_sqlite) {
                    connection.execute(&statement, &[])?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Ends [`make_read_only`](Self::make_read_only).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn make_writable(&self) -> Result<(), Error> {
        let is_sqlite = self.sqlite().is_some();
        self.write(move |connection| {
            for table in tables(connection, is_sqlite)? {
                for statement in accepting(&table, is_sqlite) {
                    connection.execute(&statement, &[])?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Whether writes are refused.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_read_only(&self) -> Result<bool, Error> {
        let sql = if self.sqlite().is_some() {
            "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'read_only_%'"
        } else {
            "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'read_only_%'"
        };
        self.read(move |connection| {
            let count: i64 = connection.query_one(sql, &[], |row| row.get(0))?;
            Ok(count > 0)
        })
        .await
    }
}

/// PostgreSQL's function of the triggers. Its code is what makes the error [`Error::ReadOnly`].
const REFUSE: &str =
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'nothing can be stored now: the registry is being copied to another place'
        USING ERRCODE = 'WH090';
END
$$";

fn tables(connection: &DatabaseConnection<'_>, is_sqlite: bool) -> Result<Vec<String>, Error> {
    let sql = if is_sqlite {
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    } else {
        "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
    };
    let mut tables: Vec<String> = connection.query(sql, &[], |row| row.get(0))?;
    // The version of the tables, and records that no client waits for.
    let is_kept =
        |name: &str| !WRITABLE.contains(&name) && name != "schema" && !name.starts_with("audit");
    tables.retain(|name| is_kept(name));
    Ok(tables)
}

fn refusing(table: &str, is_sqlite: bool) -> Vec<String> {
    if !is_sqlite {
        return vec![format!(
            "CREATE OR REPLACE TRIGGER read_only_{table} BEFORE INSERT OR UPDATE OR DELETE ON {table}
             FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )];
    }
    let statement = |change: &str| {
        format!(
            "CREATE TRIGGER IF NOT EXISTS read_only_{table}_{change} BEFORE {change} ON {table}
             BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
        )
    };
    CHANGES.into_iter().map(statement).collect()
}

fn accepting(table: &str, is_sqlite: bool) -> Vec<String> {
    if !is_sqlite {
        return vec![format!(
            "DROP TRIGGER IF EXISTS read_only_{table} ON {table}"
        )];
    }
    let statement = |change: &str| format!("DROP TRIGGER IF EXISTS read_only_{table}_{change}");
    CHANGES.into_iter().map(statement).collect()
}

const CHANGES: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];
