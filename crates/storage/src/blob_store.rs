//! What a store of content implements.
//!
//! Content never changes. An upload's content grows in a temporary place. When it is complete, it is
//! *published* under a key that was never used before. Which blob a key belongs to, and which
//! clients may see it, is not known here: rows say so. This crate implements the trait with files,
//! the crate `object-content` does with S3, and the tests do in memory. Every implementation passes
//! the same conformance suite.
//!
//! A store either finds an upload's content by the upload's id, as files do, or it *chooses keys*, as
//! a bucket has to, because nothing can be renamed there. Then the upload's row keeps
//! [`UploadObjects`], and content is written under its final key at once.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm};

use crate::collection::DeletableBlob;
use crate::hash::ContentHasher;
use crate::tree::{Tree, open_directory};
use crate::{
    AdoptedStore, Blob, ContentLocation, Error, StorageFuture, StoreId, UploadId, UploadObjects,
};

/// A store of content.
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// Whether the store chooses keys. Then every upload needs a row, and its content is in
    /// [`WrittenContent::objects`].
    fn chooses_keys(&self) -> bool {
        false
    }

    /// From now on also serves blobs of an adopted store, whose keys are paths at `location`.
    ///
    /// # Errors
    /// [`Error::Io`] if the location cannot be opened.
    fn add(&self, store: StoreId, location: &ContentLocation) -> Result<(), Error>;

    /// Reads another registry's data at a location of this store.
    ///
    /// # Errors
    /// If the store cannot read data there.
    fn tree(&self, location: &ContentLocation) -> io::Result<Arc<dyn Tree>> {
        open_directory(location)
    }

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

    /// Where a client can get the content of a blob from the store itself. `None` if this store, or
    /// this blob, has no such place.
    ///
    /// Everyone who has the URL can read the content for as long as it is valid, so only a client that
    /// may pull the blob gets it. [`Retention::retain`](crate::Retention::retain) is longer than any
    /// URL is valid.
    fn locate<'a>(&'a self, _blob: &'a Blob) -> StorageFuture<'a, Option<ContentUrl>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Whether this process still reads a blob in a way that its removal would interrupt.
    fn is_being_read(&self, _blob: &DeletableBlob) -> bool {
        false
    }

    /// Whether all of a blob can be opened. Nothing is read.
    ///
    /// Fails with [`Error::Damaged`] if the content is missing, or not as long as the row says. A
    /// remote store asks only for a blob that could not be opened before.
    fn check<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, ()>;

    /// Continues an upload with the content that `from` has. What is beyond that is removed. New
    /// content continues its hash. The caller has the upload for itself until the writer is finished
    /// or dropped.
    fn append(&self, upload: UploadId, from: WrittenContent) -> Box<dyn UploadWriter>;

    /// Before the first [`append`](Self::append) of a server that has taken an upload over: separates
    /// its first `length` bytes from what another server may still write. A store that chooses keys
    /// has nothing to do, because each server writes under keys of its own.
    fn take_over(&self, _upload: UploadId, _length: u64) -> StorageFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The digest of an upload's content.
    fn digest<'a>(
        &'a self,
        upload: UploadId,
        content: &'a WrittenContent,
        algorithm: DigestAlgorithm,
    ) -> StorageFuture<'a, Digest>;

    /// Moves an upload's content to a new key, which is the store's if it chooses keys. It is durable
    /// when this returns. A store that chooses keys can do this again after any failure.
    fn publish<'a>(
        &'a self,
        upload: UploadId,
        content: &'a WrittenContent,
        key: &'a str,
    ) -> StorageFuture<'a, ()>;

    /// Undoes a publication that may or may not have happened, so that the upload can continue. A
    /// store that chooses keys has nothing to undo.
    fn withdraw<'a>(&'a self, key: &'a str, upload: UploadId) -> StorageFuture<'a, ()>;

    /// Removes an upload's content, if there is any. A store that chooses keys only forgets what it
    /// has in memory: [`remove_objects`](Self::remove_objects) removes the content later.
    fn discard(&self, upload: UploadId) -> StorageFuture<'_, ()>;

    /// The uploads that have content.
    fn uploads(&self) -> StorageFuture<'_, Vec<UploadId>>;

    /// Copies a blob's content to another location, where it is complete and durable when this
    /// returns. Content of the right size that exists there already is left alone.
    fn copy<'a>(&'a self, blob: &'a Blob, to: &'a CopyTarget) -> StorageFuture<'a, ()>;

    /// Removes blobs for good. Blobs that are gone already are no error.
    fn remove<'a>(&'a self, deletable: &'a [DeletableBlob]) -> StorageFuture<'a, ()>;

    /// Removes what uploads have left behind, by the names in [`UploadObjects`]. What is gone already,
    /// or never was, is no error.
    fn remove_objects<'a>(&'a self, _names: &'a [String]) -> StorageFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A URL with which a client reads content from the store itself. It is as secret as a token: it is
/// never shown, and never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentUrl {
    url: Arc<str>,
    valid_for: Duration,
}

impl ContentUrl {
    /// A URL that is valid for so long from now on.
    #[must_use]
    pub fn new(url: Arc<str>, valid_for: Duration) -> Self {
        Self { url, valid_for }
    }

    /// The URL, for the client.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// How long it is valid.
    #[must_use]
    pub fn valid_for(&self) -> Duration {
        self.valid_for
    }

    /// The name or the address of the store, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        let (_, rest) = self.url.split_once("://").unwrap_or_default();
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        Self::host_of(authority)
    }

    /// The host of `HOST:PORT`, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host_of(authority: &str) -> &str {
        let address = authority.strip_prefix('[');
        if let Some((address, _)) = address.and_then(|rest| rest.split_once(']')) {
            return address;
        }
        authority.split(':').next().unwrap_or_default()
    }
}

impl fmt::Debug for ContentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentUrl")
            .field("host", &self.host())
            .field("valid_for", &self.valid_for)
            .finish_non_exhaustive()
    }
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

    /// What the upload's row has to name before the writer continues, if it does not name it yet. To
    /// be asked before the first batch and after each.
    fn unrecorded(&mut self) -> Option<UploadObjects> {
        None
    }

    /// Takes the last batch, and returns when all content is durable.
    fn finish(self: Box<Self>, rest: Vec<Bytes>) -> StorageFuture<'static, WrittenContent>;

    /// Takes the last batch of content that is published now. It need not be durable before.
    fn complete(self: Box<Self>, rest: Vec<Bytes>) -> StorageFuture<'static, WrittenContent> {
        self.finish(rest)
    }

    /// Ends without keeping what was written. When this returns, nothing writes any more.
    fn abandon(self: Box<Self>) -> StorageFuture<'static, ()> {
        let finished = self.finish(Vec::new());
        Box::pin(async move { finished.await.map(drop) })
    }
}

/// An upload's content, as an [`UploadWriter`] has written it.
#[derive(Clone, Debug, Default)]
pub struct WrittenContent {
    /// The length of the whole upload.
    pub length: u64,
    /// The state of its hash, if it was hashed from the beginning.
    pub hasher: Option<ContentHasher>,
    /// Where it is, if the store chooses keys.
    pub objects: Option<UploadObjects>,
    /// The end of it that is only in memory, if the store chooses keys and publication is next.
    pub unsaved: Vec<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_its_host_and_nothing_else() {
        let url = |text: &str| ContentUrl::new(text.into(), Duration::from_secs(60));
        for (text, host) in [
            ("https://s3.example.com/b/k?sig=secret", "s3.example.com"),
            ("http://127.0.0.1:9000/b/k", "127.0.0.1"),
            ("http://[::1]:9000/b/k", "::1"),
            ("https://b.example?sig=secret", "b.example"),
        ] {
            let url = url(text);
            assert_eq!(url.host(), host);
            assert!(!format!("{url:?}").contains("secret"), "{url:?}");
        }
    }
}
