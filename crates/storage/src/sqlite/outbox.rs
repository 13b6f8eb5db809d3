//! Records of changes.

use oci::RepositoryName;
use rusqlite::Connection;

use super::Sqlite;
use super::columns::name;
use crate::cache::Stale;
use crate::{Error, NewOutboxRecord, OutboxRecord, OutboxRecordId, OutboxStore, StorageFuture};

impl OutboxStore for Sqlite {
    fn records<'a>(
        &'a self,
        kind: &'a str,
        after: Option<OutboxRecordId>,
        limit: u32,
    ) -> StorageFuture<'a, Vec<OutboxRecord>> {
        // The first number is 1.
        let (kind, after) = (kind.to_owned(), after.map_or(0, OutboxRecordId::number));
        Box::pin(self.read(move |connection| {
            let mut list = connection.prepare_cached(
                "SELECT id, repository, kind, payload, created_at FROM outbox
                 WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?;
            let rows = list.query_map((kind, after, limit), |row| {
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

    fn acknowledge<'a>(&'a self, kind: &'a str, last: OutboxRecordId) -> StorageFuture<'a, ()> {
        let kind = kind.to_owned();
        let work = move |connection: &Connection| {
            let mut delete =
                connection.prepare_cached("DELETE FROM outbox WHERE kind = ?1 AND id <= ?2")?;
            Ok(delete.execute((&kind, last.number())).map(drop)?)
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
