//! Uploads that continue, end, or are interrupted.

use bytes::Bytes;
use oci::DigestAlgorithm;
use storage::{BlobStore, Error, UploadId, UploadObjects, WrittenContent, hash};

use crate::bucket::{LEAST_PART, World, bytes, content, name, settings, sha256};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_continues_after_a_restart() {
    let mut world = World::new(LEAST_PART).await;
    let content = bytes(3 * LEAST_PART + 1000);
    let id = world.begin().await;
    // Ends within the first part, within the second one, and at the end of a part.
    let ends = [1000, LEAST_PART + 7, 2 * LEAST_PART, content.len()];
    let mut at = 0;
    for end in ends {
        let received = world.patch(id, at as u64, &content[at..end]).await;
        assert_eq!(received.unwrap(), end as u64);
        world = world.restarted(LEAST_PART).await;
        assert_eq!(
            world.storage.received(&name(), id).await.unwrap(),
            end as u64
        );
        at = end;
    }
    let blob = world.finish(id, b"", sha256(&content)).await.unwrap();
    assert!(world.read(&blob).await.unwrap() == content);
    world.collect().await;
    assert_eq!(world.keys(), [format!("registry/{}", blob.key)]);
    assert_eq!(world.gateway.multipart_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_request_leaves_the_upload_as_it_was() {
    let world = World::new(LEAST_PART).await;
    let content = bytes(2 * LEAST_PART + 1000);
    let id = world.begin().await;
    let first = LEAST_PART + 7;
    world.patch(id, 0, &content[..first]).await.unwrap();
    // A part is sent in place of the short one, and then the client is gone.
    let mut upload = world.storage.upload(&name(), id, None).await.unwrap();
    for _ in 0..16 {
        upload.write(Bytes::from(vec![7; 1 << 20])).await.unwrap();
    }
    drop(upload);
    let at = world.storage.upload(&name(), id, None).await.unwrap();
    assert_eq!(at.length(), first as u64);
    drop(at);
    // Without more content, the short part has to be sent again.
    let digest = sha256(&content[..first]);
    let blob = world.finish(id, b"", digest).await.unwrap();
    assert!(world.read(&blob).await.unwrap() == content[..first]);
    // With more content, the parts are replaced once more.
    let id = world.begin().await;
    world.patch(id, 0, &content[..first]).await.unwrap();
    let mut upload = world.storage.upload(&name(), id, None).await.unwrap();
    for _ in 0..8 {
        upload.write(Bytes::from(vec![7; 1 << 20])).await.unwrap();
    }
    drop(upload);
    let rest = world.finish(id, &content[first..], sha256(&content)).await;
    assert!(world.read(&rest.unwrap()).await.unwrap() == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_uploads_that_end() {
    let world = World::new(LEAST_PART).await;
    let content = bytes(LEAST_PART + 1000);
    let cancelled = world.begin().await;
    world.patch(cancelled, 0, &content).await.unwrap();
    world.storage.cancel(&name(), cancelled).await.unwrap();
    let mismatched = world.begin().await;
    world.patch(mismatched, 0, b"small").await.unwrap();
    let finished = world.finish(mismatched, b"", sha256(b"other")).await;
    assert!(matches!(finished, Err(Error::DigestMismatch(_))));
    let mut single = world.storage.put(world.new_upload()).await.unwrap();
    for _ in 0..12 {
        single.write(Bytes::from(vec![7; 1 << 20])).await.unwrap();
    }
    drop(single);
    // Two uploads of one content: one of them is not needed.
    for _ in 0..2 {
        world.push(b"the same").await.unwrap();
    }
    while !world.keys().len().eq(&1) || world.gateway.multipart_uploads() > 0 {
        world.collect().await;
    }
    assert_eq!(world.push(b"the same").await.unwrap().size, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_digest_may_have_another_algorithm_than_the_upload() {
    let world = World::new(LEAST_PART).await;
    for content in [bytes(100), bytes(LEAST_PART + 1000)] {
        let id = world.begin().await;
        world.patch(id, 0, &content[..50]).await.unwrap();
        let digest = hash::digest(DigestAlgorithm::Sha512, &content);
        let blob = world.finish(id, &content[50..], digest).await.unwrap();
        assert!(world.read(&blob).await.unwrap() == content);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_whose_object_is_missing_can_be_pushed_again() {
    let world = World::new(LEAST_PART).await;
    let blob = world.push(b"content").await.unwrap();
    world.gateway.remove_file(&format!("registry/{}", blob.key));
    let read = world.read(&blob).await;
    assert!(matches!(read, Err(Error::Damaged { .. })), "{read:?}");
    let checked = world.storage.check_blob(&name(), &blob).await;
    assert!(matches!(checked, Err(Error::Damaged { .. })));
    let again = world.push(b"content").await.unwrap();
    assert_ne!(again.key, blob.key);
    assert_eq!(world.read(&again).await.unwrap(), b"content");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_blob_leaves_the_bucket() {
    let world = World::new(LEAST_PART).await;
    let blob = world.push(b"content").await.unwrap();
    let kept = world.push(b"other content").await.unwrap();
    world
        .storage
        .blobs()
        .unlink(&name(), &blob.digest)
        .await
        .unwrap();
    let policy = storage::collection::CollectionPolicy {
        grace: std::time::Duration::ZERO,
        wait: std::time::Duration::ZERO,
        untagged: None,
    };
    let mut removed = 0;
    // A lease that began in this second is not over yet.
    while removed < 2 {
        removed += world.storage.collect(policy).await.unwrap().blobs;
    }
    assert!(world.keys().is_empty(), "{kept:?} has no manifest either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_has_ten_thousand_parts_at_most() {
    let gateway = peers::VersityGateway::start();
    let content = content(&settings(&gateway, gateway.host_port(), LEAST_PART));
    let etags = vec!["\"e\""; 10_000];
    let state = serde_json::json!({
        "key": "blobs/00/00", "id": "id", "part": LEAST_PART, "etags": etags, "end": LEAST_PART,
    });
    let from = WrittenContent {
        length: 10_000 * LEAST_PART as u64,
        objects: Some(UploadObjects {
            state: state.to_string(),
            ..UploadObjects::default()
        }),
        ..WrittenContent::default()
    };
    let mut writer = content.append(UploadId::from_random([7; 16]), from);
    let written = writer.write(vec![vec![0; LEAST_PART + 1].into()]).await;
    let limit = 10_000 * LEAST_PART as u64;
    assert!(matches!(written, Err(Error::TooLarge { limit: told }) if told == limit));
}
