//! A storage whose content is in a bucket, behind a proxy that fails when a test wishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{SystemClock, SystemEntropy};
use database::{DatabaseLocation, SqliteDatabase};
use object_content::{
    ObjectContent, RedirectSettings, S3Credentials, S3Settings, StaticCredentials,
};
use oci::{Digest, DigestAlgorithm, RepositoryName};
use peers::{FaultProxy, Minio, TestBucket, VersityGateway};
use storage::collection::{CollectionPolicy, CollectionReport};
use storage::{Blob, Error, NewUpload, Storage, StorageOpenError, StorageSettings, UploadId, hash};
use tempfile::TempDir;

pub(crate) use object_content::LEAST_PART;

pub(crate) struct World {
    pub(crate) gateway: VersityGateway,
    pub(crate) proxy: FaultProxy,
    pub(crate) storage: Storage,
    directory: Arc<TempDir>,
    next_id: AtomicU64,
}

/// How a bucket of a test's server is asked.
pub(crate) fn settings(gateway: &VersityGateway, host_port: &str, part: usize) -> S3Settings {
    settings_of(gateway.bucket(), host_port, part)
}

pub(crate) fn settings_of_minio(minio: &Minio) -> S3Settings {
    settings_of(minio.bucket(), minio.host_port(), LEAST_PART)
}

fn settings_of(bucket: TestBucket, host_port: &str, part: usize) -> S3Settings {
    let tls = rustls::crypto::aws_lc_rs::default_provider();
    let _ = tls.install_default();
    S3Settings {
        bucket: bucket.name.to_owned(),
        prefix: "registry".to_owned(),
        region: bucket.region.to_owned(),
        endpoint: Some(format!("http://{host_port}")),
        path_style: true,
        credentials: S3Credentials::Static(StaticCredentials {
            access_key: bucket.access_key.to_owned(),
            secret_key: bucket.secret_key.into(),
            session_token: None,
        }),
        encryption: None,
        storage_class: None,
        checksum: None,
        part,
        redirect: Some(RedirectSettings {
            lifetime: Duration::from_secs(1200),
            endpoint: None,
        }),
        client: reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(Duration::from_secs(30))
            .build()
            .unwrap(),
    }
}

pub(crate) fn content(settings: &S3Settings) -> ObjectContent {
    ObjectContent::new(settings, Arc::new(SystemEntropy), Arc::new(SystemClock)).unwrap()
}

pub(crate) async fn open(
    directory: &TempDir,
    content: ObjectContent,
) -> Result<Storage, StorageOpenError> {
    let location = DatabaseLocation::at(directory.path().join("w.db"));
    let database = SqliteDatabase::open_exclusive(&location).unwrap();
    let content = Arc::new(content);
    let settings = StorageSettings::default();
    let clock = Arc::new(SystemClock);
    Storage::open_bucket(database, content, "an identity", settings, clock).await
}

impl World {
    pub(crate) async fn new(part: usize) -> Self {
        let gateway = VersityGateway::start();
        let proxy = FaultProxy::start(gateway.host_port());
        let content = content(&settings(&gateway, proxy.host_port(), part));
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let storage = open(&directory, content).await.unwrap();
        proxy.take_seen();
        Self {
            gateway,
            proxy,
            storage,
            directory,
            next_id: AtomicU64::new(1),
        }
    }

    /// Stops the server, as a crash does: nothing of its memory is left.
    pub(crate) async fn restarted(self, part: usize) -> Self {
        let Self {
            gateway,
            proxy,
            storage,
            directory,
            next_id,
        } = self;
        drop(storage);
        let location = DatabaseLocation::at(directory.path().join("w.db"));
        // A task of a dropped request may still be running.
        while SqliteDatabase::open_exclusive(&location).is_err() {
            tokio::task::yield_now().await;
        }
        let content = content(&settings(&gateway, proxy.host_port(), part));
        let storage = open(&directory, content).await.unwrap();
        proxy.take_seen();
        Self {
            gateway,
            proxy,
            storage,
            directory,
            next_id,
        }
    }

    pub(crate) fn new_upload(&self) -> NewUpload {
        let number = u128::from(self.next_id.fetch_add(1, Ordering::SeqCst));
        NewUpload {
            id: UploadId::from_random(number.to_be_bytes()),
            repository: name(),
            client: "a client".to_owned(),
            algorithm: DigestAlgorithm::Sha256,
        }
    }

    pub(crate) async fn begin(&self) -> UploadId {
        let upload = self.new_upload();
        let id = upload.id;
        self.storage.begin(upload).await.unwrap();
        id
    }

    /// One request that continues an upload.
    pub(crate) async fn patch(&self, id: UploadId, at: u64, content: &[u8]) -> Result<u64, Error> {
        let mut upload = self.storage.upload(&name(), id, Some(at)).await?;
        for chunk in content.chunks(65_536) {
            upload.write(Bytes::copy_from_slice(chunk)).await?;
        }
        upload.save().await
    }

    /// The request that ends an upload.
    pub(crate) async fn finish(
        &self,
        id: UploadId,
        content: &[u8],
        digest: Digest,
    ) -> Result<Blob, Error> {
        let mut upload = self.storage.upload(&name(), id, None).await?;
        for chunk in content.chunks(65_536) {
            upload.write(Bytes::copy_from_slice(chunk)).await?;
        }
        upload.finish(digest).await
    }

    /// Pushes as docker and crane do: all content in one request, and the digest in the next one.
    pub(crate) async fn push(&self, content: &[u8]) -> Result<Blob, Error> {
        let id = self.begin().await;
        self.patch(id, 0, content).await?;
        self.finish(id, b"", sha256(content)).await
    }

    /// Sends a blob in one request.
    pub(crate) async fn put(&self, content: &[u8]) -> Result<Blob, Error> {
        let mut upload = self.storage.put(self.new_upload()).await?;
        for chunk in content.chunks(65_536) {
            upload.write(Bytes::copy_from_slice(chunk)).await?;
        }
        upload.finish(sha256(content)).await
    }

    pub(crate) async fn read(&self, blob: &Blob) -> Result<Vec<u8>, Error> {
        let mut reader = self.storage.read(&name(), blob, 0..blob.size).await?;
        let mut content = Vec::new();
        while let Some(chunk) = reader.next().await {
            content.extend_from_slice(&chunk?);
        }
        Ok(content)
    }

    pub(crate) async fn collect(&self) -> CollectionReport {
        let policy = CollectionPolicy {
            grace: Duration::from_secs(24 * 3600),
            wait: Duration::ZERO,
            untagged: None,
        };
        self.storage.collect(policy).await.unwrap()
    }

    /// Collects whatever no manifest refers to.
    pub(crate) async fn collect_everything(&self) {
        let policy = CollectionPolicy {
            grace: Duration::ZERO,
            wait: Duration::ZERO,
            untagged: None,
        };
        // Leases count in whole seconds.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        self.storage.collect(policy).await.unwrap();
    }

    /// Reads, again while the store counts as failing, as clients do.
    pub(crate) async fn read_at_last(&self, blob: &Blob) -> Vec<u8> {
        loop {
            match self.read(blob).await {
                Err(Error::Unavailable { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                read => return read.unwrap(),
            }
        }
    }

    /// The keys of all content.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.gateway.keys("registry/blobs/")
    }
}

pub(crate) fn name() -> RepositoryName {
    "a".parse().unwrap()
}

pub(crate) fn sha256(content: &[u8]) -> Digest {
    hash::digest(DigestAlgorithm::Sha256, content)
}

pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}
