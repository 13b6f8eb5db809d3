//! What others are to be told of.

use oci::RepositoryName;
use rusqlite::Connection;

use super::Sqlite;
use super::cache::Stale;
use super::columns::name;
use crate::{Error, NewOutboxRecord, OutboxRecord, OutboxStore, StorageFuture};

impl OutboxStore for Sqlite {
    fn records(&self, after: i64, limit: u32) -> StorageFuture<'_, Vec<OutboxRecord>> {
        Box::pin(self.read(move |connection| {
            let mut list = connection.prepare_cached(
                "SELECT id, repository, kind, payload, created_at FROM outbox
                 WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let rows = list.query_map((after, limit), |row| {
                Ok(OutboxRecord {
                    id: row.get(0)?,
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

    fn acknowledge(&self, last: i64) -> StorageFuture<'_, ()> {
        let work = move |connection: &Connection| {
            let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE id <= ?1")?;
            Ok(delete.execute([last]).map(drop)?)
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
