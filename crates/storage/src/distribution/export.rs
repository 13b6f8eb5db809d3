//! Writing a data directory that Distribution's registry can serve.

use std::fs;
use std::path::{Path, PathBuf};

use oci::{Digest, RepositoryName, Tag};
use tokio::task::spawn_blocking;

use super::{BASE, blob_key};
use crate::files::{make_directory, replace};
use crate::{Blob, Error, PageRequest, Storage, StoredManifest};

/// Rows that are read at once.
const ROWS: u32 = 500;

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Repositories.
    pub repositories: u64,
    /// Manifests, each counted once a repository.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs, each counted once a repository.
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
    /// A data directory is still being adopted: what was not read yet would be missing.
    #[error("{} is not adopted to its end: what was not read yet would be missing", .0.display())]
    HalfRead(PathBuf),
    /// The database or the disk failed.
    #[error(transparent)]
    Storage(#[from] Error),
}

impl Storage {
    /// Writes everything that can be pulled to the data directory `target`, which may hold another
    /// registry's data already: what is there is kept, tags are pointed where they point here.
    /// Blobs are hard links to our own files where that is possible, and copies where it is not.
    /// `report` hears of the progress after each repository.
    ///
    /// The caller [holds](Self::hold) collection.
    ///
    /// # Errors
    /// [`ExportError`]; done again, it goes on where it was.
    pub async fn export(
        &self,
        target: &Path,
        mut report: impl FnMut(&ExportReport) + Send,
    ) -> Result<ExportReport, ExportError> {
        if let Some(directory) = self.half_read().await? {
            return Err(ExportError::HalfRead(directory));
        }
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
                    // Deleted meanwhile.
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
        let inventory = &self.shared.backends.inventory;
        let writer = LayoutWriter {
            target: target.to_owned(),
            home: home(target, name),
        };
        let mut after = 0;
        loop {
            let blobs = inventory.linked(name, after, ROWS).await?;
            let Some(last) = blobs.last() else { break };
            after = last.generation;
            exported.blobs += blobs.len() as u64;
            for blob in &blobs {
                let to = target.join(blob_key(&blob.digest));
                let copied = self.shared.backends.store.copy(blob, &to, true).await;
                copied.map_err(|source| ExportError::Write { path: to, source })?;
            }
            writer.each(blobs, LayoutWriter::blob).await?;
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
            page.after = tags.entries.last().map(|(tag, _)| tag.to_string());
            exported.tags += tags.entries.len() as u64;
            writer.each(tags.entries, LayoutWriter::tag).await?;
            if !tags.more {
                return Ok(());
            }
        }
    }
}

fn home(target: &Path, name: &RepositoryName) -> PathBuf {
    target.join(BASE).join("repositories").join(name.as_str())
}

/// Where a repository is written to.
#[derive(Clone)]
struct LayoutWriter {
    target: PathBuf,
    home: PathBuf,
}

impl LayoutWriter {
    /// Writes each of `entries` where nobody waits for it.
    async fn each<T: Send + 'static>(
        &self,
        entries: Vec<T>,
        write: impl Fn(&Self, &T) -> Result<(), ExportError> + Send + 'static,
    ) -> Result<(), ExportError> {
        let writer = self.clone();
        let task =
            spawn_blocking(move || entries.iter().try_for_each(|entry| write(&writer, entry)));
        task.await
            .unwrap_or_else(|error| Error::ended(error).map_err(Into::into))
    }

    fn blob(&self, blob: &Blob) -> Result<(), ExportError> {
        self.link(&format!("_layers/{}", place(&blob.digest)), &blob.digest)
    }

    fn manifest(&self, manifest: &StoredManifest) -> Result<(), ExportError> {
        let to = self.target.join(blob_key(&manifest.digest));
        write(to, &manifest.bytes)?;
        self.link(
            &format!("_manifests/revisions/{}", place(&manifest.digest)),
            &manifest.digest,
        )
    }

    fn tag(&self, (tag, digest): &(Tag, Digest)) -> Result<(), ExportError> {
        self.link(
            &format!("_manifests/tags/{tag}/index/{}", place(digest)),
            digest,
        )?;
        self.link(&format!("_manifests/tags/{tag}/current"), digest)
    }

    fn link(&self, place: &str, digest: &Digest) -> Result<(), ExportError> {
        write(
            self.home.join(place).join("link"),
            digest.to_string().as_bytes(),
        )
    }
}

fn place(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm(), digest.encoded())
}

/// Writes a small file, unless it is there already just so.
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
