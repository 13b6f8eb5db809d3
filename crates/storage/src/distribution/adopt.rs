//! Taking over a data directory where it lies.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::ongoing::OngoingAdoption;
use super::{AdoptionProblem, BASE};
use crate::{AdoptionStage, Error, PageRequest, Storage};

/// Repositories that are read at once: their rows share commits.
const AT_ONCE: usize = 8;

/// The place of a data directory that lies in the very folder of our own content. It moves with
/// that folder.
const HERE: &str = ".";

/// What is compared with its digest while it is adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptionCheck {
    /// Manifests, which are read in any case.
    Manifests,
    /// Every blob, too.
    Everything,
}

/// What was adopted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdoptionReport {
    /// Repositories that are done, of [`of`](Self::of).
    pub repositories: usize,
    /// Repositories that there are.
    pub of: usize,
    /// Manifests that were taken over, in this run and in those before it.
    pub manifests: u64,
    /// Tags that were found, likewise.
    pub tags: u64,
    /// Blobs that repositories have, each counted once a repository, likewise.
    pub blobs: u64,
    /// What could not be taken over.
    pub problems: Vec<AdoptionProblem>,
}

/// What a server finds where its content is to lie.
#[derive(Debug)]
pub enum Discovery {
    /// No data directory, or one that was adopted.
    Nothing,
    /// A data directory that is to be read.
    Unread(Arc<OngoingAdoption>),
    /// A data directory that was never adopted, while there are images of our own: whether they
    /// belong together is for somebody else to say.
    Unrelated,
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
    /// Reads the data directory at `path` into rows: [`begin_adoption`](Self::begin_adoption) and
    /// then [`complete_adoption`](Self::complete_adoption).
    ///
    /// # Errors
    /// [`AdoptError`]. What is wrong with single files is not fatal: it is in the report.
    pub async fn adopt(
        &self,
        path: &Path,
        check: AdoptionCheck,
        report: impl FnMut(&AdoptionReport) + Send,
    ) -> Result<AdoptionReport, AdoptError> {
        let reading = self.begin_adoption(path, check).await?;
        self.complete_adoption(&reading, report).await
    }

    /// What a server that starts finds at `root`, where its own content is to lie. A data directory
    /// is adopted when the server starts for the first time, that is, when it has no image yet; and
    /// an adoption that was interrupted goes on.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn discover(&self, root: &Path) -> Result<Discovery, AdoptError> {
        let root = match open(root) {
            Err(AdoptError::NoDataDirectory(_)) => return Ok(Discovery::Nothing),
            opened => opened?,
        };
        match self
            .shared
            .backends
            .adoption
            .stage(self.place(&root)?)
            .await?
        {
            AdoptionStage::Complete | AdoptionStage::Final => return Ok(Discovery::Nothing),
            AdoptionStage::Unknown if self.has_images().await? => return Ok(Discovery::Unrelated),
            AdoptionStage::Unknown | AdoptionStage::Reading => {}
        }
        self.begin_adoption(&root, AdoptionCheck::Manifests)
            .await
            .map(Discovery::Unread)
    }

    /// Begins to adopt the data directory at `path`, or goes on where this was interrupted. From
    /// now on [`ensure_adopted`](Self::ensure_adopted) reads of it what somebody asks for;
    /// [`complete_adoption`](Self::complete_adoption) reads the rest. Nothing in it is moved or changed, now
    /// or by collection, until [`finalize_adoption`](Self::finalize_adoption).
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn begin_adoption(
        &self,
        path: &Path,
        check: AdoptionCheck,
    ) -> Result<Arc<OngoingAdoption>, AdoptError> {
        let root = open(path)?;
        let rows = &self.shared.backends.adoption;
        let progress = rows.begin(self.place(&root)?).await?;
        let store = progress.store;
        self.shared.backends.store.add(store, &root)?;
        let reading = Arc::new(OngoingAdoption::new(
            Arc::clone(rows),
            root,
            check,
            progress,
        ));
        let mut readings = self.shared.readings();
        readings.retain(|other| other.store != store);
        readings.push(Arc::clone(&reading));
        drop(readings);
        Ok(reading)
    }

    /// Reads every repository that was not read yet, and ends the adoption. `report` hears of the
    /// progress after each repository.
    ///
    /// # Errors
    /// [`AdoptError`]; called again, it goes on where it was.
    pub async fn complete_adoption(
        &self,
        reading: &Arc<OngoingAdoption>,
        mut report: impl FnMut(&AdoptionReport) + Send,
    ) -> Result<AdoptionReport, AdoptError> {
        let mut names = reading.list().await?.into_iter();
        reading.begin_count(names.len());
        let mut tasks = JoinSet::new();
        loop {
            for name in names.by_ref().take(AT_ONCE - tasks.len()) {
                let reading = Arc::clone(reading);
                tasks.spawn(async move { reading.ensure_adopted(&name).await });
            }
            let Some(read) = tasks.join_next().await else {
                break;
            };
            read.unwrap_or_else(Error::ended)?;
            let mut found = reading.found();
            found.repositories += 1;
            report(&found);
        }
        self.shared.backends.adoption.end(reading.store).await?;
        self.shared
            .readings()
            .retain(|other| !Arc::ptr_eq(other, reading));
        Ok(std::mem::take(&mut reading.found()))
    }

    /// Makes sure that all of a repository is in rows, should an adoption be under way that has not
    /// come to it. Whoever is about to ask for something in a repository calls this first.
    ///
    /// # Errors
    /// When the disk or the database fails.
    pub async fn ensure_adopted(&self, repository: &oci::RepositoryName) -> Result<(), Error> {
        let readings = self.shared.readings().clone();
        for reading in readings {
            reading.ensure_adopted(repository).await?;
        }
        Ok(())
    }

    /// Declares the adoption of `path` final, if it has come to its end: what lies there is ours
    /// from now on, and collection may remove it. Answers the stage that it is in then.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn finalize_adoption(&self, path: &Path) -> Result<AdoptionStage, AdoptError> {
        let root = open(path)?;
        Ok(self
            .shared
            .backends
            .adoption
            .finish(self.place(&root)?)
            .await?)
    }

    /// A data directory whose adoption is not at its end: what was not read yet is missing in
    /// everything that is made of rows. None where the directory is gone, of which nothing more can
    /// be read.
    pub(crate) async fn half_read(&self) -> Result<Option<PathBuf>, Error> {
        let places = self.shared.backends.adoption.unfinished().await?;
        Ok(places
            .iter()
            .find_map(|place| open(&self.shared.resolve(place.as_ref())).ok()))
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

    /// What a data directory is called in rows.
    fn place<'a>(&self, root: &'a Path) -> Result<&'a str, AdoptError> {
        if self.shared.home.as_deref() == Some(root) {
            return Ok(HERE);
        }
        root.to_str()
            .ok_or_else(|| AdoptError::Path(root.to_owned()))
    }
}

/// The path without symbolic links, if it is that of a data directory.
fn open(path: &Path) -> Result<PathBuf, AdoptError> {
    let read = |source| AdoptError::Read {
        path: path.to_owned(),
        source,
    };
    let root = path.canonicalize().map_err(read)?;
    match root.join(BASE).read_dir() {
        Ok(_) => Ok(root),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(AdoptError::NoDataDirectory(root))
        }
        Err(source) => Err(AdoptError::Read {
            path: root.join(BASE),
            source,
        }),
    }
}
