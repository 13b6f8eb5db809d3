//! Where images are copied from.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Descriptor, Digest, Reference, Tag};

use super::buffers::{BufferPool, PIECE};
use super::image_graph::pick;
use crate::{
    Archive, Download, Error, FetchedManifest, OciLayout, Platform, Referrer, RepositoryClient,
};

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

/// Where one blob is read from.
#[derive(Clone)]
pub(crate) enum BlobSource {
    /// A source of images.
    Source(ImageSource),
    /// Memory.
    Memory(Bytes),
}

impl BlobSource {
    /// Begins to read the blob at `offset`.
    pub(crate) async fn open(&self, blob: &Descriptor, offset: u64) -> Result<BlobReader, Error> {
        match self {
            Self::Source(source) => source.open(blob, offset).await,
            Self::Memory(content) => {
                let offset = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(content.len());
                Ok(BlobReader::Memory(content.slice(offset..)))
            }
        }
    }
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

    /// [`manifest`](Self::manifest), and of an index the image for `platform`.
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn image(
        &self,
        reference: Option<&Reference>,
        platform: Option<&Platform>,
    ) -> Result<FetchedManifest, Error> {
        let manifest = self.manifest(reference).await?;
        match platform {
            Some(platform) => pick(self, manifest, platform).await,
            None => Ok(manifest),
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

    /// Begins to read a blob at `offset`.
    async fn open(&self, blob: &Descriptor, offset: u64) -> Result<BlobReader, Error> {
        match self {
            Self::Repository(repository) => Ok(BlobReader::Download(Box::new(
                repository.download(blob, offset),
            ))),
            Self::Layout(layout) => layout.open(blob, offset),
            Self::Archive(archive) => archive.open_blob(blob, offset),
        }
    }
}

/// A blob being read.
pub(crate) enum BlobReader {
    Download(Box<Download>),
    File(FileReader),
    /// Empty when it has been read.
    Memory(Bytes),
}

impl BlobReader {
    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Download(download) => download.chunk().await,
            Self::File(reader) => reader.chunk(),
            Self::Memory(content) => {
                Ok(Some(std::mem::take(content)).filter(|content| !content.is_empty()))
            }
        }
    }

    /// The name of the source, for messages.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Download(download) => download.place(),
            Self::File(reader) => reader.path.display().to_string(),
            Self::Memory(_) => "the content to be sent".to_owned(),
        }
    }
}

/// A part of a file being read.
pub(crate) struct FileReader {
    path: PathBuf,
    file: Arc<File>,
    position: u64,
    end: u64,
    buffers: BufferPool,
}

impl FileReader {
    /// Reads `file` (called `path` in messages) from `begin` up to `end`.
    pub(crate) fn new(path: impl Into<PathBuf>, file: Arc<File>, begin: u64, end: u64) -> Self {
        Self {
            path: path.into(),
            file,
            position: begin,
            end,
            buffers: BufferPool::default(),
        }
    }

    /// Reads on the calling thread: content that is pushed is mostly in the page cache.
    fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let left = self.end.saturating_sub(self.position);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        if length == 0 {
            return Ok(None);
        }
        let read = self.buffers.piece(length, |buffer| {
            self.file.read_exact_at(buffer, self.position)
        });
        let piece = read.map_err(Error::file(&self.path))?;
        self.position += piece.len() as u64;
        Ok(Some(piece))
    }
}
