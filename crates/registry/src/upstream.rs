//! Another registry, asked for what is not here.
//!
//! The seam of a pull-through cache. The registry asks it only on behalf of a client that may pull
//! from the repository, and only after its own storage said that it has no such content. What to
//! keep for the next client is the implementation's decision.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use common::BoxFuture;
use oci::{Digest, Reference, RepositoryName};
use storage::{BlobReader, StoredManifest, hash};

/// A registry that has more than this one.
pub trait Upstream: Send + Sync {
    /// The manifest of `repository` that `reference` names; `None` if the upstream says that there
    /// is none. A manifest that is asked for by digest must have that digest.
    ///
    /// Fails if the upstream cannot be asked, which is not the same as `None`. The implementation
    /// bounds the time and the size of its requests.
    fn manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Result<Option<Arc<StoredManifest>>, UpstreamError>>;

    /// The blob of `repository` with this digest. Errors as for [`manifest`](Self::manifest).
    fn blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn UpstreamBlob>>, UpstreamError>>;
}

/// A blob that an upstream has.
pub trait UpstreamBlob: Send + Sync {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Opens a range that is within the size. The reader gives exactly these bytes, or fails: it
    /// verifies the digest when it reads the whole blob.
    fn read(
        &self,
        range: Range<u64>,
    ) -> BoxFuture<'static, Result<Box<dyn BlobReader>, storage::Error>>;
}

/// Why an upstream registry could not be asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It cannot be reached, or it fails. The client may try again.
    #[error("the upstream registry is not available")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// It sent content that does not have the digest it was asked for.
    #[error("the upstream registry sent content with the digest {computed} instead of {requested}")]
    WrongDigest {
        /// The digest in the request.
        requested: Box<Digest>,
        /// The digest of what came.
        computed: Box<Digest>,
    },
}

/// Content of another registry that is all in memory.
#[derive(Debug, Default)]
pub struct MemoryUpstream {
    manifests: HashMap<(RepositoryName, Reference), Arc<StoredManifest>>,
    blobs: HashMap<(RepositoryName, Digest), Bytes>,
}

impl MemoryUpstream {
    /// Adds a manifest under this reference.
    #[must_use]
    pub fn with_manifest(
        mut self,
        repository: RepositoryName,
        reference: Reference,
        manifest: StoredManifest,
    ) -> Self {
        self.manifests
            .insert((repository, reference), Arc::new(manifest));
        self
    }

    /// Adds a blob.
    #[must_use]
    pub fn with_blob(mut self, repository: RepositoryName, digest: Digest, content: Bytes) -> Self {
        self.blobs.insert((repository, digest), content);
        self
    }
}

impl Upstream for MemoryUpstream {
    fn manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Result<Option<Arc<StoredManifest>>, UpstreamError>> {
        let found = self.manifests.get(&(repository.clone(), reference.clone()));
        Box::pin(std::future::ready(Ok(found.cloned())))
    }

    fn blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn UpstreamBlob>>, UpstreamError>> {
        let found = self.blobs.get(&(repository.clone(), *digest)).cloned();
        let found = found.map(|bytes| Arc::new(bytes) as Arc<dyn UpstreamBlob>);
        Box::pin(std::future::ready(Ok(found)))
    }
}

impl UpstreamBlob for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(
        &self,
        range: Range<u64>,
    ) -> BoxFuture<'static, Result<Box<dyn BlobReader>, storage::Error>> {
        let (start, end) = (range.start as usize, range.end as usize);
        let reader = Box::new(MemoryReader(self.slice(start..end))) as Box<dyn BlobReader>;
        Box::pin(std::future::ready(Ok(reader)))
    }
}

/// Content in memory, read as if it came from a disk.
pub(crate) struct MemoryReader(pub(crate) Bytes);

impl BlobReader for MemoryReader {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, storage::Error>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
    }
}

/// A manifest from upstream, if it has the digest that it was asked for.
pub(crate) fn verified(
    manifest: Arc<StoredManifest>,
    reference: &Reference,
) -> Result<Arc<StoredManifest>, UpstreamError> {
    let requested = match reference {
        Reference::Digest(digest) => *digest,
        Reference::Tag(_) => manifest.digest,
    };
    let computed = hash::digest(requested.algorithm(), &manifest.bytes);
    if computed == requested && manifest.digest == requested {
        Ok(manifest)
    } else {
        Err(UpstreamError::WrongDigest {
            requested: Box::new(requested),
            computed: Box::new(computed),
        })
    }
}
