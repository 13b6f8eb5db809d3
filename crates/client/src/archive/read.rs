//! Reading archives of both kinds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use oci::{Descriptor, Digest, Reference, Tag, media_type};

use super::docker_save::{self, LARGEST, SavedImage};
use super::entries::{ArchiveEntries, Extent};
use crate::content::FileRangeReader;
use crate::layout::{LayoutIndex, choose};
use crate::{Error, FetchedManifest, Referrer};

/// An archive.
pub struct Archive {
    entries: ArchiveEntries,
    index: LayoutIndex,
    /// Manifests that were made, and blobs under other names than a layout has.
    made: HashMap<Digest, DerivedContent>,
}

enum DerivedContent {
    Manifest(Bytes),
    At(Extent),
}

impl Archive {
    /// Opens an archive and reads its manifests. The output of `docker save` is hashed whole, and a
    /// compressed archive is decompressed, which takes a while.
    ///
    /// # Errors
    /// When it is not an archive of images.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let entries = ArchiveEntries::read(path)?;
        let wrong = |what: String| Error::Layout {
            path: path.to_owned(),
            what,
            missing: false,
        };
        if let Some(extent) = entries.find("index.json") {
            let index = LayoutIndex::parse(&entries.bytes(extent, LARGEST)?)
                .map_err(|error| wrong(format!("its index.json cannot be read: {error}")))?;
            return Ok(Self {
                entries,
                index,
                made: HashMap::new(),
            });
        }
        let Some(extent) = entries.find("manifest.json") else {
            if entries.find("repositories").is_some() {
                return Err(wrong(
                    "saved by docker before 1.10: load it into a newer version and save it again"
                        .to_owned(),
                ));
            }
            return Err(wrong(
                "not an archive of images: it has neither index.json (OCI) nor manifest.json (docker save)"
                    .to_owned(),
            ));
        };
        let images = docker_save::read(&entries, &entries.bytes(extent, LARGEST)?)?;
        let mut archive = Self {
            entries,
            index: LayoutIndex::default(),
            made: HashMap::new(),
        };
        images
            .into_iter()
            .try_for_each(|image| archive.take(image))?;
        Ok(archive)
    }

    /// The manifest with this tag or digest; without a reference, the only one, or `latest`.
    pub(crate) fn manifest(&self, reference: Option<&Reference>) -> Result<FetchedManifest, Error> {
        let missing = |what| Error::Layout {
            path: self.entries.path.clone(),
            what,
            missing: true,
        };
        self.described(&choose(&self.index, reference).map_err(missing)?)
    }

    pub(crate) fn described(&self, descriptor: &Descriptor) -> Result<FetchedManifest, Error> {
        let bytes = match self.made.get(&descriptor.digest) {
            Some(DerivedContent::Manifest(bytes)) => bytes.clone(),
            _ => Bytes::from(
                self.entries
                    .bytes(self.find(&descriptor.digest)?, LARGEST)?,
            ),
        };
        let what = self.entries.path.display().to_string();
        FetchedManifest::new(
            descriptor.media_type.clone(),
            bytes,
            Some(descriptor.digest),
            &what,
        )
    }

    pub(crate) fn tags(&self) -> Vec<Tag> {
        self.index.tags()
    }

    pub(crate) fn referrers(&self, subject: &Digest) -> Result<Vec<Referrer>, Error> {
        let mut referrers = Vec::new();
        for descriptor in &self.index.manifests {
            let parsed = self.described(descriptor)?.parsed();
            if parsed
                .is_ok_and(|parsed| parsed.subject.is_some_and(|known| known.digest == *subject))
            {
                referrers.push(descriptor.clone());
            }
        }
        Ok(referrers)
    }

    pub(crate) fn open_blob(
        &self,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<FileRangeReader, Error> {
        let extent = self.find(&blob.digest)?;
        if extent.size != blob.size {
            let what = format!("{}: {}", self.entries.path.display(), blob.digest);
            return Err(Error::Size {
                what,
                expected: blob.size,
                found: extent.size,
            });
        }
        Ok(self.entries.reader(extent, offset))
    }

    fn take(&mut self, image: SavedImage) -> Result<(), Error> {
        let bytes = Bytes::from(image.manifest);
        let manifest = FetchedManifest::new(media_type::OCI_MANIFEST.to_owned(), bytes, None, "")?;
        let tags: Vec<Tag> = image
            .names
            .iter()
            .filter_map(|name| name.rsplit_once(':')?.1.parse().ok())
            .collect();
        for tag in &tags {
            self.index.enter(&manifest, Some(tag));
        }
        if tags.is_empty() {
            self.index.enter(&manifest, None);
        }
        self.made
            .insert(manifest.digest, DerivedContent::Manifest(manifest.bytes));
        self.made.extend(
            image
                .blobs
                .into_iter()
                .map(|(digest, extent)| (digest, DerivedContent::At(extent))),
        );
        Ok(())
    }

    fn find(&self, digest: &Digest) -> Result<Extent, Error> {
        if let Some(DerivedContent::At(extent)) = self.made.get(digest) {
            return Ok(*extent);
        }
        let name = format!("blobs/{}/{}", digest.algorithm(), digest.encoded());
        let missing = || Error::Layout {
            path: self.path(),
            what: format!("{digest} is not in it"),
            missing: true,
        };
        self.entries.find(&name).ok_or_else(missing)
    }

    fn path(&self) -> PathBuf {
        self.entries.path.clone()
    }
}
