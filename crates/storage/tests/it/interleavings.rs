//! Pushes between the steps of a garbage collection, one test for each order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use storage::collection::{CollectionPolicy, DeletableBlob};
use storage::{CollectionStore, Error, Sqlite, UploadId};

use super::world::{GRACE, SWEEP, World, content, image, name, sha256};

/// The collection of a second process, whose steps the test takes.
fn collection_of(world: &World) -> Sqlite {
    Sqlite::for_command(
        world.database.clone(),
        super::world::retention(),
        world.clock(),
    )
    .unwrap()
}

fn later() -> Duration {
    GRACE + Duration::from_secs(1)
}

/// Takes all steps before the removal of files.
async fn mark_and_sweep(collection: &Sqlite) -> Vec<DeletableBlob> {
    collection.mark(SWEEP, None).await.unwrap();
    collection.sweep(SWEEP).await.unwrap();
    collection.deletable(10).await.unwrap()
}

#[tokio::test]
async fn head_then_collection_then_manifest() {
    let world = World::new().await;
    for content in [&b"{}"[..], b"layer"] {
        world.blob("a", content).await;
    }
    world.pass(later());
    // The client asks, and need not upload.
    for content in [&b"{}"[..], b"layer"] {
        world
            .storage
            .blobs()
            .lease(&name("a"), &sha256(content))
            .await
            .unwrap();
    }
    assert_eq!(world.collect().await.marked, 0);
    world
        .push("a", image(&[b"layer"], None), &["x"])
        .await
        .unwrap();
    world.pass(later());
    world.collect().await;
    assert_eq!(world.content("a", sha256(b"layer")).await, b"layer");
}

#[tokio::test]
async fn mark_then_manifest_then_sweep() {
    let world = World::new().await;
    for content in [&b"{}"[..], b"layer"] {
        world.blob("a", content).await;
    }
    world.pass(later());
    let collection = collection_of(&world);
    assert_eq!(collection.mark(SWEEP, None).await.unwrap().marked, 2);
    world
        .push("a", image(&[b"layer"], None), &["x"])
        .await
        .unwrap();
    assert_eq!(collection.sweep(SWEEP).await.unwrap(), 0);
    assert!(collection.deletable(10).await.unwrap().is_empty());
    assert_eq!(world.content("a", sha256(b"layer")).await, b"layer");
}

#[tokio::test]
async fn sweep_then_manifest() {
    let world = World::new().await;
    for content in [&b"{}"[..], b"layer"] {
        world.blob("a", content).await;
        assert!(
            world.has_blob("a", sha256(content)).await,
            "the server caches it"
        );
    }
    world.pass(later());
    assert_eq!(mark_and_sweep(&collection_of(&world)).await.len(), 2);
    let error = world
        .push("a", image(&[b"layer"], None), &["x"])
        .await
        .unwrap_err();
    let Error::ReferencesUnknown(missing) = error else {
        panic!("{error}")
    };
    assert_eq!(missing.len(), 2);
    // The client uploads them again.
    world.image("a", "layer", &["x"]).await;
    world.collect().await;
    assert_eq!(world.content("a", sha256(b"layer")).await, b"layer");
}

#[tokio::test]
async fn mount_during_collection() {
    for swept in [false, true] {
        let world = World::new().await;
        let blob = world.blob("a", b"layer").await;
        world.pass(later());
        let collection = collection_of(&world);
        collection.mark(SWEEP, None).await.unwrap();
        if swept {
            collection.sweep(SWEEP).await.unwrap();
        }
        let mounted = world
            .storage
            .blobs()
            .mount(&blob.digest, &name("a"), &name("b"))
            .await;
        world.collect().await;
        if swept {
            assert!(matches!(mounted, Err(Error::BlobUnknown)));
            assert_eq!(world.files(), 0);
        } else {
            assert_eq!(mounted.unwrap(), blob);
            assert_eq!(world.content("b", blob.digest).await, b"layer");
        }
    }
}

#[tokio::test]
async fn upload_between_the_sweep_and_the_removal() {
    let world = World::new().await;
    let old = world.blob("a", b"layer").await;
    world.pass(later());
    let deletable = mark_and_sweep(&collection_of(&world)).await;
    let new = world.blob("a", b"layer").await;
    assert_ne!((new.generation, &new.key), (old.generation, &old.key));
    // The late removal hits the old file only.
    world.collect().await;
    assert_eq!(deletable[0].key, old.key);
    assert_eq!(world.files(), 1);
    assert_eq!(world.content("a", new.digest).await, b"layer");
}

#[tokio::test]
async fn a_reader_with_an_old_row() {
    let world = World::new().await;
    let old = world.blob("a", b"layer").await;
    let source = world.storage.read(&name("a"), &old, 0..5).await.unwrap();
    world.pass(later());
    world.collect().await;
    let late = world.storage.read(&name("a"), &old, 0..5).await;
    assert!(matches!(late.err(), Some(Error::BlobUnknown)));
    let mut source = source;
    assert_eq!(source.next().await.unwrap().unwrap(), b"layer".as_slice());
    // Uploaded again, it is found with the old row.
    world.blob("a", b"layer").await;
    let mut source = world.storage.read(&name("a"), &old, 0..5).await.unwrap();
    assert_eq!(source.next().await.unwrap().unwrap(), b"layer".as_slice());
}

#[tokio::test]
async fn a_pass_that_was_stopped_at_any_step_is_continued() {
    for state in 0..5 {
        let world = World::new().await;
        world.image("a", "kept", &["x"]).await;
        let idle = world.blob("a", b"idle").await;
        world.pass(later());
        let collection = collection_of(&world);
        if state > 0 {
            collection.mark(SWEEP, None).await.unwrap();
        }
        if state > 1 {
            collection.sweep(SWEEP).await.unwrap();
        }
        if state > 2 {
            std::fs::remove_file(world.root().join(&idle.key)).unwrap();
        }
        if state > 3 {
            collection
                .purge(collection.deletable(10).await.unwrap())
                .await
                .unwrap();
        }
        drop(collection);
        let world = world.restarted().await;
        world.collect().await;
        assert_eq!(world.files(), 2, "{state}");
        assert!(!world.has_blob("a", idle.digest).await);
        assert_eq!(world.content("a", sha256(b"kept")).await, b"kept");
        assert_eq!(world.blob("a", b"idle").await.digest, idle.digest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_pushes_deletes_and_collections() {
    let world = Arc::new(World::new().await);
    let stop = Arc::new(AtomicBool::new(false));
    let sweep = CollectionPolicy {
        untagged: Some(Duration::ZERO),
        ..SWEEP
    };
    let collectors = [world.storage.clone(), world.command().await].map(|storage| {
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                world.pass(GRACE / 16);
                storage.collect(sweep).await.unwrap();
            }
        })
    });
    let clients = (0..4).map(|client| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { push_and_delete(&world, client).await })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    for collector in collectors {
        collector.await.unwrap();
    }
    for client in 0..4 {
        let repository = format!("r{client}");
        for kept in 0..5 {
            assert!(
                world
                    .has_manifest(&repository, &format!("kept-{kept}"))
                    .await
            );
            let layer = format!("layer {kept}");
            assert_eq!(
                content(&world.storage, &repository, sha256(layer.as_bytes()))
                    .await
                    .unwrap(),
                layer.as_bytes()
            );
        }
    }
    world.pass(later());
    world.storage.collect(sweep).await.unwrap();
    // The configuration and five layers.
    assert_eq!(world.files(), 6);
}

/// Does as a client does: uploads a blob again that was removed meanwhile.
async fn push_and_delete(world: &World, client: u32) {
    let repository = format!("r{client}");
    for round in 0..40 {
        let kept = round % 5;
        let layer = format!("layer {kept}");
        let fleeting = format!("fleeting {client} {round}");
        for (layer, tag) in [
            (&layer, format!("kept-{kept}")),
            (&fleeting, "fleeting".to_owned()),
        ] {
            loop {
                for content in ["{}", layer] {
                    if world
                        .storage
                        .blobs()
                        .lease(&name(&repository), &sha256(content.as_bytes()))
                        .await
                        .is_err()
                    {
                        // While this waited, the collectors may have let the upload's time pass.
                        while let Err(error) = upload(world, &repository, content.as_bytes()).await
                        {
                            assert!(matches!(error, Error::UploadUnknown), "{error}");
                        }
                    }
                }
                match world
                    .push(&repository, image(&[layer.as_bytes()], None), &[&tag])
                    .await
                {
                    Ok(_) => break,
                    Err(Error::ReferencesUnknown(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        world
            .storage
            .manifests()
            .untag(&name(&repository), &"fleeting".parse().unwrap())
            .await
            .unwrap();
    }
}

async fn upload(world: &World, repository: &str, content: &[u8]) -> Result<(), Error> {
    let new = world.upload(repository);
    let id: UploadId = new.id;
    world.storage.begin(new).await?;
    let mut upload = world.storage.upload(&name(repository), id, None).await?;
    upload.write(content.to_vec().into()).await?;
    upload.finish(sha256(content)).await?;
    Ok(())
}
