//! What uploads have in a store of content that chooses keys.

use storage::{BlobReservation, Checkpoint, Error, FinishedUpload, UploadId, UploadObjects};

use super::bench::{Bench, COLLECT, DAY, HOUR, MakeStores, SECOND};
use crate::world::name;

fn checkpoint(key: &str, names: &[&str]) -> Checkpoint {
    Checkpoint {
        received: 3,
        hash: None,
        objects: Some(UploadObjects {
            key: Some(key.to_owned()),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            state: "a \"state\"\n".to_owned(),
        }),
    }
}

/// An upload whose row names these objects.
async fn with_objects(bench: &Bench, names: &[&str]) -> UploadId {
    let id = bench.begin("a").await;
    let recorded = bench.uploads().record(id, 0, checkpoint(names[0], names));
    assert_eq!(recorded.await.unwrap(), 1);
    id
}

async fn unused(bench: &Bench) -> Vec<String> {
    bench.collection().unused_objects(100).await.unwrap()
}

fn finished(bench: &Bench, upload: UploadId, key: &str) -> FinishedUpload {
    FinishedUpload {
        upload,
        fence: Some(1),
        key: Some(key.to_owned()),
        ..bench.finished("a", b"content")
    }
}

pub(crate) async fn objects_that_a_row_no_longer_names_are_unused(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = with_objects(&bench, &["one", "two"]).await;
    let found = bench.uploads().find(&name("a"), id).await.unwrap();
    assert_eq!(found.checkpoint, checkpoint("one", &["one", "two"]));
    assert!(unused(&bench).await.is_empty());
    let overtaken = bench.uploads().record(id, 0, checkpoint("x", &["x"])).await;
    assert!(matches!(overtaken, Err(Error::UploadBusy)));
    let next = checkpoint("three", &["three", "two"]);
    bench.uploads().record(id, 1, next).await.unwrap();
    assert_eq!(unused(&bench).await, ["one"]);
    assert_eq!(unused(&bench.other_handle()).await, ["one"]);
    let collection = bench.collection();
    for _ in 0..2 {
        collection
            .forget_objects(vec!["one".to_owned()])
            .await
            .unwrap();
        assert!(unused(&bench).await.is_empty());
    }
}

pub(crate) async fn objects_of_an_upload_that_ends_are_unused(make: MakeStores) {
    let bench = Bench::new(make).await;
    let ended = with_objects(&bench, &["a1", "a1?uploadId=7"]).await;
    bench.uploads().end(ended).await.unwrap();
    assert_eq!(unused(&bench).await, ["a1", "a1?uploadId=7"]);
    assert_eq!(bench.collection().unused_objects(1).await.unwrap().len(), 1);
    let expired = with_objects(&bench, &["b1"]).await;
    assert!(!bench.uploads().expire(expired).await.unwrap());
    bench.pass(7 * DAY + SECOND);
    assert!(bench.uploads().expire(expired).await.unwrap());
    with_objects(&bench, &["c1"]).await;
    let upload = bench.new_upload("a", "ann");
    let evicted = bench.uploads().begin(upload, 1, Vec::new()).await.unwrap();
    assert_eq!(evicted.len(), 1);
    assert_eq!(unused(&bench).await, ["a1", "a1?uploadId=7", "b1", "c1"]);
}

pub(crate) async fn the_object_that_becomes_a_blob_is_used(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = with_objects(&bench, &["one", "one?uploadId=7", "one1", "two"]).await;
    let upload = finished(&bench, id, "one");
    let pending = bench.pending(&upload).await;
    assert_eq!(pending.key, "one");
    // A request that is repeated reserves the same key again.
    let pending_again = bench.pending(&upload).await;
    assert_ne!(pending_again.generation, pending.generation);
    // A store may do without pending rows for these uploads.
    assert!(bench.stores.recovery.pending().await.unwrap().len() <= 1);
    let committed = bench.commit(&upload, &pending_again).await;
    assert_eq!(committed, pending_again);
    // `one` is the blob, and its upload in parts is complete.
    assert_eq!(unused(&bench).await, ["one1", "two"]);

    let again = with_objects(&bench, &["three"]).await;
    let upload = finished(&bench, again, "three");
    match bench.reserve(&upload).await {
        BlobReservation::Exists(linked) => assert_eq!(linked.blob, committed),
        BlobReservation::Pending(blob) => panic!("{blob:?} is pending"),
    }
    // The caller may find that the blob's content is missing, and go on with the upload.
    let found = bench.uploads().find(&name("a"), again).await;
    assert!(found.is_ok() && !unused(&bench).await.contains(&"three".to_owned()));
    let replacing = FinishedUpload {
        replaces: Some(committed.generation),
        ..upload
    };
    let pending = bench.pending(&replacing).await;
    assert_eq!(bench.commit(&replacing, &pending).await.key, "three");
    assert_eq!(unused(&bench).await, ["one1", "two"]);
}

pub(crate) async fn a_pending_row_of_an_upload_with_objects_is_no_garbage(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = with_objects(&bench, &["one"]).await;
    let upload = finished(&bench, id, "one");
    bench.pending(&upload).await;
    bench.pass(2 * DAY + HOUR);
    // The upload can still become a blob, so its content stays.
    assert_eq!(bench.collection().sweep(COLLECT).await.unwrap(), 0);
    let pending = bench.pending(&upload).await;
    bench.commit(&upload, &pending).await;

    let id = with_objects(&bench, &["two"]).await;
    let upload = FinishedUpload {
        digest: crate::world::sha256(b"other"),
        ..finished(&bench, id, "two")
    };
    bench.pending(&upload).await;
    bench.uploads().end(id).await.unwrap();
    bench.pass(2 * DAY + HOUR);
    bench.collection().sweep(COLLECT).await.unwrap();
    // By the pending row, or by the list of unused objects.
    let deletable = bench.collection().deletable(10).await.unwrap();
    let mut gone: Vec<_> = deletable.into_iter().map(|blob| blob.key).collect();
    gone.extend(unused(&bench).await);
    assert!(gone.contains(&"two".to_owned()), "{gone:?}");
}
