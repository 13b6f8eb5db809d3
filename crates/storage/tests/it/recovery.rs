//! What a crash leaves behind, made by stopping at each step, and what the next start makes of it.

use std::io::Write;
use std::sync::Arc;

use storage::{
    BlobReservation, Error, Files, FinishedUpload, MetadataStores, Sqlite, Storage, UploadStore,
    recover_uploads,
};

use super::memory::Memory;
use super::world::{World, clock, name, retention, sha256};

/// The parts of a server that is stopped before it opens: nothing is put right.
async fn parts(world: &World) -> (Arc<Sqlite>, Arc<Files>) {
    let now = Arc::new(std::sync::atomic::AtomicU64::new(1_800_000_000));
    let rows = Sqlite::new(world.database.clone(), retention(), clock(&now)).unwrap();
    (Arc::new(rows), Arc::new(Files::open(world.root()).unwrap()))
}

async fn saved(world: &World, content: &'static str) -> FinishedUpload {
    let id = world.begin("a").await;
    let mut upload = world.storage.upload(&name("a"), id, None).await.unwrap();
    upload.write(content.into()).await.unwrap();
    upload.save().await.unwrap();
    FinishedUpload {
        upload: id,
        fence: Some(1),
        repository: name("a"),
        digest: sha256(content.as_bytes()),
        size: content.len() as u64,
        replaces: None,
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let world = World::new().await;
    let landing = saved(&world, "cargo ").await;
    // What was on its way and never acknowledged.
    let path = world
        .root()
        .join("uploads")
        .join(landing.upload.to_string());
    std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(&[0; 1 << 20])
        .unwrap();
    let world = world.restarted().await;
    assert_eq!(
        world
            .storage
            .received(&name("a"), landing.upload)
            .await
            .unwrap(),
        6
    );
    let mut upload = world
        .storage
        .upload(&name("a"), landing.upload, Some(6))
        .await
        .unwrap();
    upload.write("for all".into()).await.unwrap();
    upload.finish(sha256(b"cargo for all")).await.unwrap();
    assert_eq!(
        world.content("a", sha256(b"cargo for all")).await,
        b"cargo for all"
    );
}

#[tokio::test]
async fn stopped_anywhere_on_the_way_to_a_blob_it_is_an_upload_again() {
    for published in [false, true] {
        let world = World::new().await;
        let landing = saved(&world, "cargo").await;
        let (rows, files) = parts(&world).await;
        let reserved = rows.reserve(landing.clone()).await.unwrap();
        let BlobReservation::Pending(blob) = reserved else {
            panic!()
        };
        if published {
            storage::BlobStore::publish(files.as_ref(), landing.upload, &blob.key)
                .await
                .unwrap();
        }
        assert!(
            !world.has_blob("a", landing.digest).await,
            "not there before the end"
        );
        drop((rows, files));
        let world = world.restarted().await;
        assert!(!world.has_blob("a", landing.digest).await);
        assert_eq!(
            (world.files(), world.temporaries()),
            (0, 1),
            "published: {published}"
        );
        let upload = world
            .storage
            .upload(&name("a"), landing.upload, Some(5))
            .await
            .unwrap();
        upload.finish(landing.digest).await.unwrap();
        assert_eq!(world.content("a", landing.digest).await, b"cargo");
    }
}

#[tokio::test]
async fn content_without_an_upload_is_removed() {
    let world = World::new().await;
    let landing = saved(&world, "kept").await;
    let single = world.upload("a").id.to_string();
    std::fs::write(world.root().join("uploads").join(single), [0; 1 << 20]).unwrap();
    let foreign = world.root().join("uploads/README");
    std::fs::write(&foreign, "not ours").unwrap();
    let world = world.restarted().await;
    assert_eq!(world.temporaries(), 2);
    assert!(foreign.exists());
    assert_eq!(
        world
            .storage
            .received(&name("a"), landing.upload)
            .await
            .unwrap(),
        4
    );
}

#[tokio::test]
async fn who_was_slower_with_the_same_content_gets_the_blob_of_who_was_faster() {
    let world = World::new().await;
    let slow = saved(&world, "cargo").await;
    let (rows, files) = parts(&world).await;
    let BlobReservation::Pending(pending) = rows.reserve(slow.clone()).await.unwrap() else {
        panic!()
    };
    storage::BlobStore::publish(files.as_ref(), slow.upload, &pending.key)
        .await
        .unwrap();
    let fast = world.blob("b", b"cargo").await;
    assert_eq!(rows.settle(slow.clone(), pending).await.unwrap(), fast);
    assert_eq!(world.content("a", fast.digest).await, b"cargo");
    assert_eq!(world.files(), 2);
    world.storage.collect(super::world::SWEEP).await.unwrap();
    assert_eq!(world.files(), 1);
    assert_eq!(world.content("a", fast.digest).await, b"cargo");
}

#[tokio::test]
async fn a_second_server_is_refused_and_a_command_is_not() {
    let world = World::new().await;
    let error = Files::open_exclusive(world.root()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("another server has the storage directory"),
        "{error}"
    );
    let command = world.beside().await;
    assert!(matches!(
        command.received(&name("a"), world.upload("a").id).await,
        Err(Error::UploadUnknown)
    ));
    let missing = Files::open(world.root().join("nothing")).unwrap_err();
    assert!(missing.to_string().contains("nothing"), "{missing}");
}

/// From an upload in pieces to its collection, and nothing of it in a file.
#[tokio::test]
async fn storage_can_stand_on_other_parts() {
    let world = World::new().await;
    let rows = Arc::new(Sqlite::new(world.database.clone(), retention(), world.clock()).unwrap());
    let on_memory = |memory: &Memory| {
        Storage::new(
            MetadataStores::new(Arc::clone(&rows)),
            Arc::new(memory.clone()),
            storage::UploadLimits::default(),
        )
    };
    let memory = Memory::default();
    let storage = on_memory(&memory);
    let new = world.upload("a");
    let id = new.id;
    storage.begin(new).await.unwrap();
    let mut upload = storage.upload(&name("a"), id, Some(0)).await.unwrap();
    upload.write("car".into()).await.unwrap();
    assert_eq!(upload.save().await.unwrap(), 3);
    // As after a restart: nothing is remembered, and the hash is made anew.
    recover_uploads(rows.as_ref(), &memory).await.unwrap();
    let storage = on_memory(&memory);
    let mut upload = storage.upload(&name("a"), id, Some(3)).await.unwrap();
    upload.write("go".into()).await.unwrap();
    let blob = upload.finish(sha256(b"cargo")).await.unwrap();
    assert_eq!(
        super::world::content(&storage, "a", blob.digest)
            .await
            .unwrap(),
        b"cargo"
    );
    storage
        .blobs()
        .unlink(&name("a"), &blob.digest)
        .await
        .unwrap();
    world.pass(super::world::GRACE * 2);
    assert_eq!(storage.collect(super::world::SWEEP).await.unwrap().blobs, 1);
    assert!(
        storage::BlobStore::open(&memory, &blob, 0..5)
            .await
            .is_err()
    );
    assert_eq!((world.files(), world.temporaries()), (0, 0));
}
