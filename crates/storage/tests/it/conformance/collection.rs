//! Garbage collection of blobs: marked, swept, removed, and everything that stops it.

use std::sync::Arc;
use std::time::Duration;

use storage::collection::{CollectionPolicy, Garbage, GarbageBlob};
use storage::{BlobReservation, Error, Retention};
use tokio::task::JoinSet;

use super::bench::{Bench, COLLECT, Collected, DAY, HOUR, MakeStores, RETENTION, SECOND, first};
use crate::world::{image, index, name, sha256};

/// Marked blobs wait.
const WAITING: CollectionPolicy = CollectionPolicy {
    wait: Duration::from_secs(600),
    ..COLLECT
};

pub(crate) async fn an_idle_blob_is_marked_swept_and_removed(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.image("a", "needed", &["x"]).await;
    let idle = bench.blob("a", b"idle").await;
    bench.pass(DAY + SECOND);
    assert_eq!(bench.sweep(COLLECT).await, 0);
    assert_eq!(bench.deletable().await, []);
    assert_eq!(bench.mark(COLLECT).await, 1);
    assert_eq!(bench.mark(COLLECT).await, 0);
    // A marked blob can be pulled.
    assert!(bench.has_blob("a", b"idle").await);
    assert_eq!(bench.deletable().await, []);
    assert_eq!(bench.sweep(COLLECT).await, 1);
    assert!(!bench.has_blob("a", b"idle").await);
    let deletable = bench.deletable().await;
    assert_eq!(deletable.len(), 1);
    let removed = &deletable[0];
    assert_eq!(
        (removed.generation, &removed.key),
        (idle.generation, &idle.key)
    );
    assert_eq!((removed.digest, removed.size), (idle.digest, idle.size));
    assert_eq!(removed.store, idle.store);
    assert_eq!(bench.deletable().await, deletable);
    for _ in 0..2 {
        bench.collection().purge(deletable.clone()).await.unwrap();
        assert_eq!(bench.deletable().await, []);
    }
    assert!(bench.has_blob("a", b"needed").await);
}

pub(crate) async fn a_blob_is_kept_for_the_grace_time(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"idle").await;
    bench.pass(DAY);
    assert_eq!(bench.mark(COLLECT).await, 0);
    // A lease within the grace time, and the grace time begins again, an eighth of it or an hour
    // less at most.
    bench
        .blobs()
        .lease(&name("a"), &sha256(b"idle"))
        .await
        .unwrap();
    bench.pass(DAY - HOUR);
    assert_eq!(bench.mark(COLLECT).await, 0);
    bench.pass(HOUR + SECOND);
    assert_eq!(bench.mark(COLLECT).await, 1);
}

pub(crate) async fn finding_a_blob_is_no_lease(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"idle").await;
    bench.pass(DAY + SECOND);
    bench.blobs().find(&name("a"), &blob.digest).await.unwrap();
    let found = bench.blobs().find_all(&name("a"), vec![blob.digest]).await;
    assert_eq!(found.unwrap(), [blob]);
    assert_eq!(bench.collect(COLLECT).await.removed, [sha256(b"idle")]);
}

pub(crate) async fn a_marked_blob_waits(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"idle").await;
    bench.pass(DAY + SECOND);
    assert_eq!(bench.mark(WAITING).await, 1);
    bench.pass(Duration::from_secs(599));
    assert_eq!(bench.sweep(WAITING).await, 0);
    // Marking again does not begin the wait again.
    assert_eq!(bench.mark(WAITING).await, 0);
    bench.pass(SECOND);
    assert_eq!(bench.sweep(WAITING).await, 1);
}

pub(crate) async fn each_use_unmarks_a_blob(make: MakeStores) {
    for way in ["lease", "mount", "upload", "push"] {
        let bench = Bench::new(make).await;
        let (layer, other) = (sha256(b"layer"), sha256(b"{}"));
        for content in [&b"{}"[..], b"layer"] {
            bench.blob("a", content).await;
        }
        bench.pass(DAY + SECOND);
        assert_eq!(bench.mark(WAITING).await, 2);
        match way {
            "lease" => drop(bench.blobs().lease(&name("a"), &layer).await.unwrap()),
            "mount" => {
                let mounted = bench.blobs().mount(&layer, &name("a"), &name("b")).await;
                drop(mounted.unwrap());
            }
            "upload" => drop(bench.blob("c", b"layer").await),
            _ => drop(
                bench
                    .push("a", image(&[b"layer"], None), &["x"])
                    .await
                    .unwrap(),
            ),
        }
        bench.pass(Duration::from_secs(601));
        let removed = bench.collect(WAITING).await.removed;
        let expected = if way == "push" { vec![] } else { vec![other] };
        assert_eq!(removed, expected, "{way}");
        assert!(bench.has_blob("a", b"layer").await, "{way}");
        // And it has a lease again, or is needed.
        assert_eq!(bench.mark(WAITING).await, 0, "{way}");
    }
}

pub(crate) async fn a_failed_push_unmarks_nothing(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"layer").await;
    bench.pass(DAY + SECOND);
    assert_eq!(bench.mark(COLLECT).await, 1);
    let failed = bench.push("a", image(&[b"layer"], None), &["x"]).await;
    assert!(matches!(failed, Err(Error::ReferencesUnknown(_))));
    assert_eq!(bench.collect(COLLECT).await.removed, [sha256(b"layer")]);
}

pub(crate) async fn a_marked_blob_that_is_needed_again_is_kept(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"layer").await;
    bench.pass(DAY + SECOND);
    assert_eq!(bench.mark(COLLECT).await, 1);
    // Another repository refers to it, without having it.
    let sparse = image(&[b"layer"], None).without_requiring_blobs();
    let digest = bench.push("b", sparse, &["x"]).await.unwrap();
    assert_eq!(bench.sweep(COLLECT).await, 1);
    assert_eq!(bench.deletable().await, []);
    let found = bench.blobs().find(&name("a"), &blob.digest).await;
    assert_eq!(found.unwrap(), blob);
    // It is live: once nothing needs it, it is marked again.
    bench.remove("b", digest).await.unwrap();
    assert_eq!(bench.sweep(COLLECT).await, 0);
    assert_eq!(bench.mark(COLLECT).await, 1);
}

pub(crate) async fn a_blob_that_a_manifest_refers_to_is_kept(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "layer", &["x"]).await;
    // A layer may be elsewhere, and an index may list what is a blob here.
    let foreign = crate::world::descriptor(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        sha256(b"foreign"),
        7,
    );
    let config = crate::world::descriptor("c/c", sha256(b"{}"), 2);
    let members = format!(r#""config":{config},"layers":[{foreign}]"#);
    let windows = crate::world::manifest(oci::media_type::DOCKER_MANIFEST, &members);
    bench.push("a", windows, &["windows"]).await.unwrap();
    bench
        .push("a", index(&[sha256(b"listed")]), &["index"])
        .await
        .unwrap();
    for content in [&b"foreign"[..], b"listed"] {
        bench.blob("a", content).await;
    }
    bench.pass(30 * DAY);
    assert_eq!(bench.collect(COLLECT).await, Collected::default());
    bench.remove("a", digest).await.unwrap();
    assert_eq!(bench.collect(COLLECT).await.removed, [sha256(b"layer")]);
    assert!(bench.has_blob("a", b"{}").await && bench.has_blob("a", b"foreign").await);
}

pub(crate) async fn a_subject_is_no_reference_to_a_blob(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"subject").await;
    bench.blob("a", b"{}").await;
    bench
        .push("a", image(&[], Some(blob.digest)), &["x"])
        .await
        .unwrap();
    bench.pass(DAY + SECOND);
    assert_eq!(bench.collect(COLLECT).await.removed, [blob.digest]);
}

pub(crate) async fn a_deleting_blob_is_gone_for_every_caller(make: MakeStores) {
    let bench = Bench::new(make).await;
    for content in [&b"{}"[..], b"layer"] {
        bench.blob("a", content).await;
        bench.blob("b", content).await;
        assert!(bench.has_blob("a", content).await);
    }
    bench.pass(DAY + SECOND);
    bench.mark(COLLECT).await;
    assert_eq!(bench.sweep(COLLECT).await, 2);
    let (layer, a, c) = (sha256(b"layer"), name("a"), name("c"));
    assert!(!bench.has_blob("a", b"layer").await);
    for unknown in [
        bench.blobs().lease(&a, &layer).await.map(drop),
        bench.blobs().mount(&layer, &a, &c).await.map(drop),
        bench.blobs().unlink(&a, &layer).await,
    ] {
        assert!(matches!(unknown, Err(Error::BlobUnknown)));
    }
    assert_eq!(bench.blobs().find_all(&a, vec![layer]).await.unwrap(), []);
    assert_eq!(
        bench
            .blobs()
            .holders(&layer, first(1))
            .await
            .unwrap()
            .entries,
        []
    );
    assert_eq!(
        bench.inventory().blobs(first(10)).await.unwrap().entries,
        []
    );
    assert_eq!(
        bench
            .inventory()
            .linked(&a, first(10))
            .await
            .unwrap()
            .entries,
        []
    );
    let error = bench.push("a", image(&[b"layer"], None), &["x"]).await;
    let Err(Error::ReferencesUnknown(missing)) = error else {
        panic!("{error:?}")
    };
    assert_eq!(missing, [sha256(b"{}"), layer]);
}

pub(crate) async fn content_uploaded_again_is_another_blob(make: MakeStores) {
    let bench = Bench::new(make).await;
    let old = bench.blob("a", b"layer").await;
    bench.pass(DAY + SECOND);
    bench.mark(COLLECT).await;
    bench.sweep(COLLECT).await;
    let deletable = bench.deletable().await;
    let finished = bench.finished("a", b"layer");
    let BlobReservation::Pending(pending) = bench.reserve(&finished).await else {
        panic!("a blob that is being removed came back")
    };
    assert_ne!(
        (pending.generation, &pending.key),
        (old.generation, &old.key)
    );
    let new = bench.commit(&finished, &pending).await;
    // The late removal concerns the old row only.
    assert_eq!(bench.deletable().await, deletable);
    bench.collection().purge(deletable).await.unwrap();
    let found = bench.blobs().find(&name("a"), &new.digest).await;
    assert_eq!(found.unwrap(), new);
}

pub(crate) async fn purge_removes_only_what_is_deleting(make: MakeStores) {
    let bench = Bench::new(make).await;
    let live = bench.blob("a", b"live").await;
    let idle = bench.blob("a", b"idle").await;
    bench.pass(DAY + SECOND);
    bench.blobs().lease(&name("a"), &live.digest).await.unwrap();
    bench.mark(COLLECT).await;
    bench.sweep(COLLECT).await;
    let mut deletable = bench.deletable().await;
    assert_eq!(deletable.len(), 1);
    let mut other = deletable[0].clone();
    other.generation = live.generation;
    deletable.insert(0, other);
    bench.collection().purge(deletable).await.unwrap();
    assert!(bench.has_blob("a", b"live").await);
    assert_eq!(bench.deletable().await, []);
    bench.collection().purge(Vec::new()).await.unwrap();
    assert!(!bench.has_blob("a", b"idle").await);
    assert_eq!(idle.size, 4);
}

pub(crate) async fn content_stays_while_it_is_retained(make: MakeStores) {
    let retention = Retention {
        retain: HOUR,
        ..RETENTION
    };
    let bench = Bench::with(make, retention).await;
    bench.blob("a", b"idle").await;
    bench.pass(DAY + SECOND);
    assert_eq!(bench.mark(COLLECT).await, 1);
    // The time counts from when no client can see the blob.
    bench.pass(DAY);
    assert_eq!(bench.sweep(COLLECT).await, 1);
    bench.pass(HOUR - SECOND);
    assert_eq!(bench.deletable().await, []);
    bench.pass(SECOND);
    assert_eq!(bench.deletable().await.len(), 1);
}

pub(crate) async fn deletable_blobs_in_portions(make: MakeStores) {
    let bench = Bench::new(make).await;
    for number in 0..5_u8 {
        bench.blob("a", &[number]).await;
    }
    bench.pass(DAY + SECOND);
    bench.mark(COLLECT).await;
    bench.sweep(COLLECT).await;
    let all = bench.deletable().await;
    assert_eq!(all.len(), 5);
    assert!(all.is_sorted_by_key(|blob| blob.generation));
    assert_eq!(bench.collection().deletable(0).await.unwrap(), []);
    assert_eq!(bench.collection().deletable(2).await.unwrap(), all[..2]);
    bench.collection().purge(all[..2].to_vec()).await.unwrap();
    assert_eq!(
        bench.collection().deletable(u32::MAX).await.unwrap(),
        all[2..]
    );
}

pub(crate) async fn a_plan_changes_nothing_and_is_carried_out(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.image("a", "needed", &["x"]).await;
    let blobs = [bench.blob("a", b"idle").await, bench.blob("b", b"").await];
    let upload = bench.begin("a").await;
    bench.pass(8 * DAY);
    bench.blob("a", b"leased").await;
    // Marked or not, it would go.
    for _ in 0..2 {
        let plan = bench.collection().plan(WAITING).await.unwrap();
        let expected = Garbage {
            manifests: Vec::new(),
            blobs: blobs
                .iter()
                .map(|blob| GarbageBlob {
                    digest: blob.digest,
                    size: blob.size,
                })
                .collect(),
            uploads: vec![upload],
        };
        assert_eq!(plan, expected);
        bench.mark(WAITING).await;
    }
    assert!(bench.has_blob("a", b"idle").await && bench.has_blob("b", b"").await);
    let mut removed = bench.collect(COLLECT).await.removed;
    removed.sort();
    let mut expected: Vec<_> = blobs.iter().map(|blob| blob.digest).collect();
    expected.sort();
    assert_eq!(removed, expected);
    let plan = bench.collection().plan(COLLECT).await.unwrap();
    assert_eq!(plan.blobs, []);
}

/// More than an implementation looks at in one step.
pub(crate) async fn many_blobs_and_repositories_take_several_steps(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (repositories, blobs) = (150, 1100_u32);
    let bench = Arc::new(bench);
    let mut tasks = JoinSet::new();
    for number in 0..blobs {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move {
            let repository = format!("r{}", number % repositories);
            bench.blob(&repository, &number.to_be_bytes()).await
        });
    }
    tasks.join_all().await;
    bench.pass(DAY + SECOND);
    let kept = bench.blob("kept", b"kept").await;
    let collected = bench.collect(COLLECT).await;
    assert_eq!(collected.marked, u64::from(blobs));
    assert_eq!(collected.removed.len(), blobs as usize);
    let left = bench.inventory().blobs(first(10)).await.unwrap();
    assert_eq!(left.entries, [kept]);
    bench.prune(COLLECT).await;
    for repository in 0..repositories {
        assert!(!bench.has_repository(&format!("r{repository}")).await);
    }
    assert!(bench.has_repository("kept").await);
}
