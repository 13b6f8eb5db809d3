//! The outbox of a server: several readers, and a restart.

use storage::{ChangeSet, ManifestChange, NewOutboxRecord, OutboxRecord, OutboxStore};

use super::world::{World, index, name, tag};

/// Pushes a manifest with an outbox record of this kind.
async fn push(world: &World, kind: &str) {
    let record = NewOutboxRecord {
        kind: kind.to_owned(),
        payload: b"payload".to_vec(),
    };
    let changes = ChangeSet {
        change: ManifestChange::Push {
            manifest: index(&[]),
            tags: vec![tag("x")],
        },
        outbox: vec![record],
    };
    let rows = world.storage.manifests();
    rows.apply(&name("a"), changes).await.unwrap();
}

async fn records(outbox: &dyn OutboxStore) -> Vec<OutboxRecord> {
    outbox.records(None, 100).await.unwrap()
}

fn kinds(records: &[OutboxRecord]) -> Vec<&str> {
    let kinds = records.iter().map(|record| record.record.kind.as_str());
    kinds.collect()
}

#[tokio::test]
async fn two_readers_get_the_same_records_until_one_acknowledges_them() {
    let world = World::new().await;
    let command = world.command().await;
    for kind in ["first", "second", "third"] {
        push(&world, kind).await;
    }
    let read = records(world.storage.outbox()).await;
    assert_eq!(kinds(&read), ["first", "second", "third"]);
    assert_eq!(records(command.outbox()).await, read);

    command.outbox().acknowledge(read[1].id).await.unwrap();
    let rest = records(world.storage.outbox()).await;
    assert_eq!(kinds(&rest), ["third"]);
    // A reader that is behind removes nothing more.
    let outbox = world.storage.outbox();
    outbox.acknowledge(read[0].id).await.unwrap();
    assert_eq!(records(command.outbox()).await, rest);
    push(&world, "fourth").await;
    let later = outbox.records(Some(read[2].id), 100).await.unwrap();
    assert_eq!(kinds(&later), ["fourth"]);
}

#[tokio::test]
async fn records_survive_a_restart_in_their_order() {
    let world = World::new().await;
    push(&world, "before").await;
    let before = records(world.storage.outbox()).await;
    let world = world.restarted().await;
    push(&world, "after").await;
    let all = records(world.storage.outbox()).await;
    assert_eq!(all[..1], before);
    assert_eq!(kinds(&all), ["before", "after"]);
    assert!(all[0].id < all[1].id);
}
