//! Garbage collection by one server while another one pushes, and by one server at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgresql::IsolationLevel;
use storage::{BlobIndex, CollectionStore, Duty, DutyStore, Error};

use super::super::world::{GRACE, SWEEP, image, name, push, sha256};
use super::Replicas;

#[tokio::test]
async fn mark_here_then_push_there_then_sweep_here() {
    let replicas = Replicas::new().await;
    for content in [&b"{}"[..], b"layer"] {
        replicas.blob(0, content).await;
    }
    replicas.pass(GRACE + Duration::from_secs(1));
    let [here, _] = &replicas.metadata;
    assert_eq!(here.mark(SWEEP, None).await.unwrap().marked, 2);
    push(&replicas.storages[1], "a", image(&[b"layer"], None), &["x"])
        .await
        .unwrap();
    assert_eq!(here.sweep(SWEEP).await.unwrap(), 0);
    BlobIndex::find(here, &name("a"), &sha256(b"layer"))
        .await
        .unwrap();
    assert_eq!(here.deletable(10).await.unwrap(), []);
}

/// A push has read that a blob is live, and has not committed its reference yet.
#[tokio::test]
async fn a_sweep_waits_for_transactions_that_may_have_read_a_blob_as_live() {
    let replicas = Replicas::new().await;
    let blob = replicas.blob(0, b"layer").await;
    replicas.pass(GRACE + Duration::from_secs(1));
    let pool = replicas.database.pool();
    let pushing = pool.begin(IsolationLevel::ReadCommitted).await.unwrap();
    let row = pushing
        .query_one("SELECT change_repository_1('a')", &[])
        .await
        .unwrap();
    let repository: i64 = row.get(0);
    let state = "SELECT state FROM blobs WHERE generation = $1";
    let row = pushing.query_one(state, &[&blob.generation]).await.unwrap();
    assert_eq!(row.get::<_, i16>(0), 1);
    // The repository's row is locked, so the mark is another server's statement in between.
    let mark = "UPDATE blobs SET state = 2, since = since WHERE generation = $1";
    pool.execute(mark, &[&blob.generation]).await.unwrap();
    let metadata = replicas.metadata[0].clone();
    let is_swept = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_swept);
    let sweep = tokio::spawn(async move {
        let swept = metadata.sweep(SWEEP).await;
        flag.store(true, Ordering::SeqCst);
        swept
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!is_swept.load(Ordering::SeqCst), "it did not wait");
    let refer = "INSERT INTO manifests (repository, digest, media_type, leased_at, bytes)
        VALUES ($1, $2, 'm/m', now(), '') RETURNING id";
    let digest = [&[1_u8][..], &[7; 32]].concat();
    let manifest = pushing
        .query_one(refer, &[&repository, &digest])
        .await
        .unwrap();
    let manifest: i64 = manifest.get(0);
    let refer =
        "INSERT INTO manifest_references SELECT digest, $2, $3 FROM blobs WHERE generation = $1";
    pushing
        .execute(refer, &[&blob.generation, &repository, &manifest])
        .await
        .unwrap();
    pushing.commit().await.unwrap();
    // It is moved back to live.
    assert_eq!(sweep.await.unwrap().unwrap(), 1);
    assert_eq!(replicas.metadata[1].deletable(10).await.unwrap(), []);
    BlobIndex::find(&replicas.metadata[1], &name("a"), &blob.digest)
        .await
        .unwrap();
}

#[tokio::test]
async fn one_server_at_a_time_has_a_duty() {
    let replicas = Replicas::new().await;
    let duty = Duty {
        name: "work",
        every: Duration::from_secs(600),
        lease: Duration::from_secs(60),
    };
    let [here, there] = &replicas.metadata;
    let lease = here.take(&duty).await.unwrap().unwrap();
    assert_eq!(there.take(&duty).await.unwrap(), None);
    replicas.pass(Duration::from_secs(59));
    here.renew(&lease).await.unwrap();
    replicas.pass(Duration::from_secs(59));
    assert_eq!(there.take(&duty).await.unwrap(), None);
    // The first server stops without a word.
    replicas.pass(Duration::from_secs(1));
    let taken = there.take(&duty).await.unwrap().unwrap();
    assert!(taken.fence > lease.fence);
    assert!(matches!(here.renew(&lease).await, Err(Error::Conflict)));
    here.finish(lease).await.unwrap();
    there.renew(&taken).await.unwrap();
    there.finish(taken).await.unwrap();
    // It is done once in its time.
    for at in [here, there] {
        assert_eq!(at.take(&duty).await.unwrap(), None);
    }
    replicas.pass(Duration::from_secs(600));
    let given_up = here.take(&duty).await.unwrap().unwrap();
    here.give_up(given_up).await.unwrap();
    assert!(there.take(&duty).await.unwrap().is_some());
}

#[tokio::test]
async fn one_server_collects_in_each_period() {
    let replicas = Replicas::new().await;
    replicas.blob(0, b"idle").await;
    replicas.pass(GRACE + Duration::from_secs(1));
    let every = Duration::from_secs(3600);
    let mut removed = 0;
    for storage in replicas.storages.iter().cycle().take(6) {
        if let Some(report) = storage.collect_in_turn(SWEEP, every).await.unwrap() {
            removed += report.blobs;
        }
    }
    assert_eq!(removed, 1);
    replicas.pass(every);
    let second = replicas.storages[1]
        .collect_in_turn(SWEEP, every)
        .await
        .unwrap();
    assert!(second.is_some());
    let first = replicas.storages[0]
        .collect_in_turn(SWEEP, every)
        .await
        .unwrap();
    assert_eq!(first, None);
}
