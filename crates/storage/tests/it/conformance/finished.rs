//! Finished uploads on their way to becoming blobs: reserved, committed, aborted, replaced.

use storage::{Blob, BlobReservation, Error, PendingUpload, StoreId};

use super::bench::{Bench, COLLECT, DAY, HOUR, MakeStores, SECOND, first};
use crate::world::{image, name, sha256};

pub(crate) async fn a_blob_can_be_pulled_once_it_is_committed(make: MakeStores) {
    let bench = Bench::new(make).await;
    let finished = bench.finished("a", b"content");
    let pending = bench.pending(&finished).await;
    assert_eq!((pending.digest, pending.size), (sha256(b"content"), 7));
    assert_eq!(pending.store, StoreId::OWN);
    assert_eq!(
        pending.key,
        Blob::new_key(&pending.digest, pending.generation)
    );
    // Until then it does not exist for any client.
    assert!(!bench.has_blob("a", b"content").await);
    assert!(!bench.has_repository("a").await);
    assert!(
        bench
            .inventory()
            .blobs(first(10))
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    let (a, b) = (name("a"), name("b"));
    let mounted = bench.blobs().mount(&pending.digest, &a, &b).await;
    assert!(matches!(mounted, Err(Error::BlobUnknown)));
    let committed = bench.commit(&finished, &pending).await;
    assert_eq!(committed, pending);
    let found = bench.blobs().find(&name("a"), &pending.digest).await;
    assert_eq!(found.unwrap(), pending);
}

pub(crate) async fn a_blob_that_exists_needs_no_content(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"content").await;
    let id = bench.begin("b").await;
    let mut finished = bench.finished("b", b"content");
    finished.upload = id;
    finished.fence = Some(0);
    let BlobReservation::Exists(existing) = bench.reserve(&finished).await else {
        panic!("a second row")
    };
    assert_eq!(existing.blob, blob);
    assert!(bench.has_blob("b", b"content").await);
    let ended = bench.uploads().find(&name("b"), id).await;
    assert!(matches!(ended, Err(Error::UploadUnknown)));
    assert_eq!(bench.recovery().pending().await.unwrap(), []);
}

pub(crate) async fn an_empty_blob(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"").await;
    assert_eq!(blob.size, 0);
    let found = bench.blobs().find(&name("a"), &sha256(b"")).await;
    assert_eq!(found.unwrap(), blob);
}

pub(crate) async fn generations_and_keys_are_never_used_twice(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut blobs: Vec<Blob> = Vec::new();
    for _ in 0..3 {
        let aborted = bench.pending(&bench.finished("a", b"content")).await;
        bench.uploads().abort(aborted.clone()).await.unwrap();
        let blob = bench.blob("a", b"content").await;
        bench.pass(DAY + SECOND);
        let collected = bench.collect(COLLECT).await;
        assert_eq!(collected.removed, [blob.digest]);
        blobs.extend([aborted, blob]);
    }
    for (at, blob) in blobs.iter().enumerate() {
        for later in &blobs[at + 1..] {
            assert!(later.generation > blob.generation);
            assert_ne!(later.key, blob.key);
        }
    }
}

pub(crate) async fn of_two_uploads_of_one_content_the_faster_counts(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (slow, fast) = (
        bench.finished("a", b"content"),
        bench.finished("b", b"content"),
    );
    let slow_pending = bench.pending(&slow).await;
    let fast_pending = bench.pending(&fast).await;
    assert_ne!(slow_pending.generation, fast_pending.generation);
    assert_ne!(slow_pending.key, fast_pending.key);
    let blob = bench.commit(&fast, &fast_pending).await;
    assert!(!bench.has_blob("a", b"content").await);
    assert_eq!(bench.commit(&slow, &slow_pending).await, blob);
    for repository in ["a", "b"] {
        let found = bench.blobs().find(&name(repository), &blob.digest).await;
        assert_eq!(found.unwrap(), blob);
    }
    // What the slower one stored is removed, without any wait.
    let deletable = bench.deletable().await;
    assert_eq!(deletable.len(), 1);
    assert_eq!(deletable[0].generation, slow_pending.generation);
    assert_eq!(deletable[0].key, slow_pending.key);
    assert_eq!(bench.recovery().pending().await.unwrap(), []);
}

pub(crate) async fn an_aborted_row_is_gone_and_its_upload_stays(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = bench.begin("a").await;
    let mut finished = bench.finished("a", b"content");
    finished.upload = id;
    finished.fence = Some(0);
    let pending = bench.pending(&finished).await;
    for _ in 0..2 {
        bench.uploads().abort(pending.clone()).await.unwrap();
        assert_eq!(bench.recovery().pending().await.unwrap(), []);
    }
    bench.uploads().find(&name("a"), id).await.unwrap();
    let committed = bench.uploads().commit(finished.clone(), pending.clone());
    assert!(matches!(committed.await, Err(Error::UploadUnknown)));
    assert!(!bench.has_blob("a", b"content").await);
    // The upload can try again.
    let again = bench.pending(&finished).await;
    assert_ne!(again.key, pending.key);
    bench.commit(&finished, &again).await;
    assert!(bench.has_blob("a", b"content").await);
}

pub(crate) async fn abort_changes_no_committed_blob(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"content").await;
    bench.uploads().abort(blob.clone()).await.unwrap();
    let found = bench.blobs().find(&name("a"), &blob.digest).await;
    assert_eq!(found.unwrap(), blob);
}

pub(crate) async fn pending_rows_are_listed_oldest_first(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut expected = Vec::new();
    for content in [&b"c"[..], b"a", b"b", b"a"] {
        let finished = bench.finished("a", content);
        let blob = bench.pending(&finished).await;
        expected.push(PendingUpload {
            blob,
            upload: finished.upload,
        });
        bench.blob("a", b"committed").await;
        bench.pass(SECOND);
    }
    assert_eq!(bench.recovery().pending().await.unwrap(), expected);
    let aborted = expected.remove(1);
    bench.uploads().abort(aborted.blob).await.unwrap();
    assert_eq!(bench.recovery().pending().await.unwrap(), expected);
}

pub(crate) async fn a_pending_row_left_behind_is_swept(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = bench.begin("a").await;
    let mut finished = bench.finished("a", b"content");
    finished.upload = id;
    finished.fence = Some(0);
    let pending = bench.pending(&finished).await;
    // However short the grace time is: a slow disk may take minutes.
    let short = storage::collection::CollectionPolicy {
        grace: SECOND,
        ..COLLECT
    };
    bench.pass(HOUR);
    assert_eq!(bench.sweep(short).await, 0);
    bench.pass(SECOND);
    assert_eq!(bench.sweep(COLLECT).await, 0);
    assert_eq!(bench.sweep(short).await, 1);
    assert_eq!(bench.recovery().pending().await.unwrap(), []);
    assert_eq!(bench.deletable().await[0].key, pending.key);
    let committed = bench.uploads().commit(finished.clone(), pending);
    assert!(matches!(committed.await, Err(Error::UploadUnknown)));
    assert!(!bench.has_blob("a", b"content").await);
    // A failure changes nothing: the upload can try again.
    bench.uploads().find(&name("a"), id).await.unwrap();
    assert!(!bench.has_repository("a").await);
}

pub(crate) async fn a_replaced_blob_reaches_every_holder(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "layer", &["x"]).await;
    let old = bench.blob("b", b"layer").await;
    bench.blob("c", b"other").await;
    let mut finished = bench.finished("d", b"layer");
    finished.replaces = Some(old.generation);
    let pending = bench.pending(&finished).await;
    // Until it is committed, the old one is there.
    let found = bench.blobs().find(&name("a"), &old.digest).await;
    assert_eq!(found.unwrap(), old);
    let new = bench.commit(&finished, &pending).await;
    assert_ne!((new.generation, &new.key), (old.generation, &old.key));
    for repository in ["a", "b", "d"] {
        let found = bench.blobs().find(&name(repository), &new.digest).await;
        assert_eq!(found.unwrap(), new);
    }
    assert!(!bench.has_blob("c", b"layer").await);
    assert_eq!(bench.digest("a", "x").await.unwrap(), digest);
    // What is left of the old content is removed.
    let deletable = bench.deletable().await;
    assert_eq!(deletable.len(), 1);
    assert_eq!(deletable[0].key, old.key);
    bench.collection().purge(deletable).await.unwrap();
    bench.pass(2 * DAY);
    assert_eq!(bench.collect(COLLECT).await.removed, [sha256(b"other")]);
    bench
        .push("a", image(&[b"layer"], None), &["y"])
        .await
        .unwrap();
}

pub(crate) async fn a_blob_is_replaced_once(make: MakeStores) {
    let bench = Bench::new(make).await;
    let old = bench.blob("a", b"layer").await;
    let finished = ["a", "b", "c"].map(|repository| {
        let mut finished = bench.finished(repository, b"layer");
        finished.replaces = Some(old.generation);
        finished
    });
    let first_pending = bench.pending(&finished[0]).await;
    let second_pending = bench.pending(&finished[1]).await;
    let new = bench.commit(&finished[0], &first_pending).await;
    // Two others have found the same damage. The content is whole now.
    assert_eq!(bench.commit(&finished[1], &second_pending).await, new);
    let BlobReservation::Exists(existing) = bench.reserve(&finished[2]).await else {
        panic!("replaced again")
    };
    assert_eq!(existing.blob, new);
    for repository in ["a", "b", "c"] {
        let found = bench.blobs().find(&name(repository), &new.digest).await;
        assert_eq!(found.unwrap(), new);
    }
    let mut removed: Vec<_> = bench.deletable().await;
    removed.sort_by_key(|blob| blob.generation);
    let removed: Vec<_> = removed.iter().map(|blob| blob.generation).collect();
    assert_eq!(removed, [old.generation, second_pending.generation]);
}

pub(crate) async fn a_replacement_that_was_swept_changes_nothing(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.image("a", "layer", &["x"]).await;
    let old = bench.blob("a", b"layer").await;
    let mut finished = bench.finished("b", b"layer");
    finished.replaces = Some(old.generation);
    let pending = bench.pending(&finished).await;
    bench.pass(DAY + SECOND);
    let removed = bench.collect(COLLECT).await.removed;
    assert_eq!(removed, [pending.digest]);
    let committed = bench.uploads().commit(finished, pending).await;
    assert!(matches!(committed, Err(Error::UploadUnknown)));
    let found = bench.blobs().find(&name("a"), &old.digest).await;
    assert_eq!(found.unwrap(), old);
    assert!(!bench.has_repository("b").await);
}
