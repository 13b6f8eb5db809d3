//! Export: writing data that Distribution's registry can serve.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use bytes::Bytes;
use common::BoxFuture;
use oci::{Digest, RepositoryName};
use tokio::task::{JoinSet, spawn_blocking};

use super::layout::{blob_path, repositories_path, repository_path};
use crate::blob_store::CopyTarget;
use crate::files::{make_directory, replace};
use crate::{
    Blob, BlobStore, ContentLocation, Error, PageRequest, Storage, StorageFuture, StoredManifest,
    TaggedManifest,
};

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

/// Where an export writes.
pub trait ExportTarget: fmt::Debug + Send + Sync {
    /// What messages call a file of it.
    fn name(&self, path: &str) -> PathBuf;

    /// How many blobs are copied at once.
    fn parallel_blobs(&self) -> usize;

    /// Prepares the target: an empty registry can be served, too.
    fn prepare(&self) -> StorageFuture<'_, ()>;

    /// Writes small files. Those that exist already get the new content.
    ///
    /// Fails with the file that was not written.
    fn write<'a>(
        &'a self,
        files: Vec<ExportFile>,
    ) -> BoxFuture<'a, Result<(), (ExportFile, Error)>>;

    /// Copies a blob, unless a file of its size exists.
    fn copy<'a>(
        &'a self,
        content: &'a dyn BlobStore,
        blob: &'a Blob,
        path: &'a str,
    ) -> StorageFuture<'a, ()>;
}

/// A small file of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Its path.
    pub path: String,
    /// Its content.
    pub content: Bytes,
}

impl Storage {
    /// Writes everything that can be pulled to the data directory `target`, as
    /// [`export_to`](Self::export_to) does. Blobs are hard links to our own files if possible, or else
    /// copies.
    ///
    /// # Errors
    /// [`ExportError`]. Called again, it continues.
    pub async fn export(
        &self,
        target: &Path,
        report: impl FnMut(&ExportReport) + Send,
    ) -> Result<ExportReport, ExportError> {
        let location = ContentLocation::absolute(target).map_err(Error::io("find a directory"))?;
        let target = target.to_owned();
        let directory = Arc::new(DirectoryTarget { target, location });
        self.export_to(directory, report).await
    }

    /// Writes everything that can be pulled to `target`. That may hold another registry's data:
    /// existing content is kept, and tags are moved to where they point here. `report` is called after
    /// each repository.
    ///
    /// The caller [holds](Self::hold) garbage collection.
    ///
    /// # Errors
    /// [`ExportError`]. Called again, it continues.
    pub async fn export_to(
        &self,
        target: Arc<dyn ExportTarget>,
        mut report: impl FnMut(&ExportReport) + Send,
    ) -> Result<ExportReport, ExportError> {
        if let Some(location) = self.half_read().await? {
            return Err(ExportError::HalfRead(location));
        }
        let prepared = target.prepare().await;
        prepared.map_err(|source| ExportError::Write {
            path: target.name(&repositories_path()),
            source,
        })?;
        let mut exported = ExportReport::default();
        let mut page = first_page();
        loop {
            let names = self.manifests().repositories(page.clone()).await?;
            page.after = names.entries.last().cloned();
            for name in names.entries.iter().filter_map(|name| name.parse().ok()) {
                match self.export_repository(&target, &name, &mut exported).await {
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
        target: &Arc<dyn ExportTarget>,
        name: &RepositoryName,
        exported: &mut ExportReport,
    ) -> Result<(), ExportError> {
        let inventory = &self.shared.metadata.inventory;
        let home = repository_path(name);
        let mut page = first_page();
        loop {
            let blobs = inventory.linked(name, page.clone()).await?;
            page.after = blobs.entries.last().map(|blob| blob.generation);
            exported.blobs += blobs.entries.len() as u64;
            let links = blobs.entries.iter().map(|blob| {
                let place = format!("{home}/_layers/{}", parts(&blob.digest));
                link(&place, &blob.digest)
            });
            let links = links.collect();
            self.export_blobs(target, blobs.entries).await?;
            write(&**target, links).await?;
            if !blobs.more {
                break;
            }
        }
        let mut page = first_page();
        loop {
            let manifests = inventory.manifests(name, page.clone()).await?;
            page.after = manifests.entries.last().map(|manifest| manifest.digest);
            exported.manifests += manifests.entries.len() as u64;
            let mut contents = Vec::new();
            let mut links = Vec::new();
            for StoredManifest { digest, bytes, .. } in manifests.entries {
                let place = format!("{home}/_manifests/revisions/{}", parts(&digest));
                links.push(link(&place, &digest));
                contents.push(ExportFile {
                    path: blob_path(&digest),
                    content: bytes,
                });
            }
            write(&**target, contents).await?;
            write(&**target, links).await?;
            if !manifests.more {
                break;
            }
        }
        let mut page = first_page();
        loop {
            let tags = inventory.tags(name, page.clone()).await?;
            page.after = tags.entries.last().map(|entry| entry.tag.to_string());
            exported.tags += tags.entries.len() as u64;
            let links = tags
                .entries
                .iter()
                .flat_map(|TaggedManifest { tag, digest }| {
                    let place = format!("{home}/_manifests/tags/{tag}");
                    let known = format!("{place}/index/{}", parts(digest));
                    [
                        link(&known, digest),
                        link(&format!("{place}/current"), digest),
                    ]
                });
            write(&**target, links.collect()).await?;
            if !tags.more {
                return Ok(());
            }
        }
    }

    async fn export_blobs(
        &self,
        target: &Arc<dyn ExportTarget>,
        blobs: Vec<Blob>,
    ) -> Result<(), ExportError> {
        let mut blobs = blobs.into_iter();
        let mut tasks = JoinSet::new();
        loop {
            let free = target.parallel_blobs().saturating_sub(tasks.len());
            for blob in blobs.by_ref().take(free) {
                let (target, content) = (Arc::clone(target), Arc::clone(&self.shared.content));
                tasks.spawn(async move {
                    let path = blob_path(&blob.digest);
                    let copied = target.copy(&*content, &blob, &path).await;
                    copied.map_err(|source| ExportError::Write {
                        path: target.name(&path),
                        source,
                    })
                });
            }
            match tasks.join_next().await {
                Some(copied) => {
                    copied.unwrap_or_else(|error| {
                        Error::from_join_error(error).map_err(Into::into)
                    })?;
                }
                None => return Ok(()),
            }
        }
    }
}

fn first_page<T>() -> PageRequest<T> {
    PageRequest {
        after: None,
        limit: ROWS,
    }
}

async fn write(target: &dyn ExportTarget, files: Vec<ExportFile>) -> Result<(), ExportError> {
    let written = target.write(files).await;
    written.map_err(|(file, source)| ExportError::Write {
        path: target.name(&file.path),
        source,
    })
}

fn link(directory: &str, digest: &Digest) -> ExportFile {
    ExportFile {
        path: format!("{directory}/link"),
        content: digest.to_string().into(),
    }
}

fn parts(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm(), digest.encoded())
}

/// A data directory.
#[derive(Debug)]
struct DirectoryTarget {
    /// As the caller names it.
    target: PathBuf,
    location: ContentLocation,
}

impl ExportTarget for DirectoryTarget {
    fn name(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    fn parallel_blobs(&self) -> usize {
        1
    }

    fn prepare(&self) -> StorageFuture<'_, ()> {
        let path = self.target.join(repositories_path());
        Box::pin(async move {
            let task = spawn_blocking(move || make_directory(&path));
            let made = task.await.map_or_else(Error::from_join_error, Ok)?;
            made.map_err(Error::io("create a directory"))
        })
    }

    fn write<'a>(
        &'a self,
        files: Vec<ExportFile>,
    ) -> BoxFuture<'a, Result<(), (ExportFile, Error)>> {
        let target = self.target.clone();
        Box::pin(async move {
            #[expect(
                clippy::result_large_err,
                reason = "it is made once, when the export fails"
            )]
            let task = spawn_blocking(move || {
                files.into_iter().try_for_each(|file| {
                    let written = write_file(&target.join(&file.path), &file.content);
                    written.map_err(|error| (file, Error::io("write a file")(error)))
                })
            });
            match task.await {
                Ok(written) => written,
                Err(error) => Error::from_join_error(error).map_err(|error| {
                    let nothing = ExportFile {
                        path: String::new(),
                        content: Bytes::new(),
                    };
                    (nothing, error)
                }),
            }
        })
    }

    fn copy<'a>(
        &'a self,
        content: &'a dyn BlobStore,
        blob: &'a Blob,
        path: &'a str,
    ) -> StorageFuture<'a, ()> {
        let to = CopyTarget {
            location: self.location.clone(),
            key: path.to_owned(),
            may_share: true,
        };
        Box::pin(async move { content.copy(blob, &to).await })
    }
}

/// Writes a small file, unless it has this content already.
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_directory)?;
    replace(path, |temporary| fs::write(temporary, bytes))
}
