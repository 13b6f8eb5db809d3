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
use storage::{NewOutboxRecord, Storage};

use super::outbox_kind::OutboxKind;
use crate::config::AuditConfig;
use crate::failure::Failure;

/// Records of the audit table in the outbox.
const OUTBOX: OutboxKind = OutboxKind {
    name: "audit",
    batch: 500,
};

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

    /// What counts its records.
    pub(super) fn recorder(&self) -> Arc<AuditRecorder> {
        Arc::clone(&self.recorder)
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

    /// How names and addresses are recorded.
    pub(super) fn names(&self) -> Arc<Pseudonyms> {
        Arc::clone(self.recorder.names())
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
                // A crash leaves none twice, because each keeps its number.
                let put = |records: Vec<(i64, AuditRecord)>| self.store.take_over(records.into());
                let taken = OUTBOX.take_over(&registry, put).await;
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
    fn records(&self, events: &[Event<'_>]) -> Vec<NewOutboxRecord> {
        let record = |event| OUTBOX.record(&AuditRecord::of(event, self.0.names()));
        let events = events.iter();
        let written = events.filter(|event| is_written_with_its_change(&event.kind));
        written.map(record).collect()
    }
}
