//! Copies of everything, and the check that everything is what it is called.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::{
    AffectedRepository, BackupError, ContentHealth, Error, Storage, StorageSettings, VerifyResult,
};

use super::world::{SWEEP, World, content, name, open_database, sha256};

async fn findings(world: &World) -> Vec<VerifyResult> {
    let mut findings = Vec::new();
    let report = |finding| {
        findings.push(finding);
        ControlFlow::Continue(())
    };
    world.storage.verify(report).await.unwrap();
    findings
}

#[tokio::test]
async fn what_was_changed_or_lost_is_found() {
    let world = World::new().await;
    world.image("a", "layer", &["x"]).await;
    let (changed, lost) = (
        world.blob("a", b"changed").await,
        world.blob("a", b"lost").await,
    );
    assert!(
        findings(&world)
            .await
            .iter()
            .all(|finding| finding.health == ContentHealth::Sound)
    );
    assert_eq!(findings(&world).await.len(), 5);
    std::fs::write(world.root().join(&changed.key), "CHANGED").unwrap();
    std::fs::remove_file(world.root().join(&lost.key)).unwrap();
    let unsound: Vec<_> = findings(&world)
        .await
        .into_iter()
        .filter(|it| it.health != ContentHealth::Sound)
        .collect();
    let computed = sha256(b"CHANGED");
    assert_eq!(
        unsound,
        [
            VerifyResult {
                digest: changed.digest,
                size: 7,
                place: changed.key,
                health: ContentHealth::Changed { computed },
                affected: affected("a", &[]),
            },
            VerifyResult {
                digest: lost.digest,
                size: 4,
                place: lost.key.clone(),
                health: ContentHealth::Missing,
                affected: affected("a", &[]),
            },
        ]
    );
    let lost = world
        .storage
        .blobs()
        .find(&name("a"), &lost.digest)
        .await
        .unwrap();
    let read = world.storage.read(&name("a"), &lost, 0..4).await;
    assert!(matches!(read.err(), Some(Error::Damaged { digest }) if digest == lost.digest));
}

#[tokio::test]
async fn a_check_can_be_ended() {
    let world = World::new().await;
    world.image("a", "layer", &["x"]).await;
    let mut heard = 0;
    let report = |_| {
        heard += 1;
        ControlFlow::Break(())
    };
    world.storage.verify(report).await.unwrap();
    assert_eq!(heard, 1);
}

/// A server on a backup.
async fn restored(world: &World, backup: &tempfile::TempDir) -> Storage {
    let database = open_database(backup.path());
    Storage::open(
        database,
        backup.path().join("data"),
        StorageSettings::default(),
        world.clock(),
    )
    .await
    .unwrap()
}

async fn back_up(storage: &Storage, backup: &tempfile::TempDir) -> Result<usize, BackupError> {
    let mut last = (0, 0);
    let (database, root) = (backup.path().join("w.db"), backup.path().join("data"));
    storage
        .backup(&database, &root, [9; 16], |done, all| last = (done, all))
        .await?;
    assert_eq!(last.0, last.1);
    Ok(last.1)
}

fn affected(repository: &str, tags: &[&str]) -> Vec<AffectedRepository> {
    vec![AffectedRepository {
        repository: name(repository),
        tags: tags.iter().map(ToString::to_string).collect(),
    }]
}

#[tokio::test]
async fn of_damaged_content_it_is_said_what_to_push_again() {
    let world = World::new().await;
    let digest = world.image("a", "layer", &["x", "y"]).await;
    world
        .push("a", super::world::index(&[digest]), &["multi"])
        .await
        .unwrap();
    world.image("b", "another layer", &["x"]).await;
    let blobs = world.storage.blobs();
    let layer = blobs.find(&name("a"), &sha256(b"layer")).await.unwrap();
    std::fs::write(world.root().join(&layer.key), "").unwrap();
    let unsound: Vec<_> = findings(&world)
        .await
        .into_iter()
        .filter(|it| it.health != ContentHealth::Sound)
        .collect();
    let [damaged] = unsound.as_slice() else {
        panic!("{unsound:?}")
    };
    assert_eq!(damaged.health, ContentHealth::Missing);
    assert_eq!(damaged.affected, affected("a", &["multi", "x", "y"]));
}

#[tokio::test]
async fn no_backup_is_made_within_the_content_that_it_copies() {
    let world = World::new().await;
    world.image("a", "layer", &["x"]).await;
    for (database, root) in [
        ("copy.db", "../copy"),
        ("../copy.db", "blobs/copy"),
        ("new/a.db", "new/b"),
    ] {
        let (database, root) = (world.root().join(database), world.root().join(root));
        let made = world
            .storage
            .backup(&database, &root, [9; 16], |_, _| {})
            .await;
        assert!(matches!(made, Err(BackupError::Inside(_))), "{made:?}");
    }
}

#[tokio::test]
async fn a_backup_is_a_registry_of_its_own() {
    let (world, backup) = (World::new().await, tempfile::tempdir().unwrap());
    let digest = world.image("a", "layer", &["x"]).await;
    let unfinished = world.begin("a").await;
    assert_eq!(back_up(&world.beside().await, &backup).await.unwrap(), 2);
    let second = back_up(&world.storage, &backup).await;
    assert!(matches!(second, Err(BackupError::Exists(_))));
    world
        .storage
        .manifests()
        .remove(&name("a"), &digest)
        .await
        .unwrap();

    let storage = restored(&world, &backup).await;
    let found = storage
        .manifests()
        .find(&name("a"), &"x".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(found.digest, digest);
    assert_eq!(
        content(&storage, "a", sha256(b"layer")).await.unwrap(),
        b"layer"
    );
    assert!(matches!(
        storage.received(&name("a"), unfinished).await,
        Err(Error::UploadUnknown)
    ));
    // It does not share files: what happens to one does not happen to the other.
    let blob = storage
        .blobs()
        .find(&name("a"), &sha256(b"layer"))
        .await
        .unwrap();
    std::fs::write(world.root().join(&blob.key), "LAYER").unwrap();
    assert_eq!(
        content(&storage, "a", sha256(b"layer")).await.unwrap(),
        b"layer"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_during_pushes_and_collections_is_whole() {
    let (world, backup) = (Arc::new(World::new().await), tempfile::tempdir().unwrap());
    world.image("a", "before", &["before"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let pusher = tokio::spawn({
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        async move {
            let mut number = 0;
            while !stop.load(Ordering::SeqCst) || number < 20 {
                number += 1;
                let digest = world
                    .image("a", &format!("layer {number}"), &["latest"])
                    .await;
                world
                    .storage
                    .manifests()
                    .remove(&name("a"), &digest)
                    .await
                    .unwrap();
                world.pass(super::world::GRACE / 4);
                world.storage.collect(SWEEP).await.unwrap();
            }
        }
    });
    while world.files() < 4 {
        tokio::task::yield_now().await;
    }
    back_up(&world.storage, &backup).await.unwrap();
    stop.store(true, Ordering::SeqCst);
    pusher.await.unwrap();
    let storage = restored(&world, &backup).await;
    let mut unsound = Vec::new();
    let report = |finding: VerifyResult| {
        unsound.extend(Some(finding).filter(|finding| finding.health != ContentHealth::Sound));
        ControlFlow::Continue(())
    };
    storage.verify(report).await.unwrap();
    assert_eq!(unsound, []);
    assert_eq!(
        content(&storage, "a", sha256(b"before")).await.unwrap(),
        b"before"
    );
}
