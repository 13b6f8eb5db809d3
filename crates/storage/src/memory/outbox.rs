//! Records of what was changed, for those that are to be told.

use oci::RepositoryName;

use super::metadata::MemoryMetadata;
use super::tables::Tables;
use crate::{NewOutboxRecord, OutboxRecord, OutboxRecordId, OutboxStore, StorageFuture};

impl OutboxStore for MemoryMetadata {
    fn records<'a>(
        &'a self,
        kind: &'a str,
        after: Option<OutboxRecordId>,
        limit: u32,
    ) -> StorageFuture<'a, Vec<OutboxRecord>> {
        self.read(move |tables| {
            let records = tables.outbox.iter();
            let rest =
                records.filter(|record| record.record.kind == kind && Some(record.id) > after);
            Ok(rest.take(limit as usize).cloned().collect())
        })
    }

    fn acknowledge<'a>(&'a self, kind: &'a str, last: OutboxRecordId) -> StorageFuture<'a, ()> {
        self.write(move |tables, _| {
            let is_left = |record: &OutboxRecord| record.record.kind != kind || record.id > last;
            tables.outbox.retain(is_left);
            Ok(())
        })
    }
}

impl Tables {
    /// Writes the records of a change, in its transaction.
    pub(super) fn write_outbox(
        &mut self,
        repository: &RepositoryName,
        records: Vec<NewOutboxRecord>,
        now: i64,
    ) {
        for record in records {
            self.last_record += 1;
            self.outbox.push(OutboxRecord {
                id: OutboxRecordId::new(self.last_record),
                repository: repository.clone(),
                record,
                created_at: now,
            });
        }
    }
}
