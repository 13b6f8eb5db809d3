//! Garbage collection beside the requests.

use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy};
use event::{Actor, Event, EventKind, Observer, Observers};
use storage::Storage;
use storage::collection::CollectionPolicy;

use super::work_schedule::WorkSchedule;
use crate::config::CollectionConfig;

/// How long a marked blob stays before it is deleted. No request uses what it read of a blob for
/// longer.
const WAIT: Duration = Duration::from_secs(60);

/// Whether the registry is under maintenance, by the configuration that is in force: nothing that is
/// scheduled changes it then.
pub(super) type IsReadOnly = Arc<dyn Fn() -> bool + Send + Sync>;

/// The observers of each pass, and the clock of its events.
pub(super) struct CollectionObservers {
    pub(super) observers: Observers,
    pub(super) clock: Arc<dyn Clock>,
}

/// Collects unused content again and again, if that is configured.
pub(super) async fn collect(
    storage: Storage,
    settings: CollectionConfig,
    observers: CollectionObservers,
    is_read_only: IsReadOnly,
    entropy: Arc<dyn Entropy>,
) {
    let Some(every) = settings.every else { return };
    let policy = CollectionPolicy {
        grace: settings.grace,
        wait: WAIT,
        untagged: settings.untagged,
    };
    let mut schedule = WorkSchedule::new(every);
    let mut pause = schedule.first(entropy.as_ref());
    loop {
        tokio::time::sleep(pause).await;
        let is_failing =
            !is_read_only() && pass(&storage, policy, every, &observers).await.is_err();
        pause = schedule.next(is_failing);
    }
}

/// One pass, if it is due and this server's turn. A failure is logged.
async fn pass(
    storage: &Storage,
    policy: CollectionPolicy,
    every: Duration,
    observers: &CollectionObservers,
) -> Result<(), storage::Error> {
    match storage.collect_in_turn(policy, every).await {
        Ok(None) => tracing::trace!("no collection of garbage is due here"),
        Ok(Some(collected)) => observers.observers.observe(&Event {
            time: observers.clock.now(),
            actor: Actor::default(),
            kind: EventKind::Collection {
                manifests: collected.manifests,
                blobs: collected.blobs,
                bytes: collected.bytes,
                uploads: collected.uploads,
            },
        }),
        Err(failure) => {
            let error = &failure as &dyn std::error::Error;
            tracing::error!(error, "garbage collection failed; the next run continues");
            return Err(failure);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use common::{SystemClock, SystemEntropy};
    use event::MemoryObserver;

    use super::super::test_storage::storage;
    use super::*;

    fn observers(memory: &Arc<MemoryObserver>) -> CollectionObservers {
        CollectionObservers {
            observers: Observers::new([Arc::clone(memory) as Arc<dyn Observer>]),
            clock: Arc::new(SystemClock),
        }
    }

    #[tokio::test]
    async fn each_pass_is_an_event() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Arc::new(MemoryObserver::new(10));
        let policy = CollectionPolicy {
            grace: Duration::ZERO,
            wait: Duration::ZERO,
            untagged: None,
        };
        let (storage, observers) = (storage(&folder).await, observers(&memory));
        let passed = pass(&storage, policy, Duration::ZERO, &observers).await;
        passed.unwrap();
        let events = memory.events();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["event"], "collection");
        for counted in ["manifests", "blobs", "bytes", "uploads"] {
            assert_eq!(events[0][counted], 0, "{counted}");
        }
    }

    #[tokio::test]
    async fn a_registry_under_maintenance_is_not_collected() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Arc::new(MemoryObserver::new(10));
        let settings = CollectionConfig {
            every: Some(Duration::from_millis(5)),
            grace: Duration::ZERO,
            untagged: None,
        };
        let asked = Arc::new(AtomicUsize::new(0));
        // Maintenance ends after the tenth question.
        let (is_read_only, told) = (Arc::clone(&asked), Arc::clone(&memory));
        let is_read_only = move || {
            let is_read_only = is_read_only.fetch_add(1, Ordering::SeqCst) < 10;
            assert!(!is_read_only || told.events().is_empty());
            is_read_only
        };
        let collecting = collect(
            storage(&folder).await,
            settings,
            observers(&memory),
            Arc::new(is_read_only),
            Arc::new(SystemEntropy),
        );
        let collecting = tokio::spawn(collecting);
        while memory.events().is_empty() {
            assert!(!collecting.is_finished());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(asked.load(Ordering::SeqCst) > 10);
        collecting.abort();
    }
}
