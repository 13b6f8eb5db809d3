//! Content that is missing or damaged, although it has a row.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::Digest;
use storage::distribution::AdoptionCheck;
use storage::{
    Blob, ChangeSet, ContentLocation, Error, ManifestChange, NewManifest, Storage,
    StorageOpenError, StorageSettings,
};

use super::data_directory::DataDirectory;
use super::world::{World, image, name, open_database, root, sha256};

const LAYER: &[u8] = b"the content of a layer";

/// The kinds of damage to a blob's file.
const DAMAGES: [fn(&Path); 4] = [
    |file| fs::remove_file(file).unwrap(),
    |file| drop(File::create(file).unwrap()),
    |file| fs::write(file, &LAYER[..7]).unwrap(),
    |file| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    },
];

fn push(manifest: &NewManifest) -> ChangeSet {
    let (manifest, tags) = (manifest.clone(), Vec::new());
    ManifestChange::Push { manifest, tags }.into()
}

async fn found(world: &World, repository: &str, digest: Digest) -> Blob {
    let blobs = world.storage.blobs();
    blobs.find(&name(repository), &digest).await.unwrap()
}

async fn file(world: &World, digest: Digest) -> PathBuf {
    world.root().join(found(world, "a", digest).await.key)
}

async fn is_damaged(world: &World, repository: &str, blob: &Blob) -> bool {
    let repository = name(repository);
    let checked = world.storage.check_blob(&repository, blob).await;
    let read = world
        .storage
        .read(&repository, blob, 0..blob.size)
        .await
        .map(drop);
    let is_damaged = matches!(checked, Err(Error::Damaged { .. }));
    assert_eq!(
        is_damaged,
        matches!(read, Err(Error::Damaged { .. })),
        "{checked:?} {read:?}"
    );
    is_damaged
}

#[tokio::test]
async fn a_push_replaces_lost_content_in_every_repository() {
    for damage in DAMAGES {
        for in_one_request in [false, true] {
            let world = World::new().await;
            world
                .image("a", std::str::from_utf8(LAYER).unwrap(), &["one"])
                .await;
            let digest = sha256(LAYER);
            let mounted = world.storage.blobs();
            mounted
                .mount(&digest, &name("a"), &name("b"))
                .await
                .unwrap();
            damage(&file(&world, digest).await);
            for repository in ["a", "b"] {
                let blob = found(&world, repository, digest).await;
                assert!(is_damaged(&world, repository, &blob).await);
            }
            // A manifest that needs it is rejected.
            let (manifest, repository) = (image(&[LAYER], Some(digest)), name("a"));
            let pushed = world.storage.apply(&repository, push(&manifest));
            let Err(Error::ReferencesUnknown(missing)) = pushed.await else {
                panic!("a manifest was accepted whose layer cannot be read");
            };
            assert_eq!(missing, [digest]);

            if in_one_request {
                let mut upload = world.storage.put(world.upload("a")).await.unwrap();
                upload.write(LAYER.into()).await.unwrap();
                upload.finish(digest).await.unwrap();
            } else {
                world.blob("a", LAYER).await;
            }
            for repository in ["a", "b"] {
                let blob = found(&world, repository, digest).await;
                assert!(!is_damaged(&world, repository, &blob).await);
                assert_eq!(world.content(repository, digest).await, LAYER);
            }
            let pushed = world.storage.apply(&repository, push(&manifest));
            pushed.await.unwrap();
            assert_eq!(world.temporaries(), 0);
            let world = world.restarted().await;
            assert_eq!(world.content("b", digest).await, LAYER);
        }
    }
}

#[tokio::test]
async fn the_file_of_a_replaced_blob_is_collected() {
    let world = World::new().await;
    world.blob("a", LAYER).await;
    let file = file(&world, sha256(LAYER)).await;
    fs::write(&file, b"short").unwrap();
    world.blob("a", LAYER).await;
    assert!(file.exists());
    world.collect().await;
    assert!(!file.exists());
    assert_eq!(world.content("a", sha256(LAYER)).await, LAYER);
}

#[tokio::test]
async fn an_intact_blob_is_not_stored_twice() {
    let world = World::new().await;
    world.blob("a", LAYER).await;
    let before = found(&world, "a", sha256(LAYER)).await;
    world.blob("b", LAYER).await;
    assert_eq!(found(&world, "b", sha256(LAYER)).await, before);
    assert_eq!(world.files(), 1);
}

#[tokio::test]
async fn a_database_and_content_that_do_not_belong_together_are_not_served() {
    let (whole, other) = (World::new().await, World::new().await);
    whole.image("a", "layer", &["x"]).await;
    let (clock, directory) = (whole.clock(), Arc::clone(&whole.directory));
    let open = async || {
        let database = open_database(directory.path());
        let root = root(directory.path());
        Storage::open(database, root, StorageSettings::default(), clock.clone()).await
    };
    let open_for_command = async || {
        let database = open_database(directory.path());
        let root = root(directory.path());
        Storage::open_for_command(database, root, StorageSettings::default(), clock.clone()).await
    };
    drop(whole);
    drop(open().await.unwrap());
    // The database is lost.
    let database = directory.path().join("w.db");
    let kept = fs::read(&database).unwrap();
    fs::remove_file(&database).unwrap();
    let _ = fs::remove_file(directory.path().join("w.db-wal"));
    let error = open().await.unwrap_err();
    assert!(matches!(error, StorageOpenError::NoRows(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("Restore the database from a backup")
    );
    // A command must not say that all is well.
    let error = open_for_command().await.unwrap_err();
    assert!(matches!(error, StorageOpenError::NoRows(_)), "{error}");
    // The content is lost, or its disk is not mounted.
    fs::write(&database, kept).unwrap();
    let _ = fs::remove_file(directory.path().join("w.db-wal"));
    let _ = fs::remove_file(directory.path().join("w.db-shm"));
    let away = directory.path().join("away");
    fs::rename(root(directory.path()), &away).unwrap();
    let error = open().await.unwrap_err();
    assert!(matches!(error, StorageOpenError::NoContent(_)), "{error}");
    let error = open_for_command().await.unwrap_err();
    assert!(matches!(error, StorageOpenError::NoContent(_)), "{error}");
    fs::remove_dir_all(root(directory.path())).unwrap();
    fs::rename(&away, root(directory.path())).unwrap();
    drop(open().await.unwrap());
    // An empty registry is valid.
    drop(other.restarted().await);
}

#[tokio::test]
async fn an_unreachable_directory_is_reported_and_a_push_stores_its_blobs_again() {
    let (world, old) = (World::new().await, DataDirectory::new());
    old.layer("a", b"{}");
    old.layer("a", LAYER);
    old.manifest("a", &image(&[LAYER], None), &["x"]);
    world.adopt(old.path(), AdoptionCheck::Manifests).await;
    let away = async |storage: &Storage| storage.unreachable_locations().await.unwrap();
    assert!(away(&world.storage).await.is_empty());

    let (there, moved) = (old.path().join("docker"), old.path().join("moved"));
    fs::rename(&there, &moved).unwrap();
    let world = world.restarted().await;
    assert_eq!(
        away(&world.storage).await,
        [ContentLocation::Directory(
            old.path().canonicalize().unwrap()
        )]
    );
    let blob = found(&world, "a", sha256(LAYER)).await;
    assert!(is_damaged(&world, "a", &blob).await);
    world.blob("a", LAYER).await;
    assert_eq!(world.content("a", sha256(LAYER)).await, LAYER);

    // It comes back while the server runs.
    fs::rename(&moved, &there).unwrap();
    assert!(away(&world.storage).await.is_empty());
    assert_eq!(world.content("a", sha256(b"{}")).await, b"{}");
}
