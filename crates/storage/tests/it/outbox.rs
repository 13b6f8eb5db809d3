//! The outbox of a server: several readers, and a restart.

use storage::{ChangeSet, ManifestChange, NewOutboxRecord, OutboxRecord, OutboxStore};

use super::world::{World, index, name, tag};

/// The kind of the records here; their payloads tell them apart.
const KIND: &str = "test";

/// Pushes a manifest with an outbox record that has this payload.
async fn push(world: &World, payload: &str) {
    let record = NewOutboxRecord {
        kind: KIND.to_owned(),
        payload: payload.as_bytes().to_vec(),
    };
    let push = ManifestChange::Push {
        manifest: index(&[]),
        tags: vec![tag("x")],
    };
    let changes = ChangeSet {
        outbox: vec![record],
        ..push.into()
    };
    let rows = world.storage.manifests();
    rows.apply(&name("a"), changes).await.unwrap();
}

async fn records(outbox: &dyn OutboxStore) -> Vec<OutboxRecord> {
    outbox.records(KIND, None, 100).await.unwrap()
}

fn payloads(records: &[OutboxRecord]) -> Vec<&str> {
    let payloads = records.iter().map(|record| &record.record.payload);
    payloads
        .map(|payload| std::str::from_utf8(payload).unwrap())
        .collect()
}

#[tokio::test]
async fn two_readers_get_the_same_records_until_one_acknowledges_them() {
    let world = World::new().await;
    let command = world.command().await;
    for payload in ["first", "second", "third"] {
        push(&world, payload).await;
    }
    let read = records(world.storage.outbox()).await;
    assert_eq!(payloads(&read), ["first", "second", "third"]);
    assert_eq!(records(command.outbox()).await, read);

    command
        .outbox()
        .acknowledge(KIND, read[1].id)
        .await
        .unwrap();
    let rest = records(world.storage.outbox()).await;
    assert_eq!(payloads(&rest), ["third"]);
    // A reader that is behind removes nothing more.
    let outbox = world.storage.outbox();
    outbox.acknowledge(KIND, read[0].id).await.unwrap();
    assert_eq!(records(command.outbox()).await, rest);
    push(&world, "fourth").await;
    let later = outbox.records(KIND, Some(read[2].id), 100).await.unwrap();
    assert_eq!(payloads(&later), ["fourth"]);
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
    assert_eq!(payloads(&all), ["before", "after"]);
    assert!(all[0].id < all[1].id);
}
