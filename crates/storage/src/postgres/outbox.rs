//! Records of changes.
//!
//! A writer gives a record no number that readers see: its transaction could end after that of a
//! later number, and a reader that has gone on would miss it. A record gets its number when a reader
//! first sees it.

use super::PostgresMetadata;
use super::columns::{column, name};
use crate::{NewOutboxRecord, OutboxRecord, OutboxRecordId, OutboxStore, StorageFuture};

impl OutboxStore for PostgresMetadata {
    fn records<'a>(
        &'a self,
        kind: &'a str,
        after: Option<OutboxRecordId>,
        limit: u32,
    ) -> StorageFuture<'a, Vec<OutboxRecord>> {
        Box::pin(async move {
            self.query("SELECT number_outbox_1()", &[]).await?;
            let sql =
                "SELECT position, repository, kind, payload, extract(epoch FROM created_at)::bigint
                FROM outbox WHERE kind = $1 AND position > $2 ORDER BY position LIMIT $3";
            // The first number is 1.
            let after = after.map_or(0, OutboxRecordId::number);
            let rows = self.query(sql, &[&kind, &after, &i64::from(limit)]).await?;
            let records = rows.iter().map(|row| {
                Ok(OutboxRecord {
                    id: OutboxRecordId::new(column(row, 0)?),
                    repository: name(row, 1)?,
                    record: NewOutboxRecord {
                        kind: column(row, 2)?,
                        payload: column(row, 3)?,
                    },
                    created_at: column(row, 4)?,
                })
            });
            records.collect()
        })
    }

    fn acknowledge<'a>(&'a self, kind: &'a str, last: OutboxRecordId) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let sql = "DELETE FROM outbox WHERE kind = $1 AND position <= $2";
            self.query(sql, &[&kind, &last.number()]).await.map(drop)
        })
    }
}
