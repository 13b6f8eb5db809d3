//! Where cargo goes.

use std::sync::Arc;

use oci::{Descriptor, Digest, DigestAlgorithm, Reference, RepositoryName, Tag};

use super::{BlobProgress, BlobSource, BlobWriter, ImageGraph, ImageSource};
use crate::hasher::ContentHasher;
use crate::{ArchiveWriter, Error, FetchedManifest, OciLayout, RepositoryClient, UploadOutcome};

/// Where images are put.
#[derive(Clone)]
pub enum ImageTarget {
    /// A registry's repository.
    Repository(RepositoryClient),
    /// An OCI layout, which need not exist yet.
    Layout(OciLayout),
    /// A new archive.
    Archive(Arc<ArchiveWriter>),
}

impl ImageTarget {
    /// Makes room.
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

    /// Whether the manifest is there, with all that it leads to.
    pub(crate) async fn has(&self, digest: &Digest) -> Result<bool, Error> {
        match self {
            Self::Repository(repository) => repository.has_manifest(digest).await,
            // Of a layout only the index says what is whole, and the blobs are looked at one by one
            // anyway.
            Self::Layout(_) | Self::Archive(_) => Ok(false),
        }
    }

    /// The repository of the same registry that blobs can be mounted from.
    fn mountable(&self, source: &BlobSource) -> Option<RepositoryName> {
        match (self, source) {
            (Self::Repository(target), BlobSource::Source(ImageSource::Repository(source)))
                if target.is_beside(source) =>
            {
                Some(source.name().clone())
            }
            _ => None,
        }
    }

    /// Sees to it that a blob is there.
    pub(crate) async fn put_blob(
        &self,
        blob: &Descriptor,
        source: &BlobSource,
        meter: &dyn BlobProgress,
    ) -> Result<UploadOutcome, Error> {
        let writer = BlobWriter { source, meter };
        match self {
            Self::Repository(repository) => {
                repository
                    .upload(blob, self.mountable(source).as_ref(), source, meter)
                    .await
            }
            Self::Layout(layout) => layout.put_blob(blob, writer).await,
            Self::Archive(archive) => archive.put_blob(blob, writer).await,
        }
    }

    /// Puts a manifest whose blobs and children are there.
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

    /// Puts the manifest that was asked for, under a tag where it has one, and closes the target.
    /// Hands back the digest by which it is known there.
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
    /// Sees to it that a manifest will be known by its digest. One that is put under a tag alone
    /// gets a SHA-256, whatever it is called elsewhere, and some registries know no other.
    async fn name_by_digest(&self, manifest: &FetchedManifest) -> Result<Digest, Error> {
        if manifest.digest.algorithm() == DigestAlgorithm::Sha256 {
            return Ok(manifest.digest);
        }
        match self
            .put_manifest(manifest, &Reference::Digest(manifest.digest))
            .await
        {
            Ok(_) => Ok(manifest.digest),
            Err(Error::ErrorResponse { source, .. }) if source.status.is_client_error() => Ok(
                ContentHasher::digest(DigestAlgorithm::Sha256, &manifest.bytes),
            ),
            Err(error) => Err(error),
        }
    }

    /// Keeps the list of referrers where the registry does not (`known`: it does).
    async fn settle_subject(&self, manifest: &FetchedManifest, known: bool) -> Result<(), Error> {
        let parsed = manifest.parsed()?;
        if known || parsed.subject.is_none() {
            Ok(())
        } else {
            self.enter_referrer(manifest, &parsed).await
        }
    }
}
