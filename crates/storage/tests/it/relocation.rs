//! Relocation: another storage becomes what this one is.

use std::sync::Arc;

use common::SystemEntropy;
use storage::{
    QuotaCounting, RelocationError, RelocationReport, Storage, UploadLimits, UsageQuery,
};

use super::postgres::{TestDatabase, replica};
use super::world::{World, content, index, name, retention, sha256};

async fn pass(from: &Storage, to: &Storage) -> Result<RelocationReport, RelocationError> {
    from.relocate_to(to, Arc::new(SystemEntropy), |_| {}).await
}

/// One that finds nothing to do.
async fn is_equal(from: &World, to: &World) {
    let report = pass(&from.storage, &to.storage).await.unwrap();
    assert_eq!((report.differences(), report.damaged), (0, 0), "{report:?}");
}

#[tokio::test]
async fn everything_is_copied_and_later_passes_copy_what_changed() {
    let (old, new) = (World::new().await, World::new().await);
    let prefixes = ["library", "*"].map(|text| text.parse().unwrap());
    let tracked = new
        .storage
        .quotas()
        .track(prefixes.into(), QuotaCounting::New);
    tracked.await.unwrap();
    let one = old.image("library/app", "one", &["1", "latest"]).await;
    let two = old.image("library/app", "two", &["2"]).await;
    old.push("library/app", index(&[one, two]), &["all"])
        .await
        .unwrap();
    old.image("other", "one", &["x"]).await;
    let report = pass(&old.storage, &new.storage).await.unwrap();
    let RelocationReport {
        repositories,
        manifests,
        tags,
        blobs,
        copied_blobs,
        copied_bytes,
        ..
    } = report;
    assert_eq!((repositories, manifests, tags, blobs), (2, 4, 5, 5));
    // A blob of two repositories is copied once or twice: both may be first.
    assert!(
        (3..=5).contains(&copied_blobs) && copied_bytes >= 8,
        "{report:?}"
    );
    assert_eq!(new.manifest("library/app", "latest").await.digest, one);
    assert_eq!(new.content("other", sha256(b"one")).await, b"one");
    assert_eq!(
        new.manifest("library/app", "all").await,
        old.manifest("library/app", "all").await
    );
    is_equal(&old, &new).await;

    // What changed: an image, a tag that moved, one that is gone, a manifest, a repository.
    let three = old.image("library/app", "three", &["3", "latest"]).await;
    old.untag("library/app", "1").await;
    old.remove("library/app", two).await;
    old.storage
        .blobs()
        .unlink(&name("library/app"), &sha256(b"two"))
        .await
        .unwrap();
    let gone = old.manifest("other", "x").await.digest;
    old.remove("other", gone).await;
    old.image("new", "three", &["1"]).await;
    let report = pass(&old.storage, &new.storage).await.unwrap();
    assert!(report.removed >= 4 && report.added > 0, "{report:?}");
    assert_eq!(new.manifest("library/app", "latest").await.digest, three);
    assert!(!new.has_manifest("library/app", "1").await);
    assert!(!new.has_manifest("library/app", "2").await);
    assert!(!new.has_blob("library/app", sha256(b"two")).await);
    assert!(!new.has_manifest("other", "x").await);
    assert_eq!(new.content("new", sha256(b"three")).await, b"three");
    is_equal(&old, &new).await;
    // And the other way round.
    is_equal(&new, &old).await;
    // What comes and goes so is counted for the target's quotas.
    assert_eq!(new.storage.quotas().wrong_counts().await.unwrap(), []);
    let used = new.storage.quotas().usage(UsageQuery::All).await.unwrap();
    let tags: Vec<_> = used.iter().map(|it| it.usage.tags).collect();
    assert_eq!(tags, [4, 3]);
}

#[tokio::test]
async fn a_pass_that_was_interrupted_is_repeated() {
    let (old, new) = (World::new().await, World::new().await);
    for number in 0..40 {
        old.image(&format!("r{number}"), &format!("layer {number}"), &["1"])
            .await;
    }
    for _ in 0..5 {
        let (from, to) = (old.storage.clone(), new.storage.clone());
        let work = tokio::spawn(async move { pass(&from, &to).await });
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        work.abort();
        let _ = work.await;
    }
    pass(&old.storage, &new.storage).await.unwrap();
    for number in 0..40 {
        let layer = format!("layer {number}");
        let digest = sha256(layer.as_bytes());
        assert_eq!(
            new.content(&format!("r{number}"), digest).await,
            layer.as_bytes()
        );
    }
    is_equal(&old, &new).await;
}

#[tokio::test]
async fn a_registry_moves_to_postgresql_and_back() {
    let (old, back) = (World::new().await, World::new().await);
    let one = old.image("library/app", "one", &["1", "latest"]).await;
    let two = old.image("library/app", "two", &["2"]).await;
    old.push("library/app", index(&[one, two]), &["all"])
        .await
        .unwrap();
    old.image("other", "one", &["x"]).await;
    let database = TestDatabase::new();
    let directory = tempfile::tempdir().unwrap();
    let metadata = replica(database.pool(), 1, retention(), old.clock());
    let limits = UploadLimits::default();
    let new = Storage::open_shared(metadata, directory.path().join("data"), limits);
    let new = new.await.unwrap();
    pass(&old.storage, &new).await.unwrap();
    let report = pass(&old.storage, &new).await.unwrap();
    assert_eq!((report.differences(), report.tags), (0, 5), "{report:?}");
    assert_eq!(
        content(&new, "other", sha256(b"one")).await.unwrap(),
        b"one"
    );
    old.untag("library/app", "2").await;
    old.remove("other", one).await;
    let report = pass(&old.storage, &new).await.unwrap();
    assert!(report.removed >= 2, "{report:?}");
    assert_eq!(pass(&old.storage, &new).await.unwrap().differences(), 0);
    // And back.
    pass(&new, &back.storage).await.unwrap();
    assert_eq!(pass(&new, &back.storage).await.unwrap().differences(), 0);
    is_equal(&old, &back).await;
}

#[tokio::test]
async fn a_damaged_blob_is_counted_and_the_rest_is_copied() {
    let (old, new) = (World::new().await, World::new().await);
    old.image("app", "sound", &["1"]).await;
    old.image("app", "damaged", &["2"]).await;
    let blob = old
        .storage
        .blobs()
        .find(&name("app"), &sha256(b"damaged"))
        .await
        .unwrap();
    std::fs::write(old.root().join(&blob.key), "DAMAGED").unwrap();
    let lost = old.blob("app", b"lost").await;
    std::fs::remove_file(old.root().join(&lost.key)).unwrap();
    let report = pass(&old.storage, &new.storage).await.unwrap();
    assert_eq!(report.damaged, 2, "{report:?}");
    assert_eq!(new.content("app", sha256(b"sound")).await, b"sound");
    assert!(new.has_manifest("app", "2").await);
    assert!(
        content(&new.storage, "app", sha256(b"damaged"))
            .await
            .is_err()
    );
    // It is tried again, and found again when it was repaired.
    std::fs::write(old.root().join(&blob.key), "damaged").unwrap();
    let report = pass(&old.storage, &new.storage).await.unwrap();
    assert_eq!((report.damaged, report.copied_blobs), (1, 1));
    assert_eq!(new.temporaries(), 0);
}
