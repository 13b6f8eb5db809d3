//! Copying the audit log, of which only new records are read: it may be large.

use crate::small_tables::SmallTablesError;
use crate::table_rows::{OwnedValue, Rows, has_table, insert, last_audit_number};
use crate::{Database, DatabaseConnection, Error, params};

/// Records in one transaction.
const BATCH: i64 = 1000;

/// The number of the outbox's record stays behind: the outbox of the target counts for itself.
const COLUMNS: [&str; 8] = [
    "id",
    "at",
    "kind",
    "account",
    "repository",
    "reference",
    "digest",
    "document",
];

impl Database {
    /// Adds to `target`'s audit log the records that it does not have yet, and returns how many.
    ///
    /// # Errors
    /// When one of the databases fails.
    pub async fn copy_audit(&self, target: &Self) -> Result<usize, SmallTablesError> {
        let (from_sqlite, to_sqlite) = (self.sqlite().is_some(), target.sqlite().is_some());
        let last = target.read(move |connection| last_audit_number(connection, to_sqlite));
        let Some(mut last) = last.await.map_err(SmallTablesError::Target)? else {
            return Ok(0);
        };
        let mut copied = 0;
        loop {
            let records = self.read(move |connection| records(connection, last, from_sqlite));
            let records = records.await.map_err(SmallTablesError::Source)?;
            let Some(OwnedValue::Integer(number)) = records.last().and_then(|row| row.first())
            else {
                return Ok(copied);
            };
            last = *number;
            copied += records.len();
            let written = target.write(move |connection| {
                insert(
                    connection,
                    "audit",
                    &COLUMNS,
                    Some("id"),
                    &records,
                    to_sqlite,
                )
            });
            written.await.map_err(SmallTablesError::Target)?;
        }
    }
}

/// The next records after a number.
fn records(
    connection: &DatabaseConnection<'_>,
    after: i64,
    is_sqlite: bool,
) -> Result<Rows, Error> {
    if !has_table(connection, "audit", is_sqlite)? {
        return Ok(Rows::new());
    }
    let sql = format!(
        "SELECT {} FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2",
        COLUMNS.join(", ")
    );
    connection.query(&sql, params![after, BATCH], |row| {
        (0..COLUMNS.len()).map(|column| row.get(column)).collect()
    })
}
