//! A store of content whose actions are measured.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use common::{DURATION_BOUNDS, Histogram, HistogramSnapshot, Stopwatch};
use oci::{Digest, DigestAlgorithm};

use crate::collection::DeletableBlob;
use crate::tree::Tree;
use crate::{
    AdoptedStore, Blob, BlobReader, BlobStore, ContentLocation, ContentUrl, CopyTarget, Error,
    StorageFuture, StoreId, UploadId, UploadWriter, WrittenContent,
};

/// The bounds of Prometheus's clients, up to 10 s, which Distribution uses for its storage.
const BOUNDS: &[u64] = DURATION_BOUNDS.split_at(11).0;

/// What a store does. The words are those of Distribution's drivers, because its dashboards show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreAction {
    /// Content is opened to be read.
    Reader,
    /// Content is asked whether it is there.
    Stat,
    /// A client is given a URL of the content.
    RedirectUrl,
    /// An upload becomes a blob.
    Move,
    /// The content of blobs or uploads is removed.
    Delete,
    /// Uploads are listed.
    List,
    /// A blob is copied to another place.
    Copy,
}

const ACTIONS: [(StoreAction, &str); 7] = [
    (StoreAction::Reader, "Reader"),
    (StoreAction::Stat, "Stat"),
    (StoreAction::RedirectUrl, "RedirectURL"),
    (StoreAction::Move, "Move"),
    (StoreAction::Delete, "Delete"),
    (StoreAction::List, "List"),
    (StoreAction::Copy, "Copy"),
];

/// How long each action took.
#[derive(Debug)]
pub(crate) struct StoreActions(Vec<Histogram>);

impl StoreActions {
    pub(crate) fn new() -> Self {
        Self(ACTIONS.iter().map(|_| Histogram::new(BOUNDS)).collect())
    }

    /// Each action's name, and how long it took in nanoseconds.
    pub(crate) fn snapshot(&self) -> Vec<(&'static str, HistogramSnapshot)> {
        let names = ACTIONS.iter().map(|(_, name)| *name);
        names.zip(self.0.iter().map(Histogram::snapshot)).collect()
    }

    async fn measure<T>(&self, action: StoreAction, work: impl Future<Output = T>) -> T {
        let watch = Stopwatch::start();
        let result = work.await;
        if let Some(histogram) = self.0.get(action as usize) {
            histogram.observe_duration(watch.elapsed());
        }
        result
    }
}

/// A store whose actions are measured.
#[derive(Debug)]
pub(crate) struct MeasuredStore {
    store: Arc<dyn BlobStore>,
    actions: Arc<StoreActions>,
}

impl MeasuredStore {
    pub(crate) fn new(store: Arc<dyn BlobStore>, actions: Arc<StoreActions>) -> Self {
        Self { store, actions }
    }

    fn measured<'a, T: 'a>(
        &'a self,
        action: StoreAction,
        work: StorageFuture<'a, T>,
    ) -> StorageFuture<'a, T> {
        Box::pin(self.actions.measure(action, work))
    }
}

impl BlobStore for MeasuredStore {
    fn chooses_keys(&self) -> bool {
        self.store.chooses_keys()
    }

    fn add(&self, store: StoreId, location: &ContentLocation) -> Result<(), Error> {
        self.store.add(store, location)
    }

    fn tree(&self, location: &ContentLocation) -> io::Result<Arc<dyn Tree>> {
        self.store.tree(location)
    }

    fn unreachable(&self, adopted: Vec<AdoptedStore>) -> StorageFuture<'_, Vec<ContentLocation>> {
        self.store.unreachable(adopted)
    }

    fn open<'a>(
        &'a self,
        blob: &'a Blob,
        range: Range<u64>,
    ) -> StorageFuture<'a, Box<dyn BlobReader>> {
        self.measured(StoreAction::Reader, self.store.open(blob, range))
    }

    fn locate<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, Option<ContentUrl>> {
        self.measured(StoreAction::RedirectUrl, self.store.locate(blob))
    }

    fn is_being_read(&self, blob: &DeletableBlob) -> bool {
        self.store.is_being_read(blob)
    }

    fn check<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, ()> {
        self.measured(StoreAction::Stat, self.store.check(blob))
    }

    fn append(&self, upload: UploadId, from: WrittenContent) -> Box<dyn UploadWriter> {
        self.store.append(upload, from)
    }

    fn take_over(&self, upload: UploadId, length: u64) -> StorageFuture<'_, ()> {
        self.store.take_over(upload, length)
    }

    fn digest<'a>(
        &'a self,
        upload: UploadId,
        content: &'a WrittenContent,
        algorithm: DigestAlgorithm,
    ) -> StorageFuture<'a, Digest> {
        self.store.digest(upload, content, algorithm)
    }

    fn publish<'a>(
        &'a self,
        upload: UploadId,
        content: &'a WrittenContent,
        key: &'a str,
    ) -> StorageFuture<'a, ()> {
        self.measured(StoreAction::Move, self.store.publish(upload, content, key))
    }

    fn withdraw<'a>(&'a self, key: &'a str, upload: UploadId) -> StorageFuture<'a, ()> {
        self.store.withdraw(key, upload)
    }

    fn discard(&self, upload: UploadId) -> StorageFuture<'_, ()> {
        self.measured(StoreAction::Delete, self.store.discard(upload))
    }

    fn uploads(&self) -> StorageFuture<'_, Vec<UploadId>> {
        self.measured(StoreAction::List, self.store.uploads())
    }

    fn copy<'a>(&'a self, blob: &'a Blob, to: &'a CopyTarget) -> StorageFuture<'a, ()> {
        self.measured(StoreAction::Copy, self.store.copy(blob, to))
    }

    fn remove<'a>(&'a self, deletable: &'a [DeletableBlob]) -> StorageFuture<'a, ()> {
        self.measured(StoreAction::Delete, self.store.remove(deletable))
    }

    fn remove_objects<'a>(&'a self, names: &'a [String]) -> StorageFuture<'a, ()> {
        self.measured(StoreAction::Delete, self.store.remove_objects(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_histogram() {
        let actions = StoreActions::new();
        for (place, (action, _)) in ACTIONS.iter().enumerate() {
            assert_eq!(*action as usize, place);
        }
        assert_eq!(actions.snapshot().len(), ACTIONS.len());
        assert_eq!(BOUNDS.last(), Some(&10_000_000_000));
    }
}
