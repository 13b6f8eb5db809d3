//! Two servers on one database and one directory: what one of them has acknowledged, the other one
//! knows, and whichever stops, the other one continues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use postgresql::IsolationLevel;
use storage::{
    Blob, BlobIndex, CollectionStore, Duty, DutyStore, Error, FinishedUpload, ManifestStore,
    NewOutboxRecord, OutboxStore, PostgresMetadata, Storage, StorageOpenError, UploadId,
    UploadLimits, UploadStore,
};
use tempfile::TempDir;

use super::postgres::{TestDatabase, replica, replica_with};
use super::world::{
    GRACE, SWEEP, clock, content, image, index, name, new_upload, push, retention, root, sha256,
    tag,
};

/// Two servers. Each has its own connections, memory and locks.
struct Replicas {
    storages: [Storage; 2],
    metadata: [PostgresMetadata; 2],
    now: Arc<AtomicU64>,
    next_id: AtomicU64,
    directory: TempDir,
    database: Arc<TestDatabase>,
}

impl Replicas {
    async fn new() -> Self {
        let database = TestDatabase::new();
        let directory = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(1_800_000_000));
        let metadata =
            [1, 2].map(|number| replica(database.pool(), number, retention(), clock(&now)));
        let limits = UploadLimits {
            patience: Duration::from_millis(1),
            ..UploadLimits::default()
        };
        let open =
            |at: usize| Storage::open_shared(metadata[at].clone(), root(directory.path()), limits);
        let storages = [open(0).await.unwrap(), open(1).await.unwrap()];
        Self {
            storages,
            metadata,
            now,
            next_id: AtomicU64::new(1),
            directory,
            database,
        }
    }

    fn pass(&self, time: Duration) {
        self.now.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    async fn begin(&self, at: usize) -> UploadId {
        let number = self.next_id.fetch_add(1, Ordering::SeqCst);
        let upload = new_upload("a", u128::from(number));
        let id = upload.id;
        self.storages[at].begin(upload).await.unwrap();
        id
    }

    async fn resume(&self, at: usize, id: UploadId, from: u64) -> storage::Upload {
        let resumed = self.storages[at].upload(&name("a"), id, Some(from)).await;
        resumed.unwrap()
    }

    async fn blob(&self, at: usize, content: &[u8]) -> Blob {
        let id = self.begin(at).await;
        let mut upload = self.resume(at, id, 0).await;
        upload.write(Bytes::copy_from_slice(content)).await.unwrap();
        upload.finish(sha256(content)).await.unwrap()
    }

    fn file_of(&self, id: UploadId) -> std::path::PathBuf {
        root(self.directory.path())
            .join("uploads")
            .join(id.to_string())
    }
}

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
        };
        let storage::BlobReservation::Pending(pending) = metadata.reserve(finished).await.unwrap()
        else {
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

/// What a server has in memory is not its answer after another server has acknowledged a change.
#[tokio::test]
async fn memory_is_not_believed_after_a_change_elsewhere() {
    for look in [Duration::ZERO, Duration::from_millis(300)] {
        let database = TestDatabase::new();
        let now = Arc::new(AtomicU64::new(1_800_000_000));
        let make = |number| replica_with(database.pool(), number, retention(), clock(&now), look);
        let [here, there] = [make(1), make(2)];
        let (of, latest) = (name("a"), tag("latest").into());
        let find = async |metadata: &PostgresMetadata| {
            let found = ManifestStore::find(metadata, &of, &latest).await;
            found.map(|stored| stored.digest)
        };
        let manifests = [1_u8, 2, 3].map(|number| index(&[sha256(&[number])]));
        here.push(&of, manifests[0].clone(), vec![tag("latest")])
            .await
            .unwrap();
        for manifest in manifests.iter().cycle().skip(1).take(4) {
            // Both remember the tag, with a look that is as new as it can be.
            for _ in 0..2 {
                find(&here).await.unwrap();
                find(&there).await.unwrap();
            }
            here.push(&of, manifest.clone(), vec![tag("latest")])
                .await
                .unwrap();
            assert_eq!(find(&there).await.unwrap(), manifest.digest());
            assert_eq!(find(&here).await.unwrap(), manifest.digest());
        }
        there.untag(&of, &tag("latest")).await.unwrap();
        assert!(matches!(find(&here).await, Err(Error::ManifestUnknown)));
        here.push(&of, manifests[0].clone(), vec![tag("latest")])
            .await
            .unwrap();
        assert_eq!(find(&there).await.unwrap(), manifests[0].digest());
        here.remove(&of, &manifests[0].digest()).await.unwrap();
        assert!(matches!(find(&there).await, Err(Error::ManifestUnknown)));
    }
}

/// Writers count up. A reader that begins after an acknowledgement sees that count or a later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_is_stale() {
    const TAGS: usize = 8;
    const READS: usize = 20_000;
    let replicas = Arc::new(Replicas::new().await);
    let versions: Arc<Vec<_>> = Arc::new(
        (0..60)
            .map(|number: u32| index(&[sha256(&number.to_be_bytes())]))
            .collect(),
    );
    let acknowledged: Arc<Vec<AtomicUsize>> =
        Arc::new((0..TAGS).map(|_| AtomicUsize::new(0)).collect());
    let of = name("a");
    for number in 0..TAGS {
        let first = versions[0].clone();
        replicas.metadata[0]
            .push(&of, first, vec![tag(&format!("t{number}"))])
            .await
            .unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..TAGS).map(|number| {
        let (replicas, versions) = (Arc::clone(&replicas), Arc::clone(&versions));
        let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        tokio::spawn(async move {
            for version in 1..versions.len() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let writer = &replicas.metadata[(number + version) % 2];
                let tags = vec![tag(&format!("t{number}"))];
                writer
                    .push(&name("a"), versions[version].clone(), tags)
                    .await
                    .unwrap();
                acknowledged[number].store(version, Ordering::SeqCst);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..8).map(|reader| {
        let (replicas, versions) = (Arc::clone(&replicas), Arc::clone(&versions));
        let acknowledged = Arc::clone(&acknowledged);
        tokio::spawn(async move {
            let mut stale = 0;
            for read in 0..READS / 8 {
                let number = (read + reader) % TAGS;
                let known = acknowledged[number].load(Ordering::SeqCst);
                let by = tag(&format!("t{number}")).into();
                let metadata = &replicas.metadata[reader % 2];
                let found = ManifestStore::find(metadata, &name("a"), &by)
                    .await
                    .unwrap();
                let version = versions.iter().position(|it| it.digest() == found.digest);
                stale += usize::from(version.unwrap() < known);
            }
            stale
        })
    });
    let mut stale = 0;
    for reader in readers.collect::<Vec<_>>() {
        stale += reader.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(stale, 0, "of {READS} reads");
}

/// Each machine's own disk instead of one that all have.
#[tokio::test]
async fn a_server_with_another_directory_is_refused() {
    let replicas = Replicas::new().await;
    let other = tempfile::tempdir().unwrap();
    let limits = UploadLimits::default();
    let open = |directory: &TempDir| {
        let metadata = replicas.metadata[1].clone();
        Storage::open_shared(metadata, root(directory.path()), limits)
    };
    for _ in 0..2 {
        let refused = open(&other).await;
        assert!(matches!(refused, Err(StorageOpenError::OtherDirectory(_))));
    }
    open(&replicas.directory).await.unwrap();
    replicas.blob(0, b"content").await;
    open(&replicas.directory).await.unwrap();
    assert!(open(&other).await.is_err());
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

/// A record whose transaction ends late is not passed over.
#[tokio::test]
async fn a_late_record_is_delivered() {
    let replicas = Replicas::new().await;
    let pool = replicas.database.pool();
    let late = pool.begin(IsolationLevel::ReadCommitted).await.unwrap();
    let sql = "SELECT write_outbox_1(now(), 'b', '{late}', ARRAY['\\x00'::bytea])";
    late.query(sql, &[]).await.unwrap();
    let changes = storage::ChangeSet {
        change: storage::ManifestChange::Push {
            manifest: index(&[]),
            tags: vec![],
        },
        outbox: vec![NewOutboxRecord {
            kind: "early".to_owned(),
            payload: vec![],
        }],
    };
    let [here, there] = &replicas.metadata;
    here.apply(&name("a"), changes).await.unwrap();
    let first = there.records(None, 10).await.unwrap();
    let kinds = |records: &[storage::OutboxRecord]| {
        let kinds = records.iter().map(|record| record.record.kind.clone());
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds(&first), ["early"]);
    late.commit().await.unwrap();
    let rest = here.records(Some(first[0].id), 10).await.unwrap();
    assert_eq!(kinds(&rest), ["late"]);
    there.acknowledge(first[0].id).await.unwrap();
    assert_eq!(kinds(&here.records(None, 10).await.unwrap()), ["late"]);
}
