//! Taking over a data directory where it lies.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::RepositoryName;
use tokio::task::spawn_blocking;

use super::read::{Reader, is_data_directory};
use super::{Adopted, Problem};
use crate::{Error, Storage, StoreId};

/// Rows in one transaction.
const ROWS: usize = 500;

/// How a data directory is to be adopted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adoption {
    /// Whether every blob is read and compared with its digest. Manifests always are.
    pub check: bool,
}

/// What was adopted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Repositories that were read, of [`of`](Self::of).
    pub repositories: usize,
    /// Repositories that there are.
    pub of: usize,
    /// Manifests that were taken over.
    pub manifests: u64,
    /// Tags that were found.
    pub tags: u64,
    /// Blobs that repositories have, each counted once a repository.
    pub blobs: u64,
    /// What could not be taken over.
    pub problems: Vec<Problem>,
}

/// Why a data directory was not adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// There is nothing of the kind.
    #[error("{} is no data directory of a registry: it has no docker/registry/v2", .0.display())]
    NoDataDirectory(PathBuf),
    /// Its path is not in UTF-8.
    #[error("the path {} is not in UTF-8", .0.display())]
    Path(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The database or the disk failed.
    #[error(transparent)]
    Storage(#[from] Error),
}

impl Storage {
    /// Reads the data directory at `path` into rows. Nothing in it is moved or changed, now or by collection, until
    /// [`finish_adoption`](Self::finish_adoption). An adoption that was interrupted goes on where it was; `report`
    /// hears of the progress after each repository.
    ///
    /// # Errors
    /// [`AdoptError`]. What is wrong with single files is not fatal: it is in the report.
    pub async fn adopt(
        &self,
        path: &Path,
        how: Adoption,
        mut report: impl FnMut(&Report) + Send,
    ) -> Result<Report, AdoptError> {
        let root = open(path)?;
        let place = root.to_str().ok_or_else(|| AdoptError::Path(root.clone()))?;
        let adoption = &self.shared.parts.adoption;
        let (store, done) = adoption.begin(place).await?;
        self.shared.parts.store.add(store, &root)?;
        let root = Arc::new(root);
        let (repositories, problems) = list(&root).await?;
        let mut so_far = Report { of: repositories.len(), problems, ..Report::default() };
        for repository in repositories {
            so_far.repositories += 1;
            if done.as_deref().is_some_and(|done| repository.as_str() <= done) {
                continue;
            }
            let name = repository.to_string();
            let (found, problems) = read(&root, repository, how.check).await?;
            so_far.manifests += found.manifests.len() as u64;
            so_far.tags += found.tags.len() as u64;
            so_far.blobs += found.blobs.len() as u64;
            so_far.problems.extend(problems);
            self.take_over(store, found).await?;
            adoption.progress(store, Some(name)).await?;
            report(&so_far);
        }
        adoption.progress(store, None).await?;
        Ok(so_far)
    }

    /// Declares the adoption of `path` final: what lies there is ours from now on, and collection may remove it. False
    /// where it was never adopted.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn finish_adoption(&self, path: &Path) -> Result<bool, AdoptError> {
        let root = open(path)?;
        let place = root.to_str().ok_or_else(|| AdoptError::Path(root.clone()))?;
        Ok(self.shared.parts.adoption.finish(place).await?)
    }

    /// A large repository in several transactions: blobs, then manifests, then tags.
    async fn take_over(&self, store: StoreId, found: Adopted) -> Result<(), Error> {
        let adoption = &self.shared.parts.adoption;
        let part = || Adopted {
            repository: found.repository.clone(),
            blobs: Vec::new(),
            manifests: Vec::new(),
            tags: Vec::new(),
        };
        for blobs in found.blobs.chunks(ROWS) {
            adoption.adopt(store, Adopted { blobs: blobs.to_vec(), ..part() }).await?;
        }
        for manifests in found.manifests.chunks(ROWS) {
            adoption.adopt(store, Adopted { manifests: manifests.to_vec(), ..part() }).await?;
        }
        for tags in found.tags.chunks(ROWS) {
            adoption.adopt(store, Adopted { tags: tags.to_vec(), ..part() }).await?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<PathBuf, AdoptError> {
    let root = path.canonicalize().map_err(|source| AdoptError::Read { path: path.to_owned(), source })?;
    if is_data_directory(&root) { Ok(root) } else { Err(AdoptError::NoDataDirectory(root)) }
}

async fn list(root: &Arc<PathBuf>) -> Result<(Vec<RepositoryName>, Vec<Problem>), AdoptError> {
    let path = Arc::clone(root);
    let task = spawn_blocking(move || {
        let mut reader = Reader { root: &path, check: false, problems: Vec::new() };
        reader.repositories().map(|repositories| (repositories, reader.problems))
    });
    let listed = task.await.map_or_else(Error::ended, Ok)?;
    listed.map_err(|source| AdoptError::Read { path: root.to_path_buf(), source })
}

async fn read(root: &Arc<PathBuf>, repository: RepositoryName, check: bool) -> Result<(Adopted, Vec<Problem>), Error> {
    let root = Arc::clone(root);
    let task = spawn_blocking(move || {
        let mut reader = Reader { root: &root, check, problems: Vec::new() };
        let found = reader.repository(repository);
        (found, reader.problems)
    });
    task.await.map_or_else(Error::ended, Ok)
}
