//! The table.

use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

use database::{Database, DatabaseConnection, DatabaseRow, Error, ToValue, params};

use crate::record::milliseconds;
use crate::{AuditCursor, AuditFilter, AuditRecord, StoredAuditRecord};

/// The audit table of a database.
#[derive(Clone, Debug)]
pub struct AuditStore {
    database: Database,
}

const INSERT: &str = "INSERT INTO audit
                          (at, kind, account, repository, reference, digest, document, outbox)
                      VALUES";
/// How many columns that has.
const COLUMNS: usize = 8;
/// How many records one statement writes: a statement costs as much as several records.
const ROWS_AT_ONCE: usize = 50;
/// How many records are removed at once. Other writes wait for that.
const PRUNED_AT_ONCE: u32 = 1000;

impl AuditStore {
    /// The table of `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes records of events that have happened.
    ///
    /// # Errors
    /// When they cannot be written; then none is.
    pub async fn insert(&self, records: Arc<[AuditRecord]>) -> Result<(), Error> {
        let write = self
            .database
            .write(move |connection: &DatabaseConnection<'_>| {
                let rows: Vec<_> = records.iter().map(|record| (None, record)).collect();
                insert(connection, &rows)
            });
        write.await
    }

    /// Writes records that were stored with a change, each with the number under which it was. A record
    /// that is here already is not written again.
    ///
    /// # Errors
    /// When they cannot be written; then none is.
    pub async fn take_over(&self, records: Arc<[(i64, AuditRecord)]>) -> Result<(), Error> {
        let write = self
            .database
            .write(move |connection: &DatabaseConnection<'_>| {
                let rows = records
                    .iter()
                    .map(|(number, record)| (Some(*number), record));
                insert(connection, &rows.collect::<Vec<_>>())
            });
        write.await
    }

    /// The last records that `filter` selects, at most `limit`, the latest first; those before `before`
    /// if a page was read.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        filter: AuditFilter,
        before: Option<AuditCursor>,
        limit: u32,
    ) -> Result<Vec<StoredAuditRecord>, Error> {
        self.read(move |connection| list(connection, &filter, before, limit))
            .await
    }

    /// Runs `work` on the table.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DatabaseConnection<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database.read(work).await
    }

    /// The records after number `after` that `filter` selects, at most `limit`, in the order in which they
    /// were written.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn export(
        &self,
        filter: AuditFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredAuditRecord>, Error> {
        let read = self
            .database
            .read(move |connection: &DatabaseConnection<'_>| {
                let (mut conditions, mut values) = filter.conditions();
                values.push(after.to_value());
                conditions.push(format!("id > ?{}", values.len()));
                values.push(limit.to_value());
                let sql = selection(&conditions, "id", values.len());
                connection.query(&sql, &values, stored)
            });
        read.await
    }

    /// Removes some records of events before `end`, and returns whether there may be more.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub async fn prune(&self, end: SystemTime) -> Result<bool, Error> {
        let end = milliseconds(end);
        let write = self
            .database
            .write(move |connection: &DatabaseConnection<'_>| {
                let sql = "DELETE FROM audit WHERE id IN
                           (SELECT id FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)";
                connection.execute(sql, params![end, PRUNED_AT_ONCE])
            });
        Ok(write.await? >= PRUNED_AT_ONCE as usize)
    }

    /// The key with which names and addresses are hashed: `new` if there was none. It stays, so that equal
    /// names stay equal.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn key(&self, new: [u8; 32]) -> Result<[u8; 32], Error> {
        if let Some(key) = self.existing_key().await? {
            return Ok(key);
        }
        let write = self
            .database
            .write(move |connection: &DatabaseConnection<'_>| {
                let sql =
                    "INSERT INTO audit_key (number, key) VALUES (1, ?1) ON CONFLICT DO NOTHING";
                connection.execute(sql, params![new])?;
                connection.query_one("SELECT key FROM audit_key", params![], |row| row.get(0))
            });
        write.await
    }

    /// The key, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn existing_key(&self) -> Result<Option<[u8; 32]>, Error> {
        let read = self.database.read(|connection: &DatabaseConnection<'_>| {
            connection.query_optional("SELECT key FROM audit_key", params![], |row| row.get(0))
        });
        read.await
    }
}

pub(crate) fn list(
    connection: &DatabaseConnection<'_>,
    filter: &AuditFilter,
    before: Option<AuditCursor>,
    limit: u32,
) -> Result<Vec<StoredAuditRecord>, Error> {
    let (mut conditions, mut values) = filter.conditions();
    let cursor = before.map(|AuditCursor { at, id }| [at, id]);
    if let Some([at, id]) = &cursor {
        values.extend([at.to_value(), id.to_value()]);
        let last = values.len();
        conditions.push(format!("(at, id) < (?{}, ?{last})", last - 1));
    }
    values.push(limit.to_value());
    let sql = selection(&conditions, "at DESC, id DESC", values.len());
    connection.query(&sql, &values, stored)
}

/// Writes records, each with the number that it has in the outbox if it comes from there. One that is here
/// already is not written again.
fn insert(
    connection: &DatabaseConnection<'_>,
    records: &[(Option<i64>, &AuditRecord)],
) -> Result<(), Error> {
    for chunk in records.chunks(ROWS_AT_ONCE) {
        let mut sql = INSERT.to_owned();
        let mut values = Vec::with_capacity(COLUMNS * chunk.len());
        for (index, (number, record)) in chunk.iter().enumerate() {
            sql.push_str(if index == 0 { " (" } else { ", (" });
            for column in 1..=COLUMNS {
                let comma = if column == 1 { "" } else { ", " };
                // A text has room for everything.
                let _ = write!(sql, "{comma}?{}", COLUMNS * index + column);
            }
            sql.push(')');
            values.extend([
                record.at.to_value(),
                record.kind.to_value(),
                record.account.to_value(),
                record.repository.to_value(),
                record.reference.to_value(),
                record.digest.to_value(),
                record.document.to_value(),
                number.to_value(),
            ]);
        }
        sql.push_str(" ON CONFLICT DO NOTHING");
        connection.execute(&sql, &values)?;
    }
    Ok(())
}

/// The statement that reads records under these conditions; `limit` is the place of its limit.
fn selection(conditions: &[String], order: &str, limit: usize) -> String {
    let mut sql = "SELECT id, at, document FROM audit".to_owned();
    for (index, condition) in conditions.iter().enumerate() {
        sql.push_str(if index == 0 { " WHERE " } else { " AND " });
        sql.push_str(condition);
    }
    sql + &format!(" ORDER BY {order} LIMIT ?{limit}")
}

fn stored(row: &DatabaseRow<'_>) -> Result<StoredAuditRecord, Error> {
    Ok(StoredAuditRecord {
        id: row.get("id")?,
        at: row.get("at")?,
        document: row.get("document")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How SQLite would run `selection` for this filter.
    fn plan(filter: &AuditFilter, more: &str, order: &str) -> String {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let others =
            "CREATE TABLE accounts (name);
                      CREATE TABLE administration (id, at, origin, actor, action, object, details);";
        let audit = include_str!("../../database/migrations/sqlite/0012_audit.sql");
        connection
            .execute_batch(&format!("{others}{audit}"))
            .unwrap();
        let (mut conditions, values) = filter.conditions();
        if !more.is_empty() {
            conditions.push(more.to_owned());
        }
        let sql = format!(
            "EXPLAIN QUERY PLAN {}",
            selection(&conditions, order, values.len() + 1)
        );
        let mut statement = connection.prepare(&sql).unwrap();
        let count = statement.parameter_count();
        for place in 1..=count {
            statement.raw_bind_parameter(place, "x").unwrap();
        }
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>("detail").unwrap());
        }
        steps.join("\n")
    }

    #[test]
    fn every_list_is_read_from_its_index_in_its_order() {
        let text = || Some("x".to_owned());
        let none = AuditFilter::default;
        let cases = [
            (none(), "audit_by_time"),
            (
                AuditFilter {
                    account: text(),
                    ..none()
                },
                "audit_by_account",
            ),
            (
                AuditFilter {
                    repository: text(),
                    ..none()
                },
                "audit_by_repository",
            ),
            (
                AuditFilter {
                    repository: text(),
                    tag: text(),
                    digest: text(),
                    ..none()
                },
                "audit_by_repository",
            ),
            (
                AuditFilter {
                    kind: text(),
                    ..none()
                },
                "audit_by_kind",
            ),
            (
                AuditFilter {
                    kind: Some("blob_pulled".to_owned()),
                    ..none()
                },
                "audit_by_time",
            ),
            (
                AuditFilter {
                    since: Some(1),
                    until: Some(2),
                    ..none()
                },
                "audit_by_time",
            ),
            (
                AuditFilter {
                    account: text(),
                    since: Some(1),
                    ..none()
                },
                "audit_by_account",
            ),
        ];
        for (filter, index) in cases {
            for more in ["", "(at, id) < (5, 5)"] {
                let plan = plan(&filter, more, "at DESC, id DESC");
                assert!(plan.contains(index), "{filter:?}: {plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
            }
        }
    }

    #[test]
    fn an_export_reads_the_table_in_its_order() {
        let plan = plan(&AuditFilter::default(), "id > 5", "id");
        assert!(
            plan.contains("INTEGER PRIMARY KEY") && !plan.contains("TEMP"),
            "{plan}"
        );
    }
}
