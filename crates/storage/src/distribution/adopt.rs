//! Taking over another registry's data in place.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};

use super::layout::BASE;
use super::ongoing::OngoingAdoption;
use super::report::{AdoptError, AdoptionCheck, AdoptionReport};
use crate::{AdoptionStage, ContentLocation, Duty, Error, PageRequest, Storage, Tree};

/// The duty of reading what no client has asked for.
const DUTY: Duty = Duty {
    name: "adoption",
    every: Duration::ZERO,
    lease: Duration::from_secs(30),
};

/// The location of data that are where our own content is. The two can be moved together.
const HERE: &str = ".";

/// Where another registry's data are.
#[derive(Clone, Copy, Debug)]
pub enum RegistryData<'a> {
    /// A data directory. A relative path begins in the working directory.
    Directory(&'a Path),
    /// A bucket and a prefix, as a URL: `s3://bucket/prefix`.
    Bucket(&'a str),
}

impl<'a> From<&'a Path> for RegistryData<'a> {
    fn from(path: &'a Path) -> Self {
        Self::Directory(path)
    }
}

impl<'a> From<&'a PathBuf> for RegistryData<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::Directory(path)
    }
}

/// What a starting server finds where its own content is.
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

/// What became of an adoption in which several servers take turns.
#[derive(Debug)]
pub enum AdoptionTurn {
    /// This server has completed it.
    Complete(AdoptionReport),
    /// Another server has completed it.
    CompleteElsewhere,
    /// Another server is reading.
    Elsewhere,
}

impl Storage {
    /// Reads the data of another registry into rows: [`begin_adoption`](Self::begin_adoption) and
    /// then [`complete_adoption`](Self::complete_adoption).
    ///
    /// # Errors
    /// [`AdoptError`]. Problems of single files are not fatal: they are in the report.
    pub async fn adopt(
        &self,
        data: impl Into<RegistryData<'_>>,
        check: AdoptionCheck,
        report: impl FnMut(&AdoptionReport) + Send,
    ) -> Result<AdoptionReport, AdoptError> {
        let adoption = self.begin_adoption(data, check).await?;
        self.complete_adoption(&adoption, report).await
    }

    /// What a starting server finds in `data`, where its own content is. Another registry's data are
    /// adopted when the server starts for the first time, that is, when it has no image yet. An
    /// adoption that was interrupted continues.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn discover(
        &self,
        data: impl Into<RegistryData<'_>>,
    ) -> Result<Discovery, AdoptError> {
        let data = data.into();
        let Some((location, _)) = self.find(data).await? else {
            return Ok(Discovery::Nothing);
        };
        let rows = &self.shared.metadata.adoption;
        match rows.stage(&location).await? {
            AdoptionStage::Complete | AdoptionStage::Final => return Ok(Discovery::Nothing),
            AdoptionStage::Unknown if self.has_images().await? => return Ok(Discovery::Unrelated),
            AdoptionStage::Unknown | AdoptionStage::Reading => {}
        }
        self.begin_adoption(data, AdoptionCheck::Manifests)
            .await
            .map(Discovery::Unread)
    }

    /// Begins to adopt the data of another registry, or continues after an interruption. From now on
    /// [`ensure_adopted`](Self::ensure_adopted) reads a repository on demand, and
    /// [`complete_adoption`](Self::complete_adoption) reads the rest. None of the data are moved,
    /// changed or removed until [`finalize_adoption`](Self::finalize_adoption).
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn begin_adoption(
        &self,
        data: impl Into<RegistryData<'_>>,
        check: AdoptionCheck,
    ) -> Result<Arc<OngoingAdoption>, AdoptError> {
        let (location, tree) = self.find_some(data.into()).await?;
        let rows = &self.shared.metadata.adoption;
        let progress = rows.begin(&location).await?;
        let store = progress.store;
        let resolved = self.shared.resolve(&location);
        self.shared.content.add(store, &resolved)?;
        let adoption = Arc::new(OngoingAdoption::new(
            Arc::clone(rows),
            location,
            resolved,
            tree,
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
        let at_once = adoption.parallel_repositories();
        let mut tasks = JoinSet::new();
        loop {
            for name in names.by_ref().take(at_once.saturating_sub(tasks.len())) {
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
        self.end_reading(adoption);
        Ok(std::mem::take(&mut adoption.found()))
    }

    /// The same for a server that may share the storage with others: one of them reads at a time. If it
    /// stops, another one continues when it tries next.
    ///
    /// # Errors
    /// As [`complete_adoption`](Self::complete_adoption).
    pub async fn complete_adoption_in_turn(
        &self,
        adoption: &Arc<OngoingAdoption>,
        report: impl FnMut(&AdoptionReport) + Send,
    ) -> Result<AdoptionTurn, AdoptError> {
        let rows = &self.shared.metadata.adoption;
        let stage = rows.stage(adoption.row()).await?;
        if matches!(stage, AdoptionStage::Complete | AdoptionStage::Final) {
            self.end_reading(adoption);
            return Ok(AdoptionTurn::CompleteElsewhere);
        }
        let work = self.complete_adoption(adoption, report);
        Ok(match self.in_turn(DUTY, work).await? {
            Some(report) => AdoptionTurn::Complete(report),
            None => AdoptionTurn::Elsewhere,
        })
    }

    /// Requests look for nothing more in what was read.
    fn end_reading(&self, adoption: &Arc<OngoingAdoption>) {
        self.shared
            .ongoing()
            .retain(|other| !Arc::ptr_eq(other, adoption));
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

    /// Makes a complete adoption of `data` final: the content is ours from now on, and garbage
    /// collection may remove it. Returns the stage after that.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub async fn finalize_adoption(
        &self,
        data: impl Into<RegistryData<'_>>,
    ) -> Result<AdoptionStage, AdoptError> {
        let (location, _) = self.find_some(data.into()).await?;
        let rows = &self.shared.metadata.adoption;
        Ok(rows.finish(&location).await?)
    }

    /// A location whose adoption is not complete: rows lack what was not read yet. A location that
    /// is gone does not count, because nothing more can be read from it.
    pub(crate) async fn half_read(&self) -> Result<Option<ContentLocation>, Error> {
        for location in self.shared.metadata.adoption.unfinished().await? {
            let location = self.shared.resolve(&location);
            let Ok(tree) = self.shared.content.tree(&location) else {
                continue;
            };
            let task = spawn_blocking(move || check_data(&*tree).is_ok());
            if task.await.map_or_else(Error::from_join_error, Ok)? {
                return Ok(Some(location));
            }
        }
        Ok(None)
    }

    /// Whether any repository has a manifest.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn has_images(&self) -> Result<bool, Error> {
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

    async fn find_some(
        &self,
        data: RegistryData<'_>,
    ) -> Result<(ContentLocation, Arc<dyn Tree>), AdoptError> {
        let missing = || match data {
            RegistryData::Directory(path) => ContentLocation::Directory(path.to_owned()),
            RegistryData::Bucket(url) => ContentLocation::Bucket(url.to_owned()),
        };
        let found = self.find(data).await?;
        found.ok_or_else(|| AdoptError::NoData(missing()))
    }

    /// The location of another registry's data, as rows have it, and a tree that reads them.
    async fn find(
        &self,
        data: RegistryData<'_>,
    ) -> Result<Option<(ContentLocation, Arc<dyn Tree>)>, AdoptError> {
        let absolute = match data {
            RegistryData::Directory(path) => ContentLocation::Directory(canonical(path)?),
            RegistryData::Bucket(url) => {
                ContentLocation::Bucket(url.trim_end_matches('/').to_owned())
            }
        };
        let unreadable = |source| AdoptError::Read {
            location: absolute.clone(),
            source,
        };
        let tree = self.shared.content.tree(&absolute).map_err(unreadable)?;
        let reader = Arc::clone(&tree);
        let task = spawn_blocking(move || check_data(&*reader));
        match task.await.map_or_else(Error::from_join_error, Ok)? {
            Ok(()) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(unreadable(source)),
        }
        let location = match absolute {
            here if self.shared.home.as_ref() == Some(&here) => {
                ContentLocation::Directory(PathBuf::from(HERE))
            }
            ContentLocation::Directory(path) if path.to_str().is_none() => {
                return Err(AdoptError::Path(path));
            }
            elsewhere => elsewhere,
        };
        Ok(Some((location, tree)))
    }
}

/// Requires that a tree has a registry's data.
fn check_data(tree: &dyn Tree) -> io::Result<()> {
    let listed = tree.list(&[BASE.to_owned()]).pop();
    listed.unwrap_or(Ok(Vec::new())).map(drop)
}

/// The path without symbolic links.
fn canonical(path: &Path) -> Result<PathBuf, AdoptError> {
    path.canonicalize().map_err(|source| AdoptError::Read {
        location: ContentLocation::Directory(path.to_owned()),
        source,
    })
}
