//! What a store of content implements.
//!
//! Content never changes. An upload's content grows in a temporary place. When it is complete, it is
//! *published* under a key that was never used before. Which blob a key belongs to, and which
//! clients may see it, is not known here: rows say so. This crate implements the trait with files,
//! and the tests do in memory. Every implementation passes the same conformance suite.

use std::fmt;
use std::future::poll_fn;
use std::ops::Range;
use std::task::{Context, Poll};

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm};

use crate::collection::DeletableBlob;
use crate::hash::ContentHasher;
use crate::{AdoptedStore, Blob, ContentLocation, Error, StorageFuture, StoreId, UploadId};

/// A store of content.
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// From now on also serves blobs of an adopted store, whose keys are paths at `location`.
    ///
    /// # Errors
    /// [`Error::Io`] if the location cannot be opened.
    fn add(&self, store: StoreId, location: &ContentLocation) -> Result<(), Error>;

    /// The locations that cannot be reached now, of our own content and of `adopted`. An adopted
    /// store that can be reached again is served again.
    fn unreachable(&self, adopted: Vec<AdoptedStore>) -> StorageFuture<'_, Vec<ContentLocation>>;

    /// Opens a range of a blob, which must be within its size.
    ///
    /// Fails with [`Error::Damaged`] if the content is not as long as the row says. Perhaps it was
    /// removed a moment ago.
    fn open<'a>(
        &'a self,
        blob: &'a Blob,
        range: Range<u64>,
    ) -> StorageFuture<'a, Box<dyn BlobReader>>;

    /// Whether all of a blob can be opened. Nothing is read.
    ///
    /// Fails with [`Error::Damaged`] if the content is missing, or not as long as the row says.
    fn check<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, ()>;

    /// Continues an upload at a length that it had before. What is beyond that is removed. `hasher`
    /// continues with the new content. The caller has the upload for itself until the writer is
    /// finished or dropped.
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

    /// Moves an upload's content to a new key. It is durable when this returns.
    fn publish<'a>(&'a self, upload: UploadId, key: &'a str) -> StorageFuture<'a, ()>;

    /// Undoes a publication that may or may not have happened.
    fn withdraw<'a>(&'a self, key: &'a str, upload: UploadId) -> StorageFuture<'a, ()>;

    /// Removes an upload's content, if there is any.
    fn discard(&self, upload: UploadId) -> StorageFuture<'_, ()>;

    /// The uploads that have content.
    fn uploads(&self) -> StorageFuture<'_, Vec<UploadId>>;

    /// Copies a blob's content to another location, where it is complete and durable when this
    /// returns. Content of the right size that exists there already is left alone.
    fn copy<'a>(&'a self, blob: &'a Blob, to: &'a CopyTarget) -> StorageFuture<'a, ()>;

    /// Removes blobs for good. Blobs that are gone already are no error.
    fn remove<'a>(&'a self, deletable: &'a [DeletableBlob]) -> StorageFuture<'a, ()>;
}

/// The target of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyTarget {
    /// The location.
    pub location: ContentLocation,
    /// The key at that location.
    pub key: String,
    /// Whether the copy may be another name of the same file.
    pub may_share: bool,
}

/// Content that is being read.
pub trait BlobReader: Send {
    /// The next chunk, of a size that is good to send; `None` at the end.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>>;
}

impl dyn BlobReader {
    /// The next chunk; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|context| self.poll_chunk(context)).await
    }
}

/// Content that is being written.
pub trait UploadWriter: Send {
    /// Takes a batch. Returns as soon as there is room for the next one. After an error, the writer
    /// cannot continue.
    fn write(&mut self, batch: Vec<Bytes>) -> StorageFuture<'_, ()>;

    /// Takes the last batch, and returns when all content is durable.
    fn finish(self: Box<Self>, rest: Vec<Bytes>) -> StorageFuture<'static, WrittenContent>;
}

/// What an [`UploadWriter`] has written.
#[derive(Clone)]
pub struct WrittenContent {
    /// The length of the whole upload.
    pub length: u64,
    /// The state of its hash, if it was hashed from the beginning.
    pub hasher: Option<ContentHasher>,
}
