//! A store that is slow, away, or loses its answers.

use std::time::Duration;

use peers::Fault;
use storage::{ContentLocation, Error};

use crate::bucket::{LEAST_PART, World, bytes, name, sha256};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_faults_are_not_seen() {
    let world = World::new(LEAST_PART).await;
    let content = bytes(2 * LEAST_PART + 1000);
    for fault in [
        Fault::Delay(Duration::from_millis(50)),
        Fault::Cut,
        Fault::Status(503),
        Fault::Status(500),
        Fault::LoseAnswer,
    ] {
        for request in ["partNumber=2", "POST "] {
            // The second POST completes the upload. The first one begins it, and is not repeated
            // when its answer is lost.
            let skip = usize::from(request == "POST ");
            world.proxy.fail(request, skip, fault.clone());
            let content = [&content[..], format!("{fault:?}{request}").as_bytes()].concat();
            let blob = world.push(&content).await.unwrap();
            assert!(world.read(&blob).await.unwrap() == content);
        }
        world.proxy.fail("PUT ", 0, fault.clone());
        let small = format!("{fault:?}");
        let blob = world.push(small.as_bytes()).await.unwrap();
        world.proxy.fail("GET ", 0, fault.clone());
        assert_eq!(world.read(&blob).await.unwrap(), small.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_continues_after_a_cut() {
    let world = World::new(LEAST_PART).await;
    let content = bytes(LEAST_PART + 1000);
    let blob = world.push(&content).await.unwrap();
    world.proxy.take_seen();
    world.proxy.fail("GET ", 0, Fault::CutAnswer(300_000));
    assert!(world.read(&blob).await.unwrap() == content);
    assert_eq!(world.proxy.take_seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_continues_after_many_cuts() {
    let world = World::new(LEAST_PART).await;
    let content = bytes(2 * LEAST_PART + 1000);
    let blob = world.push(&content).await.unwrap();
    world.proxy.take_seen();
    for _ in 0..9 {
        world.proxy.fail("GET ", 0, Fault::CutAnswer(1_000_000));
    }
    assert!(world.read(&blob).await.unwrap() == content);
    assert_eq!(world.proxy.take_seen().len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_does_not_continue_with_other_content() {
    let world = World::new(LEAST_PART).await;
    let content = bytes(LEAST_PART + 1000);
    let blob = world.push(&content).await.unwrap();
    world.proxy.fail("GET ", 0, Fault::CutAnswer(300_000));
    let whole = 0..blob.size;
    let mut reader = world.storage.read(&name(), &blob, whole).await.unwrap();
    reader.next().await.unwrap().unwrap();
    let key = format!("registry/{}", blob.key);
    world.gateway.remove_file(&key);
    let other = "x".repeat(content.len());
    world.gateway.write_file(&key, &other);
    let failed = loop {
        match reader.next().await.unwrap() {
            Ok(chunk) => assert!(!chunk.starts_with(b"xxx")),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(failed, Error::Damaged { digest } if digest == blob.digest),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_content_that_does_not_begin_to_arrive_is_asked_for_again() {
    let world = World::new(LEAST_PART).await;
    let blob = world.push(b"content").await.unwrap();
    world.proxy.take_seen();
    let slow = Fault::Delay(Duration::from_secs(600));
    world.proxy.fail("GET ", 0, slow);
    assert_eq!(world.read(&blob).await.unwrap(), b"content");
    assert_eq!(world.proxy.take_seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_keeps_failing_is_not_asked_for_a_while() {
    let world = World::new(LEAST_PART).await;
    let blob = world.push(b"content").await.unwrap();
    world.proxy.fail_all(Some(Fault::Status(503)));
    loop {
        world.proxy.take_seen();
        let read = world.read(&blob).await;
        assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
        if world.proxy.take_seen().is_empty() {
            break;
        }
    }
    // What needs no request goes on: a client reads from the store, if that is possible.
    assert!(world.storage.locate(&blob).await.unwrap().is_some());
    world.storage.check_blob(&name(), &blob).await.unwrap();
    world.proxy.fail_all(None);
    assert_eq!(world.read_at_last(&blob).await, b"content");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_that_fails_within_its_answer_is_repeated() {
    let world = World::new(LEAST_PART).await;
    let content = bytes(LEAST_PART + 1000);
    world.proxy.fail("POST ", 1, Fault::ErrorWithin200);
    let blob = world.push(&content).await.unwrap();
    assert!(world.read(&blob).await.unwrap() == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_unavailable_and_uploads_continue() {
    let world = World::new(LEAST_PART).await;
    let blob = world.push(b"content").await.unwrap();
    let id = world.begin().await;
    world.patch(id, 0, b"first ").await.unwrap();
    world.proxy.fail_all(Some(Fault::Status(503)));
    let failed = world.patch(id, 6, b"second").await;
    assert!(
        matches!(failed, Err(Error::Unavailable { .. })),
        "{failed:?}"
    );
    let read = world.read(&blob).await;
    assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
    let bucket = ContentLocation::Bucket("s3://content/registry".to_owned());
    let unreachable = world.storage.unreachable_locations().await.unwrap();
    assert_eq!(unreachable, [bucket]);
    // Rows answer what rows know.
    world.storage.check_blob(&name(), &blob).await.unwrap();
    assert_eq!(world.storage.received(&name(), id).await.unwrap(), 6);
    world.proxy.fail_all(None);
    world.patch(id, 6, b"second").await.unwrap();
    let digest = sha256(b"first second");
    let blob = world.finish(id, b"", digest).await.unwrap();
    assert_eq!(world.read(&blob).await.unwrap(), b"first second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finish_that_failed_can_be_repeated() {
    let world = World::new(LEAST_PART).await;
    let content = bytes(LEAST_PART + 1000);
    let id = world.begin().await;
    world.patch(id, 0, &content).await.unwrap();
    world.proxy.fail_all(Some(Fault::LoseAnswer));
    // The upload is completed at the store, which the server cannot know.
    let failed = world.finish(id, b"", sha256(&content)).await;
    assert!(
        matches!(failed, Err(Error::Unavailable { .. })),
        "{failed:?}"
    );
    world.proxy.fail_all(None);
    let blob = world.finish(id, b"", sha256(&content)).await.unwrap();
    assert!(world.read(&blob).await.unwrap() == content);
    world.collect().await;
    assert_eq!(world.keys(), [format!("registry/{}", blob.key)]);
}
