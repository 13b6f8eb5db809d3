//! Records events off the path of the requests.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use common::{Clock, Counter};
use event::{Actor, Event, EventKind, Observer};
use serde_json::json;
use tokio::sync::Notify;

use crate::record::milliseconds;
use crate::{AuditRecord, AuditStore, Pseudonyms};

/// How records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// After how long a record is on the disk: what a crash may lose.
    pub flush: Duration,
    /// How long records are kept.
    pub keep: Duration,
}

/// How many records are written in one transaction. Other writes wait for that.
const BATCH: usize = 1000;
/// With how many records that wait, or bytes of them, it is not waited for the next time to write. Until then,
/// equal pulls are counted in one record.
const ENOUGH_RECORDS: usize = 12_500;
const ENOUGH_BYTES: usize = 8 << 20;
/// How many records may wait in memory.
const MAX_RECORDS: usize = 50_000;
/// How many bytes they may have.
const MAX_BYTES: usize = 32 << 20;
/// How often it is looked for records that are too old.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);
/// How often some of them are removed before new records are written again.
const PRUNE_ROUNDS: u32 = 5;

/// An observer that writes a record of each event. It never makes a request wait: if the database cannot
/// keep up, events are lost and counted.
///
/// Equal pulls of one client that come before the next write are one record with their number. A pull
/// from memory costs less than a row.
pub struct AuditRecorder {
    names: Arc<Pseudonyms>,
    /// Makes the keys of pulls. It has a random key of its own, so a client cannot choose two pulls
    /// that are taken for one.
    hasher: RandomState,
    queue: Mutex<Queue>,
    /// How many events were lost since the start.
    lost: Counter,
    /// Told when a batch is full.
    is_full: Notify,
    store: AuditStore,
    settings: AuditSettings,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Queue {
    records: VecDeque<AuditRecord>,
    /// Pulls since the last write, by their keys.
    pulls: HashMap<u64, CountedPull, BuildHasherDefault<KeyHasher>>,
    bytes: usize,
    /// How many events had no room since this was last recorded.
    lost: u64,
}

/// Takes the key of a pull as its hash: it is one already.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// What waits to be written, and what was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditStatistics {
    /// How many records wait in memory.
    pub waiting: usize,
    /// How many bytes they have.
    pub waiting_bytes: usize,
    /// How many events had no room since the start.
    pub lost: u64,
}

/// A pull, and how often it was made.
struct CountedPull {
    record: AuditRecord,
    count: u64,
}

/// Whether the record of an event is written in the transaction of the change that it tells of. Then the
/// recorder need not write it.
#[must_use]
pub fn is_written_with_its_change(kind: &EventKind<'_>) -> bool {
    matches!(
        kind,
        EventKind::ManifestPushed(_)
            | EventKind::ManifestDeleted { .. }
            | EventKind::TagMoved { .. }
            | EventKind::TagDeleted { .. }
            | EventKind::TagRemovedByRetention { .. }
            | EventKind::TagRestored { .. }
    )
}

/// Whether a client only asked whether something exists.
fn is_question(kind: &EventKind<'_>) -> bool {
    matches!(
        kind,
        EventKind::ManifestChecked(_) | EventKind::BlobChecked(_)
    )
}

impl AuditRecorder {
    /// Records into `store`. [`run`](Self::run) writes.
    #[must_use]
    pub fn new(
        store: AuditStore,
        names: Arc<Pseudonyms>,
        settings: AuditSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            names,
            hasher: RandomState::new(),
            queue: Mutex::default(),
            lost: Counter::default(),
            is_full: Notify::new(),
            store,
            settings,
            clock,
        }
    }

    /// Writes what is recorded, again and again, and removes what is too old.
    pub async fn run(&self) {
        let mut is_failing = false;
        let mut pruned_at = SystemTime::UNIX_EPOCH;
        let mut has_old = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.settings.flush) => {}
                () = self.is_full.notified() => {}
            }
            match self.flush().await {
                Ok(()) => is_failing = false,
                Err(error) => {
                    // Once, and not each second.
                    if !is_failing {
                        log_failure(&error);
                    }
                    is_failing = true;
                    tokio::time::sleep(self.settings.flush).await;
                }
            }
            let now = self.clock.now();
            let is_recent = now
                .duration_since(pruned_at)
                .is_ok_and(|age| age < PRUNE_INTERVAL);
            if !is_failing && (has_old || !is_recent) {
                pruned_at = now;
                has_old = self.prune(now).await;
            }
        }
    }

    /// Writes all records that wait now. What comes meanwhile waits for the next time: until then, equal pulls
    /// are counted in one record.
    ///
    /// # Errors
    /// When they cannot be written; then they wait on.
    pub async fn flush(&self) -> Result<(), database::Error> {
        let mut left = self.end_counting();
        loop {
            let batch = self.next_batch(left);
            if batch.is_empty() {
                return Ok(());
            }
            left -= batch.len();
            // They stay in the queue's count, so that what waits is bounded.
            let bytes: usize = batch.iter().map(AuditRecord::size).sum();
            let batch: Arc<[AuditRecord]> = batch.into();
            let written = self.store.insert(Arc::clone(&batch)).await;
            let mut queue = self.queue();
            match written {
                Ok(()) => queue.bytes = queue.bytes.saturating_sub(bytes),
                Err(error) => {
                    for record in batch.iter().rev() {
                        queue.records.push_front(record.clone());
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Makes records of the pulls that were counted, and one of how many events were lost. Returns how many
    /// records wait.
    fn end_counting(&self) -> usize {
        let mut queue = self.queue();
        if queue.lost > 0 {
            let lost = std::mem::take(&mut queue.lost);
            tracing::warn!(events = lost, "events were not recorded in the audit table");
            let record = lost_events(self.clock.now(), lost);
            queue.bytes += record.size();
            queue.records.push_back(record);
        }
        let mut pulls: Vec<_> = queue.pulls.drain().map(|(_, pull)| pull).collect();
        pulls.sort_by_key(|pull| pull.record.at);
        for pull in pulls {
            let before = pull.record.size();
            let record = pull.counted();
            queue.bytes += record.size() - before;
            queue.records.push_back(record);
        }
        queue.records.len()
    }

    /// The oldest records that wait, at most so many.
    fn next_batch(&self, limit: usize) -> Vec<AuditRecord> {
        let mut queue = self.queue();
        let count = queue.records.len().min(limit).min(BATCH);
        queue.records.drain(..count).collect()
    }

    /// Removes some records that are too old, and returns whether there may be more. New ones do not wait
    /// for all of them.
    async fn prune(&self, now: SystemTime) -> bool {
        let Some(end) = now.checked_sub(self.settings.keep) else {
            return false;
        };
        for _ in 0..PRUNE_ROUNDS {
            match self.store.prune(end).await {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "old records of the audit table cannot be removed");
                    return false;
                }
            }
        }
        true
    }

    /// What equal pulls of one client have in common; `None` for another event.
    fn key_of_pull(&self, event: &Event<'_>) -> Option<u64> {
        let (repository, digest, reference, length) = match event.kind {
            EventKind::ManifestPulled(manifest) => {
                (manifest.repository, manifest.digest, manifest.reference, 0)
            }
            EventKind::BlobPulled { blob, length } => (blob.repository, blob.digest, "", length),
            _ => return None,
        };
        let Actor {
            account,
            personal_token,
            address,
            user_agent,
            ..
        } = event.actor;
        let mut hasher = self.hasher.build_hasher();
        (repository.as_str(), digest, reference, length).hash(&mut hasher);
        (account, personal_token, address, user_agent).hash(&mut hasher);
        Some(hasher.finish())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, and what was lost.
    #[must_use]
    pub fn statistics(&self) -> AuditStatistics {
        let queue = self.queue();
        AuditStatistics {
            waiting: queue.records.len() + queue.pulls.len(),
            waiting_bytes: queue.bytes,
            lost: self.lost.value(),
        }
    }

    /// How names are recorded.
    #[must_use]
    pub fn names(&self) -> &Arc<Pseudonyms> {
        &self.names
    }
}

impl Observer for AuditRecorder {
    fn observe(&self, event: &Event<'_>) {
        if is_written_with_its_change(&event.kind) || is_question(&event.kind) {
            return;
        }
        let pull = self.key_of_pull(event);
        if let Some(key) = pull
            && let Some(known) = self.queue().pulls.get_mut(&key)
        {
            known.count += 1;
            return;
        }
        let record = AuditRecord::of(event, &self.names);
        let size = record.size();
        let mut queue = self.queue();
        let waiting = queue.records.len() + queue.pulls.len();
        if waiting >= MAX_RECORDS || queue.bytes + size > MAX_BYTES {
            queue.lost += 1;
            self.lost.increment();
            return;
        }
        queue.bytes += size;
        match pull {
            // If another thread was faster, one of the two is not counted together.
            Some(key) if !queue.pulls.contains_key(&key) => {
                queue.pulls.insert(key, CountedPull { record, count: 1 });
            }
            Some(_) | None => queue.records.push_back(record),
        }
        if waiting + 1 >= ENOUGH_RECORDS || queue.bytes >= ENOUGH_BYTES {
            drop(queue);
            self.is_full.notify_one();
        }
    }
}

impl CountedPull {
    fn counted(self) -> AuditRecord {
        let Self { mut record, count } = self;
        if count > 1 && record.document.pop() == Some('}') {
            // A text has room for everything.
            let _ = write!(record.document, ",\"count\":{count}}}");
        }
        record
    }
}

fn log_failure(error: &database::Error) {
    let error = error as &dyn std::error::Error;
    tracing::error!(
        error,
        "the audit table cannot be written: events wait in memory, and are lost if there are too many"
    );
}

/// A record of events that are not recorded, so that a reader of the table knows.
fn lost_events(now: SystemTime, count: u64) -> AuditRecord {
    let at = milliseconds(now);
    let time = common::rfc3339(common::unix_seconds(now));
    AuditRecord {
        at,
        kind: LOST.to_owned(),
        account: String::new(),
        repository: None,
        reference: None,
        digest: None,
        document: json!({"time": time, "event": LOST, "events": count}).to_string(),
    }
}

/// The kind of such a record.
const LOST: &str = "events_lost";

#[cfg(test)]
mod tests;
