//! Records of what was changed, for those that are to be told.

use oci::RepositoryName;

use super::metadata::MemoryMetadata;
use super::tables::Tables;
use crate::{NewOutboxRecord, OutboxRecord, OutboxRecordId, OutboxStore, StorageFuture};

impl OutboxStore for MemoryMetadata {
    fn records(
        &self,
        after: Option<OutboxRecordId>,
        limit: u32,
    ) -> StorageFuture<'_, Vec<OutboxRecord>> {
        self.read(move |tables| {
            let records = tables.outbox.iter();
            let rest = records.filter(|record| Some(record.id) > after);
            Ok(rest.take(limit as usize).cloned().collect())
        })
    }

    fn acknowledge(&self, last: OutboxRecordId) -> StorageFuture<'_, ()> {
        self.write(move |tables, _| {
            tables.outbox.retain(|record| record.id > last);
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
