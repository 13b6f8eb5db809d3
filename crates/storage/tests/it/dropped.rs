//! A request may be dropped at any await, when its client disconnects. Whatever it has changed by
//! then, the registry reports the true state of the upload, and the upload can continue.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use oci::{DigestAlgorithm, Tag};
use storage::{ChangeSet, Error, ManifestChange, NewManifest, UploadId, hash};

use super::world::{World, image, name, sha256};

/// Polls a future `polls` times, then drops it: at its first await, its second, and so on.
struct DroppedAfter<F> {
    polls: usize,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for DroppedAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    DroppedAfter {
        polls,
        future: Box::pin(future),
    }
    .await
}

/// Runs `step` again and again, and drops it one await later each time, until it completes.
async fn at_each_await<T>(mut step: impl AsyncFnMut(usize) -> Option<T>) {
    for polls in 1..200 {
        if step(polls).await.is_some() {
            assert!(polls > 1, "it was never dropped");
            return;
        }
    }
    panic!("the step never completed");
}

const FIRST: &[u8] = b"what was sent before";

/// Continues an upload from its reported length, and finishes it.
async fn continue_upload(world: &World, id: UploadId, whole: &[u8], algorithm: DigestAlgorithm) {
    let received = world.storage.received(&name("a"), id).await.unwrap();
    // A task may still be recording; the request waits for it.
    let upload = world.resume(id, None).await;
    let mut at = upload.length();
    drop(upload);
    assert!(at >= received && at <= whole.len() as u64);
    assert_eq!(world.storage.received(&name("a"), id).await.unwrap(), at);
    while at < whole.len() as u64 {
        let end = whole.len().min(at as usize + (1 << 20));
        let mut upload = world.resume(id, Some(at)).await;
        let chunk = Bytes::copy_from_slice(&whole[at as usize..end]);
        upload.write(chunk).await.unwrap();
        at = upload.save().await.unwrap();
        assert_eq!(at, end as u64);
    }
    let upload = world.resume(id, None).await;
    let digest = hash::digest(algorithm, whole);
    upload.finish(digest).await.unwrap();
    assert_eq!(world.content("a", digest).await, whole);
}

/// The whole content. It differs in each round, and is so long that some of it is written before the
/// request saves it.
fn whole(round: usize) -> Vec<u8> {
    let rest = (0..(3 << 20) + 17).map(|at| (at % 251 + round) as u8);
    FIRST.iter().copied().chain(rest).collect()
}

#[tokio::test]
async fn a_dropped_chunk_is_stored_or_not() {
    let world = World::new().await;
    at_each_await(async |polls| {
        let id = world.saved(FIRST).await;
        let content = whole(polls);
        let chunk = Bytes::copy_from_slice(&content[FIRST.len()..]);
        let (half, rest) = (chunk.slice(..2 << 20), chunk.slice(2 << 20..));
        let done = dropped_after(polls, async {
            let at = Some(FIRST.len() as u64);
            let mut upload = world.storage.upload(&name("a"), id, at).await?;
            upload.write(half).await?;
            upload.write(rest).await?;
            upload.save().await
        })
        .await;
        continue_upload(&world, id, &content, DigestAlgorithm::Sha256).await;
        done.map(Result::unwrap)
    })
    .await;
}

#[tokio::test]
async fn a_dropped_finish_has_made_the_blob_or_leaves_the_upload() {
    for algorithm in DigestAlgorithm::ALL {
        let world = World::new().await;
        at_each_await(async |polls| {
            let id = world.saved(FIRST).await;
            let content = whole(polls);
            let digest = hash::digest(algorithm, &content);
            let rest = Bytes::copy_from_slice(&content[FIRST.len()..]);
            let done = dropped_after(polls, async {
                let mut upload = world.storage.upload(&name("a"), id, None).await?;
                upload.write(rest).await?;
                upload.finish(digest).await
            })
            .await;
            match world.storage.upload(&name("a"), id, None).await {
                Ok(upload) => {
                    drop(upload);
                    continue_upload(&world, id, &content, algorithm).await;
                }
                Err(Error::UploadUnknown) => {
                    assert_eq!(world.content("a", digest).await, content);
                }
                Err(error) => panic!("{error}"),
            }
            done.map(Result::unwrap)
        })
        .await;
        assert_eq!(world.temporaries(), 0);
    }
}

#[tokio::test]
async fn a_dropped_blob_in_one_request_is_stored_or_leaves_no_file() {
    let world = World::new().await;
    at_each_await(async |polls| {
        let content = whole(polls);
        let digest = sha256(&content);
        let done = dropped_after(polls, async {
            let mut upload = world.storage.put(world.upload("a")).await?;
            upload.write(content.clone().into()).await?;
            upload.finish(digest).await
        })
        .await;
        // It may be pushed again at once.
        let mut again = world.storage.put(world.upload("a")).await.unwrap();
        again.write(content.clone().into()).await.unwrap();
        again.finish(digest).await.unwrap();
        assert_eq!(world.content("a", digest).await, content);
        done.map(Result::unwrap)
    })
    .await;
    wait_for_removal(&world).await;
}

#[tokio::test]
async fn a_dropped_begin_or_cancel_leaves_no_file_without_a_row() {
    let world = World::new().await;
    at_each_await(async |polls| {
        let done = dropped_after(polls, world.storage.begin(world.upload("a"))).await;
        done.map(Result::unwrap)
    })
    .await;
    at_each_await(async |polls| {
        let id = world.saved(FIRST).await;
        let done = dropped_after(polls, world.storage.cancel(&name("a"), id)).await;
        match world.storage.cancel(&name("a"), id).await {
            Ok(()) | Err(Error::UploadUnknown) => {}
            Err(error) => panic!("{error}"),
        }
        done.map(Result::unwrap)
    })
    .await;
    wait_for_removal(&world).await;
}

#[tokio::test]
async fn a_dropped_manifest_is_pushed_or_not() {
    let world = World::new().await;
    world.blob("a", b"{}").await;
    world.blob("a", b"layer").await;
    let repository = name("a");
    at_each_await(async |polls| {
        let manifest = image(&[b"layer"], Some(sha256(&[polls as u8])));
        let (digest, tag) = (manifest.digest(), format!("t{polls}"));
        let tags = vec![tag.parse().unwrap()];
        let push = || push(manifest.clone(), &tags);
        let pushed = world.storage.apply(&repository, push());
        let done = dropped_after(polls, pushed).await;
        if world.has_manifest("a", &tag).await {
            assert!(world.has_manifest("a", &digest.to_string()).await);
        }
        world.storage.apply(&repository, push()).await.unwrap();
        assert!(world.has_manifest("a", &tag).await);
        done.map(Result::unwrap)
    })
    .await;
}

fn push(manifest: NewManifest, tags: &[Tag]) -> ChangeSet {
    let tags = tags.to_vec();
    ManifestChange::Push { manifest, tags }.into()
}

/// Waits until the files of dropped requests are removed.
async fn wait_for_removal(world: &World) {
    for _ in 0..500 {
        if world.temporaries() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{} files are left", world.temporaries());
}
