//! Uploads: begun, continued, expired.

use oci::DigestAlgorithm;
use storage::hash::{ContentHasher, HashState};
use storage::{Checkpoint, Error, UploadId, UploadState};

use super::bench::{Bench, DAY, HOUR, MakeStores, SECOND};
use crate::world::{name, sha256};

fn checkpoint(received: u64) -> Checkpoint {
    Checkpoint {
        received,
        hash: None,
        objects: None,
    }
}

async fn is_known(bench: &Bench, id: UploadId) -> bool {
    match bench.uploads().find(&name("a"), id).await {
        Ok(_) => true,
        Err(Error::UploadUnknown) => false,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn a_new_upload_is_empty(make: MakeStores) {
    let bench = Bench::new(make).await;
    for algorithm in DigestAlgorithm::ALL {
        let mut upload = bench.new_upload("a", "ann");
        upload.algorithm = algorithm;
        let id = upload.id;
        bench.uploads().begin(upload, 10, vec![]).await.unwrap();
        let expected = UploadState {
            client: "ann".to_owned(),
            algorithm,
            checkpoint: checkpoint(0),
            fence: 0,
            was_taken_over: false,
        };
        let repository = name("a");
        for state in [
            bench.uploads().find(&repository, id).await,
            bench.uploads().lease(&repository, id).await,
        ] {
            assert_eq!(state.unwrap(), expected);
        }
    }
}

pub(crate) async fn an_upload_belongs_to_its_repository(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = bench.begin("a").await;
    for repository in ["b", "a/a"] {
        let repository = name(repository);
        for unknown in [
            bench.uploads().find(&repository, id).await,
            bench.uploads().lease(&repository, id).await,
        ] {
            assert!(matches!(unknown, Err(Error::UploadUnknown)));
        }
    }
    // An upload alone makes no repository.
    assert!(!bench.has_repository("a").await);
    let unknown = bench.uploads().find(&name("a"), bench.new_id()).await;
    assert!(matches!(unknown, Err(Error::UploadUnknown)));
}

pub(crate) async fn a_checkpoint_comes_back(make: MakeStores) {
    let bench = Bench::new(make).await;
    for algorithm in DigestAlgorithm::ALL {
        let mut upload = bench.new_upload("a", "ann");
        upload.algorithm = algorithm;
        let id = upload.id;
        bench.uploads().begin(upload, 10, vec![]).await.unwrap();
        let mut hasher = ContentHasher::new(algorithm);
        // Beyond a block, so that every part of a state is needed.
        hasher.update(&[7; 1000]);
        let recorded = Checkpoint {
            received: 1000,
            hash: Some(hasher.state()),
            objects: None,
        };
        let fence = bench.uploads().record(id, 0, recorded.clone()).await;
        let state = bench.uploads().find(&name("a"), id).await.unwrap();
        assert_eq!(
            (state.checkpoint.clone(), state.fence),
            (recorded, fence.unwrap())
        );
        let hash = state.checkpoint.hash.as_ref();
        let mut resumed = hash.and_then(HashState::resume).unwrap();
        for hasher in [&mut hasher, &mut resumed] {
            hasher.update(b"more");
        }
        assert_eq!(resumed.finish(), hasher.finish());
        // A checkpoint replaces the one before, and may go back.
        let fence = state.fence;
        bench
            .uploads()
            .record(id, fence, checkpoint(5))
            .await
            .unwrap();
        let state = bench.uploads().lease(&name("a"), id).await.unwrap();
        assert_eq!(state.checkpoint, checkpoint(5));
    }
}

pub(crate) async fn the_largest_upload(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = bench.begin("a").await;
    let largest = u64::try_from(i64::MAX).unwrap();
    bench
        .uploads()
        .record(id, 0, checkpoint(largest))
        .await
        .unwrap();
    let state = bench.uploads().find(&name("a"), id).await.unwrap();
    assert_eq!(state.checkpoint.received, largest);
}

pub(crate) async fn each_checkpoint_increases_the_fence(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = bench.begin("a").await;
    let mut fence = bench.uploads().find(&name("a"), id).await.unwrap().fence;
    for received in 1..5 {
        let next = bench
            .uploads()
            .record(id, fence, checkpoint(received))
            .await;
        let next = next.unwrap();
        assert!(next > fence);
        fence = next;
        let state = bench.uploads().lease(&name("a"), id).await.unwrap();
        assert_eq!(state.fence, fence);
    }
}

pub(crate) async fn an_overtaken_writer_changes_nothing(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = bench.begin("a").await;
    let fence = bench.uploads().record(id, 0, checkpoint(5)).await.unwrap();
    for old in [0, fence + 1, -1, i64::MAX] {
        let refused = bench.uploads().record(id, old, checkpoint(9)).await;
        assert!(matches!(refused, Err(Error::UploadBusy)), "{old}");
        let mut finished = bench.finished("a", b"content");
        finished.upload = id;
        finished.fence = Some(old);
        let refused = bench.uploads().reserve(finished).await;
        assert!(matches!(refused, Err(Error::UploadBusy)), "{old}");
    }
    let state = bench.uploads().find(&name("a"), id).await.unwrap();
    assert_eq!((state.checkpoint, state.fence), (checkpoint(5), fence));
    assert_eq!(bench.recovery().pending().await.unwrap(), []);
    // Nor does it get a blob that exists.
    bench.blob("b", b"content").await;
    let mut finished = bench.finished("a", b"content");
    finished.upload = id;
    finished.fence = Some(0);
    let refused = bench.uploads().reserve(finished).await;
    assert!(matches!(refused, Err(Error::UploadBusy)));
    assert!(!bench.has_blob("a", b"content").await && is_known(&bench, id).await);
}

pub(crate) async fn an_unknown_upload_has_no_checkpoint(make: MakeStores) {
    let bench = Bench::new(make).await;
    let ended = bench.begin("a").await;
    bench.uploads().end(ended).await.unwrap();
    for id in [ended, bench.new_id()] {
        let unknown = bench.uploads().record(id, 0, checkpoint(1)).await;
        assert!(matches!(unknown, Err(Error::UploadUnknown)));
        let mut finished = bench.finished("a", b"content");
        finished.upload = id;
        finished.fence = Some(0);
        let unknown = bench.uploads().reserve(finished).await;
        assert!(matches!(unknown, Err(Error::UploadUnknown)));
    }
    assert!(!bench.has_repository("a").await);
}

pub(crate) async fn end_is_no_error_twice(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (ended, kept) = (bench.begin("a").await, bench.begin("a").await);
    for _ in 0..2 {
        bench.uploads().end(ended).await.unwrap();
        assert!(!is_known(&bench, ended).await && is_known(&bench, kept).await);
    }
    bench.uploads().end(bench.new_id()).await.unwrap();
}

/// Begins an upload of `ann`, of whom `limit` uploads may be open. Returns its id and those removed.
async fn begin(
    bench: &Bench,
    limit: u32,
    active: &[UploadId],
) -> Result<(UploadId, Vec<UploadId>), Error> {
    let upload = bench.new_upload("a", "ann");
    let id = upload.id;
    let evicted = bench
        .uploads()
        .begin(upload, limit, active.to_vec())
        .await?;
    Ok((id, evicted))
}

pub(crate) async fn the_longest_idle_upload_makes_room(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut begun = Vec::new();
    for _ in 0..3 {
        let (id, evicted) = begin(&bench, 3, &[]).await.unwrap();
        assert_eq!(evicted, []);
        begun.push(id);
        bench.pass(SECOND);
    }
    // A checkpoint counts as use, finding does not.
    bench
        .uploads()
        .record(begun[0], 0, checkpoint(1))
        .await
        .unwrap();
    bench.uploads().find(&name("a"), begun[1]).await.unwrap();
    bench.pass(SECOND);
    assert_eq!(begin(&bench, 3, &[]).await.unwrap().1, [begun[1]]);
    bench.pass(SECOND);
    assert_eq!(begin(&bench, 3, &[]).await.unwrap().1, [begun[2]]);
    bench.pass(SECOND);
    assert_eq!(begin(&bench, 3, &[]).await.unwrap().1, [begun[0]]);
    for id in begun {
        assert!(!is_known(&bench, id).await);
    }
}

pub(crate) async fn an_active_upload_makes_no_room(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut begun = Vec::new();
    for _ in 0..3 {
        begun.push(begin(&bench, 3, &[]).await.unwrap().0);
        bench.pass(SECOND);
    }
    let (_, evicted) = begin(&bench, 3, &begun[..2]).await.unwrap();
    assert_eq!(evicted, [begun[2]]);
    let all = bench.recovery().all().await.unwrap();
    let refused = begin(&bench, 3, &all).await;
    assert!(matches!(refused, Err(Error::TooManyUploads { limit: 3 })));
    assert_eq!(bench.recovery().all().await.unwrap(), all);
}

pub(crate) async fn a_smaller_limit_removes_several_or_none(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(begin(&bench, 5, &[]).await.unwrap().0);
        bench.pass(SECOND);
    }
    // Three must go, and only two can: none does.
    let refused = begin(&bench, 3, &begun[..3]).await;
    assert!(matches!(refused, Err(Error::TooManyUploads { limit: 3 })));
    assert_eq!(bench.recovery().all().await.unwrap(), begun);
    let (id, evicted) = begin(&bench, 3, &begun[..1]).await.unwrap();
    assert_eq!(evicted, begun[1..4]);
    assert_eq!(
        bench.recovery().all().await.unwrap(),
        [begun[0], begun[4], id]
    );
    let refused = begin(&bench, 0, &[]).await;
    assert!(matches!(refused, Err(Error::TooManyUploads { limit: 0 })));
}

pub(crate) async fn each_client_has_its_own_limit(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (anns, _) = begin(&bench, 1, &[]).await.unwrap();
    for client in ["bob", "Ann", "ann ", "198.51.100.7"] {
        let upload = bench.new_upload("a", client);
        let evicted = bench.uploads().begin(upload, 1, vec![]).await.unwrap();
        assert_eq!(evicted, [], "{client}");
    }
    // Of one client, the repository does not matter.
    let upload = bench.new_upload("b", "ann");
    let evicted = bench.uploads().begin(upload, 1, vec![]).await.unwrap();
    assert_eq!(evicted, [anns]);
}

pub(crate) async fn an_idle_upload_expires(make: MakeStores) {
    let bench = Bench::new(make).await;
    let idle = bench.begin("a").await;
    bench.pass(SECOND);
    let later = bench.begin("a").await;
    bench.pass(7 * DAY - SECOND);
    // Idle for exactly as long as an upload may be.
    assert_eq!(bench.uploads().expired(10).await.unwrap(), []);
    assert!(!bench.uploads().expire(idle).await.unwrap());
    bench.pass(SECOND);
    assert_eq!(bench.uploads().expired(10).await.unwrap(), [idle]);
    assert!(!bench.uploads().expire(later).await.unwrap());
    assert!(bench.uploads().expire(idle).await.unwrap());
    assert!(!bench.uploads().expire(idle).await.unwrap());
    assert!(!bench.uploads().expire(bench.new_id()).await.unwrap());
    assert!(!is_known(&bench, idle).await && is_known(&bench, later).await);
}

pub(crate) async fn an_upload_that_is_continued_does_not_expire(make: MakeStores) {
    let bench = Bench::new(make).await;
    let [idle, leased, recorded, found] = [
        bench.begin("a").await,
        bench.begin("a").await,
        bench.begin("a").await,
        bench.begin("a").await,
    ];
    bench.pass(8 * DAY);
    // It expires only if it is removed before a request continues it.
    bench.uploads().lease(&name("a"), leased).await.unwrap();
    bench
        .uploads()
        .record(recorded, 0, checkpoint(1))
        .await
        .unwrap();
    bench.uploads().find(&name("a"), found).await.unwrap();
    let expired = bench.uploads().expired(10).await.unwrap();
    assert_eq!(expired, [idle, found]);
    for id in [leased, recorded] {
        assert!(!bench.uploads().expire(id).await.unwrap());
    }
    // A lease lasts for seven eighths of the time at least.
    for _ in 0..3 {
        bench.pass(6 * DAY + 2 * HOUR);
        bench.uploads().lease(&name("a"), leased).await.unwrap();
    }
    assert!(!bench.uploads().expire(leased).await.unwrap());
}

pub(crate) async fn expired_uploads_in_portions(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(bench.begin("a").await);
        bench.pass(SECOND);
    }
    bench.pass(8 * DAY);
    assert_eq!(bench.uploads().expired(0).await.unwrap(), []);
    // Those that have been idle longest come first.
    assert_eq!(bench.uploads().expired(2).await.unwrap(), begun[..2]);
    assert_eq!(bench.uploads().expired(5).await.unwrap(), begun);
    assert_eq!(bench.uploads().expired(u32::MAX).await.unwrap(), begun);
}

pub(crate) async fn all_uploads_by_id(make: MakeStores) {
    let bench = Bench::new(make).await;
    assert_eq!(bench.recovery().all().await.unwrap(), []);
    let mut ids: Vec<_> = (0..20_u8)
        .map(|number| UploadId::from_random([number.wrapping_mul(97); 16]))
        .collect();
    for id in &ids {
        let mut upload = bench.new_upload("a", "ann");
        upload.id = *id;
        bench.uploads().begin(upload, 100, vec![]).await.unwrap();
    }
    ids.sort();
    assert_eq!(bench.recovery().all().await.unwrap(), ids);
}

pub(crate) async fn an_upload_that_became_a_blob_is_unknown(make: MakeStores) {
    let bench = Bench::new(make).await;
    let id = bench.begin("a").await;
    let fence = bench.uploads().record(id, 0, checkpoint(7)).await.unwrap();
    let mut finished = bench.finished("a", b"content");
    finished.upload = id;
    finished.fence = Some(fence);
    let pending = bench.pending(&finished).await;
    assert!(is_known(&bench, id).await);
    let blob = bench.commit(&finished, &pending).await;
    assert_eq!(blob.digest, sha256(b"content"));
    assert!(!is_known(&bench, id).await);
    assert!(bench.has_blob("a", b"content").await);
}
