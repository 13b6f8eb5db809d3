//! The audit table of a running server.

use std::sync::Arc;
use std::time::Duration;

use audit::{
    AuditReader, AuditRecord, AuditRecorder, AuditStore, PersonalData, Pseudonyms,
    is_written_with_its_change,
};
use common::{Clock, Entropy};
use database::Database;
use event::{Event, Observer};
use registry::OutboxWriter;
use storage::{NewOutboxRecord, OutboxRecord, OutboxRecordId, Storage};

use crate::config::AuditConfig;
use crate::failure::Failure;

/// What records of the audit table are called in the outbox.
const KIND: &str = "audit";
/// How many records are taken from the outbox at once.
const BATCH: u32 = 500;

/// The audit table, and what is written into it.
#[derive(Clone)]
pub(super) struct AuditLog {
    recorder: Arc<AuditRecorder>,
    store: AuditStore,
    flush: Duration,
}

/// Makes the records that are stored with a push or a deletion.
struct AuditOutbox(Arc<AuditRecorder>);

impl AuditLog {
    /// The table of `database`.
    pub(super) async fn open(
        config: &AuditConfig,
        database: Database,
        clock: &Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, Failure> {
        let store = AuditStore::new(database);
        let mut new = [0; 32];
        entropy.fill(&mut new)?;
        let key = store.key(new).await.map_err(|error| {
            Failure::system("the audit table cannot be opened").caused_by(&error)
        })?;
        let names = Pseudonyms::new(config.personal, &key);
        let recorder = AuditRecorder::new(
            store.clone(),
            Arc::new(names),
            config.settings,
            Arc::clone(clock),
        );
        Ok(Self {
            recorder: Arc::new(recorder),
            store,
            flush: config.settings.flush,
        })
    }

    /// What records events.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.recorder) as Arc<dyn Observer>
    }

    /// The table as an operator reads it. Without records, it has only administration.
    pub(super) fn reader(log: Option<&Self>, database: &Database) -> AuditReader {
        match log {
            Some(log) => AuditReader::new(log.store.clone(), Arc::clone(log.recorder.names())),
            None => {
                let names = Pseudonyms::new(PersonalData::default(), &[0; 32]);
                AuditReader::new(AuditStore::new(database.clone()), Arc::new(names))
            }
        }
    }

    /// What records changes of the registry with them.
    pub(super) fn outbox(&self) -> Arc<dyn OutboxWriter> {
        Arc::new(AuditOutbox(Arc::clone(&self.recorder)))
    }

    /// Writes what is recorded, until the server ends.
    pub(super) async fn run(self, registry: Option<Storage>) {
        let takes_over = async {
            let Some(registry) = registry else { return };
            let mut is_failing = false;
            loop {
                let taken = take_over(&self.store, &registry).await;
                if let Err(error) = &taken
                    && !is_failing
                {
                    let error = error.as_ref() as &dyn std::error::Error;
                    tracing::error!(
                        error,
                        "records of pushes cannot be put into the audit table: they wait"
                    );
                }
                is_failing = taken.is_err();
                tokio::time::sleep(self.flush).await;
            }
        };
        tokio::join!(self.recorder.run(), takes_over);
    }

    /// Writes what waits, when no request can come any more.
    pub(super) async fn finish(&self) {
        if let Err(error) = self.recorder.flush().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "the last events could not be recorded in the audit table"
            );
        }
    }
}

impl OutboxWriter for AuditOutbox {
    fn records(&self, event: &Event<'_>) -> Vec<NewOutboxRecord> {
        if !is_written_with_its_change(&event.kind) {
            return Vec::new();
        }
        let record = AuditRecord::of(event, self.0.names());
        // A record has only texts and numbers.
        let payload = serde_json::to_vec(&record).unwrap_or_default();
        vec![NewOutboxRecord {
            kind: KIND.to_owned(),
            payload,
        }]
    }
}

/// Puts the records of the outbox into the table. They are acknowledged afterwards, and a crash in between
/// leaves none twice, because each keeps its number.
async fn take_over(
    store: &AuditStore,
    registry: &Storage,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    loop {
        let outbox = registry.outbox();
        let records = outbox.records(None, BATCH).await?;
        let Some(last) = records.last().map(|record| record.id) else {
            return Ok(());
        };
        let is_last = records.len() < BATCH as usize;
        let audited: Vec<(i64, AuditRecord)> = records.iter().filter_map(numbered).collect();
        store.take_over(audited.into()).await?;
        outbox.acknowledge(last).await?;
        if is_last {
            return Ok(());
        }
    }
}

fn numbered(stored: &OutboxRecord) -> Option<(i64, AuditRecord)> {
    let number = OutboxRecordId::number(stored.id);
    match serde_json::from_slice(&stored.record.payload) {
        Ok(record) if stored.record.kind == KIND => Some((number, record)),
        Ok(_) | Err(_) => {
            let kind = stored.record.kind.as_str();
            tracing::error!(
                number,
                kind,
                "a record of the outbox is not one of the audit table"
            );
            None
        }
    }
}
