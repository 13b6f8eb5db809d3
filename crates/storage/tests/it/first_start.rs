//! A server that starts in the data directory of another registry. It serves that registry's images
//! from the first request.

use std::time::Duration;

use storage::collection::CollectionPolicy;
use storage::distribution::{AdoptionCheck, Discovery, OngoingAdoption};
use storage::{AdoptionStage, BackupError, ContentLocation, Error, Storage, StorageSettings};

use super::data_directory::DataDirectory;
use super::world::{GRACE, SWEEP, World, content, image, index, name, open_database, sha256};

/// Storage in the data directory of another registry.
async fn world_in(old: &DataDirectory) -> World {
    World::in_place_of(old.path()).await
}

async fn unread(world: &World) -> std::sync::Arc<OngoingAdoption> {
    match world.storage.discover(&world.root()).await.unwrap() {
        Discovery::Unread(adoption) => adoption,
        other => panic!("{other:?}"),
    }
}

fn with_images(repositories: &[&str]) -> DataDirectory {
    let old = DataDirectory::new();
    for repository in repositories {
        old.layer(repository, b"{}");
        old.layer(repository, b"layer");
        old.manifest(repository, &image(&[b"layer"], None), &["x", "y"]);
    }
    old
}

#[tokio::test]
async fn a_repository_is_read_on_demand() {
    let old = with_images(&["a", "b/c", "d"]);
    let world = world_in(&old).await;
    let adoption = unread(&world).await;
    assert!(!world.has_manifest("b/c", "x").await);
    // Nothing reads the rest: only the requested repository is in rows.
    world.ensure_adopted("b/c").await;
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
        world.ensure_adopted(unknown).await;
        assert!(!world.has_manifest(unknown, "x").await);
    }

    let report = world.complete(&adoption).await;
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
async fn changes_during_an_adoption_are_kept() {
    let old = with_images(&["a", "b", "c"]);
    let world = world_in(&old).await;
    let adoption = unread(&world).await;
    for repository in ["a", "b", "c"] {
        world.ensure_adopted(repository).await;
    }
    world.untag("a", "x").await;
    let moved = world.image("b", "newer", &["x"]).await;
    world.remove("c", digest().parse().unwrap()).await;
    world.complete(&adoption).await;
    assert!(!world.has_manifest("a", "x").await && world.has_manifest("a", "y").await);
    let found = world.manifest("b", "x").await;
    assert_eq!(found.digest, moved);
    assert!(!world.has_manifest("c", &digest()).await);
}

/// A command reads the same directory. Neither undoes a change that was made after the other had read
/// the repository.
#[tokio::test]
async fn two_processes_can_read_the_same_directory() {
    let old = with_images(&["a", "b", "c"]);
    let world = world_in(&old).await;
    let (ours, command) = (unread(&world).await, world.command().await);
    let theirs = command
        .begin_adoption(&world.root(), AdoptionCheck::Manifests)
        .await
        .unwrap();
    world.ensure_adopted("a").await;
    world.untag("a", "x").await;
    command.complete_adoption(&theirs, |_| {}).await.unwrap();
    assert!(!world.has_manifest("a", "x").await && world.has_manifest("b", "x").await);
    world.untag("b", "x").await;
    world.complete(&ours).await;
    assert!(!world.has_manifest("a", "x").await && !world.has_manifest("b", "x").await);
    assert_eq!(world.finalize().await, AdoptionStage::Final);
}

#[tokio::test]
async fn a_killed_adoption_continues_and_keeps_changes() {
    let old = with_images(&["a", "b", "c"]);
    let world = world_in(&old).await;
    drop(unread(&world).await);
    world.ensure_adopted("a").await;
    world.untag("a", "x").await;
    // There are images now, so this is not the first start.
    let world = world.restarted().await;
    let adoption = unread(&world).await;
    world.ensure_adopted("b").await;
    assert!(world.has_manifest("b", "x").await);
    let report = world.complete(&adoption).await;
    assert_eq!((report.repositories, report.manifests), (3, 3));
    assert!(!world.has_manifest("a", "x").await && world.has_manifest("c", "x").await);
    drop(adoption);
    let world = world.restarted().await;
    assert!(matches!(
        world.storage.discover(&world.root()).await.unwrap(),
        Discovery::Nothing
    ));
    assert_eq!(world.content("c", sha256(b"layer")).await, b"layer");
}

#[tokio::test]
async fn a_registry_with_images_of_its_own_adopts_nothing() {
    let old = DataDirectory::new();
    let world = world_in(&old).await;
    let Discovery::Unread(adoption) = world.storage.discover(&world.root()).await.unwrap() else {
        panic!()
    };
    world.complete(&adoption).await;
    let world = World::new().await;
    assert!(matches!(
        world.storage.discover(&world.root()).await.unwrap(),
        Discovery::Nothing
    ));
    world.image("a", "own", &["x"]).await;
    // As after an export to the directory of our own content.
    world.storage.export(&world.root(), |_| {}).await.unwrap();
    assert!(matches!(
        world.storage.discover(&world.root()).await.unwrap(),
        Discovery::Unrelated
    ));
}

#[tokio::test]
async fn collection_keeps_content_of_an_unfinished_adoption() {
    let old = with_images(&["a", "b"]);
    old.layer("a", b"unreferenced");
    let before = old.everything().len();
    let world = world_in(&old).await;
    let adoption = unread(&world).await;
    world.ensure_adopted("a").await;
    let sweep = CollectionPolicy {
        untagged: Some(Duration::ZERO),
        ..SWEEP
    };
    for _ in 0..2 {
        world.pass(GRACE * 2);
        assert_eq!(world.storage.collect(sweep).await.unwrap().blobs, 0);
        assert_eq!(world.finalize().await, AdoptionStage::Reading);
    }
    world.complete(&adoption).await;
    world.pass(GRACE * 2);
    assert_eq!(world.storage.collect(sweep).await.unwrap().blobs, 0);
    assert!(old.everything().len() >= before);
    assert_eq!(world.finalize().await, AdoptionStage::Final);
    assert_eq!(world.storage.collect(sweep).await.unwrap().blobs, 1);
    assert_eq!(world.content("b", sha256(b"layer")).await, b"layer");
}

/// Until the manifests are stored, nothing refers to an existing blob: it needs a lease.
#[tokio::test]
async fn a_marked_blob_is_unmarked_by_an_adoption() {
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
async fn the_directory_can_be_moved() {
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
async fn an_unfinished_adoption_is_neither_backed_up_nor_exported() {
    let old = with_images(&["a"]);
    let world = world_in(&old).await;
    let adoption = unread(&world).await;
    let to = tempfile::tempdir().unwrap();
    let (database, root) = (to.path().join("w.db"), to.path().join("data"));
    let rejected = world
        .storage
        .backup(&database, &root, [1; 16], |_, _| {})
        .await;
    assert!(
        matches!(rejected, Err(BackupError::HalfRead(location)) if location == ContentLocation::Directory(old.path().canonicalize().unwrap()))
    );
    assert!(
        world
            .storage
            .export(&to.path().join("out"), |_| {})
            .await
            .is_err()
    );
    world.complete(&adoption).await;
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

/// The first request reads a repository, and other requests wait: no repository is ever missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_pulls_during_an_adoption() {
    let old = DataDirectory::new();
    let digest = old.manifest("r0", &index(&[]), &["x"]);
    for number in 1..300 {
        old.link(&format!("r{number}"), &digest, "x");
    }
    let world = std::sync::Arc::new(world_in(&old).await);
    let adoption = unread(&world).await;
    let reader = std::sync::Arc::clone(&world);
    let task = tokio::spawn(async move {
        reader
            .storage
            .complete_adoption(&adoption, |_| {})
            .await
            .unwrap()
    });
    let clients = (0..4).map(|client: usize| {
        let world = std::sync::Arc::clone(&world);
        tokio::spawn(async move {
            for number in (client..300).rev().step_by(7) {
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
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let report = task.await.unwrap();
    assert_eq!(
        (report.repositories, report.manifests, report.tags),
        (300, 300, 300)
    );
}
