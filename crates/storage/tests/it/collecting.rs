//! Garbage collection of content. The suite in `conformance` tests what it does to rows.

use std::time::Duration;

use storage::collection::{CollectionHold, CollectionPolicy, Garbage, GarbageBlob};

use super::world::{GRACE, SWEEP, World, sha256};

fn later() -> Duration {
    GRACE + Duration::from_secs(1)
}

#[tokio::test]
async fn what_nothing_refers_to_goes_after_the_grace_time() {
    let world = World::new().await;
    world.image("a", "needed", &["x"]).await;
    let idle = world.blob("a", b"idle").await;
    world.pass(GRACE);
    assert_eq!(world.storage.collect(SWEEP).await.unwrap().blobs, 0);
    world.pass(Duration::from_secs(1));
    let plan = world.storage.plan(SWEEP).await.unwrap();
    let garbage = GarbageBlob {
        digest: idle.digest,
        size: 4,
    };
    assert_eq!(plan.blobs, [garbage]);
    assert!(
        world.has_blob("a", idle.digest).await,
        "a plan changes nothing"
    );
    let collected = world.storage.collect(SWEEP).await.unwrap();
    assert_eq!(
        (collected.marked, collected.blobs, collected.bytes),
        (1, 1, 4)
    );
    assert!(!world.has_blob("a", idle.digest).await);
    assert_eq!(world.files(), 2);
    assert_eq!(world.content("a", sha256(b"needed")).await, b"needed");
    assert_eq!(world.storage.plan(SWEEP).await.unwrap(), Garbage::default());
}

/// A server that is restarted more often than it collects still collects.
#[tokio::test]
async fn a_restart_neither_delays_nor_repeats_a_pass() {
    let every = Duration::from_secs(86_400);
    let world = World::new().await;
    let first = world.storage.collect_in_turn(SWEEP, every).await;
    assert!(first.unwrap().is_some());
    let world = world.restarted().await;
    world.pass(every / 2);
    let early = world.storage.collect_in_turn(SWEEP, every).await;
    assert_eq!(early.unwrap(), None);
    let world = world.restarted().await;
    world.pass(every / 2);
    let due = world.storage.collect_in_turn(SWEEP, every).await;
    assert!(due.unwrap().is_some());
}

#[tokio::test]
async fn a_marked_blob_is_served_and_waits() {
    let world = World::new().await;
    let sweep = CollectionPolicy {
        wait: Duration::from_secs(600),
        ..SWEEP
    };
    let idle = world.blob("a", b"idle").await;
    world.pass(later());
    let collected = world.storage.collect(sweep).await.unwrap();
    assert_eq!((collected.marked, collected.blobs), (1, 0));
    assert_eq!(world.content("a", idle.digest).await, b"idle");
    world.pass(Duration::from_secs(600));
    assert_eq!(world.storage.collect(sweep).await.unwrap().blobs, 1);
    assert!(!world.has_blob("a", idle.digest).await);
    assert_eq!(world.files(), 0);
}

#[tokio::test]
async fn a_hold_keeps_every_file_and_ends_by_itself() {
    let world = World::new().await;
    world.blob("a", b"idle").await;
    world.pass(later());
    let hold = CollectionHold {
        id: [1; 16],
        lasting: Duration::from_secs(60),
    };
    world.storage.hold(hold).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.storage.collect(SWEEP).await.unwrap().blobs, 0);
    }
    assert_eq!(world.files(), 1);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.storage.collect(SWEEP).await.unwrap().blobs, 1);
    world.blob("a", b"again").await;
    world.pass(later());
    world.storage.hold(hold).await.unwrap();
    world.storage.release(hold).await.unwrap();
    assert_eq!(world.storage.collect(SWEEP).await.unwrap().blobs, 1);
}

#[tokio::test]
async fn a_command_collects_beside_the_server() {
    let world = World::new().await;
    world.image("a", "one", &["x"]).await;
    let idle = world.blob("a", b"idle").await;
    assert!(world.has_blob("a", idle.digest).await);
    world.pass(later());
    let (server, command) = (world.storage.clone(), world.command().await);
    let (one, two) = tokio::join!(server.collect(SWEEP), command.collect(SWEEP));
    assert_eq!(one.unwrap().marked + two.unwrap().marked, 1);
    assert!(!world.has_blob("a", idle.digest).await);
    assert_eq!(world.files(), 2);
    assert_eq!(world.content("a", sha256(b"one")).await, b"one");
}
