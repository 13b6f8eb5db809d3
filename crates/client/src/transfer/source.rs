//! Where images are copied from.

use std::sync::Arc;

use common::BoxFuture;
use oci::{Descriptor, Digest, Reference, Tag};

use crate::content::{ContentReader, ContentSource, FileRangeReader};
use crate::{Archive, Error, FetchedManifest, OciLayout, Referrer, RepositoryClient};

/// Where images are copied from.
#[derive(Clone)]
pub enum ImageSource {
    /// A registry's repository.
    Repository(RepositoryClient),
    /// An OCI layout.
    Layout(OciLayout),
    /// An archive: an OCI layout in a tar file, or the output of `docker save`.
    Archive(Arc<Archive>),
}

impl ImageSource {
    /// The manifest of a reference; without a reference, the only one, or `latest`.
    ///
    /// # Errors
    /// When there is no such manifest, or there are several.
    pub async fn manifest(&self, reference: Option<&Reference>) -> Result<FetchedManifest, Error> {
        match (self, reference) {
            (Self::Repository(repository), Some(reference)) => repository.manifest(reference).await,
            (Self::Repository(_), None) => Err(Error::Unsupported(
                "a tag or digest is required for an image in a registry".to_owned(),
            )),
            (Self::Layout(layout), reference) => layout.manifest(reference),
            (Self::Archive(archive), reference) => archive.manifest(reference),
        }
    }

    /// The manifest of a descriptor.
    pub(crate) async fn described(
        &self,
        descriptor: &Descriptor,
    ) -> Result<FetchedManifest, Error> {
        match self {
            Self::Repository(repository) => {
                repository
                    .manifest(&Reference::Digest(descriptor.digest))
                    .await
            }
            Self::Layout(layout) => layout.described(descriptor),
            Self::Archive(archive) => archive.described(descriptor),
        }
    }

    /// All its tags.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn tags(&self) -> Result<Vec<Tag>, Error> {
        match self {
            Self::Repository(repository) => repository.all_tags().await,
            Self::Layout(layout) => layout.tags(),
            Self::Archive(archive) => Ok(archive.tags()),
        }
    }

    /// What is attached to a manifest.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Vec<Referrer>, Error> {
        match self {
            Self::Repository(repository) => repository.referrers(subject, None).await,
            Self::Layout(layout) => layout.referrers(subject),
            Self::Archive(archive) => archive.referrers(subject),
        }
    }
}

impl ContentSource for ImageSource {
    fn open<'a>(
        &'a self,
        blob: &'a Descriptor,
        offset: u64,
    ) -> BoxFuture<'a, Result<Box<dyn ContentReader>, Error>> {
        let opened: Result<Box<dyn ContentReader>, Error> = match self {
            Self::Repository(repository) => Ok(Box::new(repository.download(blob, offset))),
            Self::Layout(layout) => layout.open(blob, offset).map(boxed),
            Self::Archive(archive) => archive.open_blob(blob, offset).map(boxed),
        };
        Box::pin(std::future::ready(opened))
    }
}

fn boxed(reader: FileRangeReader) -> Box<dyn ContentReader> {
    Box::new(reader)
}
