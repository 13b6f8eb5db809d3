//! Garbage collection beside the requests.

use std::sync::Arc;
use std::time::Duration;

use common::Clock;
use event::{Actor, Event, EventKind, Observer, Observers};
use storage::Storage;
use storage::collection::CollectionPolicy;

use crate::config::CollectionConfig;

/// How long a marked blob stays before it is deleted. No request uses what it read of a blob for
/// longer.
const WAIT: Duration = Duration::from_secs(60);

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
) {
    let Some(every) = settings.every else { return };
    let policy = CollectionPolicy {
        grace: settings.grace,
        wait: WAIT,
        untagged: settings.untagged,
    };
    loop {
        tokio::time::sleep(every).await;
        pass(&storage, policy, every, &observers).await;
    }
}

/// One pass, if it is this server's turn.
async fn pass(
    storage: &Storage,
    policy: CollectionPolicy,
    every: Duration,
    observers: &CollectionObservers,
) {
    match storage.collect_in_turn(policy, every).await {
        Ok(None) => tracing::debug!("another server collects garbage"),
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
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "garbage collection failed; the next run continues");
        }
    }
}

#[cfg(test)]
mod tests {
    use common::SystemClock;
    use database::{DatabaseLocation, SqliteDatabase};
    use event::MemoryObserver;
    use storage::StorageSettings;

    use super::*;

    #[tokio::test]
    async fn each_pass_is_an_event() {
        let folder = tempfile::tempdir().unwrap();
        let location = DatabaseLocation::at(folder.path().join("w.db"));
        let storage = Storage::open(
            SqliteDatabase::open_exclusive(&location).unwrap(),
            folder.path().join("content"),
            StorageSettings::default(),
            Arc::new(SystemClock),
        );
        let memory = Arc::new(MemoryObserver::new(10));
        let observers = CollectionObservers {
            observers: Observers::new([Arc::clone(&memory) as Arc<dyn Observer>]),
            clock: Arc::new(SystemClock),
        };
        let policy = CollectionPolicy {
            grace: Duration::ZERO,
            wait: Duration::ZERO,
            untagged: None,
        };
        pass(&storage.await.unwrap(), policy, Duration::ZERO, &observers).await;
        let events = memory.events();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["event"], "collection");
        for counted in ["manifests", "blobs", "bytes", "uploads"] {
            assert_eq!(events[0][counted], 0, "{counted}");
        }
    }
}
