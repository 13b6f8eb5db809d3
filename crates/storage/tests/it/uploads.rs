//! Uploads: in chunks, out of order, interrupted, resumed.

use std::time::Duration;

use bytes::Bytes;
use oci::DigestAlgorithm;
use storage::{Error, UploadLimits, hash};

use super::world::{SWEEP, World, name, sha256};

#[tokio::test]
async fn a_blob_in_chunks() {
    let world = World::new().await;
    let id = world.begin("a").await;
    let mut at = 0;
    for chunk in ["one ", "two ", "three"] {
        let mut upload = world.resume(id, Some(at)).await;
        upload.write(chunk.into()).await.unwrap();
        at = upload.save().await.unwrap();
        assert_eq!(world.storage.received(&name("a"), id).await.unwrap(), at);
    }
    let upload = world.resume(id, None).await;
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
async fn a_chunk_out_of_order_is_rejected_and_the_upload_can_continue() {
    let world = World::new().await;
    let id = world.begin("a").await;
    let mut upload = world.resume(id, Some(0)).await;
    upload.write("hello".into()).await.unwrap();
    upload.save().await.unwrap();
    for at in [0, 4, 6, u64::MAX] {
        let rejected = world.storage.upload(&name("a"), id, Some(at)).await;
        assert!(matches!(rejected, Err(Error::OutOfOrder { received: 5 })));
    }
    let mut upload = world.resume(id, Some(5)).await;
    upload.write("!".into()).await.unwrap();
    upload.finish(sha256(b"hello!")).await.unwrap();
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
    // An upload alone does not create a repository.
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
    let mut upload = world.resume(id, None).await;
    upload.write("hello".into()).await.unwrap();
    let error = upload.finish(sha256(b"other")).await.unwrap_err();
    let Error::DigestMismatch(mismatch) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (mismatch.claimed, mismatch.computed),
        (sha256(b"other"), sha256(b"hello"))
    );
    assert!(
        !world.has_blob("a", sha256(b"hello")).await
            && !world.has_blob("a", sha256(b"other")).await
    );
    assert_eq!((world.files(), world.temporaries()), (0, 0));
    assert!(matches!(
        world.storage.received(&name("a"), id).await,
        Err(Error::UploadUnknown)
    ));
}

#[tokio::test]
async fn sha512_is_requested_at_the_beginning_or_at_the_end() {
    let world = World::new().await;
    let digest = hash::digest(DigestAlgorithm::Sha512, b"hello");
    for (repository, at_the_beginning) in [("a", true), ("b", false)] {
        let mut new = world.upload(repository);
        if at_the_beginning {
            new.algorithm = DigestAlgorithm::Sha512;
        }
        let id = new.id;
        world.storage.begin(new).await.unwrap();
        let mut upload = world
            .storage
            .upload(&name(repository), id, None)
            .await
            .unwrap();
        upload.write("hello".into()).await.unwrap();
        upload.finish(digest).await.unwrap();
        assert_eq!(world.content(repository, digest).await, b"hello");
    }
    assert!(!world.has_blob("a", sha256(b"hello")).await);
}

#[tokio::test]
async fn an_empty_and_a_large_blob() {
    let world = World::new().await;
    world.blob("a", b"").await;
    assert_eq!(world.content("a", sha256(b"")).await, b"");
    let large: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
    let id = world.begin("a").await;
    let mut upload = world.resume(id, None).await;
    for chunk in large.chunks(70_001) {
        upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    assert_eq!(upload.length(), 5_000_000);
    upload.finish(sha256(&large)).await.unwrap();
    assert_eq!(world.content("a", sha256(&large)).await, large);
}

#[tokio::test]
async fn content_of_an_interrupted_request_is_removed() {
    let world = World::new().await;
    let id = world.begin("a").await;
    let mut upload = world.resume(id, None).await;
    upload.write("kept".into()).await.unwrap();
    upload.save().await.unwrap();
    let mut interrupted = world.resume(id, Some(4)).await;
    interrupted.write(vec![0; 3 << 20].into()).await.unwrap();
    interrupted.write("tail".into()).await.unwrap();
    drop(interrupted);
    let mut upload = world.resume(id, Some(4)).await;
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
    let world = World::with_limits(limits).await;
    let id = world.begin("a").await;
    let upload = world.resume(id, None).await;
    assert!(matches!(
        world.storage.upload(&name("a"), id, None).await,
        Err(Error::UploadBusy)
    ));
    drop(upload);
    assert!(world.storage.upload(&name("a"), id, None).await.is_ok());
}

#[tokio::test]
async fn a_blob_in_one_request_is_stored_only_when_it_is_finished() {
    let world = World::new().await;
    let mut upload = world.storage.put(world.upload("a")).await.unwrap();
    upload.write("hello".into()).await.unwrap();
    upload.finish(sha256(b"hello")).await.unwrap();
    assert_eq!(world.content("a", sha256(b"hello")).await, b"hello");
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
    let world = World::with_limits(limits).await;
    let first = world.begin("a").await;
    let held = [
        world.resume(first, None).await,
        world.storage.put(world.upload("b")).await.unwrap(),
    ];
    let rejected = world.storage.begin(world.upload("c")).await;
    assert!(matches!(rejected, Err(Error::TooManyUploads { limit: 2 })));
    drop(held);
    let mut other = world.upload("c");
    other.client = "another client".to_owned();
    world.storage.begin(other).await.unwrap();
    let mut upload = world.resume(first, None).await;
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
async fn blobs_in_one_request_count_while_they_are_sent() {
    let limits = UploadLimits {
        uploads_per_client: 2,
        ..UploadLimits::default()
    };
    let world = World::with_limits(limits).await;
    let is_rejected =
        |result: Result<(), Error>| matches!(result, Err(Error::TooManyUploads { limit: 2 }));
    let mut one = world.storage.put(world.upload("a")).await.unwrap();
    let two = world.storage.put(world.upload("a")).await.unwrap();
    assert!(is_rejected(
        world.storage.put(world.upload("a")).await.map(drop)
    ));
    assert!(is_rejected(world.storage.begin(world.upload("a")).await));
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
async fn the_oldest_idle_uploads_make_room_and_active_ones_do_not() {
    let limits = UploadLimits {
        uploads_per_client: 3,
        ..UploadLimits::default()
    };
    let world = World::with_limits(limits).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.saved(b"abandoned").await);
        world.pass(Duration::from_secs(1));
    }
    // The oldest one is in use again.
    let active = world.resume(ids[0], None).await;
    for _ in 0..7 {
        world.blob("b", b"pushed").await;
        world.begin("b").await;
        world.pass(Duration::from_secs(1));
    }
    active.finish(sha256(b"abandoned")).await.unwrap();
    for id in &ids[1..] {
        let gone = world.storage.upload(&name("a"), *id, None).await;
        assert!(matches!(gone, Err(Error::UploadUnknown)));
    }
    // Uploads of one client make no room for uploads of another.
    let kept = world.saved(b"kept").await;
    for _ in 0..5 {
        let mut other = world.upload("a");
        other.client = "another client".to_owned();
        world.storage.begin(other).await.unwrap();
    }
    world.resume(kept, Some(4)).await;
    // The files of the removed uploads are gone.
    assert_eq!(world.temporaries(), 1);
}

#[tokio::test]
async fn after_a_restart_the_hash_continues_without_reading_content_again() {
    for algorithm in DigestAlgorithm::ALL {
        let world = World::new().await;
        let mut new = world.upload("a");
        new.algorithm = algorithm;
        let id = new.id;
        world.storage.begin(new).await.unwrap();
        let mut upload = world.resume(id, None).await;
        upload.write("first half, ".into()).await.unwrap();
        upload.save().await.unwrap();
        // If the content was read again, the digest would be that of other content.
        let file = world.root().join("uploads").join(id.to_string());
        std::fs::write(&file, "FIRST HALF, ").unwrap();
        let world = world.restarted().await;
        let mut upload = world.resume(id, Some(12)).await;
        upload.write("second half".into()).await.unwrap();
        let digest = hash::digest(algorithm, b"first half, second half");
        upload.finish(digest).await.unwrap();
    }
}

#[tokio::test]
async fn an_idle_upload_expires() {
    let world = World::new().await;
    let (idle, moving) = (world.begin("a").await, world.begin("a").await);
    let mut upload = world.resume(idle, None).await;
    upload.write("idle".into()).await.unwrap();
    upload.save().await.unwrap();
    world.pass(Duration::from_secs(6 * 24 * 3600));
    let mut upload = world.resume(moving, None).await;
    upload.write("hello".into()).await.unwrap();
    upload.save().await.unwrap();
    world.pass(Duration::from_secs(2 * 24 * 3600));
    let collected = world.collect().await;
    assert_eq!(collected.uploads, 1);
    assert!(matches!(
        world.storage.upload(&name("a"), idle, None).await,
        Err(Error::UploadUnknown)
    ));
    assert_eq!(world.storage.received(&name("a"), moving).await.unwrap(), 5);
    assert_eq!(world.temporaries(), 1);
}

#[tokio::test]
async fn a_command_does_not_end_an_upload_that_the_server_continues() {
    let world = World::new().await;
    let (resumed, idle) = (world.saved(b"hel").await, world.saved(b"left").await);
    let command = world.command().await;
    world.pass(Duration::from_secs(8 * 24 * 3600));
    let mut upload = world.resume(resumed, Some(3)).await;
    upload.write("lo".into()).await.unwrap();
    assert_eq!(command.plan(SWEEP).await.unwrap().uploads, [idle]);
    assert_eq!(command.collect(SWEEP).await.unwrap().uploads, 1);
    upload.finish(sha256(b"hello")).await.unwrap();
    assert!(matches!(
        world.storage.upload(&name("a"), idle, Some(4)).await,
        Err(Error::UploadUnknown)
    ));
}

#[tokio::test]
async fn an_upload_that_a_command_has_ended_is_unknown() {
    let world = World::new().await;
    let command = world.command().await;
    let idle = world.saved(b"hel").await;
    command.cancel(&name("a"), idle).await.unwrap();
    assert!(matches!(
        world.storage.upload(&name("a"), idle, Some(3)).await,
        Err(Error::UploadUnknown)
    ));
    for length in [2, 3 << 20] {
        for finishes in [false, true] {
            let active = world.saved(b"hel").await;
            let mut upload = world.resume(active, Some(3)).await;
            command.cancel(&name("a"), active).await.unwrap();
            let done = match upload.write(vec![b'x'; length].into()).await {
                Ok(()) if finishes => upload.finish(sha256(b"anything")).await.map(drop),
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
async fn sixteen_clients_share_commits() {
    let world = std::sync::Arc::new(World::new().await);
    let before = world.database.activity();
    let clients = (0..16).map(|client| {
        let world = std::sync::Arc::clone(&world);
        tokio::spawn(async move {
            for round in 0..20 {
                world
                    .blob(
                        &format!("r{client}"),
                        format!("{client} {round}").as_bytes(),
                    )
                    .await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let after = world.database.activity();
    let (writes, commits) = (after.writes - before.writes, after.commits - before.commits);
    assert!(writes >= 16 * 20 * 3, "{writes}");
    assert!(
        commits * 4 <= writes,
        "{commits} commits for {writes} writes"
    );
}
