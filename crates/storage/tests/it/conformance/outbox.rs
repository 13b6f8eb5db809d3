//! Records of changes: written in the transaction of the change, and kept until they are delivered.

use storage::{ChangeSet, Error, ManifestChange, NewOutboxRecord, OutboxRecord, OutboxRecordId};

use super::bench::{BEGINNING, Bench, COLLECT, MakeStores, SECOND};
use crate::world::{image, index, name, sha256, tag};

/// The kind of most records here; their payloads tell them apart.
const KIND: &str = "test";

fn record(kind: &str, payload: &str) -> NewOutboxRecord {
    NewOutboxRecord {
        kind: kind.to_owned(),
        payload: payload.as_bytes().to_vec(),
    }
}

async fn apply(
    bench: &Bench,
    repository: &str,
    change: ManifestChange,
    payloads: &[&str],
) -> Result<(), Error> {
    let records = payloads.iter().map(|payload| record(KIND, payload));
    apply_with(bench, repository, change, records.collect()).await
}

async fn apply_with(
    bench: &Bench,
    repository: &str,
    change: ManifestChange,
    outbox: Vec<NewOutboxRecord>,
) -> Result<(), Error> {
    let changes = ChangeSet {
        outbox,
        ..change.into()
    };
    let applied = bench.manifests().apply(&name(repository), changes).await;
    applied.map(drop)
}

fn push(tags: &[&str]) -> ManifestChange {
    ManifestChange::Push {
        manifest: index(&[]),
        tags: tags.iter().map(|text| tag(text)).collect(),
    }
}

async fn all(bench: &Bench) -> Vec<OutboxRecord> {
    all_of(bench, KIND).await
}

async fn all_of(bench: &Bench, kind: &str) -> Vec<OutboxRecord> {
    bench.outbox().records(kind, None, 1000).await.unwrap()
}

async fn payloads(bench: &Bench, kind: &str) -> Vec<String> {
    let records = all_of(bench, kind).await.into_iter();
    let texts = records.map(|record| String::from_utf8(record.record.payload).unwrap());
    texts.collect()
}

pub(crate) async fn each_change_writes_its_records(make: MakeStores) {
    let bench = Bench::new(make).await;
    assert_eq!(all(&bench).await, []);
    apply(&bench, "a", push(&["x", "y"]), &["pushed"])
        .await
        .unwrap();
    bench.pass(SECOND);
    let untag = ManifestChange::Untag(tag("x"));
    apply(&bench, "a", untag, &["untagged", "also"])
        .await
        .unwrap();
    let remove = ManifestChange::Remove(index(&[]).digest());
    apply(&bench, "a", remove, &["removed"]).await.unwrap();
    apply(&bench, "b", push(&[]), &[]).await.unwrap();
    let records = all(&bench).await;
    let beginning = i64::try_from(BEGINNING).unwrap();
    let record_of = |payload| self::record(KIND, payload);
    for (record, (payload, created_at)) in records.iter().zip([
        ("pushed", beginning),
        ("untagged", beginning + 1),
        ("also", beginning + 1),
        ("removed", beginning + 1),
    ]) {
        assert_eq!(record.repository, name("a"));
        assert_eq!(record.record, record_of(payload));
        assert_eq!(record.created_at, created_at);
    }
    assert_eq!(records.len(), 4);
    assert!(records.is_sorted_by(|one, two| one.id < two.id));
}

pub(crate) async fn any_payload_comes_back(make: MakeStores) {
    let bench = Bench::new(make).await;
    let kind = "\u{e9} 'x'; --";
    let payloads = [Vec::new(), (0..=255).collect(), vec![0; 1 << 20]];
    for payload in &payloads {
        let changes = ChangeSet {
            outbox: vec![NewOutboxRecord {
                kind: kind.to_owned(),
                payload: payload.clone(),
            }],
            ..push(&[]).into()
        };
        bench.manifests().apply(&name("a"), changes).await.unwrap();
    }
    let records = all_of(&bench, kind).await;
    assert_eq!(records.len(), payloads.len());
    for (record, payload) in records.iter().zip(&payloads) {
        assert_eq!(record.record.kind, kind);
        assert!(record.record.payload == *payload);
    }
}

pub(crate) async fn a_failed_change_writes_none(make: MakeStores) {
    let bench = Bench::new(make).await;
    apply(&bench, "a", push(&["x"]), &["pushed"]).await.unwrap();
    let lacking = ManifestChange::Push {
        manifest: image(&[b"missing"], None),
        tags: vec![tag("x")],
    };
    let unknown = ManifestChange::Remove(sha256(b"unknown"));
    for (repository, change) in [
        ("a", lacking.clone()),
        ("b", lacking),
        ("a", unknown.clone()),
        ("b", unknown),
        ("a", ManifestChange::Untag(tag("unknown"))),
        ("b", ManifestChange::Untag(tag("x"))),
    ] {
        let failed = apply(&bench, repository, change, &["failed"]).await;
        assert!(failed.is_err());
    }
    assert_eq!(payloads(&bench, KIND).await, ["pushed"]);
}

pub(crate) async fn records_in_portions(make: MakeStores) {
    let bench = Bench::new(make).await;
    for payload in ["1", "2", "3", "4", "5"] {
        apply(&bench, "a", push(&[]), &[payload]).await.unwrap();
    }
    let records = all(&bench).await;
    for limit in [0, 1, 2, 5, 6] {
        let some = bench.outbox().records(KIND, None, limit).await.unwrap();
        assert_eq!(some, records[..records.len().min(limit as usize)]);
    }
    for (at, record) in records.iter().enumerate() {
        let later = bench
            .outbox()
            .records(KIND, Some(record.id), u32::MAX)
            .await;
        assert_eq!(later.unwrap(), records[at + 1..]);
    }
    let before = OutboxRecordId::new(records[0].id.number() - 1);
    let from_there = bench.outbox().records(KIND, Some(before), 1).await.unwrap();
    assert_eq!(from_there, records[..1]);
}

pub(crate) async fn acknowledged_records_are_removed(make: MakeStores) {
    let bench = Bench::new(make).await;
    for payload in ["1", "2", "3"] {
        apply(&bench, "a", push(&[]), &[payload]).await.unwrap();
    }
    // Reading removes nothing.
    assert_eq!(payloads(&bench, KIND).await, ["1", "2", "3"]);
    let records = all(&bench).await;
    for _ in 0..2 {
        bench
            .outbox()
            .acknowledge(KIND, records[1].id)
            .await
            .unwrap();
        assert_eq!(payloads(&bench, KIND).await, ["3"]);
    }
    bench
        .outbox()
        .acknowledge(KIND, records[0].id)
        .await
        .unwrap();
    assert_eq!(payloads(&bench, KIND).await, ["3"]);
}

pub(crate) async fn each_kind_is_read_and_acknowledged_alone(make: MakeStores) {
    let bench = Bench::new(make).await;
    for number in ["1", "2", "3"] {
        let records = vec![record("one", number), record("two", number)];
        apply_with(&bench, "a", push(&[]), records).await.unwrap();
    }
    // Numbers grow over both, so either reader can tell what came first.
    let (one, two) = (all_of(&bench, "one").await, all_of(&bench, "two").await);
    let ids = one.iter().zip(&two).flat_map(|(one, two)| [one.id, two.id]);
    assert!(ids.is_sorted_by(|first, second| first < second));
    let after = bench.outbox().records("two", Some(one[1].id), 10).await;
    assert_eq!(after.unwrap(), two[1..]);

    bench.outbox().acknowledge("one", two[1].id).await.unwrap();
    assert_eq!(payloads(&bench, "one").await, ["3"]);
    assert_eq!(payloads(&bench, "two").await, ["1", "2", "3"]);
    bench.outbox().acknowledge("two", two[2].id).await.unwrap();
    assert_eq!(payloads(&bench, "one").await, ["3"]);
    assert_eq!(payloads(&bench, "two").await, Vec::<String>::new());
    assert_eq!(payloads(&bench, "none").await, Vec::<String>::new());
}

pub(crate) async fn no_number_is_used_twice(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut last = None;
    for _ in 0..3 {
        apply(&bench, "a", push(&[]), &["1", "2"]).await.unwrap();
        for record in all(&bench).await {
            assert!(last < Some(record.id));
            last = Some(record.id);
            bench.outbox().acknowledge(KIND, record.id).await.unwrap();
        }
        assert_eq!(all(&bench).await, []);
    }
}

pub(crate) async fn records_outlive_their_repository(make: MakeStores) {
    let bench = Bench::new(make).await;
    apply(&bench, "a", push(&[]), &["pushed"]).await.unwrap();
    let remove = ManifestChange::Remove(index(&[]).digest());
    apply(&bench, "a", remove, &["removed"]).await.unwrap();
    bench.collect(COLLECT).await;
    assert!(!bench.has_repository("a").await);
    assert_eq!(payloads(&bench, KIND).await, ["pushed", "removed"]);
}
