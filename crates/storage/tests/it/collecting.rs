//! What collection removes, and what it never does.

use std::time::Duration;

use storage::collection::{
    CollectionHold, CollectionPolicy, Garbage, GarbageBlob, GarbageManifest,
};
use storage::{Error, PageRequest};

use super::world::{GRACE, SWEEP, World, image, index, name, sha256};

const DAY: Duration = Duration::from_secs(24 * 3600);
const UNTAGGED: CollectionPolicy = CollectionPolicy {
    untagged: Some(DAY),
    ..SWEEP
};

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

#[tokio::test]
async fn a_condemned_blob_is_served_and_waits() {
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
async fn each_way_to_use_a_blob_revives_it() {
    for way in ["head", "mount", "upload", "manifest"] {
        let world = World::new().await;
        let sweep = CollectionPolicy {
            wait: Duration::from_secs(600),
            ..SWEEP
        };
        world.blob("a", b"{}").await;
        let layer = world.blob("a", b"layer").await;
        world.pass(later());
        assert_eq!(world.storage.collect(sweep).await.unwrap().marked, 2);
        match way {
            "head" => drop(
                world
                    .storage
                    .blobs()
                    .lease(&name("a"), &layer.digest)
                    .await
                    .unwrap(),
            ),
            "mount" => {
                drop(
                    world
                        .storage
                        .blobs()
                        .mount(&layer.digest, &name("a"), &name("b"))
                        .await
                        .unwrap(),
                );
            }
            "upload" => assert_eq!(world.blob("c", b"layer").await, layer),
            _ => drop(
                world
                    .push("a", image(&[b"layer"], None), &["x"])
                    .await
                    .unwrap(),
            ),
        }
        world.pass(Duration::from_secs(601));
        world.storage.collect(sweep).await.unwrap();
        assert_eq!(world.content("a", layer.digest).await, b"layer", "{way}");
        assert_eq!(
            world.has_blob("a", sha256(b"{}")).await,
            way == "manifest",
            "{way}"
        );
    }
}

#[tokio::test]
async fn untagged_manifests_stay_or_go_as_configured() {
    let world = World::new().await;
    let (old, new) = (
        world.image("a", "old", &["x"]).await,
        world.image("a", "new", &["x"]).await,
    );
    world.pass(later());
    world.storage.collect(SWEEP).await.unwrap();
    assert!(world.has_manifest("a", &old.to_string()).await);
    let plan = world.storage.plan(UNTAGGED).await.unwrap();
    let manifest = GarbageManifest {
        repository: name("a"),
        digest: old,
    };
    assert_eq!(plan.manifests, [manifest]);
    let blob = GarbageBlob {
        digest: sha256(b"old"),
        size: 3,
    };
    assert_eq!(plan.blobs, [blob]);
    let collected = world.storage.collect(UNTAGGED).await.unwrap();
    assert_eq!((collected.manifests, collected.blobs), (1, 1));
    assert!(!world.has_manifest("a", &old.to_string()).await);
    assert!(world.has_manifest("a", &new.to_string()).await);
    assert!(!world.has_blob("a", sha256(b"old")).await);
    assert!(world.has_blob("a", sha256(b"{}")).await);
}

#[tokio::test]
async fn never_a_child_of_a_live_index() {
    let world = World::new().await;
    let (one, two) = (
        world.image("a", "one", &[]).await,
        world.image("a", "two", &[]).await,
    );
    let inner = world.push("a", index(&[one]), &[]).await.unwrap();
    world
        .push("a", index(&[inner, sha256(b"sparse")]), &["x"])
        .await
        .unwrap();
    world.pass(later());
    assert_eq!(world.storage.collect(UNTAGGED).await.unwrap().manifests, 1);
    assert!(
        world.has_manifest("a", &one.to_string()).await
            && world.has_manifest("a", &inner.to_string()).await
    );
    assert!(!world.has_manifest("a", &two.to_string()).await);
    assert_eq!(world.content("a", sha256(b"one")).await, b"one");
    world
        .storage
        .manifests()
        .untag(&name("a"), &"x".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(world.storage.collect(UNTAGGED).await.unwrap().manifests, 3);
    assert_eq!(world.files(), 0);
}

#[tokio::test]
async fn never_a_referrer_of_a_live_subject_nor_the_subject_of_a_live_referrer() {
    let world = World::new().await;
    for layer in [&b"{}"[..], b"signature", b"attestation"] {
        world.blob("a", layer).await;
    }
    let subject = world.image("a", "subject", &["x"]).await;
    let signature = world
        .push("a", image(&[b"signature"], Some(subject)), &[])
        .await
        .unwrap();
    let about_it = world
        .push("a", image(&[b"attestation"], Some(signature)), &[])
        .await
        .unwrap();
    world.pass(later());
    assert_eq!(world.storage.collect(UNTAGGED).await.unwrap().manifests, 0);
    // The tag moves to the far end of the chain: it holds the rest.
    world
        .push(
            "a",
            image(&[b"attestation"], Some(signature)),
            &["attested"],
        )
        .await
        .unwrap();
    world
        .storage
        .manifests()
        .untag(&name("a"), &"x".parse().unwrap())
        .await
        .unwrap();
    world.pass(later());
    assert_eq!(world.storage.collect(UNTAGGED).await.unwrap().manifests, 0);
    world
        .storage
        .manifests()
        .untag(&name("a"), &"attested".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(world.storage.collect(UNTAGGED).await.unwrap().manifests, 3);
    for digest in [subject, signature, about_it] {
        assert!(!world.has_manifest("a", &digest.to_string()).await);
    }
}

#[tokio::test]
async fn a_manifest_that_a_pusher_asked_for_stays() {
    let world = World::new().await;
    let digest = world.image("a", "one", &[]).await;
    world.pass(later());
    world
        .storage
        .manifests()
        .lease(&name("a"), &digest.into())
        .await
        .unwrap();
    assert_eq!(world.storage.collect(UNTAGGED).await.unwrap().manifests, 0);
    world.pass(later());
    assert_eq!(world.storage.collect(UNTAGGED).await.unwrap().manifests, 1);
    let gone = world
        .storage
        .manifests()
        .lease(&name("a"), &digest.into())
        .await;
    assert!(matches!(
        gone,
        Err(Error::ManifestUnknown | Error::RepositoryUnknown)
    ));
}

#[tokio::test]
async fn a_repository_loses_what_only_others_need_and_goes_when_it_is_empty() {
    let world = World::new().await;
    let digest = world.image("a", "one", &["x"]).await;
    world.image("b", "one", &["x"]).await;
    world
        .storage
        .manifests()
        .remove(&name("a"), &digest)
        .await
        .unwrap();
    world.pass(later());
    world.storage.collect(SWEEP).await.unwrap();
    assert!(!world.has_blob("a", sha256(b"one")).await);
    assert_eq!(world.content("b", sha256(b"one")).await, b"one");
    let gone = world
        .storage
        .manifests()
        .tags(
            &name("a"),
            PageRequest {
                after: None,
                limit: 1,
            },
        )
        .await;
    assert!(matches!(gone, Err(Error::RepositoryUnknown)));
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
    let (server, command) = (world.storage.clone(), world.beside().await);
    let (one, two) = tokio::join!(server.collect(SWEEP), command.collect(SWEEP));
    assert_eq!(one.unwrap().marked + two.unwrap().marked, 1);
    assert!(!world.has_blob("a", idle.digest).await);
    assert_eq!(world.files(), 2);
    assert_eq!(world.content("a", sha256(b"one")).await, b"one");
}
