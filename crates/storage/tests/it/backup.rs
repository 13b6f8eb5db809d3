//! Backup and verification.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::{
    AffectedRepository, BackupError, ContentHealth, Error, PullTimes, QuotaCounting, Storage,
    StorageSettings, UsageQuery, VerifyResult,
};

use super::world::{World, content, name, open_database, sha256};

async fn results(world: &World) -> Vec<VerifyResult> {
    let mut results = Vec::new();
    let report = |result| {
        results.push(result);
        ControlFlow::Continue(())
    };
    world.storage.verify(report).await.unwrap();
    results
}

#[tokio::test]
async fn changed_and_lost_content_is_found() {
    let world = World::new().await;
    world.image("a", "layer", &["x"]).await;
    let (changed, lost) = (
        world.blob("a", b"changed").await,
        world.blob("a", b"lost").await,
    );
    assert!(
        results(&world)
            .await
            .iter()
            .all(|result| result.health == ContentHealth::Sound)
    );
    assert_eq!(results(&world).await.len(), 5);
    std::fs::write(world.root().join(&changed.key), "CHANGED").unwrap();
    std::fs::remove_file(world.root().join(&lost.key)).unwrap();
    let unsound: Vec<_> = results(&world)
        .await
        .into_iter()
        .filter(|result| result.health != ContentHealth::Sound)
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
async fn a_verification_can_be_ended() {
    let world = World::new().await;
    world.image("a", "layer", &["x"]).await;
    let mut reported = 0;
    let report = |_| {
        reported += 1;
        ControlFlow::Break(())
    };
    world.storage.verify(report).await.unwrap();
    assert_eq!(reported, 1);
}

/// The storage of a server that was started on a backup.
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
async fn a_result_names_the_tags_that_need_damaged_content() {
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
    let unsound: Vec<_> = results(&world)
        .await
        .into_iter()
        .filter(|result| result.health != ContentHealth::Sound)
        .collect();
    let [damaged] = unsound.as_slice() else {
        panic!("{unsound:?}")
    };
    assert_eq!(damaged.health, ContentHealth::Missing);
    assert_eq!(damaged.affected, affected("a", &["multi", "x", "y"]));
}

#[tokio::test]
async fn a_backup_into_the_copied_content_is_rejected() {
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
async fn a_backup_is_a_complete_registry() {
    let (world, backup) = (World::new().await, tempfile::tempdir().unwrap());
    let digest = world.image("a", "layer", &["x"]).await;
    let unfinished = world.begin("a").await;
    assert_eq!(back_up(&world.command().await, &backup).await.unwrap(), 2);
    let second = back_up(&world.storage, &backup).await;
    assert!(matches!(second, Err(BackupError::Exists(_))));
    world.remove("a", digest).await;

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
    // It shares no files with the original.
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

#[tokio::test]
async fn a_backup_does_not_know_what_is_pulled_after_it() {
    let (world, backup) = (World::new().await, tempfile::tempdir().unwrap());
    let digest = world.image("a", "layer", &["x"]).await;
    let pulls = PullTimes::new(world.clock());
    pulls.note(&name("a"), &digest);
    pulls.flush(&world.storage).await.unwrap();
    back_up(&world.storage, &backup).await.unwrap();
    let count = |table: &str| -> i64 {
        let copy = rusqlite::Connection::open(backup.path().join("w.db")).unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        copy.query_row(&sql, (), |row| row.get(0)).unwrap()
    };
    assert_eq!((count("manifest_pulls"), count("pull_recording")), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_during_pushes_and_collections_is_complete() {
    let (world, backup) = (Arc::new(World::new().await), tempfile::tempdir().unwrap());
    let prefixes = ["a", "*", "b"].map(|text| text.parse().unwrap());
    let tracked = world
        .storage
        .quotas()
        .track(prefixes.into(), QuotaCounting::New);
    assert_eq!(tracked.await.unwrap().counted, 3);
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
                world.remove("a", digest).await;
                world.pass(super::world::GRACE / 4);
                world.collect().await;
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
    let report = |result: VerifyResult| {
        unsound.extend(Some(result).filter(|result| result.health != ContentHealth::Sound));
        ControlFlow::Continue(())
    };
    storage.verify(report).await.unwrap();
    assert_eq!(unsound, []);
    // What was counted belongs to what was copied.
    for storage in [&world.storage, &storage] {
        assert_eq!(storage.quotas().wrong_counts().await.unwrap(), []);
        let used = storage.quotas().usage(UsageQuery::All).await.unwrap();
        assert!(used.len() == 3 && used[0].usage.tags > 0, "{used:?}");
    }
    assert_eq!(
        content(&storage, "a", sha256(b"before")).await.unwrap(),
        b"before"
    );
}
