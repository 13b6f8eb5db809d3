//! Taking over a data directory in place.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::layout::BASE;
use super::ongoing::OngoingAdoption;
use super::report::{AdoptError, AdoptionCheck, AdoptionReport};
use super::tree;
use crate::{AdoptionStage, ContentLocation, Error, PageRequest, Storage};

/// Repositories that are read at once: their rows share commits.
const AT_ONCE: usize = 8;

/// The location of a data directory that is the directory of our own content. The two can be moved
/// together.
const HERE: &str = ".";

/// What a starting server finds in the directory of its own content.
#[derive(Debug)]
pub enum Discovery {
    /// No data directory, or one that was adopted.
    Nothing,
    /// A data directory that is to be read.
    Unread(Arc<OngoingAdoption>),
    /// A data directory that was never adopted, while there are images of our own. The operator
    /// must say whether they belong together.
    Unrelated,
}

impl Storage {
    /// Reads the data directory at `path` into rows: [`begin_adoption`](Self::begin_adoption) and
    /// then [`complete_adoption`](Self::complete_adoption).
    ///
    /// # Errors
    /// [`AdoptError`]. Problems of single files are not fatal: they are in the report.
    pub async fn adopt(
        &self,
        path: &Path,
        check: AdoptionCheck,
        report: impl FnMut(&AdoptionReport) + Send,
    ) -> Result<AdoptionReport, AdoptError> {
        let adoption = self.begin_adoption(path, check).await?;
        self.complete_adoption(&adoption, report).await
    }

    /// What a starting server finds at `root`, the directory of its own content. A data directory is
    /// adopted when the server starts for the first time, that is, when it has no image yet. An
    /// adoption that was interrupted continues.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn discover(&self, root: &Path) -> Result<Discovery, AdoptError> {
        let root = match open(root) {
            Err(AdoptError::NoDataDirectory(_)) => return Ok(Discovery::Nothing),
            opened => opened?,
        };
        let rows = &self.shared.metadata.adoption;
        match rows.stage(&self.location(&root)?).await? {
            AdoptionStage::Complete | AdoptionStage::Final => return Ok(Discovery::Nothing),
            AdoptionStage::Unknown if self.has_images().await? => return Ok(Discovery::Unrelated),
            AdoptionStage::Unknown | AdoptionStage::Reading => {}
        }
        self.begin_adoption(&root, AdoptionCheck::Manifests)
            .await
            .map(Discovery::Unread)
    }

    /// Begins to adopt the data directory at `path`, or continues after an interruption. From now on
    /// [`ensure_adopted`](Self::ensure_adopted) reads a repository on demand, and
    /// [`complete_adoption`](Self::complete_adoption) reads the rest. Nothing in the directory is
    /// moved, changed or removed until [`finalize_adoption`](Self::finalize_adoption).
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn begin_adoption(
        &self,
        path: &Path,
        check: AdoptionCheck,
    ) -> Result<Arc<OngoingAdoption>, AdoptError> {
        let root = open(path)?;
        let rows = &self.shared.metadata.adoption;
        let progress = rows.begin(&self.location(&root)?).await?;
        let store = progress.store;
        let location = ContentLocation::Directory(root);
        self.shared.content.add(store, &location)?;
        let adoption = Arc::new(OngoingAdoption::new(
            Arc::clone(rows),
            location,
            check,
            progress,
        ));
        let mut ongoing = self.shared.ongoing();
        ongoing.retain(|other| other.store != store);
        ongoing.push(Arc::clone(&adoption));
        drop(ongoing);
        Ok(adoption)
    }

    /// Reads every repository that was not read yet, and completes the adoption. `report` is called
    /// after each repository.
    ///
    /// # Errors
    /// [`AdoptError`]. Called again, it continues.
    pub async fn complete_adoption(
        &self,
        adoption: &Arc<OngoingAdoption>,
        mut report: impl FnMut(&AdoptionReport) + Send,
    ) -> Result<AdoptionReport, AdoptError> {
        let mut names = adoption.list().await?.into_iter();
        adoption.begin_count(names.len());
        let mut tasks = JoinSet::new();
        loop {
            for name in names.by_ref().take(AT_ONCE - tasks.len()) {
                let adoption = Arc::clone(adoption);
                tasks.spawn(async move { adoption.ensure_adopted(&name).await });
            }
            let Some(read) = tasks.join_next().await else {
                break;
            };
            read.unwrap_or_else(Error::from_join_error)?;
            let mut found = adoption.found();
            found.repositories += 1;
            report(&found);
        }
        self.shared.metadata.adoption.end(adoption.store).await?;
        self.shared
            .ongoing()
            .retain(|other| !Arc::ptr_eq(other, adoption));
        Ok(std::mem::take(&mut adoption.found()))
    }

    /// Reads a repository that an ongoing adoption has not read yet. Every request for something in
    /// a repository calls this first.
    ///
    /// # Errors
    /// If the disk or the database fails.
    pub async fn ensure_adopted(&self, repository: &oci::RepositoryName) -> Result<(), Error> {
        let ongoing = self.shared.ongoing().clone();
        for adoption in ongoing {
            adoption.ensure_adopted(repository).await?;
        }
        Ok(())
    }

    /// Makes a complete adoption of `path` final: the content is ours from now on, and garbage
    /// collection may remove it. Returns the stage after that.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn finalize_adoption(&self, path: &Path) -> Result<AdoptionStage, AdoptError> {
        let location = self.location(&open(path)?)?;
        let rows = &self.shared.metadata.adoption;
        Ok(rows.finish(&location).await?)
    }

    /// A location whose adoption is not complete: rows lack what was not read yet. A location that
    /// is gone does not count, because nothing more can be read from it.
    pub(crate) async fn half_read(&self) -> Result<Option<ContentLocation>, Error> {
        let unfinished = self.shared.metadata.adoption.unfinished().await?;
        let mut locations = unfinished
            .iter()
            .map(|location| self.shared.resolve(location));
        Ok(locations.find(tree::has_data))
    }

    async fn has_images(&self) -> Result<bool, Error> {
        Ok(!self
            .manifests()
            .repositories(PageRequest {
                after: None,
                limit: 1,
            })
            .await?
            .entries
            .is_empty())
    }

    /// The location of a data directory, as rows have it.
    fn location(&self, root: &Path) -> Result<ContentLocation, AdoptError> {
        if self.shared.home.as_deref() == Some(root) {
            return Ok(ContentLocation::Directory(PathBuf::from(HERE)));
        }
        if root.to_str().is_none() {
            return Err(AdoptError::Path(root.to_owned()));
        }
        Ok(ContentLocation::Directory(root.to_owned()))
    }
}

/// The path without symbolic links, if it is that of a data directory.
fn open(path: &Path) -> Result<PathBuf, AdoptError> {
    let unreadable = |path: PathBuf| {
        let location = ContentLocation::Directory(path);
        move |source| AdoptError::Read { location, source }
    };
    let canonical = path.canonicalize();
    let root = canonical.map_err(unreadable(path.to_owned()))?;
    match root.join(BASE).read_dir() {
        Ok(_) => Ok(root),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(AdoptError::NoDataDirectory(root))
        }
        Err(source) => Err(unreadable(root.join(BASE))(source)),
    }
}
