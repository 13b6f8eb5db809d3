//! One implementation under test, with a clock that stands still until a test moves it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{BoxFuture, Clock};
use oci::{Digest, DigestAlgorithm};
use storage::collection::{CollectionPolicy, DeletableBlob};
use storage::{
    AdoptionStore, Blob, BlobIndex, BlobReservation, CollectionStore, DutyStore, Error,
    FinishedUpload, Inventory, LinkedBlob, ListPage, ManifestStore, MetadataStores, NewManifest,
    NewUpload, OutboxStore, PageRequest, Retention, TagHistoryStore, UploadId, UploadRecovery,
    UploadStore, hash,
};

use crate::world::{image, name, sha256, tag};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// What every implementation is made with.
pub(crate) const RETENTION: Retention = Retention {
    grace: DAY,
    upload_expiry: Duration::from_secs(7 * 24 * 3600),
    retain: Duration::ZERO,
};

/// Collects what nothing refers to, and keeps untagged manifests.
pub(crate) const COLLECT: CollectionPolicy = CollectionPolicy {
    grace: DAY,
    wait: Duration::ZERO,
    untagged: None,
};

/// When every test begins, in seconds since the Unix epoch.
pub(crate) const BEGINNING: u64 = 1_800_000_000;

/// Makes an implementation with nothing in it.
pub(crate) type MakeStores = fn(Retention, Arc<dyn Clock>) -> BoxFuture<'static, StoresUnderTest>;

/// An implementation with nothing in it.
#[derive(Clone)]
pub(crate) struct StoresUnderTest {
    /// Two handles of the same metadata, as two processes have them.
    pub(crate) handles: [MetadataStores; 2],
    /// What the only server on it uses at its start.
    pub(crate) recovery: Arc<dyn UploadRecovery>,
    /// Lives as long as the stores: a directory, or a schema that is removed.
    #[expect(dead_code, reason = "it is only dropped, with the stores")]
    pub(crate) guard: Arc<dyn Any + Send + Sync>,
}

/// The stores, and the helpers of the tests.
pub(crate) struct Bench {
    pub(crate) stores: StoresUnderTest,
    clock: Arc<ManualClock>,
    next_id: Arc<AtomicU64>,
}

struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// What one pass of garbage collection did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    pub(crate) manifests: Vec<(String, Digest)>,
    pub(crate) marked: u64,
    pub(crate) removed: Vec<Digest>,
}

impl Bench {
    pub(crate) async fn new(make: MakeStores) -> Self {
        Self::with(make, RETENTION).await
    }

    pub(crate) async fn with(make: MakeStores, retention: Retention) -> Self {
        let clock = Arc::new(ManualClock(AtomicU64::new(BEGINNING)));
        Self {
            stores: make(retention, Arc::clone(&clock) as _).await,
            clock,
            next_id: Arc::new(AtomicU64::new(1)),
        }
    }

    /// The same stores through the other handle.
    pub(crate) fn other_handle(&self) -> Self {
        let mut stores = self.stores.clone();
        stores.handles.reverse();
        Self {
            stores,
            clock: Arc::clone(&self.clock),
            next_id: Arc::clone(&self.next_id),
        }
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn manifests(&self) -> &dyn ManifestStore {
        self.stores.handles[0].manifests.as_ref()
    }

    pub(crate) fn blobs(&self) -> &dyn BlobIndex {
        self.stores.handles[0].blobs.as_ref()
    }

    pub(crate) fn uploads(&self) -> &dyn UploadStore {
        self.stores.handles[0].uploads.as_ref()
    }

    pub(crate) fn recovery(&self) -> &dyn UploadRecovery {
        self.stores.recovery.as_ref()
    }

    pub(crate) fn collection(&self) -> &dyn CollectionStore {
        self.stores.handles[0].collection.as_ref()
    }

    pub(crate) fn duties(&self) -> &dyn DutyStore {
        self.stores.handles[0].duties.as_ref()
    }

    pub(crate) fn outbox(&self) -> &dyn OutboxStore {
        self.stores.handles[0].outbox.as_ref()
    }

    pub(crate) fn tag_history(&self) -> &dyn TagHistoryStore {
        self.stores.handles[0].tag_history.as_ref()
    }

    pub(crate) fn inventory(&self) -> &dyn Inventory {
        self.stores.handles[0].inventory.as_ref()
    }

    pub(crate) fn adoption(&self) -> &dyn AdoptionStore {
        self.stores.handles[0].adoption.as_ref()
    }

    /// An id that no other upload of this bench has. Later ids are larger.
    pub(crate) fn new_id(&self) -> UploadId {
        let number = self.next_id.fetch_add(1, Ordering::SeqCst);
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        UploadId::from_random(bytes)
    }

    pub(crate) fn new_upload(&self, repository: &str, client: &str) -> NewUpload {
        NewUpload {
            id: self.new_id(),
            repository: name(repository),
            client: client.to_owned(),
            algorithm: DigestAlgorithm::Sha256,
        }
    }

    /// Begins an upload of the client `ann`.
    pub(crate) async fn begin(&self, repository: &str) -> UploadId {
        let upload = self.new_upload(repository, "ann");
        let id = upload.id;
        let evicted = self.uploads().begin(upload, 1000, Vec::new()).await;
        assert_eq!(evicted.unwrap(), []);
        id
    }

    /// An upload with this content that was sent in one request.
    pub(crate) fn finished(&self, repository: &str, content: &[u8]) -> FinishedUpload {
        FinishedUpload {
            upload: self.new_id(),
            fence: None,
            repository: name(repository),
            digest: sha256(content),
            size: content.len() as u64,
            replaces: None,
            key: None,
            quotas: storage::RepositoryQuotas::default(),
        }
    }

    pub(crate) async fn reserve(&self, finished: &FinishedUpload) -> BlobReservation {
        self.uploads().reserve(finished.clone()).await.unwrap()
    }

    /// A pending row for content that does not exist yet.
    pub(crate) async fn pending(&self, finished: &FinishedUpload) -> Blob {
        match self.reserve(finished).await {
            BlobReservation::Pending(blob) => blob,
            BlobReservation::Exists(LinkedBlob { blob, .. }) => panic!("{blob:?} exists"),
        }
    }

    pub(crate) async fn commit(&self, finished: &FinishedUpload, pending: &Blob) -> Blob {
        let committed = self.uploads().commit(finished.clone(), pending.clone());
        committed.await.unwrap().blob
    }

    /// Gives a repository a blob with this content.
    pub(crate) async fn blob(&self, repository: &str, content: &[u8]) -> Blob {
        let finished = self.finished(repository, content);
        match self.reserve(&finished).await {
            BlobReservation::Exists(linked) => linked.blob,
            BlobReservation::Pending(pending) => self.commit(&finished, &pending).await,
        }
    }

    /// Pushes an image with a configuration and one layer, their blobs included.
    pub(crate) async fn image(&self, repository: &str, layer: &str, tags: &[&str]) -> Digest {
        self.blob(repository, b"{}").await;
        self.blob(repository, layer.as_bytes()).await;
        let image = image(&[layer.as_bytes()], None);
        self.push(repository, image, tags).await.unwrap()
    }

    pub(crate) async fn push(
        &self,
        repository: &str,
        manifest: NewManifest,
        tags: &[&str],
    ) -> Result<Digest, Error> {
        let digest = manifest.digest();
        let tags = tags.iter().map(|text| tag(text)).collect();
        let repository = name(repository);
        let pushed = self.manifests().push(&repository, manifest, tags).await;
        pushed.map(|()| digest)
    }

    pub(crate) async fn remove(&self, repository: &str, digest: Digest) -> Result<(), Error> {
        self.manifests().remove(&name(repository), &digest).await
    }

    pub(crate) async fn untag(&self, repository: &str, text: &str) -> Result<(), Error> {
        self.manifests().untag(&name(repository), &tag(text)).await
    }

    /// The digest of the manifest with this tag or digest.
    pub(crate) async fn digest(&self, repository: &str, reference: &str) -> Result<Digest, Error> {
        let reference = reference.parse().unwrap();
        let found = self.manifests().find(&name(repository), &reference).await;
        found.map(|stored| stored.digest)
    }

    pub(crate) async fn has_manifest(&self, repository: &str, digest: Digest) -> bool {
        match self.digest(repository, &digest.to_string()).await {
            Ok(_) => true,
            Err(Error::ManifestUnknown | Error::RepositoryUnknown) => false,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn has_blob(&self, repository: &str, content: &[u8]) -> bool {
        let digest = sha256(content);
        match self.blobs().find(&name(repository), &digest).await {
            Ok(_) => true,
            Err(Error::BlobUnknown) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Whether the repository exists, perhaps without manifests.
    pub(crate) async fn has_repository(&self, repository: &str) -> bool {
        match self.manifests().tags(&name(repository), first(1)).await {
            Ok(_) => true,
            Err(Error::RepositoryUnknown) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Prunes all repositories.
    pub(crate) async fn prune(&self, policy: CollectionPolicy) -> Vec<(String, Digest)> {
        let (mut removed, mut after) = (Vec::new(), None);
        loop {
            let step = self.collection().prune(policy, after).await.unwrap();
            let manifests = step.manifests.into_iter();
            removed.extend(manifests.map(|it| (it.repository.to_string(), it.digest)));
            after = step.next;
            if after.is_none() {
                removed.sort();
                return removed;
            }
        }
    }

    /// Marks what can be marked among all blobs.
    pub(crate) async fn mark(&self, policy: CollectionPolicy) -> u64 {
        let (mut marked, mut after) = (0, None);
        loop {
            let step = self.collection().mark(policy, after).await.unwrap();
            marked += step.marked;
            after = step.next;
            if after.is_none() {
                return marked;
            }
        }
    }

    pub(crate) async fn sweep(&self, policy: CollectionPolicy) -> u64 {
        let mut swept = 0;
        loop {
            match self.collection().sweep(policy).await.unwrap() {
                0 => return swept,
                some => swept += some,
            }
        }
    }

    pub(crate) async fn deletable(&self) -> Vec<DeletableBlob> {
        self.collection().deletable(1000).await.unwrap()
    }

    /// One whole pass.
    pub(crate) async fn collect(&self, policy: CollectionPolicy) -> Collected {
        let manifests = self.prune(policy).await;
        let marked = self.mark(policy).await;
        self.sweep(policy).await;
        let mut removed = Vec::new();
        loop {
            let deletable = self.deletable().await;
            if deletable.is_empty() {
                break;
            }
            removed.extend(deletable.iter().map(|blob| blob.digest));
            self.collection().purge(deletable).await.unwrap();
        }
        removed.sort();
        Collected {
            manifests,
            marked,
            removed,
        }
    }
}

/// The first page of a list.
pub(crate) fn first<T>(limit: u32) -> PageRequest<T> {
    PageRequest { after: None, limit }
}

/// The page after an entry.
pub(crate) fn after<T>(after: impl Into<T>, limit: u32) -> PageRequest<T> {
    PageRequest {
        after: Some(after.into()),
        limit,
    }
}

/// Walks through a list in pages of `limit`. A page is full unless it is the last one.
pub(crate) async fn walk<T, K>(
    limit: u32,
    key: impl Fn(&T) -> K,
    list: impl AsyncFn(PageRequest<K>) -> ListPage<T>,
) -> Vec<T> {
    let mut walked: Vec<T> = Vec::new();
    loop {
        let page = PageRequest {
            after: walked.last().map(&key),
            limit,
        };
        let part = list(page).await;
        assert!(part.entries.len() <= limit as usize, "a page is too long");
        assert!(
            !part.more || part.entries.len() == limit as usize,
            "a page is too short"
        );
        walked.extend(part.entries);
        if !part.more {
            return walked;
        }
    }
}

pub(crate) fn sha512(content: &[u8]) -> Digest {
    hash::digest(DigestAlgorithm::Sha512, content)
}
