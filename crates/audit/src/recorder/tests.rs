use common::SystemClock;
use database::{Database, DatabaseLocation};
use event::ManifestEvent;
use tempfile::TempDir;

use super::*;
use crate::{AuditFilter, PersonalData};

fn recorder() -> (TempDir, AuditStore, AuditRecorder) {
    let folder = tempfile::tempdir().unwrap();
    let location = DatabaseLocation::at(folder.path().join("db"));
    let store = AuditStore::new(Database::open_exclusive(&location).unwrap());
    let settings = AuditSettings {
        flush: Duration::from_secs(1),
        keep: Duration::from_secs(3600),
    };
    let names = Arc::new(Pseudonyms::new(PersonalData::default(), &[0; 32]));
    let recorder = AuditRecorder::new(store.clone(), names, settings, Arc::new(SystemClock));
    (folder, store, recorder)
}

fn pull(recorder: &AuditRecorder, account: &str, reference: &str) {
    let (repository, digest) = ("app".parse().unwrap(), format!("sha256:{}", "0".repeat(64)));
    let manifest = ManifestEvent {
        repository: &repository,
        digest: &digest.parse().unwrap(),
        reference,
        media_type: "m",
        size: 1,
        content: b"{}",
    };
    recorder.observe(&Event {
        time: SystemClock.now(),
        actor: Actor {
            account,
            ..Actor::default()
        },
        kind: EventKind::ManifestPulled(manifest),
    });
}

#[tokio::test]
async fn what_waits_is_bounded_and_what_is_lost_is_counted() {
    let (_folder, store, recorder) = recorder();
    let agent = "x".repeat(30_000);
    let event = Event {
        time: SystemClock.now(),
        actor: Actor {
            account: "ann",
            user_agent: &agent,
            ..Actor::default()
        },
        kind: EventKind::CatalogRead { repositories: 1 },
    };
    for _ in 0..1200 {
        recorder.observe(&event);
    }
    let waiting = recorder.queue().records.len();
    assert!(recorder.queue().bytes <= MAX_BYTES && waiting < 1200);
    assert_eq!(recorder.queue().lost, 1200 - waiting as u64);
    let statistics = recorder.statistics();
    assert_eq!(statistics.waiting, waiting);
    assert_eq!(statistics.lost, 1200 - waiting as u64);
    recorder.flush().await.unwrap();
    assert_eq!(recorder.queue().bytes, 0);
    assert_eq!(recorder.queue().lost, 0);
    let filter = AuditFilter {
        kind: Some(LOST.to_owned()),
        ..AuditFilter::default()
    };
    let lost = store.list(filter, None, 10).await.unwrap();
    assert!(
        lost[0]
            .document
            .contains(&format!("\"events\":{}", 1200 - waiting)),
        "{lost:?}"
    );
    assert_eq!(
        store
            .export(AuditFilter::default(), 0, 5000)
            .await
            .unwrap()
            .len(),
        waiting + 1
    );
}

#[tokio::test]
async fn equal_pulls_are_one_record_with_their_number() {
    let (_folder, store, recorder) = recorder();
    for (account, reference) in [
        ("ann", "1"),
        ("ann", "1"),
        ("bob", "1"),
        ("ann", "2"),
        ("ann", "1"),
    ] {
        pull(&recorder, account, reference);
    }
    recorder.flush().await.unwrap();
    assert_eq!(recorder.queue().bytes, 0);
    pull(&recorder, "ann", "1");
    recorder.flush().await.unwrap();
    let records = store.export(AuditFilter::default(), 0, 10).await.unwrap();
    let counts: Vec<_> = records
        .iter()
        .map(|record| {
            record
                .read()
                .event
                .get("count")
                .and_then(serde_json::Value::as_u64)
        })
        .collect();
    assert_eq!(counts.len(), 4, "{records:?}");
    assert_eq!(counts.iter().flatten().collect::<Vec<_>>(), [&3]);
}

#[tokio::test]
async fn pulls_during_a_write_are_counted_until_the_next_one() {
    let (_folder, store, recorder) = recorder();
    pull(&recorder, "ann", "1");
    let (written, ()) = tokio::join!(recorder.flush(), async {
        pull(&recorder, "ann", "1");
        pull(&recorder, "ann", "1");
    });
    written.unwrap();
    let records = store.export(AuditFilter::default(), 0, 10).await.unwrap();
    assert_eq!((records.len(), recorder.statistics().waiting), (1, 1));
    recorder.flush().await.unwrap();
    let records = store.export(AuditFilter::default(), 0, 10).await.unwrap();
    assert_eq!(records.len(), 2, "{records:?}");
    assert!(
        records[1].document.ends_with(",\"count\":2}"),
        "{records:?}"
    );
}
