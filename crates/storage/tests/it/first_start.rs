//! A server that starts where another registry has left its data: it serves them from the first
//! request on.

use std::time::Duration;

use storage::collection::CollectionPolicy;
use storage::distribution::{AdoptionCheck, Discovery, OngoingAdoption};
use storage::{AdoptionStage, BackupError, ContentLocation, Error, Storage, StorageSettings};

use super::old::Old;
use super::world::{GRACE, SWEEP, World, content, image, index, name, open_database, sha256};

/// A world whose content lies where another registry has left its own.
async fn world_in(old: &Old) -> World {
    World::in_place_of(old.path()).await
}

async fn unread(world: &World) -> std::sync::Arc<OngoingAdoption> {
    match world.storage.discover(&world.root()).await.unwrap() {
        Discovery::Unread(reading) => reading,
        other => panic!("{other:?}"),
    }
}

fn with_images(repositories: &[&str]) -> Old {
    let old = Old::new();
    for repository in repositories {
        old.layer(repository, b"{}");
        old.layer(repository, b"layer");
        old.manifest(repository, &image(&[b"layer"], None), &["x", "y"]);
    }
    old
}

#[tokio::test]
async fn what_was_not_read_yet_is_read_when_it_is_asked_for() {
    let old = with_images(&["a", "b/c", "d"]);
    let world = world_in(&old).await;
    let reading = unread(&world).await;
    assert!(!world.has_manifest("b/c", "x").await);
    // Nobody reads on: only what is asked for is there.
    world.storage.ensure_adopted(&name("b/c")).await.unwrap();
    assert!(world.has_manifest("b/c", "x").await && world.has_manifest("b/c", &digest()).await);
    assert_eq!(world.content("b/c", sha256(b"layer")).await, b"layer");
    let page = storage::PageRequest {
        after: None,
        limit: 9,
    };
    assert_eq!(
        world
            .storage
            .manifests()
            .tags(&name("b/c"), page)
            .await
            .unwrap()
            .entries,
        ["x", "y"]
    );
    assert!(!world.has_manifest("d", "x").await);
    for unknown in ["b", "never", "b/c/d"] {
        world.storage.ensure_adopted(&name(unknown)).await.unwrap();
        assert!(!world.has_manifest(unknown, "x").await);
    }

    let report = world
        .storage
        .complete_adoption(&reading, |_| {})
        .await
        .unwrap();
    assert_eq!(
        (
            report.repositories,
            report.of,
            report.manifests,
            report.tags
        ),
        (3, 3, 3, 6)
    );
    assert!(world.has_manifest("d", "x").await);
    assert!(matches!(
        world.storage.discover(&world.root()).await.unwrap(),
        Discovery::Nothing
    ));
}

fn digest() -> String {
    image(&[b"layer"], None).digest().to_string()
}

#[tokio::test]
async fn what_changes_meanwhile_stays_changed() {
    let old = with_images(&["a", "b", "c"]);
    let world = world_in(&old).await;
    let reading = unread(&world).await;
    for repository in ["a", "b", "c"] {
        world
            .storage
            .ensure_adopted(&name(repository))
            .await
            .unwrap();
    }
    world
        .storage
        .manifests()
        .untag(&name("a"), &"x".parse().unwrap())
        .await
        .unwrap();
    let moved = world.image("b", "newer", &["x"]).await;
    world
        .storage
        .manifests()
        .remove(&name("c"), &digest().parse().unwrap())
        .await
        .unwrap();
    world
        .storage
        .complete_adoption(&reading, |_| {})
        .await
        .unwrap();
    assert!(!world.has_manifest("a", "x").await && world.has_manifest("a", "y").await);
    let found = world
        .storage
        .manifests()
        .find(&name("b"), &"x".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(found.digest, moved);
    assert!(!world.has_manifest("c", &digest()).await);
}

/// A command reads the same directory: neither takes a change back that was made after the other
/// had read.
#[tokio::test]
async fn two_who_read_the_same_do_it_once() {
    let old = with_images(&["a", "b", "c"]);
    let world = world_in(&old).await;
    let (ours, command) = (unread(&world).await, world.beside().await);
    let theirs = command
        .begin_adoption(&world.root(), AdoptionCheck::Manifests)
        .await
        .unwrap();
    world.storage.ensure_adopted(&name("a")).await.unwrap();
    world
        .storage
        .manifests()
        .untag(&name("a"), &"x".parse().unwrap())
        .await
        .unwrap();
    command.complete_adoption(&theirs, |_| {}).await.unwrap();
    assert!(!world.has_manifest("a", "x").await && world.has_manifest("b", "x").await);
    world
        .storage
        .manifests()
        .untag(&name("b"), &"x".parse().unwrap())
        .await
        .unwrap();
    world
        .storage
        .complete_adoption(&ours, |_| {})
        .await
        .unwrap();
    assert!(!world.has_manifest("a", "x").await && !world.has_manifest("b", "x").await);
    assert_eq!(
        world
            .storage
            .finalize_adoption(&world.root())
            .await
            .unwrap(),
        AdoptionStage::Final
    );
}

#[tokio::test]
async fn killed_in_the_middle_it_goes_on_and_forgets_no_change() {
    let old = with_images(&["a", "b", "c"]);
    let world = world_in(&old).await;
    drop(unread(&world).await);
    world.storage.ensure_adopted(&name("a")).await.unwrap();
    world
        .storage
        .manifests()
        .untag(&name("a"), &"x".parse().unwrap())
        .await
        .unwrap();
    // There are images now, and it is not the first start any more.
    let world = world.restarted().await;
    let reading = unread(&world).await;
    world.storage.ensure_adopted(&name("b")).await.unwrap();
    assert!(world.has_manifest("b", "x").await);
    let report = world
        .storage
        .complete_adoption(&reading, |_| {})
        .await
        .unwrap();
    assert_eq!((report.repositories, report.manifests), (3, 3));
    assert!(!world.has_manifest("a", "x").await && world.has_manifest("c", "x").await);
    drop(reading);
    let world = world.restarted().await;
    assert!(matches!(
        world.storage.discover(&world.root()).await.unwrap(),
        Discovery::Nothing
    ));
    assert_eq!(world.content("c", sha256(b"layer")).await, b"layer");
}

#[tokio::test]
async fn a_registry_with_images_of_its_own_asks() {
    let old = Old::new();
    let world = world_in(&old).await;
    let Discovery::Unread(reading) = world.storage.discover(&world.root()).await.unwrap() else {
        panic!()
    };
    world
        .storage
        .complete_adoption(&reading, |_| {})
        .await
        .unwrap();
    let world = World::new().await;
    assert!(matches!(
        world.storage.discover(&world.root()).await.unwrap(),
        Discovery::Nothing
    ));
    world.image("a", "own", &["x"]).await;
    // As an export to the very folder leaves it.
    world.storage.export(&world.root(), |_| {}).await.unwrap();
    assert!(matches!(
        world.storage.discover(&world.root()).await.unwrap(),
        Discovery::Unrelated
    ));
}

#[tokio::test]
async fn collection_leaves_it_alone() {
    let old = with_images(&["a", "b"]);
    old.layer("a", b"nobody's");
    let before = old.everything().len();
    let world = world_in(&old).await;
    let reading = unread(&world).await;
    world.storage.ensure_adopted(&name("a")).await.unwrap();
    let sweep = CollectionPolicy {
        untagged: Some(Duration::ZERO),
        ..SWEEP
    };
    for _ in 0..2 {
        world.pass(GRACE * 2);
        assert_eq!(world.storage.collect(sweep).await.unwrap().blobs, 0);
        assert_eq!(
            world
                .storage
                .finalize_adoption(&world.root())
                .await
                .unwrap(),
            AdoptionStage::Reading
        );
    }
    world
        .storage
        .complete_adoption(&reading, |_| {})
        .await
        .unwrap();
    world.pass(GRACE * 2);
    assert_eq!(world.storage.collect(sweep).await.unwrap().blobs, 0);
    assert!(old.everything().len() >= before);
    assert_eq!(
        world
            .storage
            .finalize_adoption(&world.root())
            .await
            .unwrap(),
        AdoptionStage::Final
    );
    assert_eq!(world.storage.collect(sweep).await.unwrap().blobs, 1);
    assert_eq!(world.content("b", sha256(b"layer")).await, b"layer");
}

/// Between its blobs and its manifests nothing refers to a blob that was there before: it must have
/// a lease.
#[tokio::test]
async fn a_blob_that_was_condemned_is_brought_back() {
    let old = with_images(&["a"]);
    let world = world_in(&old).await;
    let own = world.blob("z", b"layer").await;
    world.pass(GRACE * 2);
    let waiting = CollectionPolicy {
        wait: Duration::from_secs(600),
        ..SWEEP
    };
    assert_eq!(world.storage.collect(waiting).await.unwrap().marked, 1);
    world
        .storage
        .adopt(&world.root(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap();
    world.pass(Duration::from_secs(601));
    world.storage.collect(waiting).await.unwrap();
    assert_eq!(
        world
            .storage
            .blobs()
            .find(&name("a"), &own.digest)
            .await
            .unwrap(),
        own
    );
    assert_eq!(world.content("a", own.digest).await, b"layer");
}

#[tokio::test]
async fn the_folder_can_be_moved() {
    let old = with_images(&["a"]);
    let world = world_in(&old).await;
    world
        .storage
        .adopt(&world.root(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("moved");
    let (directory, clock) = (world.directory.clone(), world.clock());
    drop(world);
    std::fs::rename(old.path(), &moved).unwrap();
    let storage = Storage::open(
        open_database(directory.path()),
        &moved,
        StorageSettings::default(),
        clock,
    )
    .await
    .unwrap();
    assert_eq!(
        content(&storage, "a", sha256(b"layer")).await.unwrap(),
        b"layer"
    );
    assert!(matches!(
        storage.discover(&moved).await.unwrap(),
        Discovery::Nothing
    ));
}

#[tokio::test]
async fn nothing_is_copied_that_is_half_read() {
    let old = with_images(&["a"]);
    let world = world_in(&old).await;
    let reading = unread(&world).await;
    let to = tempfile::tempdir().unwrap();
    let (database, root) = (to.path().join("w.db"), to.path().join("data"));
    let refused = world
        .storage
        .backup(&database, &root, [1; 16], |_, _| {})
        .await;
    assert!(
        matches!(refused, Err(BackupError::HalfRead(location)) if location == ContentLocation::Directory(old.path().canonicalize().unwrap()))
    );
    assert!(
        world
            .storage
            .export(&to.path().join("out"), |_| {})
            .await
            .is_err()
    );
    world
        .storage
        .complete_adoption(&reading, |_| {})
        .await
        .unwrap();
    world
        .storage
        .backup(&database, &root, [1; 16], |_, _| {})
        .await
        .unwrap();
    let storage = Storage::open(
        open_database(to.path()),
        root,
        StorageSettings::default(),
        world.clock(),
    )
    .await
    .unwrap();
    assert_eq!(
        content(&storage, "a", sha256(b"layer")).await.unwrap(),
        b"layer"
    );
}

/// Whoever asks first has it read, and everybody else waits for that: while many are read, none is
/// missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_pull_while_they_are_read() {
    let old = Old::new();
    let digest = old.manifest("r0", &index(&[]), &["x"]);
    for number in 1..300 {
        old.link(&format!("r{number}"), &digest, "x");
    }
    let world = std::sync::Arc::new(world_in(&old).await);
    let reading = unread(&world).await;
    let reader = std::sync::Arc::clone(&world);
    let task = tokio::spawn(async move {
        reader
            .storage
            .complete_adoption(&reading, |_| {})
            .await
            .unwrap()
    });
    let pullers = (0..4).map(|puller: usize| {
        let world = std::sync::Arc::clone(&world);
        tokio::spawn(async move {
            for number in (puller..300).rev().step_by(7) {
                let repository = name(&format!("r{number}"));
                world.storage.ensure_adopted(&repository).await.unwrap();
                let found = world
                    .storage
                    .manifests()
                    .find(&repository, &"x".parse().unwrap())
                    .await;
                match found {
                    Ok(found) => assert_eq!(found.digest, digest),
                    Err(error @ Error::RepositoryUnknown) => panic!("{repository}: {error}"),
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for puller in pullers.collect::<Vec<_>>() {
        puller.await.unwrap();
    }
    let report = task.await.unwrap();
    assert_eq!(
        (report.repositories, report.manifests, report.tags),
        (300, 300, 300)
    );
}
