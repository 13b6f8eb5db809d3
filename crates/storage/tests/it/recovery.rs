//! Recovery: the tests stop at each step, as a crash does, and start again.

use std::io::Write;
use std::sync::Arc;

use storage::{
    BlobReservation, Error, Files, FinishedUpload, MetadataStores, Sqlite, Storage, UploadStore,
    WrittenContent, recover_uploads,
};

use super::memory::MemoryContent;
use super::world::{GRACE, SWEEP, World, clock, content, name, retention, sha256};

/// Stores on the data of a server, without recovery.
async fn stores(world: &World) -> (Arc<Sqlite>, Arc<Files>) {
    let now = Arc::new(std::sync::atomic::AtomicU64::new(1_800_000_000));
    let rows = Sqlite::new(world.database.clone(), retention(), clock(&now)).unwrap();
    (Arc::new(rows), Arc::new(Files::open(world.root()).unwrap()))
}

async fn saved(world: &World, content: &str) -> FinishedUpload {
    FinishedUpload {
        upload: world.saved(content.as_bytes()).await,
        fence: Some(1),
        repository: name("a"),
        digest: sha256(content.as_bytes()),
        size: content.len() as u64,
        replaces: None,
        key: None,
        quotas: storage::RepositoryQuotas::default(),
    }
}

#[tokio::test]
async fn an_upload_continues_after_a_restart() {
    let world = World::new().await;
    let finished = saved(&world, "hello ").await;
    // Content that was received and never acknowledged.
    let path = world
        .root()
        .join("uploads")
        .join(finished.upload.to_string());
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
            .received(&name("a"), finished.upload)
            .await
            .unwrap(),
        6
    );
    let mut upload = world.resume(finished.upload, Some(6)).await;
    upload.write("world".into()).await.unwrap();
    upload.finish(sha256(b"hello world")).await.unwrap();
    assert_eq!(
        world.content("a", sha256(b"hello world")).await,
        b"hello world"
    );
}

#[tokio::test]
async fn an_upload_that_was_stopped_before_it_became_a_blob_can_continue() {
    for published in [false, true] {
        let world = World::new().await;
        let finished = saved(&world, "hello").await;
        let (rows, files) = stores(&world).await;
        let reserved = rows.reserve(finished.clone()).await.unwrap();
        let BlobReservation::Pending(blob) = reserved else {
            panic!()
        };
        if published {
            storage::BlobStore::publish(
                files.as_ref(),
                finished.upload,
                &WrittenContent::default(),
                &blob.key,
            )
            .await
            .unwrap();
        }
        assert!(
            !world.has_blob("a", finished.digest).await,
            "it is not visible before the end"
        );
        drop((rows, files));
        let world = world.restarted().await;
        assert!(!world.has_blob("a", finished.digest).await);
        assert_eq!(
            (world.files(), world.temporaries()),
            (0, 1),
            "published: {published}"
        );
        let upload = world.resume(finished.upload, Some(5)).await;
        upload.finish(finished.digest).await.unwrap();
        assert_eq!(world.content("a", finished.digest).await, b"hello");
    }
}

#[tokio::test]
async fn content_without_an_upload_is_removed() {
    let world = World::new().await;
    let finished = saved(&world, "kept").await;
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
            .received(&name("a"), finished.upload)
            .await
            .unwrap(),
        4
    );
}

#[tokio::test]
async fn the_slower_of_two_uploads_of_the_same_content_gets_the_blob_of_the_faster() {
    let world = World::new().await;
    let slow = saved(&world, "hello").await;
    let (rows, files) = stores(&world).await;
    let BlobReservation::Pending(pending) = rows.reserve(slow.clone()).await.unwrap() else {
        panic!()
    };
    storage::BlobStore::publish(
        files.as_ref(),
        slow.upload,
        &WrittenContent::default(),
        &pending.key,
    )
    .await
    .unwrap();
    let fast = world.blob("b", b"hello").await;
    let committed = rows.commit(slow.clone(), pending).await.unwrap();
    assert_eq!(committed.blob, fast);
    assert_eq!(world.content("a", fast.digest).await, b"hello");
    assert_eq!(world.files(), 2);
    world.collect().await;
    assert_eq!(world.files(), 1);
    assert_eq!(world.content("a", fast.digest).await, b"hello");
}

#[tokio::test]
async fn a_second_server_is_rejected_and_a_command_is_not() {
    let world = World::new().await;
    let error = Files::open_exclusive(world.root()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("another server has the storage directory"),
        "{error}"
    );
    let command = world.command().await;
    assert!(matches!(
        command.received(&name("a"), world.upload("a").id).await,
        Err(Error::UploadUnknown)
    ));
    let missing = Files::open(world.root().join("nothing")).unwrap_err();
    assert!(missing.to_string().contains("nothing"), "{missing}");
}

/// From an upload in chunks to garbage collection, without files.
#[tokio::test]
async fn storage_can_use_another_store_of_content() {
    let world = World::new().await;
    let rows = Arc::new(Sqlite::new(world.database.clone(), retention(), world.clock()).unwrap());
    let on_memory = |memory: &MemoryContent| {
        Storage::new(
            MetadataStores::new(Arc::clone(&rows)),
            Arc::new(memory.clone()),
            storage::UploadLimits::default(),
        )
    };
    let memory = MemoryContent::default();
    let storage = on_memory(&memory);
    let new = world.upload("a");
    let id = new.id;
    storage.begin(new).await.unwrap();
    let mut upload = storage.upload(&name("a"), id, Some(0)).await.unwrap();
    upload.write("hel".into()).await.unwrap();
    assert_eq!(upload.save().await.unwrap(), 3);
    // As after a restart.
    recover_uploads(rows.as_ref(), &memory).await.unwrap();
    let storage = on_memory(&memory);
    let mut upload = storage.upload(&name("a"), id, Some(3)).await.unwrap();
    upload.write("lo".into()).await.unwrap();
    let blob = upload.finish(sha256(b"hello")).await.unwrap();
    assert_eq!(content(&storage, "a", blob.digest).await.unwrap(), b"hello");
    storage
        .blobs()
        .unlink(&name("a"), &blob.digest)
        .await
        .unwrap();
    world.pass(GRACE * 2);
    assert_eq!(storage.collect(SWEEP).await.unwrap().blobs, 1);
    assert!(
        storage::BlobStore::open(&memory, &blob, 0..5)
            .await
            .is_err()
    );
    assert_eq!((world.files(), world.temporaries()), (0, 0));
}
