//! Two servers on one database and one directory: what one of them has acknowledged, the other one
//! knows, and whichever stops, the other one continues.

mod adoption;
mod collection;
mod memory;
mod uploads;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use postgresql::IsolationLevel;
use storage::{
    Blob, ManifestStore, NewOutboxRecord, OutboxStore, PostgresMetadata, Storage, StorageOpenError,
    UploadId, UploadLimits,
};
use tempfile::TempDir;

use super::postgres::{TestDatabase, replica};
use super::world::{clock, index, name, new_upload, retention, root, sha256};

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
        let limits = UploadLimits {
            patience: Duration::from_millis(1),
            lease_patience: Duration::from_millis(1),
            ..UploadLimits::default()
        };
        Self::with(limits).await
    }

    async fn with(limits: UploadLimits) -> Self {
        let database = TestDatabase::new();
        let directory = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(1_800_000_000));
        let metadata =
            [1, 2].map(|number| replica(database.pool(), number, retention(), clock(&now)));
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

/// A record whose transaction ends late is not passed over.
#[tokio::test]
async fn a_late_record_is_delivered() {
    let replicas = Replicas::new().await;
    let pool = replicas.database.pool();
    let late = pool.begin(IsolationLevel::ReadCommitted).await.unwrap();
    let sql = "SELECT write_outbox_1(now(), 'b', '{test}', ARRAY['late'::bytea])";
    late.query(sql, &[]).await.unwrap();
    let changes = storage::ChangeSet {
        outbox: vec![NewOutboxRecord {
            kind: "test".to_owned(),
            payload: b"early".to_vec(),
        }],
        ..storage::ManifestChange::Push {
            manifest: index(&[]),
            tags: vec![],
        }
        .into()
    };
    let [here, there] = &replicas.metadata;
    here.apply(&name("a"), changes).await.unwrap();
    let first = there.records("test", None, 10).await.unwrap();
    let payloads = |records: &[storage::OutboxRecord]| {
        let payloads = records.iter().map(|record| record.record.payload.clone());
        payloads.collect::<Vec<_>>()
    };
    assert_eq!(payloads(&first), [b"early"]);
    late.commit().await.unwrap();
    let rest = here.records("test", Some(first[0].id), 10).await.unwrap();
    assert_eq!(payloads(&rest), [b"late"]);
    there.acknowledge("test", first[0].id).await.unwrap();
    let left = here.records("test", None, 10).await.unwrap();
    assert_eq!(payloads(&left), [b"late"]);
}
