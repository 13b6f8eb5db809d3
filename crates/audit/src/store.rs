//! The table.

use std::sync::Arc;
use std::time::SystemTime;

use database::{Database, DatabaseConnection, Error, params};

use crate::insertion::insert;
use crate::reads::{AuditRecords, DatabaseRows, export, list};
use crate::record::milliseconds;
use crate::{AuditCursor, AuditFilter, AuditRecord, StoredAuditRecord};

/// The audit table of a database.
#[derive(Clone, Debug)]
pub struct AuditStore {
    database: Database,
}

/// Removes the oldest records.
pub(crate) const PRUNE: &str = "DELETE FROM audit WHERE id IN
    (SELECT id FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)";
/// How many records are removed at once. Other writes wait for that.
pub(crate) const PRUNED_AT_ONCE: u32 = 1000;

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
    /// if a page was read. It is several reads, each of which examines a bounded number of records.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        filter: AuditFilter,
        mut before: Option<AuditCursor>,
        limit: u32,
    ) -> Result<Vec<StoredAuditRecord>, Error> {
        let (mut found, mut left) = (Vec::new(), limit);
        loop {
            let filter = filter.clone();
            let page = self.read(move |rows| list(rows, &filter, before, left));
            let AuditRecords { records, next } = page.await?;
            found.extend(records);
            left = remaining(&found, limit);
            if next.is_none() || left == 0 {
                return Ok(found);
            }
            before = next;
        }
    }

    /// The records after number `after` that `filter` selects, at most `limit`, in the order in which they
    /// were written. It is several reads, each of which examines a bounded number of records.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn export(
        &self,
        filter: AuditFilter,
        mut after: i64,
        limit: u32,
    ) -> Result<Vec<StoredAuditRecord>, Error> {
        let (mut found, mut left) = (Vec::new(), limit);
        loop {
            let filter = filter.clone();
            let page = self.read(move |rows| export(rows, &filter, after, left));
            let AuditRecords { records, next } = page.await?;
            found.extend(records);
            left = remaining(&found, limit);
            match next {
                Some(next) if left > 0 => after = next,
                _ => return Ok(found),
            }
        }
    }

    /// Runs `work` on the table.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DatabaseRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let is_sqlite = self.database.sqlite().is_some();
        let read = self
            .database
            .read(move |connection: &DatabaseConnection<'_>| {
                work(&DatabaseRows::of(connection, is_sqlite)?)
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
                connection.execute(PRUNE, params![end, PRUNED_AT_ONCE])
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

fn remaining(found: &[StoredAuditRecord], limit: u32) -> u32 {
    limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX))
}
