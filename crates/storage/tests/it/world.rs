//! What the tests share: storage in a temporary directory, with a clock that a test moves.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::Clock;
use database::{DatabaseLocation, DatabaseOpenError, SqliteDatabase};
use oci::{Digest, DigestAlgorithm, RepositoryName, Tag, media_type};
use storage::collection::{CollectionPolicy, CollectionReport};
use storage::distribution::{AdoptionCheck, AdoptionReport, OngoingAdoption};
use storage::{
    AdoptionStage, Blob, Error, NewManifest, NewUpload, Retention, Storage, StorageSettings,
    StoredManifest, Upload, UploadId, UploadLimits, hash,
};
use tempfile::TempDir;

pub(crate) const GRACE: Duration = Duration::from_secs(24 * 3600);
pub(crate) const SWEEP: CollectionPolicy = CollectionPolicy {
    grace: GRACE,
    wait: Duration::ZERO,
    untagged: None,
};

/// The time at which a test begins, in seconds since the Unix epoch.
const BEGINNING: u64 = 1_800_000_000;

pub(crate) struct World {
    pub(crate) storage: Storage,
    pub(crate) database: SqliteDatabase,
    pub(crate) directory: Arc<TempDir>,
    now: Arc<AtomicU64>,
    next_id: AtomicU64,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::at(
            Arc::new(tempfile::tempdir().unwrap()),
            StorageSettings::default(),
            BEGINNING,
        )
        .await
    }

    pub(crate) async fn with_limits(limits: UploadLimits) -> Self {
        let settings = StorageSettings {
            limits,
            ..StorageSettings::default()
        };
        Self::at(Arc::new(tempfile::tempdir().unwrap()), settings, BEGINNING).await
    }

    /// Storage in a directory that another registry has filled.
    pub(crate) async fn in_place_of(old: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(old, root(directory.path())).unwrap();
        Self::at(Arc::new(directory), StorageSettings::default(), BEGINNING).await
    }

    async fn at(directory: Arc<TempDir>, settings: StorageSettings, now: u64) -> Self {
        let database = open_database(directory.path());
        let now = Arc::new(AtomicU64::new(now));
        let storage = Storage::open(
            database.clone(),
            root(directory.path()),
            settings,
            clock(&now),
        )
        .await
        .unwrap();
        Self {
            storage,
            database,
            directory,
            now,
            next_id: AtomicU64::new(0),
        }
    }

    /// Stops the server and starts it again.
    pub(crate) async fn restarted(self) -> Self {
        let Self {
            storage,
            database,
            directory,
            now,
            next_id,
        } = self;
        drop((storage, database));
        // A task of a dropped request may still be running.
        let location = DatabaseLocation::at(directory.path().join("w.db"));
        for _ in 0..1000 {
            match SqliteDatabase::open_exclusive(&location) {
                Ok(_) => break,
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        let again = Self::at(
            directory,
            StorageSettings::default(),
            now.load(Ordering::SeqCst),
        )
        .await;
        Self { next_id, ..again }
    }

    /// The storage of a command that runs while the server does.
    pub(crate) async fn command(&self) -> Storage {
        let location = DatabaseLocation::at(self.directory.path().join("w.db"));
        let database = SqliteDatabase::open(&location).unwrap();
        let root = root(self.directory.path());
        Storage::open_for_command(database, root, StorageSettings::default(), clock(&self.now))
            .await
            .unwrap()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        clock(&self.now)
    }

    pub(crate) fn root(&self) -> std::path::PathBuf {
        root(self.directory.path())
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.now.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn upload(&self, repository: &str) -> NewUpload {
        let number = u128::from(self.next_id.fetch_add(1, Ordering::SeqCst));
        new_upload(repository, number)
    }

    /// Begins an upload.
    pub(crate) async fn begin(&self, repository: &str) -> UploadId {
        let upload = self.upload(repository);
        let id = upload.id;
        self.storage.begin(upload).await.unwrap();
        id
    }

    /// Uploads a blob.
    pub(crate) async fn blob(&self, repository: &str, content: &[u8]) -> Blob {
        let id = self.begin(repository).await;
        let mut upload = self
            .storage
            .upload(&name(repository), id, None)
            .await
            .unwrap();
        upload.write(Bytes::copy_from_slice(content)).await.unwrap();
        upload.finish(sha256(content)).await.unwrap()
    }

    /// Pushes an image with a configuration and one layer of this content, and their blobs.
    pub(crate) async fn image(&self, repository: &str, content: &str, tags: &[&str]) -> Digest {
        let layer = content.as_bytes();
        self.blob(repository, b"{}").await;
        self.blob(repository, layer).await;
        self.push(repository, image(&[layer], None), tags)
            .await
            .unwrap()
    }

    pub(crate) async fn push(
        &self,
        repository: &str,
        manifest: NewManifest,
        tags: &[&str],
    ) -> Result<Digest, Error> {
        push(&self.storage, repository, manifest, tags).await
    }

    pub(crate) async fn has_blob(&self, repository: &str, digest: Digest) -> bool {
        match self.storage.blobs().find(&name(repository), &digest).await {
            Ok(_) => true,
            Err(Error::BlobUnknown) => false,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn has_manifest(&self, repository: &str, reference: &str) -> bool {
        match self
            .storage
            .manifests()
            .find(&name(repository), &reference.parse().unwrap())
            .await
        {
            Ok(_) => true,
            Err(Error::ManifestUnknown | Error::RepositoryUnknown) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// The manifest that a tag or digest names.
    pub(crate) async fn manifest(&self, repository: &str, reference: &str) -> Arc<StoredManifest> {
        let reference = reference.parse().unwrap();
        let found = self.storage.manifests();
        found.find(&name(repository), &reference).await.unwrap()
    }

    pub(crate) async fn untag(&self, repository: &str, tag: &str) {
        let rows = self.storage.manifests();
        let tag = tag.parse().unwrap();
        rows.untag(&name(repository), &tag).await.unwrap();
    }

    pub(crate) async fn remove(&self, repository: &str, digest: Digest) {
        let rows = self.storage.manifests();
        rows.remove(&name(repository), &digest).await.unwrap();
    }

    /// Continues an upload of the repository `a`.
    pub(crate) async fn resume(&self, id: UploadId, at: Option<u64>) -> Upload {
        self.storage.upload(&name("a"), id, at).await.unwrap()
    }

    /// Begins an upload in the repository `a` and saves this content.
    pub(crate) async fn saved(&self, content: &[u8]) -> UploadId {
        let id = self.begin("a").await;
        let mut upload = self.resume(id, Some(0)).await;
        upload.write(Bytes::copy_from_slice(content)).await.unwrap();
        upload.save().await.unwrap();
        id
    }

    pub(crate) async fn collect(&self) -> CollectionReport {
        self.storage.collect(SWEEP).await.unwrap()
    }

    pub(crate) async fn adopt(&self, path: &Path, check: AdoptionCheck) -> AdoptionReport {
        let adopted = self.storage.adopt(path, check, |_| {});
        adopted.await.unwrap()
    }

    /// Completes an adoption.
    pub(crate) async fn complete(&self, adoption: &Arc<OngoingAdoption>) -> AdoptionReport {
        let completed = self.storage.complete_adoption(adoption, |_| {});
        completed.await.unwrap()
    }

    pub(crate) async fn ensure_adopted(&self, repository: &str) {
        let repository = name(repository);
        self.storage.ensure_adopted(&repository).await.unwrap();
    }

    /// Makes the adoption of the directory of our own content final.
    pub(crate) async fn finalize(&self) -> AdoptionStage {
        let root = self.root();
        self.storage.finalize_adoption(&root).await.unwrap()
    }

    pub(crate) async fn content(&self, repository: &str, digest: Digest) -> Vec<u8> {
        content(&self.storage, repository, digest).await.unwrap()
    }

    /// How many files of blobs there are.
    pub(crate) fn files(&self) -> usize {
        count_files(&self.root().join("blobs"))
    }

    /// How many files of uploads there are.
    pub(crate) fn temporaries(&self) -> usize {
        count_files(&self.root().join("uploads"))
    }
}

pub(crate) fn open_database(directory: &Path) -> SqliteDatabase {
    let location = DatabaseLocation::at(directory.join("w.db"));
    let mut opened = None;
    // A program that another test is about to start has the lock until it runs.
    peers::wait_until(|| match SqliteDatabase::open_exclusive(&location) {
        Err(DatabaseOpenError::InUse(_)) => false,
        result => {
            opened = Some(result);
            true
        }
    });
    opened.unwrap().unwrap()
}

pub(crate) fn root(directory: &Path) -> std::path::PathBuf {
    directory.join("data")
}

pub(crate) fn clock(now: &Arc<AtomicU64>) -> Arc<dyn Clock> {
    Arc::new(TestClock(Arc::clone(now)))
}

/// A clock that stands still until a test moves it.
struct TestClock(Arc<AtomicU64>);

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn retention() -> Retention {
    Retention {
        grace: GRACE,
        ..Retention::default()
    }
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

pub(crate) fn sha256(content: &[u8]) -> Digest {
    hash::digest(DigestAlgorithm::Sha256, content)
}

pub(crate) fn new_upload(repository: &str, number: u128) -> NewUpload {
    let id = UploadId::from_random(number.to_be_bytes());
    NewUpload {
        id,
        repository: name(repository),
        client: "a client".to_owned(),
        algorithm: DigestAlgorithm::Sha256,
    }
}

pub(crate) async fn push(
    storage: &Storage,
    repository: &str,
    manifest: NewManifest,
    tags: &[&str],
) -> Result<Digest, Error> {
    let digest = manifest.digest();
    let tags = tags.iter().map(|text| tag(text)).collect();
    storage
        .manifests()
        .push(&name(repository), manifest, tags)
        .await
        .map(|()| digest)
}

pub(crate) async fn content(
    storage: &Storage,
    repository: &str,
    digest: Digest,
) -> Result<Vec<u8>, Error> {
    let blob = storage.blobs().find(&name(repository), &digest).await?;
    let mut source = storage.read(&name(repository), &blob, 0..blob.size).await?;
    let mut content = Vec::new();
    while let Some(chunk) = source.next().await {
        content.extend_from_slice(&chunk?);
    }
    Ok(content)
}

pub(crate) fn descriptor(media_type: &str, digest: Digest, size: usize) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

/// An image with the configuration `{}`, these layers, and perhaps a subject.
pub(crate) fn image(layers: &[&[u8]], subject: Option<Digest>) -> NewManifest {
    let config = descriptor("application/vnd.oci.image.config.v1+json", sha256(b"{}"), 2);
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| {
            descriptor(
                "application/vnd.oci.image.layer.v1.tar",
                sha256(layer),
                layer.len(),
            )
        })
        .collect();
    let subject = subject.map(|subject| {
        format!(
            r#","subject":{}"#,
            descriptor(media_type::OCI_MANIFEST, subject, 7)
        )
    });
    manifest(
        media_type::OCI_MANIFEST,
        &format!(
            r#""config":{config},"layers":[{}]{}"#,
            layers.join(","),
            subject.unwrap_or_default()
        ),
    )
}

/// An index of these manifests.
pub(crate) fn index(manifests: &[Digest]) -> NewManifest {
    let manifests: Vec<_> = manifests
        .iter()
        .map(|digest| descriptor(media_type::OCI_MANIFEST, *digest, 7))
        .collect();
    manifest(
        media_type::OCI_INDEX,
        &format!(r#""manifests":[{}]"#, manifests.join(",")),
    )
}

/// A manifest with these members.
pub(crate) fn manifest(media_type: &str, members: &str) -> NewManifest {
    let text = format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}",{members}}}"#);
    NewManifest::parse(None, text.into(), None).unwrap()
}

fn count_files(directory: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { count_files(&path) } else { 1 })
        .sum()
}
