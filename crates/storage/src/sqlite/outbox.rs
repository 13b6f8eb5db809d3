//! Records of changes.

use oci::RepositoryName;
use rusqlite::Connection;

use super::Sqlite;
use super::columns::name;
use crate::cache::Stale;
use crate::{Error, NewOutboxRecord, OutboxRecord, OutboxRecordId, OutboxStore, StorageFuture};

impl OutboxStore for Sqlite {
    fn records(
        &self,
        after: Option<OutboxRecordId>,
        limit: u32,
    ) -> StorageFuture<'_, Vec<OutboxRecord>> {
        // The first number is 1.
        let after = after.map_or(0, OutboxRecordId::number);
        Box::pin(self.read(move |connection| {
            let mut list = connection.prepare_cached(
                "SELECT id, repository, kind, payload, created_at FROM outbox
                 WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let rows = list.query_map((after, limit), |row| {
                Ok(OutboxRecord {
                    id: OutboxRecordId::new(row.get(0)?),
                    repository: name(row, 1)?,
                    record: NewOutboxRecord {
                        kind: row.get(2)?,
                        payload: row.get(3)?,
                    },
                    created_at: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        }))
    }

    fn acknowledge(&self, last: OutboxRecordId) -> StorageFuture<'_, ()> {
        let work = move |connection: &Connection| {
            let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE id <= ?1")?;
            Ok(delete.execute([last.number()]).map(drop)?)
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }
}

/// Writes the records of a change, in its transaction.
pub(super) fn write(
    connection: &Connection,
    repository: &RepositoryName,
    records: &[NewOutboxRecord],
    now: i64,
) -> Result<(), Error> {
    for NewOutboxRecord { kind, payload } in records {
        connection
            .prepare_cached(
                "INSERT INTO outbox (repository, kind, payload, created_at) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((repository.as_str(), kind, payload, now))?;
    }
    Ok(())
}
