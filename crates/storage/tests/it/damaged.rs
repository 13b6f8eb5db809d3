//! Content that is gone or damaged, though a row says that it is there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use oci::Digest;
use storage::{Blob, Error};

use super::world::{World, image, name, sha256};

const LAYER: &[u8] = b"the content of a layer";

/// What may happen to a blob's file.
const DAMAGES: [fn(&Path); 4] = [
    |file| fs::remove_file(file).unwrap(),
    |file| drop(File::create(file).unwrap()),
    |file| fs::write(file, &LAYER[..7]).unwrap(),
    |file| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    },
];

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
async fn a_push_stores_lost_content_again_for_every_repository_that_has_it() {
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
            // What needs it is not taken in either.
            let (manifest, repository) = (image(&[LAYER], Some(digest)), name("a"));
            let pushed = world
                .storage
                .push_manifest(&repository, manifest.clone(), vec![]);
            let Err(Error::ReferencesUnknown(missing)) = pushed.await else {
                panic!("a manifest was taken in whose layer cannot be read");
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
            let pushed = world.storage.push_manifest(&repository, manifest, vec![]);
            pushed.await.unwrap();
            assert_eq!(world.temporaries(), 0);
            let world = world.restarted().await;
            assert_eq!(world.content("b", digest).await, LAYER);
        }
    }
}

#[tokio::test]
async fn what_is_left_of_a_replaced_blob_is_collected() {
    let world = World::new().await;
    world.blob("a", LAYER).await;
    let file = file(&world, sha256(LAYER)).await;
    fs::write(&file, b"short").unwrap();
    world.blob("a", LAYER).await;
    assert!(file.exists());
    world.storage.collect(super::world::SWEEP).await.unwrap();
    assert!(!file.exists());
    assert_eq!(world.content("a", sha256(LAYER)).await, LAYER);
}

#[tokio::test]
async fn a_whole_blob_is_not_stored_twice() {
    let world = World::new().await;
    world.blob("a", LAYER).await;
    let before = found(&world, "a", sha256(LAYER)).await;
    world.blob("b", LAYER).await;
    assert_eq!(found(&world, "b", sha256(LAYER)).await, before);
    assert_eq!(world.files(), 1);
}
