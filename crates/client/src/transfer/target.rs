//! Where images are copied to.

use std::sync::Arc;

use oci::{Descriptor, Digest, DigestAlgorithm, Reference, RepositoryName, Tag};

use super::ImageSource;
use crate::content::{BlobProgress, BlobWriter, Reuse};
use crate::hasher::DigestHasher;
use crate::manifest::ImageGraph;
use crate::{ArchiveWriter, Error, FetchedManifest, OciLayout, RepositoryClient, UploadOutcome};

/// Where images are copied to.
#[derive(Clone)]
pub enum ImageTarget {
    /// A registry's repository.
    Repository(RepositoryClient),
    /// An OCI layout. It need not exist yet.
    Layout(OciLayout),
    /// A new archive.
    Archive(Arc<ArchiveWriter>),
}

impl ImageTarget {
    /// Prepares the target.
    pub(crate) async fn prepare(
        &self,
        image_graph: &ImageGraph,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        match self {
            Self::Repository(_) => Ok(()),
            Self::Layout(layout) => layout.create(),
            Self::Archive(archive) => archive.prepare(image_graph, tag),
        }
    }

    /// Whether the target has the manifest, with everything that it refers to.
    pub(crate) async fn has(&self, digest: &Digest) -> Result<bool, Error> {
        match self {
            Self::Repository(repository) => repository.has_manifest(digest).await,
            // In a layout only the index says what is complete, and each blob is looked up anyway.
            Self::Layout(_) | Self::Archive(_) => Ok(false),
        }
    }

    /// The repository of the same registry from which blobs can be mounted.
    fn mountable(&self, source: &ImageSource) -> Option<RepositoryName> {
        match (self, source) {
            (Self::Repository(target), ImageSource::Repository(source))
                if target.shares_registry_with(source) =>
            {
                Some(source.name().clone())
            }
            _ => None,
        }
    }

    /// Makes sure that a blob is in the target.
    pub(crate) async fn put_blob(
        &self,
        blob: &Descriptor,
        source: &ImageSource,
        reuse: Reuse,
        meter: &dyn BlobProgress,
    ) -> Result<UploadOutcome, Error> {
        let writer = BlobWriter { source, meter };
        match self {
            Self::Repository(repository) => {
                let from = self.mountable(source);
                repository
                    .upload(blob, from.as_ref(), reuse, source, meter)
                    .await
            }
            Self::Layout(layout) => layout.put_blob(blob, writer).await,
            Self::Archive(archive) => archive.put_blob(blob, writer).await,
        }
    }

    /// Puts a manifest whose blobs and children are in the target.
    pub(crate) async fn put_manifest(&self, manifest: &FetchedManifest) -> Result<(), Error> {
        match self {
            Self::Repository(repository) => {
                let known = repository
                    .put_manifest(manifest, &Reference::Digest(manifest.digest))
                    .await?;
                repository.settle_subject(manifest, known).await
            }
            Self::Layout(layout) => layout.put_manifest(manifest),
            Self::Archive(_) => Ok(()),
        }
    }

    /// Puts the requested manifest, under a tag if one is given, and closes the target. Returns the
    /// manifest's digest there.
    pub(crate) async fn finish(
        &self,
        root: &FetchedManifest,
        tag: Option<&Tag>,
    ) -> Result<Digest, Error> {
        match (self, tag) {
            (Self::Repository(repository), Some(tag)) => {
                let digest = repository.name_by_digest(root).await?;
                let known = repository
                    .put_manifest(root, &Reference::Tag(tag.clone()))
                    .await?;
                repository
                    .settle_subject(root, known)
                    .await
                    .map(|()| digest)
            }
            (Self::Repository(_), None) => self.put_manifest(root).await.map(|()| root.digest),
            (Self::Layout(layout), tag) => {
                layout.put_manifest(root)?;
                layout.enter(root, tag).map(|()| root.digest)
            }
            (Self::Archive(archive), _) => archive.finish().map(|()| root.digest),
        }
    }
}

impl RepositoryClient {
    /// Makes sure that a manifest can be found by its digest. A registry computes the SHA-256 of a
    /// manifest that is put under a tag, and some know no other algorithm.
    async fn name_by_digest(&self, manifest: &FetchedManifest) -> Result<Digest, Error> {
        if manifest.digest.algorithm() == DigestAlgorithm::Sha256 {
            return Ok(manifest.digest);
        }
        match self
            .put_manifest(manifest, &Reference::Digest(manifest.digest))
            .await
        {
            Ok(_) => Ok(manifest.digest),
            Err(Error::HttpErrorResponse { .. }) => Ok(DigestHasher::digest(
                DigestAlgorithm::Sha256,
                &manifest.bytes,
            )),
            Err(error) => Err(error),
        }
    }

    /// Updates the list of referrers, unless the registry does (`known`).
    async fn settle_subject(&self, manifest: &FetchedManifest, known: bool) -> Result<(), Error> {
        let parsed = manifest.parsed()?;
        if known || parsed.subject.is_none() {
            Ok(())
        } else {
            self.enter_referrer(manifest, &parsed).await
        }
    }
}
