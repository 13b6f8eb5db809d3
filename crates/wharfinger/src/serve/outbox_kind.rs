//! The records of one consumer in the registry's outbox: written with a change, and taken over into a
//! table of the consumer.

use std::error::Error;

use serde::Serialize;
use serde::de::DeserializeOwned;
use storage::{NewOutboxRecord, OutboxRecord, Storage};

/// The records of one consumer of the outbox. Their payload is JSON.
pub(super) struct OutboxKind {
    /// What they are called in the outbox.
    pub(super) name: &'static str,
    /// How many are taken from the outbox at once.
    pub(super) batch: u32,
}

impl OutboxKind {
    /// A record that is written with a change. `content` has only texts and numbers.
    pub(super) fn record(&self, content: &impl Serialize) -> NewOutboxRecord {
        NewOutboxRecord {
            kind: self.name.to_owned(),
            payload: serde_json::to_vec(content).unwrap_or_default(),
        }
    }

    /// Passes all records to `store`, in batches, each record with its number. A batch is acknowledged
    /// when it is stored. After a crash in between it is passed once more, with the same numbers. Returns
    /// how many records there were.
    pub(super) async fn take_over<T, S, E>(
        &self,
        registry: &Storage,
        store: impl Fn(Vec<(i64, T)>) -> S,
    ) -> Result<usize, Box<dyn Error + Send + Sync>>
    where
        T: DeserializeOwned,
        S: Future<Output = Result<(), E>>,
        E: Error + Send + Sync + 'static,
    {
        let mut count = 0;
        loop {
            let outbox = registry.outbox();
            let records = outbox.records(self.name, None, self.batch).await?;
            let Some(last) = records.last().map(|record| record.id) else {
                return Ok(count);
            };
            count += records.len();
            let is_last = records.len() < self.batch as usize;
            let read = records.iter().filter_map(|record| self.read(record));
            store(read.collect()).await?;
            outbox.acknowledge(self.name, last).await?;
            if is_last {
                return Ok(count);
            }
        }
    }

    /// The content of a record, with the record's number. `None` if it cannot be read.
    fn read<T: DeserializeOwned>(&self, stored: &OutboxRecord) -> Option<(i64, T)> {
        let number = stored.id.number();
        match serde_json::from_slice(&stored.record.payload) {
            Ok(content) => Some((number, content)),
            Err(error) => {
                let error = &error as &dyn Error;
                let kind = self.name;
                tracing::error!(
                    error,
                    number,
                    kind,
                    "a record of the outbox cannot be read, and is left out"
                );
                None
            }
        }
    }
}
