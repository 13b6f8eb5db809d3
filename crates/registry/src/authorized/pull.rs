//! What a proof for pulling opens.

use std::ops::Range;
use std::sync::Arc;

use oci::{Digest, Reference, Tag};
use storage::{
    Blob, BlobReader, ContentUrl, Error, ListPage, PageRequest, ReferrerEntry, StoredManifest,
    TagChange, TagChangeId, UploadId,
};

use super::{Authorized, Pull};
use crate::error::RegistryError;
use crate::response_body::OpenRange;
use crate::upstream::{UpstreamBlob, verified};

/// A blob that may be pulled.
pub(crate) enum PullableBlob {
    Stored(Blob),
    Upstream(Arc<dyn UpstreamBlob>),
}

impl PullableBlob {
    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Stored(blob) => blob.size,
            Self::Upstream(blob) => blob.size(),
        }
    }
}

impl Authorized<'_, Pull> {
    /// A manifest, to be sent.
    pub(crate) async fn manifest(
        &self,
        reference: &Reference,
    ) -> Result<Arc<StoredManifest>, RegistryError> {
        let manifests = self.storage().await?.manifests();
        match manifests.find(&self.repository, reference).await {
            Err(error @ (Error::ManifestUnknown | Error::RepositoryUnknown)) => {
                self.upstream_manifest(reference, error).await
            }
            found => Ok(found?),
        }
    }

    /// Whether a manifest exists. A client that may push and asks for that is about to push what
    /// refers to the manifest, so collection leaves it alone for a while.
    pub(crate) async fn stat_and_lease_manifest(
        &self,
        reference: &Reference,
    ) -> Result<Arc<StoredManifest>, RegistryError> {
        if self.may_push {
            let manifests = self.storage().await?.manifests();
            match manifests.lease(&self.repository, reference).await {
                Ok(manifest) => return Ok(manifest),
                // What takes no writes now can still be read.
                Err(Error::Full | Error::ReadOnly | Error::Busy | Error::Unavailable { .. }) => {}
                Err(error @ (Error::ManifestUnknown | Error::RepositoryUnknown)) => {
                    return self.upstream_manifest(reference, error).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.manifest(reference).await
    }

    /// What became of a tag, newest first.
    pub(crate) async fn tag_history(
        &self,
        tag: &Tag,
        page: PageRequest<TagChangeId>,
    ) -> Result<ListPage<TagChange>, Error> {
        let history = self.storage().await?.tag_history();
        history.tag_history(&self.repository, tag, page).await
    }

    /// Whether the client has proved no account, although accounts are needed for more.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.principal.is_anonymous()
    }

    async fn upstream_manifest(
        &self,
        reference: &Reference,
        unknown: Error,
    ) -> Result<Arc<StoredManifest>, RegistryError> {
        let Some(upstream) = &self.resources.upstream else {
            return Err(unknown.into());
        };
        match upstream.manifest(&self.repository, reference).await? {
            Some(manifest) => Ok(verified(manifest, reference)?),
            None => Err(unknown.into()),
        }
    }

    /// A blob, to be sent.
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<PullableBlob, RegistryError> {
        let blobs = self.storage().await?.blobs();
        match blobs.find(&self.repository, digest).await {
            Err(Error::BlobUnknown) => self.upstream_blob(digest).await,
            found => Ok(PullableBlob::Stored(found?)),
        }
    }

    /// Whether a blob exists and can be read. It is leased as [`stat_and_lease_manifest`] leases a manifest.
    ///
    /// A blob whose file is missing counts as unknown, so that the client pushes it again.
    ///
    /// [`stat_and_lease_manifest`]: Self::stat_and_lease_manifest
    pub(crate) async fn stat_and_lease_blob(
        &self,
        digest: &Digest,
    ) -> Result<PullableBlob, RegistryError> {
        let storage = self.storage().await?;
        let found = match storage.blobs() {
            blobs if self.may_push => match blobs.lease(&self.repository, digest).await {
                // A disk that takes no writes can still be read.
                Err(Error::Full | Error::ReadOnly | Error::Busy) => {
                    blobs.find(&self.repository, digest).await
                }
                leased => leased,
            },
            blobs => blobs.find(&self.repository, digest).await,
        };
        let blob = match found {
            Err(Error::BlobUnknown) => return self.upstream_blob(digest).await,
            found => found?,
        };
        match storage.check_blob(&self.repository, &blob).await {
            Ok(()) => Ok(PullableBlob::Stored(blob)),
            Err(Error::Damaged { digest }) => {
                tracing::error!(
                    %digest,
                    repository = %self.repository,
                    "the content of a blob is missing: push it again"
                );
                self.upstream_blob(&digest).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn upstream_blob(&self, digest: &Digest) -> Result<PullableBlob, RegistryError> {
        let blob = match &self.resources.upstream {
            Some(upstream) => upstream.blob(&self.repository, digest).await?,
            None => None,
        };
        blob.map(PullableBlob::Upstream)
            .ok_or(Error::BlobUnknown.into())
    }

    /// Where the client can get the content of a blob from its store itself.
    pub(crate) async fn locate(&self, blob: &PullableBlob) -> Result<Option<ContentUrl>, Error> {
        match blob {
            PullableBlob::Stored(blob) => self.resources.storage.locate(blob).await,
            PullableBlob::Upstream(_) => Ok(None),
        }
    }

    /// The content of a blob, or a range of it.
    pub(crate) async fn read(
        &self,
        blob: &PullableBlob,
        range: Range<u64>,
    ) -> Result<Box<dyn BlobReader>, Error> {
        match blob {
            PullableBlob::Stored(blob) => {
                let storage = &self.resources.storage;
                storage.read(&self.repository, blob, range).await
            }
            PullableBlob::Upstream(blob) => blob.read(range).await,
        }
    }

    /// What opens ranges of a blob after the handler has ended.
    pub(crate) fn range_opener(&self, blob: PullableBlob) -> OpenRange {
        let (storage, repository) = (self.resources.storage.clone(), self.repository.clone());
        match blob {
            PullableBlob::Stored(blob) => Arc::new(move |range| {
                let (storage, repository, blob) =
                    (storage.clone(), repository.clone(), blob.clone());
                Box::pin(async move { storage.read(&repository, &blob, range).await })
            }),
            PullableBlob::Upstream(blob) => Arc::new(move |range| blob.read(range)),
        }
    }

    /// A page of the tags.
    ///
    /// # Errors
    /// [`Error::RepositoryUnknown`], or when the storage fails.
    pub async fn tags(&self, page: PageRequest<String>) -> Result<ListPage<String>, Error> {
        let manifests = self.storage().await?.manifests();
        manifests.tags(&self.repository, page).await
    }

    /// A page of the manifests whose subject is `subject`.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
        page: PageRequest<Digest>,
    ) -> Result<ListPage<ReferrerEntry>, Error> {
        let manifests = self.storage().await?.manifests();
        manifests
            .referrers(&self.repository, subject, artifact_type, page)
            .await
    }

    /// How many bytes of an upload are safe on the disk.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], or when the storage fails.
    pub async fn received(&self, id: UploadId) -> Result<u64, Error> {
        self.storage().await?.received(&self.repository, id).await
    }
}
