//! Export: writing a data directory that Distribution's registry can serve.

use std::fs;
use std::path::{Path, PathBuf};

use oci::{Digest, RepositoryName};
use tokio::task::spawn_blocking;

use super::layout::{blob_path, repositories_path, repository_path};
use crate::blob_store::CopyTarget;
use crate::files::{make_directory, replace};
use crate::{Blob, ContentLocation, Error, PageRequest, Storage, StoredManifest, TaggedManifest};

/// Rows that are read at once.
const ROWS: u32 = 500;

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Repositories.
    pub repositories: u64,
    /// Manifests, each counted once for each repository.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs, each counted once for each repository.
    pub blobs: u64,
}

/// Why an export is not complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// An adoption is not complete: the export would lack what was not read yet.
    #[error("the adoption of {0} is not complete: images that were not read yet would be missing")]
    HalfRead(ContentLocation),
    /// The database or the disk failed.
    #[error(transparent)]
    Storage(#[from] Error),
}

impl Storage {
    /// Writes everything that can be pulled to the data directory `target`. That may hold another
    /// registry's data: existing content is kept, and tags are moved to where they point here. Blobs
    /// are hard links to our own files if possible, or else copies. `report` is called after each
    /// repository.
    ///
    /// The caller [holds](Self::hold) garbage collection.
    ///
    /// # Errors
    /// [`ExportError`]. Called again, it continues.
    pub async fn export(
        &self,
        target: &Path,
        mut report: impl FnMut(&ExportReport) + Send,
    ) -> Result<ExportReport, ExportError> {
        if let Some(location) = self.half_read().await? {
            return Err(ExportError::HalfRead(location));
        }
        make_repositories(target).await?;
        let mut exported = ExportReport::default();
        let mut page = PageRequest {
            after: None,
            limit: ROWS,
        };
        loop {
            let names = self.manifests().repositories(page.clone()).await?;
            page.after = names.entries.last().cloned();
            for name in names.entries.iter().filter_map(|name| name.parse().ok()) {
                match self.export_repository(target, &name, &mut exported).await {
                    // It was deleted meanwhile.
                    Err(ExportError::Storage(Error::RepositoryUnknown)) => {}
                    done => done?,
                }
                exported.repositories += 1;
                report(&exported);
            }
            if !names.more {
                return Ok(exported);
            }
        }
    }

    async fn export_repository(
        &self,
        target: &Path,
        name: &RepositoryName,
        exported: &mut ExportReport,
    ) -> Result<(), ExportError> {
        let inventory = &self.shared.metadata.inventory;
        let writer = LayoutWriter {
            target: target.to_owned(),
            home: target.join(repository_path(name)),
        };
        let mut page = PageRequest {
            after: None,
            limit: ROWS,
        };
        loop {
            let blobs = inventory.linked(name, page.clone()).await?;
            page.after = blobs.entries.last().map(|blob| blob.generation);
            exported.blobs += blobs.entries.len() as u64;
            for blob in &blobs.entries {
                self.export_blob(target, blob).await?;
            }
            writer.each(blobs.entries, LayoutWriter::blob).await?;
            if !blobs.more {
                break;
            }
        }
        let mut page = PageRequest {
            after: None,
            limit: ROWS,
        };
        loop {
            let manifests = inventory.manifests(name, page.clone()).await?;
            page.after = manifests.entries.last().map(|manifest| manifest.digest);
            exported.manifests += manifests.entries.len() as u64;
            writer
                .each(manifests.entries, LayoutWriter::manifest)
                .await?;
            if !manifests.more {
                break;
            }
        }
        let mut page = PageRequest {
            after: None,
            limit: ROWS,
        };
        loop {
            let tags = inventory.tags(name, page.clone()).await?;
            page.after = tags.entries.last().map(|entry| entry.tag.to_string());
            exported.tags += tags.entries.len() as u64;
            writer.each(tags.entries, LayoutWriter::tag).await?;
            if !tags.more {
                return Ok(());
            }
        }
    }

    async fn export_blob(&self, target: &Path, blob: &Blob) -> Result<(), ExportError> {
        let location = ContentLocation::absolute(target).map_err(Error::io("find a directory"))?;
        let to = CopyTarget {
            location,
            key: blob_path(&blob.digest),
            may_share: true,
        };
        let copied = self.shared.content.copy(blob, &to).await;
        copied.map_err(|source| ExportError::Write {
            path: target.join(to.key),
            source,
        })
    }
}

/// Creates the directory of all repositories: an empty registry has it, too.
async fn make_repositories(target: &Path) -> Result<(), ExportError> {
    let path = target.join(repositories_path());
    let task = spawn_blocking(move || {
        make_directory(&path)
            .map_err(Error::io("create a directory"))
            .map_err(|source| ExportError::Write { path, source })
    });
    task.await
        .unwrap_or_else(|error| Error::from_join_error(error).map_err(Into::into))
}

/// Writes the small files of a repository.
#[derive(Clone)]
struct LayoutWriter {
    target: PathBuf,
    home: PathBuf,
}

impl LayoutWriter {
    /// Writes each of `entries` on a thread that may block.
    async fn each<T: Send + 'static>(
        &self,
        entries: Vec<T>,
        write: impl Fn(&Self, &T) -> Result<(), ExportError> + Send + 'static,
    ) -> Result<(), ExportError> {
        let writer = self.clone();
        let task =
            spawn_blocking(move || entries.iter().try_for_each(|entry| write(&writer, entry)));
        task.await
            .unwrap_or_else(|error| Error::from_join_error(error).map_err(Into::into))
    }

    fn blob(&self, blob: &Blob) -> Result<(), ExportError> {
        self.link(&format!("_layers/{}", parts(&blob.digest)), &blob.digest)
    }

    fn manifest(&self, manifest: &StoredManifest) -> Result<(), ExportError> {
        let to = self.target.join(blob_path(&manifest.digest));
        write(to, &manifest.bytes)?;
        self.link(
            &format!("_manifests/revisions/{}", parts(&manifest.digest)),
            &manifest.digest,
        )
    }

    fn tag(&self, TaggedManifest { tag, digest }: &TaggedManifest) -> Result<(), ExportError> {
        self.link(
            &format!("_manifests/tags/{tag}/index/{}", parts(digest)),
            digest,
        )?;
        self.link(&format!("_manifests/tags/{tag}/current"), digest)
    }

    fn link(&self, directory: &str, digest: &Digest) -> Result<(), ExportError> {
        write(
            self.home.join(directory).join("link"),
            digest.to_string().as_bytes(),
        )
    }
}

fn parts(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm(), digest.encoded())
}

/// Writes a small file, unless it has this content already.
fn write(path: PathBuf, bytes: &[u8]) -> Result<(), ExportError> {
    if fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let made = path.parent().map_or(Ok(()), make_directory);
    let written = made.and_then(|()| replace(&path, |temporary| fs::write(temporary, bytes)));
    written
        .map_err(Error::io("write a file"))
        .map_err(|source| ExportError::Write { path, source })
}
