//! What anything that keeps content must be able to do.
//!
//! Content is write-once: it arrives in a temporary place named by its upload, and when it is whole
//! it is *published* under a key that was never used before. Which content a key has, and whether
//! anybody may see it, is not known here; rows say so. One implementation is here, in files; the
//! tests have another, in memory. Every one must pass the same conformance suite
//! (`tests/it/content.rs`).

use std::fmt;
use std::future::poll_fn;
use std::ops::Range;
use std::path::Path;
use std::task::{Context, Poll};

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm};

use crate::collection::DeletableBlob;
use crate::hash::ContentHasher;
use crate::{Blob, Error, StorageFuture, StoreId, UploadId};

/// Where content lies.
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// Serves the blobs of an adopted data directory, too, whose keys are paths under `path`.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory cannot be opened.
    fn add(&self, store: StoreId, path: &Path) -> Result<(), Error>;

    /// Opens a stretch of a blob, which must be within its size.
    ///
    /// Fails with [`Error::Damaged`] where less is there than the row says, perhaps because it was
    /// removed just now.
    fn open<'a>(
        &'a self,
        blob: &'a Blob,
        range: Range<u64>,
    ) -> StorageFuture<'a, Box<dyn BlobReader>>;

    /// Whether all of a blob is there to be opened. Nothing is read.
    ///
    /// Fails with [`Error::Damaged`] if there is no content, or not as much as the row says.
    fn check<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, ()>;

    /// Continues an upload at a length that it had before, hashing on with `hasher`. What was
    /// beyond that is gone. Nobody else may do so meanwhile.
    fn append(
        &self,
        upload: UploadId,
        at: u64,
        hasher: Option<ContentHasher>,
    ) -> Box<dyn UploadWriter>;

    /// The digest of an upload's first `length` bytes.
    fn digest(
        &self,
        upload: UploadId,
        length: u64,
        algorithm: DigestAlgorithm,
    ) -> StorageFuture<'_, Digest>;

    /// Makes an upload's content the content of a key that has none. It is there for good before
    /// the answer comes.
    fn publish<'a>(&'a self, upload: UploadId, key: &'a str) -> StorageFuture<'a, ()>;

    /// Undoes a publication that may or may not have happened.
    fn withdraw<'a>(&'a self, key: &'a str, upload: UploadId) -> StorageFuture<'a, ()>;

    /// Forgets an upload's content, if there is any.
    fn discard(&self, upload: UploadId) -> StorageFuture<'_, ()>;

    /// The uploads of which there is content.
    fn uploads(&self) -> StorageFuture<'_, Vec<UploadId>>;

    /// Makes a file at `to` with a blob's content, whole and safe on the disk: where `shared`,
    /// another name of its own file if that can be, else a copy. A file that is there and has the
    /// blob's size is left alone.
    fn copy<'a>(&'a self, blob: &'a Blob, to: &'a Path, shared: bool) -> StorageFuture<'a, ()>;

    /// Removes blobs for good, those that are gone already included.
    fn remove<'a>(&'a self, deletable: &'a [DeletableBlob]) -> StorageFuture<'a, ()>;
}

/// Content on its way out.
pub trait BlobReader: Send {
    /// The next piece, of a size that is good to send; none at the end.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>>;
}

impl dyn BlobReader {
    /// The next piece, for those who can wait.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|context| self.poll_chunk(context)).await
    }
}

/// Content on its way in.
pub trait UploadWriter: Send {
    /// Takes more. It comes back as soon as there is room for the next batch. After an error there
    /// is no going on.
    fn write(&mut self, batch: Vec<Bytes>) -> StorageFuture<'_, ()>;

    /// Takes the rest, and comes back when everything is safe on the disk.
    fn finish(self: Box<Self>, rest: Vec<Bytes>) -> StorageFuture<'static, WrittenContent>;
}

/// What a [`UploadWriter`] has taken.
#[derive(Clone)]
pub struct WrittenContent {
    /// The length of the whole upload.
    pub length: u64,
    /// Where its hash stands, if it was hashed from the beginning.
    pub hasher: Option<ContentHasher>,
}
