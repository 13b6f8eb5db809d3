//! Copying the history of tags, of which only new changes are read: it may be large.

use crate::small_tables::SmallTablesError;
use crate::table_rows::{OwnedValue, Rows, has_table, insert};
use crate::{Database, DatabaseConnection, Error, params};

/// Changes in one transaction.
const BATCH: i64 = 1000;
/// How far back each pass begins: of transactions at the same time, one with a lower number may have
/// ended later.
const OVERLAP: i64 = 1000;

const TABLE: &str = "tag_history";
const COLUMNS: [&str; 8] = [
    "id",
    "repository",
    "tag",
    "at",
    "from_digest",
    "to_digest",
    "account",
    "request_id",
];

impl Database {
    /// Adds to `target`'s history of tags the changes that it does not have yet.
    ///
    /// # Errors
    /// When one of the databases fails.
    pub async fn copy_tag_history(&self, target: &Self) -> Result<(), SmallTablesError> {
        let (from_sqlite, to_sqlite) = (self.sqlite().is_some(), target.sqlite().is_some());
        let last = target.read(move |connection| last_number(connection, to_sqlite));
        let Some(last) = last.await.map_err(SmallTablesError::Target)? else {
            return Ok(());
        };
        let mut last = last.saturating_sub(OVERLAP);
        loop {
            let after = last;
            let changes = self.read(move |connection| changes(connection, after, from_sqlite));
            let changes = changes.await.map_err(SmallTablesError::Source)?;
            let Some(OwnedValue::Integer(number)) = changes.last().and_then(|row| row.first())
            else {
                return Ok(());
            };
            last = *number;
            let written = target.write(move |connection| {
                let sql = "DELETE FROM tag_history WHERE id > ?1 AND id <= ?2";
                connection.execute(sql, params![after, last])?;
                insert(connection, TABLE, &COLUMNS, Some("id"), &changes, to_sqlite)
            });
            written.await.map_err(SmallTablesError::Target)?;
        }
    }
}

/// The number of the last change; 0 for an empty history. `None` if the table does not exist.
fn last_number(connection: &DatabaseConnection<'_>, is_sqlite: bool) -> Result<Option<i64>, Error> {
    if !has_table(connection, TABLE, is_sqlite)? {
        return Ok(None);
    }
    let sql = "SELECT coalesce(max(id), 0) FROM tag_history";
    connection.query_one(sql, &[], |row| row.get(0)).map(Some)
}

/// The next changes after a number.
fn changes(
    connection: &DatabaseConnection<'_>,
    after: i64,
    is_sqlite: bool,
) -> Result<Rows, Error> {
    if !has_table(connection, TABLE, is_sqlite)? {
        return Ok(Rows::new());
    }
    let columns = COLUMNS.join(", ");
    let sql = format!("SELECT {columns} FROM tag_history WHERE id > ?1 ORDER BY id LIMIT ?2");
    connection.query(&sql, params![after, BATCH], |row| {
        (0..COLUMNS.len()).map(|column| row.get(column)).collect()
    })
}
