//! Uploads whose requests reach several servers.

use std::time::Duration;

use storage::{BlobReservation, Error, FinishedUpload, UploadLimits, UploadStore};

use super::super::world::{content, name, new_upload, root, sha256};
use super::Replicas;

#[tokio::test]
async fn each_request_of_an_upload_may_reach_another_server() {
    let replicas = Replicas::new().await;
    let id = replicas.begin(0).await;
    for (at, part) in [(1, "one "), (0, "two "), (1, "three")] {
        let received = replicas.storages[at]
            .received(&name("a"), id)
            .await
            .unwrap();
        let mut upload = replicas.resume(at, id, received).await;
        upload.write(part.into()).await.unwrap();
        upload.save().await.unwrap();
    }
    let finished = replicas.resume(0, id, 13).await;
    finished.finish(sha256(b"one two three")).await.unwrap();
    let read = content(&replicas.storages[1], "a", sha256(b"one two three")).await;
    assert_eq!(read.unwrap(), b"one two three");
}

#[tokio::test]
async fn a_request_waits_for_the_end_of_a_dead_servers_lease() {
    let replicas = Replicas::with(UploadLimits::default()).await;
    let id = replicas.begin(0).await;
    let dead = replicas.resume(0, id, 0).await;
    let repository = name("a");
    let waiting = replicas.storages[1].upload(&repository, id, Some(0));
    let lease_ends = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        replicas.pass(Duration::from_secs(31));
    };
    let (continued, ()) = tokio::join!(waiting, lease_ends);
    let mut upload = continued.unwrap();
    upload.write("content".into()).await.unwrap();
    upload.finish(sha256(b"content")).await.unwrap();
    drop(dead);
}

#[tokio::test]
async fn a_server_that_ends_releases_the_uploads_of_aborted_requests() {
    let replicas = Replicas::new().await;
    let id = replicas.begin(0).await;
    let mut aborted = replicas.resume(0, id, 0).await;
    aborted.write("lost".into()).await.unwrap();
    drop(aborted);
    replicas.storages[0].uploads_released().await;
    let mut upload = replicas.resume(1, id, 0).await;
    upload.write("sent again".into()).await.unwrap();
    upload.finish(sha256(b"sent again")).await.unwrap();
}

#[tokio::test]
async fn one_server_at_a_time_writes_to_an_upload() {
    let replicas = Replicas::new().await;
    let id = replicas.begin(0).await;
    let upload = replicas.resume(0, id, 0).await;
    let busy = replicas.storages[1].upload(&name("a"), id, None).await;
    assert!(matches!(busy, Err(Error::UploadBusy)));
    // What the first one has released, the second one continues at once, with any outcome.
    assert_eq!(upload.save().await.unwrap(), 0);
    let wrong = replicas.storages[1].upload(&name("a"), id, Some(7)).await;
    assert!(matches!(wrong, Err(Error::OutOfOrder { received: 0 })));
    let upload = replicas.resume(0, id, 0).await;
    upload.finish(sha256(b"")).await.unwrap();
    let ended = replicas.storages[1].upload(&name("a"), id, None).await;
    assert!(matches!(ended, Err(Error::UploadUnknown)));
}

#[tokio::test]
async fn an_upload_of_a_server_that_stopped_is_taken_over() {
    let replicas = Replicas::new().await;
    let id = replicas.begin(0).await;
    let mut upload = replicas.resume(0, id, 0).await;
    upload.write("saved ".into()).await.unwrap();
    upload.save().await.unwrap();
    // It writes more, and then its machine pauses for longer than its lease.
    let mut paused = replicas.resume(0, id, 6).await;
    paused.write(vec![b'x'; 3 << 20].into()).await.unwrap();
    replicas.pass(Duration::from_secs(31));
    let mut upload = replicas.resume(1, id, 6).await;
    upload.write("by the other ".into()).await.unwrap();
    upload.save().await.unwrap();
    // It wakes up. What it writes is no part of the upload, and its client learns where to continue.
    let late = paused.write(vec![b'x'; 3 << 20].into()).await;
    let late = match late {
        Ok(()) => paused.save().await.map(drop),
        failed => failed,
    };
    assert!(
        matches!(late, Err(Error::OutOfOrder { received: 19 })),
        "{late:?}"
    );
    let mut upload = replicas.resume(1, id, 19).await;
    upload.write("server".into()).await.unwrap();
    let whole = b"saved by the other server";
    upload.finish(sha256(whole)).await.unwrap();
    let read = content(&replicas.storages[0], "a", sha256(whole)).await;
    assert_eq!(read.unwrap(), whole);
}

#[tokio::test]
async fn a_server_that_stopped_before_the_commit_is_continued() {
    for is_moved in [false, true] {
        let replicas = Replicas::new().await;
        let id = replicas.begin(0).await;
        let mut upload = replicas.resume(0, id, 0).await;
        upload.write("content".into()).await.unwrap();
        upload.save().await.unwrap();
        // The steps of `finish`, as far as it comes.
        let metadata = &replicas.metadata[0];
        let state = UploadStore::lease(metadata, &name("a"), id).await.unwrap();
        let finished = FinishedUpload {
            upload: id,
            fence: Some(state.fence),
            repository: name("a"),
            digest: sha256(b"content"),
            size: 7,
            replaces: None,
            key: None,
            quotas: storage::RepositoryQuotas::default(),
        };
        let BlobReservation::Pending(pending) = metadata.reserve(finished).await.unwrap() else {
            panic!("it exists")
        };
        if is_moved {
            let to = root(replicas.directory.path()).join(&pending.key);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::rename(replicas.file_of(id), to).unwrap();
        }
        replicas.pass(Duration::from_secs(31));
        let upload = replicas.resume(1, id, 7).await;
        let blob = upload.finish(sha256(b"content")).await.unwrap();
        assert_ne!(blob.generation, pending.generation);
        let read = content(&replicas.storages[0], "a", blob.digest).await;
        assert_eq!(read.unwrap(), b"content");
    }
}

#[tokio::test]
async fn uploads_that_another_server_writes_to_make_no_room() {
    let replicas = Replicas::new().await;
    let upload = |number| new_upload("a", number);
    let (one, two) = (upload(1), upload(2));
    let [here, there] = &replicas.metadata;
    for new in [&one, &two] {
        assert_eq!(here.begin(new.clone(), 2, vec![]).await.unwrap(), []);
    }
    UploadStore::lease(here, &name("a"), one.id).await.unwrap();
    assert_eq!(there.begin(upload(3), 2, vec![]).await.unwrap(), [two.id]);
    UploadStore::lease(there, &name("a"), upload(3).id)
        .await
        .unwrap();
    let full = there.begin(upload(4), 2, vec![upload(3).id]).await;
    assert!(matches!(full, Err(Error::TooManyUploads { limit: 2 })));
    // An expired lease protects nothing.
    replicas.pass(Duration::from_secs(31));
    let evicted = there.begin(upload(4), 2, vec![upload(3).id]).await;
    assert_eq!(evicted.unwrap(), [one.id]);
}
