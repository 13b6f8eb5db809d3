//! Uploads: in pieces, out of order, broken off, resumed.

use std::time::Duration;

use bytes::Bytes;
use oci::DigestAlgorithm;
use storage::{Error, StorageSettings, UploadLimits, hash};

use super::world::{World, name, sha256};

#[tokio::test]
async fn a_blob_in_pieces() {
    let world = World::new().await;
    let id = world.begin("a").await;
    let mut at = 0;
    for piece in ["one ", "two ", "three"] {
        let mut upload = world
            .storage
            .upload(&name("a"), id, Some(at))
            .await
            .unwrap();
        upload.write(piece.into()).await.unwrap();
        at = upload.save().await.unwrap();
        assert_eq!(world.storage.received(&name("a"), id).await.unwrap(), at);
    }
    let upload = world.storage.upload(&name("a"), id, None).await.unwrap();
    let blob = upload.finish(sha256(b"one two three")).await.unwrap();
    assert_eq!(world.content("a", blob.digest).await, b"one two three");
    assert!(matches!(
        world.storage.received(&name("a"), id).await,
        Err(Error::UploadUnknown)
    ));
    assert!(matches!(
        world.storage.upload(&name("a"), id, None).await,
        Err(Error::UploadUnknown)
    ));
    assert_eq!(world.temporaries(), 0);
}

#[tokio::test]
async fn a_piece_out_of_order_is_refused_and_the_upload_lives_on() {
    let world = World::new().await;
    let id = world.begin("a").await;
    let mut upload = world.storage.upload(&name("a"), id, Some(0)).await.unwrap();
    upload.write("cargo".into()).await.unwrap();
    upload.save().await.unwrap();
    for at in [0, 4, 6, u64::MAX] {
        let refused = world.storage.upload(&name("a"), id, Some(at)).await;
        assert!(matches!(refused, Err(Error::OutOfOrder { received: 5 })));
    }
    let mut upload = world.storage.upload(&name("a"), id, Some(5)).await.unwrap();
    upload.write("!".into()).await.unwrap();
    upload.finish(sha256(b"cargo!")).await.unwrap();
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let world = World::new().await;
    let id = world.begin("a").await;
    assert!(matches!(
        world.storage.received(&name("b"), id).await,
        Err(Error::UploadUnknown)
    ));
    assert!(matches!(
        world.storage.upload(&name("b"), id, None).await,
        Err(Error::UploadUnknown)
    ));
    assert!(matches!(
        world.storage.cancel(&name("b"), id).await,
        Err(Error::UploadUnknown)
    ));
    world.storage.cancel(&name("a"), id).await.unwrap();
    assert!(matches!(
        world.storage.cancel(&name("a"), id).await,
        Err(Error::UploadUnknown)
    ));
    // An upload alone makes no repository.
    assert!(matches!(
        world
            .storage
            .manifests()
            .find(&name("a"), &"x".parse().unwrap())
            .await,
        Err(Error::RepositoryUnknown)
    ));
}

#[tokio::test]
async fn the_wrong_digest_stores_nothing() {
    let world = World::new().await;
    let id = world.begin("a").await;
    let mut upload = world.storage.upload(&name("a"), id, None).await.unwrap();
    upload.write("cargo".into()).await.unwrap();
    let error = upload.finish(sha256(b"contraband")).await.unwrap_err();
    let Error::DigestMismatch(mismatch) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (mismatch.claimed, mismatch.computed),
        (sha256(b"contraband"), sha256(b"cargo"))
    );
    assert!(
        !world.has_blob("a", sha256(b"cargo")).await
            && !world.has_blob("a", sha256(b"contraband")).await
    );
    assert_eq!((world.files(), world.temporaries()), (0, 0));
    assert!(matches!(
        world.storage.received(&name("a"), id).await,
        Err(Error::UploadUnknown)
    ));
}

#[tokio::test]
async fn sha512_named_first_or_last() {
    let world = World::new().await;
    let digest = hash::digest(DigestAlgorithm::Sha512, b"cargo");
    for (repository, named_first) in [("a", true), ("b", false)] {
        let mut new = world.upload(repository);
        if named_first {
            new.algorithm = DigestAlgorithm::Sha512;
        }
        let id = new.id;
        world.storage.begin(new).await.unwrap();
        let mut upload = world
            .storage
            .upload(&name(repository), id, None)
            .await
            .unwrap();
        upload.write("cargo".into()).await.unwrap();
        upload.finish(digest).await.unwrap();
        assert_eq!(world.content(repository, digest).await, b"cargo");
    }
    assert!(!world.has_blob("a", sha256(b"cargo")).await);
}

#[tokio::test]
async fn empty_and_large() {
    let world = World::new().await;
    world.blob("a", b"").await;
    assert_eq!(world.content("a", sha256(b"")).await, b"");
    let large: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
    let id = world.begin("a").await;
    let mut upload = world.storage.upload(&name("a"), id, None).await.unwrap();
    for chunk in large.chunks(70_001) {
        upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    assert_eq!(upload.length(), 5_000_000);
    upload.finish(sha256(&large)).await.unwrap();
    assert_eq!(world.content("a", sha256(&large)).await, large);
}

#[tokio::test]
async fn what_a_broken_request_wrote_is_given_up() {
    let world = World::new().await;
    let id = world.begin("a").await;
    let mut upload = world.storage.upload(&name("a"), id, None).await.unwrap();
    upload.write("kept".into()).await.unwrap();
    upload.save().await.unwrap();
    let mut broken = world.storage.upload(&name("a"), id, Some(4)).await.unwrap();
    broken.write(vec![0; 3 << 20].into()).await.unwrap();
    broken.write("tail".into()).await.unwrap();
    drop(broken);
    let mut upload = world.storage.upload(&name("a"), id, Some(4)).await.unwrap();
    upload.write(" too".into()).await.unwrap();
    upload.finish(sha256(b"kept too")).await.unwrap();
    assert_eq!(world.content("a", sha256(b"kept too")).await, b"kept too");
}

#[tokio::test]
async fn one_request_at_a_time() {
    let limits = UploadLimits {
        patience: Duration::from_millis(1),
        ..UploadLimits::default()
    };
    let world = World::with(StorageSettings {
        limits,
        ..StorageSettings::default()
    })
    .await;
    let id = world.begin("a").await;
    let upload = world.storage.upload(&name("a"), id, None).await.unwrap();
    assert!(matches!(
        world.storage.upload(&name("a"), id, None).await,
        Err(Error::UploadBusy)
    ));
    drop(upload);
    assert!(world.storage.upload(&name("a"), id, None).await.is_ok());
}

#[tokio::test]
async fn in_one_go_nothing_but_the_end_counts() {
    let world = World::new().await;
    let mut upload = world.storage.put(world.upload("a")).await.unwrap();
    upload.write("cargo".into()).await.unwrap();
    upload.finish(sha256(b"cargo")).await.unwrap();
    assert_eq!(world.content("a", sha256(b"cargo")).await, b"cargo");
    let mut wrong = world.storage.put(world.upload("a")).await.unwrap();
    wrong.write("x".into()).await.unwrap();
    assert!(matches!(
        wrong.finish(sha256(b"y")).await,
        Err(Error::DigestMismatch(_))
    ));
    let mut saved = world.storage.put(world.upload("a")).await.unwrap();
    saved.write("x".into()).await.unwrap();
    assert!(matches!(saved.save().await, Err(Error::UploadUnknown)));
    assert_eq!(world.files(), 1);
}

#[tokio::test]
async fn limits() {
    let limits = UploadLimits {
        uploads_per_client: 2,
        blob: Some(10),
        ..UploadLimits::default()
    };
    let world = World::with(StorageSettings {
        limits,
        ..StorageSettings::default()
    })
    .await;
    let first = world.begin("a").await;
    let held = [
        world.storage.upload(&name("a"), first, None).await.unwrap(),
        world.storage.put(world.upload("b")).await.unwrap(),
    ];
    let refused = world.storage.begin(world.upload("c")).await;
    assert!(matches!(refused, Err(Error::TooManyUploads { limit: 2 })));
    drop(held);
    let mut other = world.upload("c");
    other.client = "another client".to_owned();
    world.storage.begin(other).await.unwrap();
    let mut upload = world.storage.upload(&name("a"), first, None).await.unwrap();
    upload.write("0123456789".into()).await.unwrap();
    assert!(matches!(
        upload.write("!".into()).await,
        Err(Error::TooLarge { limit: 10 })
    ));
    drop(upload);
    assert_eq!(world.storage.received(&name("a"), first).await.unwrap(), 0);
    world.storage.cancel(&name("a"), first).await.unwrap();
    world.begin("a").await;
}

#[tokio::test]
async fn blobs_in_one_go_count_while_they_are_on_their_way() {
    let limits = UploadLimits {
        uploads_per_client: 2,
        ..UploadLimits::default()
    };
    let world = World::with(StorageSettings {
        limits,
        ..StorageSettings::default()
    })
    .await;
    let is_refused =
        |result: Result<(), Error>| matches!(result, Err(Error::TooManyUploads { limit: 2 }));
    let mut one = world.storage.put(world.upload("a")).await.unwrap();
    let two = world.storage.put(world.upload("a")).await.unwrap();
    assert!(is_refused(
        world.storage.put(world.upload("a")).await.map(drop)
    ));
    assert!(is_refused(world.storage.begin(world.upload("a")).await));
    let mut other = world.upload("a");
    other.client = "another client".to_owned();
    world.storage.put(other).await.unwrap();
    one.write("content".into()).await.unwrap();
    one.finish(sha256(b"content")).await.unwrap();
    world.begin("a").await;
    drop(two);
    drop(world.storage.put(world.upload("a")).await.unwrap());
}

#[tokio::test]
async fn abandoned_uploads_make_room_oldest_first_and_active_ones_do_not() {
    let limits = UploadLimits {
        uploads_per_client: 3,
        ..UploadLimits::default()
    };
    let world = World::with(StorageSettings {
        limits,
        ..StorageSettings::default()
    })
    .await;
    let mut begun = Vec::new();
    for _ in 0..3 {
        begun.push(saved(&world, "abandoned").await);
        world.pass(Duration::from_secs(1));
    }
    // The oldest of them is in use again.
    let active = world
        .storage
        .upload(&name("a"), begun[0], None)
        .await
        .unwrap();
    for _ in 0..7 {
        world.blob("b", b"pushed all the same").await;
        world.begin("b").await;
        world.pass(Duration::from_secs(1));
    }
    active.finish(sha256(b"abandoned")).await.unwrap();
    for id in &begun[1..] {
        let gone = world.storage.upload(&name("a"), *id, None).await;
        assert!(matches!(gone, Err(Error::UploadUnknown)));
    }
    // One client's uploads make no room for another's.
    let kept = saved(&world, "kept").await;
    for _ in 0..5 {
        let mut other = world.upload("a");
        other.client = "another client".to_owned();
        world.storage.begin(other).await.unwrap();
    }
    world
        .storage
        .upload(&name("a"), kept, Some(4))
        .await
        .unwrap();
    // No file outlives its row.
    assert_eq!(world.temporaries(), 1);
}

#[tokio::test]
async fn after_a_restart_the_hash_goes_on_and_nothing_is_read_again() {
    for algorithm in DigestAlgorithm::ALL {
        let world = World::new().await;
        let mut new = world.upload("a");
        new.algorithm = algorithm;
        let id = new.id;
        world.storage.begin(new).await.unwrap();
        let mut upload = world.storage.upload(&name("a"), id, None).await.unwrap();
        upload.write("first half, ".into()).await.unwrap();
        upload.save().await.unwrap();
        // If the content was read again, the digest would be that of other content.
        let file = world.root().join("uploads").join(id.to_string());
        std::fs::write(&file, "FIRST HALF, ").unwrap();
        let world = world.restarted().await;
        let mut upload = world
            .storage
            .upload(&name("a"), id, Some(12))
            .await
            .unwrap();
        upload.write("second half".into()).await.unwrap();
        let digest = hash::digest(algorithm, b"first half, second half");
        upload.finish(digest).await.unwrap();
    }
}

#[tokio::test]
async fn an_upload_that_does_not_move_expires() {
    let world = World::new().await;
    let (idle, moving) = (world.begin("a").await, world.begin("a").await);
    let mut upload = world.storage.upload(&name("a"), idle, None).await.unwrap();
    upload.write("forgotten".into()).await.unwrap();
    upload.save().await.unwrap();
    world.pass(Duration::from_secs(6 * 24 * 3600));
    let mut upload = world
        .storage
        .upload(&name("a"), moving, None)
        .await
        .unwrap();
    upload.write("cargo".into()).await.unwrap();
    upload.save().await.unwrap();
    world.pass(Duration::from_secs(2 * 24 * 3600));
    let collected = world.storage.collect(super::world::SWEEP).await.unwrap();
    assert_eq!(collected.uploads, 1);
    assert!(matches!(
        world.storage.upload(&name("a"), idle, None).await,
        Err(Error::UploadUnknown)
    ));
    assert_eq!(world.storage.received(&name("a"), moving).await.unwrap(), 5);
    assert_eq!(world.temporaries(), 1);
}

/// What of an upload the server has received.
async fn saved(world: &World, content: &'static str) -> storage::UploadId {
    let id = world.begin("a").await;
    let mut upload = world.storage.upload(&name("a"), id, Some(0)).await.unwrap();
    upload.write(content.into()).await.unwrap();
    upload.save().await.unwrap();
    id
}

#[tokio::test]
async fn a_command_does_not_end_what_the_server_goes_on_with() {
    let world = World::new().await;
    let (resumed, idle) = (saved(&world, "car").await, saved(&world, "left").await);
    let command = world.beside().await;
    world.pass(Duration::from_secs(8 * 24 * 3600));
    let mut upload = world
        .storage
        .upload(&name("a"), resumed, Some(3))
        .await
        .unwrap();
    upload.write("go".into()).await.unwrap();
    assert_eq!(
        command.plan(super::world::SWEEP).await.unwrap().uploads,
        [idle]
    );
    assert_eq!(
        command.collect(super::world::SWEEP).await.unwrap().uploads,
        1
    );
    upload.finish(sha256(b"cargo")).await.unwrap();
    assert!(matches!(
        world.storage.upload(&name("a"), idle, Some(4)).await,
        Err(Error::UploadUnknown)
    ));
}

#[tokio::test]
async fn an_upload_that_a_command_has_ended_is_unknown_and_no_failure() {
    let world = World::new().await;
    let command = world.beside().await;
    let at_rest = saved(&world, "car").await;
    command.cancel(&name("a"), at_rest).await.unwrap();
    assert!(matches!(
        world.storage.upload(&name("a"), at_rest, Some(3)).await,
        Err(Error::UploadUnknown)
    ));
    for length in [2, 3 << 20] {
        for finishes in [false, true] {
            let in_hand = saved(&world, "car").await;
            let mut upload = world
                .storage
                .upload(&name("a"), in_hand, Some(3))
                .await
                .unwrap();
            command.cancel(&name("a"), in_hand).await.unwrap();
            let done = match upload.write(vec![b'x'; length].into()).await {
                Ok(()) if finishes => upload.finish(sha256(b"whatever")).await.map(drop),
                Ok(()) => upload.save().await.map(drop),
                Err(error) => Err(error),
            };
            assert!(
                matches!(done, Err(Error::UploadUnknown)),
                "{length} {finishes}: {done:?}"
            );
        }
    }
    assert_eq!(world.temporaries(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_pushers_share_their_commits() {
    let world = std::sync::Arc::new(World::new().await);
    let before = world.database.activity();
    let pushers = (0..16).map(|pusher| {
        let world = std::sync::Arc::clone(&world);
        tokio::spawn(async move {
            for round in 0..20 {
                world
                    .blob(
                        &format!("r{pusher}"),
                        format!("{pusher} {round}").as_bytes(),
                    )
                    .await;
            }
        })
    });
    for pusher in pushers.collect::<Vec<_>>() {
        pusher.await.unwrap();
    }
    let after = world.database.activity();
    let (writes, commits) = (after.writes - before.writes, after.commits - before.commits);
    assert!(writes >= 16 * 20 * 3, "{writes}");
    assert!(
        commits * 4 <= writes,
        "{commits} commits for {writes} writes"
    );
}
