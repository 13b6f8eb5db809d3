//! What a server answers from memory after another one has acknowledged a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use storage::{Error, LookPeriods, ManifestStore, PostgresMetadata};

use super::super::postgres::{TestDatabase, replica_with};
use super::super::world::{clock, index, name, retention, sha256, tag};
use super::Replicas;

/// What a server has in memory is not its answer after another server has acknowledged a change.
#[tokio::test]
async fn memory_is_not_the_answer_after_a_change_elsewhere() {
    let long = Duration::from_millis(300);
    for looks in [
        [LookPeriods::of_all(Duration::ZERO); 2],
        [LookPeriods::of_all(long); 2],
        // One with a long period, and one that does not know it yet.
        [LookPeriods::of_all(long), LookPeriods::UNKNOWN],
    ] {
        let database = TestDatabase::new();
        let now = Arc::new(AtomicU64::new(1_800_000_000));
        let make =
            |number, look| replica_with(database.pool(), number, retention(), clock(&now), look);
        let [here, there] = [make(1, looks[0]), make(2, looks[1])];
        let (of, latest) = (name("a"), tag("latest").into());
        let find = async |metadata: &PostgresMetadata| {
            let found = ManifestStore::find(metadata, &of, &latest).await;
            found.map(|stored| stored.digest)
        };
        let manifests = [1_u8, 2, 3].map(|number| index(&[sha256(&[number])]));
        here.push(&of, manifests[0].clone(), vec![tag("latest")])
            .await
            .unwrap();
        for manifest in manifests.iter().cycle().skip(1).take(4) {
            // Both remember the tag, with a look that is as new as it can be.
            for _ in 0..2 {
                find(&here).await.unwrap();
                find(&there).await.unwrap();
            }
            here.push(&of, manifest.clone(), vec![tag("latest")])
                .await
                .unwrap();
            assert_eq!(find(&there).await.unwrap(), manifest.digest());
            assert_eq!(find(&here).await.unwrap(), manifest.digest());
        }
        there.untag(&of, &tag("latest")).await.unwrap();
        assert!(matches!(find(&here).await, Err(Error::ManifestUnknown)));
        here.push(&of, manifests[0].clone(), vec![tag("latest")])
            .await
            .unwrap();
        assert_eq!(find(&there).await.unwrap(), manifests[0].digest());
        here.remove(&of, &manifests[0].digest()).await.unwrap();
        assert!(matches!(find(&there).await, Err(Error::ManifestUnknown)));
    }
}

/// Writers count up. A reader that begins after an acknowledgement sees that count or a later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_is_stale() {
    const TAGS: usize = 8;
    const READS: usize = 20_000;
    let replicas = Arc::new(Replicas::new().await);
    let versions: Arc<Vec<_>> = Arc::new(
        (0..60)
            .map(|number: u32| index(&[sha256(&number.to_be_bytes())]))
            .collect(),
    );
    let acknowledged: Arc<Vec<AtomicUsize>> =
        Arc::new((0..TAGS).map(|_| AtomicUsize::new(0)).collect());
    let of = name("a");
    for number in 0..TAGS {
        let first = versions[0].clone();
        replicas.metadata[0]
            .push(&of, first, vec![tag(&format!("t{number}"))])
            .await
            .unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..TAGS).map(|number| {
        let (replicas, versions) = (Arc::clone(&replicas), Arc::clone(&versions));
        let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        tokio::spawn(async move {
            for version in 1..versions.len() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let writer = &replicas.metadata[(number + version) % 2];
                let tags = vec![tag(&format!("t{number}"))];
                writer
                    .push(&name("a"), versions[version].clone(), tags)
                    .await
                    .unwrap();
                acknowledged[number].store(version, Ordering::SeqCst);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..8).map(|reader| {
        let (replicas, versions) = (Arc::clone(&replicas), Arc::clone(&versions));
        let acknowledged = Arc::clone(&acknowledged);
        tokio::spawn(async move {
            let mut stale = 0;
            for read in 0..READS / 8 {
                let number = (read + reader) % TAGS;
                let known = acknowledged[number].load(Ordering::SeqCst);
                let by = tag(&format!("t{number}")).into();
                let metadata = &replicas.metadata[reader % 2];
                let found = ManifestStore::find(metadata, &name("a"), &by)
                    .await
                    .unwrap();
                let version = versions.iter().position(|it| it.digest() == found.digest);
                stale += usize::from(version.unwrap() < known);
            }
            stale
        })
    });
    let mut stale = 0;
    for reader in readers.collect::<Vec<_>>() {
        stale += reader.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(stale, 0, "of {READS} reads");
}
