//! When manifests were pulled, noted beside the requests.
//!
//! A pull costs a look into memory. What was not noted within the hour waits for the next
//! [flush](PullTimes::flush), which writes many at once. Memory is bounded. If more waits than there is
//! room for, or a server could not write for long, pulls are lost. Then the next flush says so, and
//! [recording](crate::PullRecording) begins again: nothing is decided by times that have a gap.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{Clock, unix_seconds};
use oci::{Digest, RepositoryName};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use tokio::sync::Notify;

use crate::{Error, PulledManifest, Storage};

/// How often what was noted is written.
const FLUSH: Duration = Duration::from_secs(60);
/// How old a time may be before the next pull is noted, in seconds.
const PRECISION: u64 = 3600;
/// How many manifests are remembered whose pulls were noted, of about 200 bytes each.
const REMEMBERED: usize = 1 << 15;
/// How many wait at most, and from how many on they are written at once.
const WAITING: usize = 1 << 14;
/// How many are written in one transaction.
const WRITTEN: usize = 500;

/// Notes which manifests are pulled. Clones share it.
#[derive(Clone)]
pub struct PullTimes {
    shared: Arc<PullTimesState>,
}

struct PullTimesState {
    clock: Arc<dyn Clock>,
    /// When the pull of a manifest was last noted, in hours.
    noted: Cache<(RepositoryName, Digest), u64>,
    waiting: Mutex<WaitingPulls>,
    is_filling: Notify,
    /// Whether recording has begun. The first write says so, even if nothing was pulled.
    has_begun: AtomicBool,
}

#[derive(Default)]
struct WaitingPulls {
    pulls: HashSet<PulledManifest>,
    /// How many were lost since the last write: then recording has a gap.
    lost: u64,
}

impl PullTimes {
    /// Nothing is noted yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(PullTimesState {
                clock,
                noted: Cache::new(REMEMBERED),
                waiting: Mutex::default(),
                is_filling: Notify::new(),
                has_begun: AtomicBool::new(false),
            }),
        }
    }

    /// Notes that a manifest was pulled.
    pub fn note(&self, repository: &RepositoryName, digest: &Digest) {
        let hour = unix_seconds(self.shared.clock.now()) / PRECISION;
        if self.shared.noted.get(&NotedKey(repository, digest)) == Some(hour) {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.pulls.len() >= WAITING {
            waiting.lost = waiting.lost.saturating_add(1);
            return;
        }
        waiting.pulls.insert(PulledManifest {
            repository: repository.clone(),
            digest: *digest,
        });
        let is_filling = waiting.pulls.len() >= WAITING / 2;
        drop(waiting);
        let key = (repository.clone(), *digest);
        self.shared.noted.insert(key, hour);
        if is_filling {
            self.shared.is_filling.notify_one();
        }
    }

    /// Writes what was noted. What was not written, because that failed or the future was dropped, waits
    /// for the next time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn flush(&self, storage: &Storage) -> Result<(), Error> {
        let store = &storage.shared.metadata.pull_times;
        loop {
            let (some, lost) = {
                let waiting = self.waiting();
                let some: Vec<PulledManifest> =
                    waiting.pulls.iter().take(WRITTEN).cloned().collect();
                (some, waiting.lost)
            };
            if some.is_empty() && lost == 0 && self.shared.has_begun.load(Ordering::Relaxed) {
                return Ok(());
            }
            store.record_pulls(some.clone(), lost > 0).await?;
            self.shared.has_begun.store(true, Ordering::Relaxed);
            let mut waiting = self.waiting();
            // More may have been lost meanwhile.
            waiting.lost = waiting.lost.saturating_sub(lost);
            for pull in &some {
                waiting.pulls.remove(pull);
            }
        }
    }

    /// Writes again and again, until the server ends.
    pub async fn run(self, storage: Storage) {
        let mut is_failing = false;
        loop {
            let flushed = self.flush(&storage).await;
            if let Err(error) = &flushed
                && !is_failing
            {
                let error = error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "pull times cannot be recorded: they wait, and retention keeps what it has"
                );
            }
            is_failing = flushed.is_err();
            tokio::select! {
                () = tokio::time::sleep(FLUSH) => {}
                () = self.shared.is_filling.notified(), if !is_failing => {}
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, WaitingPulls> {
        let waiting = self.shared.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A borrowed key.
#[derive(Hash)]
struct NotedKey<'a>(&'a RepositoryName, &'a Digest);

impl Equivalent<(RepositoryName, Digest)> for NotedKey<'_> {
    fn equivalent(&self, key: &(RepositoryName, Digest)) -> bool {
        *self.0 == key.0 && *self.1 == key.1
    }
}
