//! OCI layouts: a directory that holds images, each blob in a file called by its digest (OCI
//! image-spec, image-layout.md).
//!
//! What is on its way lies in a directory of its own, `.wharfinger`, until it is proved: whatever
//! lies under `blobs` is whole, and a transfer that was broken off goes on where it ended.

mod index;
mod staging;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use oci::{Descriptor, Digest, Reference, Tag};

pub(crate) use index::{LayoutIndex, choose};
use staging::StagingDirectory;

use crate::transfer::{BlobReader, BlobSlot, BlobWriter, FileReader};
use crate::{Error, FetchedManifest, Referrer, UploadOutcome};

/// What the file `oci-layout` says, byte for byte as the specification and skopeo have it.
pub(crate) const VERSION: &str = r#"{"imageLayoutVersion": "1.0.0"}"#;
/// The largest manifest or index that is read, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

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

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The manifest that `index.json` has under this tag or digest; without either the only one, or
    /// `latest`.
    ///
    /// # Errors
    /// When there is none.
    pub fn manifest(&self, reference: Option<&Reference>) -> Result<FetchedManifest, Error> {
        let index = self.index()?;
        match choose(&index, reference) {
            Ok(descriptor) => self.described(&descriptor),
            // What an index refers to is there by its digest, though `index.json` does not name it.
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

    /// What `index.json` has that refers to `subject`.
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
    pub(crate) fn open(&self, blob: &Descriptor, offset: u64) -> Result<BlobReader, Error> {
        let path = self.blob_path(&blob.digest);
        let file = File::open(&path).map_err(Error::file(&path))?;
        let found = file.metadata().map_err(Error::file(&path))?.len();
        if found != blob.size {
            return Err(Error::Size {
                what: path.display().to_string(),
                expected: blob.size,
                found,
            });
        }
        Ok(BlobReader::File(FileReader::new(
            path,
            Arc::new(file),
            offset,
            blob.size,
        )))
    }

    /// Makes the directories and files of an empty layout, where they are not there.
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

    /// Sees to it that a blob is there.
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
        let outcome = self.bring(blob, &path, writer).await;
        // Only the last one finds it empty.
        self.unfinished().tidy();
        outcome
    }

    async fn bring(
        &self,
        blob: &Descriptor,
        path: &Path,
        writer: BlobWriter<'_>,
    ) -> Result<UploadOutcome, Error> {
        let (unfinished, name) = (self.unfinished(), name_of(&blob.digest));
        let (file, place) = (unfinished.open(&name).await?, unfinished.path(&name));
        let failed = |error| Error::file(&place)(error);
        // Whoever waited for another that brought the same blob finds it there.
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
            // The file stays open, and so locked, until it has its name.
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

    /// Enters a manifest into `index.json`, under a tag where it has one.
    pub(crate) fn enter(&self, manifest: &FetchedManifest, tag: Option<&Tag>) -> Result<(), Error> {
        let path = self.directory.join("oci-layout");
        let marker = File::open(&path).map_err(Error::file(&path))?;
        // Held until the file is closed: others that enter something wait.
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
        self.unfinished().write_whole(path, bytes)?;
        self.unfinished().tidy();
        Ok(())
    }

    fn index(&self) -> Result<LayoutIndex, Error> {
        let path = self.directory.join("index.json");
        let wrong = |what: String, missing| Error::Layout {
            path: self.directory.clone(),
            what,
            missing,
        };
        let bytes = match read_small(&path) {
            Ok(bytes) => bytes,
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(wrong(
                    "is no OCI layout: it has no index.json".to_owned(),
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
        let media_type = crate::media_type_of(&bytes);
        let media_type = media_type.ok_or_else(|| Error::Layout {
            path,
            what: "is no manifest".into(),
            missing: false,
        })?;
        FetchedManifest::new(media_type, bytes, Some(*digest), &what)
    }

    fn small_blob(&self, digest: &Digest) -> Result<(PathBuf, Bytes), Error> {
        let path = self.blob_path(digest);
        let bytes = read_small(&path)?;
        Ok((path, bytes))
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory
            .join("blobs")
            .join(digest.algorithm().as_str())
            .join(digest.encoded())
    }

    fn unfinished(&self) -> StagingDirectory {
        StagingDirectory::of(&self.directory)
    }
}

fn is_there(path: &Path, blob: &Descriptor) -> bool {
    fs::metadata(path).is_ok_and(|there| there.len() == blob.size)
}

/// What a blob on its way is called.
fn name_of(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), digest.encoded())
}

fn read_small(path: &Path) -> Result<Bytes, Error> {
    let length = fs::metadata(path).map_err(Error::file(path))?.len();
    if length > LARGEST {
        let what = format!("has {length} bytes, more than a manifest can have");
        return Err(Error::Layout {
            path: path.to_owned(),
            what,
            missing: false,
        });
    }
    fs::read(path).map(Bytes::from).map_err(Error::file(path))
}

fn create_parent(path: &Path) -> Result<(), Error> {
    path.parent().map_or(Ok(()), |parent| {
        fs::create_dir_all(parent).map_err(Error::file(parent))
    })
}
