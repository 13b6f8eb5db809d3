//! OCI layouts: a directory that holds images, each blob in a file that is named by its digest (OCI
//! image-spec, image-layout.md).
//!
//! A blob lies in a directory of its own, `.wharfinger`, until its digest is verified. So every file
//! under `blobs` is complete, and a transfer that was broken off continues where it stopped.
//!
//! A layout may come from someone else: links that lead out of it are not followed, and only regular
//! files are read.

mod index;
mod staging;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use oci::{Descriptor, Digest, Reference, Tag};
use rustix::fs::OFlags;

pub(crate) use index::{LayoutIndex, choose};
use staging::StagingDirectory;

use crate::content::{BlobSlot, BlobWriter, FileRangeReader};
use crate::{Error, FetchedManifest, Referrer, UploadOutcome};

/// The content of the file `oci-layout`, byte for byte as the specification and skopeo have it.
pub(crate) const VERSION: &str = r#"{"imageLayoutVersion": "1.0.0"}"#;
/// The largest manifest or index that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;

/// An OCI layout.
#[derive(Clone, Debug)]
pub struct OciLayout {
    directory: PathBuf,
}

impl OciLayout {
    /// The layout in `directory`, which need not exist yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The manifest with this tag or digest in `index.json`; without a reference, the only one, or
    /// `latest`.
    ///
    /// # Errors
    /// When there is no such manifest.
    pub fn manifest(&self, reference: Option<&Reference>) -> Result<FetchedManifest, Error> {
        let index = self.index()?;
        match choose(&index, reference) {
            Ok(descriptor) => self.described(&descriptor),
            // `index.json` does not name the images of an index, but their digests do.
            Err(what) => match reference {
                Some(Reference::Digest(digest)) if self.blob_path(digest).exists() => {
                    self.unlisted(digest)
                }
                _ => Err(Error::Layout {
                    path: self.directory.clone(),
                    what,
                    missing: true,
                }),
            },
        }
    }

    /// The manifest of a descriptor.
    pub(crate) fn described(&self, descriptor: &Descriptor) -> Result<FetchedManifest, Error> {
        let (path, bytes) = self.small_blob(&descriptor.digest)?;
        let what = path.display().to_string();
        FetchedManifest::new(
            descriptor.media_type.clone(),
            bytes,
            Some(descriptor.digest),
            &what,
        )
    }

    /// The tags of `index.json`.
    pub(crate) fn tags(&self) -> Result<Vec<Tag>, Error> {
        Ok(self.index()?.tags())
    }

    /// The manifests in `index.json` that refer to `subject`.
    pub(crate) fn referrers(&self, subject: &Digest) -> Result<Vec<Referrer>, Error> {
        let mut referrers = Vec::new();
        for descriptor in self.index()?.manifests {
            let parsed = self.described(&descriptor)?.parsed();
            if parsed
                .is_ok_and(|parsed| parsed.subject.is_some_and(|known| known.digest == *subject))
            {
                referrers.push(descriptor);
            }
        }
        Ok(referrers)
    }

    /// Begins to read a blob at `offset`.
    pub(crate) fn open(&self, blob: &Descriptor, offset: u64) -> Result<FileRangeReader, Error> {
        let path = self.blob_path(&blob.digest);
        let (file, found) = self.open_file(&path)?;
        if found != blob.size {
            return Err(Error::Size {
                what: path.display().to_string(),
                expected: blob.size,
                found,
            });
        }
        Ok(FileRangeReader::new(
            path,
            Arc::new(file),
            offset,
            blob.size,
        ))
    }

    /// Creates the directories and files of an empty layout, unless they exist.
    pub(crate) fn create(&self) -> Result<(), Error> {
        let blobs = self.directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(Error::file(&blobs))?;
        let marker = self.directory.join("oci-layout");
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&marker)
        {
            Ok(mut file) => {
                io::Write::write_all(&mut file, VERSION.as_bytes()).map_err(Error::file(&marker))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Error::file(&marker)(error)),
        }
    }

    /// Makes sure that a blob is in the layout.
    pub(crate) async fn put_blob(
        &self,
        blob: &Descriptor,
        writer: BlobWriter<'_>,
    ) -> Result<UploadOutcome, Error> {
        let path = self.blob_path(&blob.digest);
        if is_there(&path, blob) {
            return Ok(UploadOutcome::Present);
        }
        create_parent(&path)?;
        let outcome = self.stage(blob, &path, writer).await;
        self.staging().tidy();
        outcome
    }

    async fn stage(
        &self,
        blob: &Descriptor,
        path: &Path,
        writer: BlobWriter<'_>,
    ) -> Result<UploadOutcome, Error> {
        let (staging, name) = (self.staging(), name_of(&blob.digest));
        let (file, place) = (staging.open(&name).await?, staging.path(&name));
        let failed = |error| Error::file(&place)(error);
        // Another transfer may have brought the same blob meanwhile.
        if is_there(path, blob) {
            fs::remove_file(&place).map_err(failed)?;
            return Ok(UploadOutcome::Present);
        }
        let mut present = file.metadata().map_err(failed)?.len();
        if present > blob.size {
            file.set_len(0).map_err(failed)?;
            present = 0;
        }
        match writer
            .write(
                blob,
                BlobSlot {
                    path: place.clone(),
                    file,
                    begin: 0,
                    present,
                },
            )
            .await
        {
            // The file stays open, and therefore locked, until it has its name.
            Ok(_file) => fs::rename(&place, path)
                .map(|()| UploadOutcome::Sent)
                .map_err(Error::file(path)),
            Err(error @ (Error::Digest { .. } | Error::Size { .. })) => {
                let _ = fs::remove_file(&place);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest among the blobs.
    pub(crate) fn put_manifest(&self, manifest: &FetchedManifest) -> Result<(), Error> {
        let path = self.blob_path(&manifest.digest);
        create_parent(&path)?;
        self.write_whole(&path, &manifest.bytes)
    }

    /// Adds a manifest to `index.json`, under a tag if one is given.
    pub(crate) fn enter(&self, manifest: &FetchedManifest, tag: Option<&Tag>) -> Result<(), Error> {
        let path = self.directory.join("oci-layout");
        let marker = File::open(&path).map_err(Error::file(&path))?;
        // Held until the file is closed: other transfers wait.
        marker.lock().map_err(Error::file(&path))?;
        let mut index = match self.index() {
            Ok(index) => index,
            Err(Error::Layout { missing: true, .. }) => LayoutIndex::default(),
            Err(error) => return Err(error),
        };
        index.enter(manifest, tag);
        let path = self.directory.join("index.json");
        self.write_whole(&path, index.to_string().as_bytes())
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.staging().write_whole(path, bytes)?;
        self.staging().tidy();
        Ok(())
    }

    fn index(&self) -> Result<LayoutIndex, Error> {
        let path = self.directory.join("index.json");
        let wrong = |what: String, missing| Error::Layout {
            path: self.directory.clone(),
            what,
            missing,
        };
        let bytes = match self.read_small(&path) {
            Ok(bytes) => bytes,
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(wrong(
                    "not an OCI layout: index.json is missing".to_owned(),
                    true,
                ));
            }
            Err(error) => return Err(error),
        };
        LayoutIndex::parse(&bytes)
            .map_err(|error| wrong(format!("its index.json cannot be read: {error}"), false))
    }

    fn unlisted(&self, digest: &Digest) -> Result<FetchedManifest, Error> {
        let (path, bytes) = self.small_blob(digest)?;
        let what = path.display().to_string();
        let media_type = crate::manifest::media_type_of(&bytes);
        let media_type = media_type.ok_or_else(|| Error::Layout {
            path,
            what: "not a manifest".into(),
            missing: false,
        })?;
        FetchedManifest::new(media_type, bytes, Some(*digest), &what)
    }

    fn small_blob(&self, digest: &Digest) -> Result<(PathBuf, Bytes), Error> {
        let path = self.blob_path(digest);
        let bytes = self.read_small(&path)?;
        Ok((path, bytes))
    }

    fn read_small(&self, path: &Path) -> Result<Bytes, Error> {
        let (mut file, length) = self.open_file(path)?;
        if length > MAX_MANIFEST_BYTES {
            return Err(Error::Layout {
                path: path.to_owned(),
                what: format!("{length} bytes, more than a manifest can have"),
                missing: false,
            });
        }
        let mut bytes = Vec::new();
        let read = (&mut file).take(MAX_MANIFEST_BYTES).read_to_end(&mut bytes);
        read.map_err(Error::file(path))?;
        Ok(Bytes::from(bytes))
    }

    /// Opens a regular file of the layout. Returns its length, too.
    fn open_file(&self, path: &Path) -> Result<(File, u64), Error> {
        let failed = |error| Error::file(path)(error);
        let wrong = |what: &str| Error::Layout {
            path: path.to_owned(),
            what: what.to_owned(),
            missing: false,
        };
        let real = path.canonicalize().map_err(failed)?;
        let root = self.directory.canonicalize().map_err(failed)?;
        if !real.starts_with(&root) {
            return Err(wrong("a link that leads out of the layout"));
        }
        // A pipe must not keep the transfer waiting.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed())
            .open(&real)
            .map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() {
            return Err(wrong("not a regular file"));
        }
        Ok((file, found.len()))
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory
            .join("blobs")
            .join(digest.algorithm().as_str())
            .join(digest.encoded())
    }

    fn staging(&self) -> StagingDirectory {
        StagingDirectory::of(&self.directory)
    }
}

fn is_there(path: &Path, blob: &Descriptor) -> bool {
    fs::metadata(path).is_ok_and(|there| there.len() == blob.size)
}

/// The name of a blob that is on its way.
fn name_of(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), digest.encoded())
}

fn create_parent(path: &Path) -> Result<(), Error> {
    path.parent().map_or(Ok(()), |parent| {
        fs::create_dir_all(parent).map_err(Error::file(parent))
    })
}
