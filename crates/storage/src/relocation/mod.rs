//! Relocation: making another storage what this one is.
//!
//! A *pass* compares both and copies, moves and removes what differs: blobs first, then manifests,
//! then tags; what is gone is removed last. This storage may be serving clients meanwhile. A later
//! pass finds what changed since, so passes become short. When this storage does not change any more,
//! a pass without a difference says that both are equal.
//!
//! Nothing is remembered between passes: a pass that was interrupted is repeated.

mod content;
mod rows;

use std::sync::Arc;

use common::Entropy;
use oci::RepositoryName;
use tokio::task::JoinSet;

use crate::{ContentLocation, Error, ListPage, PageRequest, Storage};

/// Repositories that are compared at once.
const REPOSITORIES: usize = 4;
/// Rows that are read at once.
const ROWS: u32 = 500;

/// What a pass has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelocationReport {
    /// Repositories that were compared.
    pub repositories: u64,
    /// Manifests of this storage.
    pub manifests: u64,
    /// Tags of this storage.
    pub tags: u64,
    /// Blobs of this storage, each counted once for each repository.
    pub blobs: u64,
    /// Blobs whose content was copied.
    pub copied_blobs: u64,
    /// The length of that content, in bytes.
    pub copied_bytes: u64,
    /// Blobs that another repository had, manifests and tags that were added or changed.
    pub added: u64,
    /// Blobs, manifests and tags that were removed, because they are gone here.
    pub removed: u64,
    /// Blobs that were not copied, because their content is missing or damaged here.
    pub damaged: u64,
}

impl RelocationReport {
    /// How much was different.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.copied_blobs + self.added + self.removed
    }

    fn add(&mut self, other: Self) {
        let Self {
            repositories,
            manifests,
            tags,
            blobs,
            copied_blobs,
            copied_bytes,
            added,
            removed,
            damaged,
        } = other;
        self.repositories += repositories;
        self.manifests += manifests;
        self.tags += tags;
        self.blobs += blobs;
        self.copied_blobs += copied_blobs;
        self.copied_bytes += copied_bytes;
        self.added += added;
        self.removed += removed;
        self.damaged += damaged;
    }
}

/// Why a pass is not complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelocationError {
    /// An adoption is not complete: what was not read yet would be missing.
    #[error("the adoption of {0} is not complete: images that were not read yet would be missing")]
    HalfRead(ContentLocation),
    /// This storage failed.
    #[error("cannot read the registry that is copied")]
    Source(#[source] Error),
    /// The other storage failed.
    #[error("cannot write to the new registry")]
    Target(#[source] Error),
}

/// Two storages, and what a pass needs beside them.
#[derive(Clone)]
struct Pair {
    source: Storage,
    target: Storage,
    entropy: Arc<dyn Entropy>,
}

impl Storage {
    /// Makes `target` what this storage is. `report` is called after each repository.
    ///
    /// The caller [holds](Self::hold) garbage collection. Blobs that no manifest needs in a repository
    /// without manifests are left out: collection would remove them.
    ///
    /// # Errors
    /// [`RelocationError`]. Called again, it continues.
    pub async fn relocate_to(
        &self,
        target: &Self,
        entropy: Arc<dyn Entropy>,
        mut report: impl FnMut(&RelocationReport) + Send,
    ) -> Result<RelocationReport, RelocationError> {
        let half_read = self.half_read().await.map_err(RelocationError::Source)?;
        if let Some(location) = half_read {
            return Err(RelocationError::HalfRead(location));
        }
        let pair = Pair {
            source: self.clone(),
            target: target.clone(),
            entropy,
        };
        let mut done = RelocationReport::default();
        let (here, there) = (pair.names_here().await?, pair.names_there().await?);
        let gone = there
            .iter()
            .filter(|name| here.binary_search(name).is_err());
        let mut names = here.iter().chain(gone).cloned();
        let mut tasks = JoinSet::new();
        loop {
            let free = REPOSITORIES.saturating_sub(tasks.len());
            for name in names.by_ref().take(free) {
                let pair = pair.clone();
                tasks.spawn(async move { pair.repository(&name).await });
            }
            let Some(repository) = tasks.join_next().await else {
                return Ok(done);
            };
            let repository = repository.unwrap_or_else(|error| {
                Error::from_join_error(error).map_err(RelocationError::Source)
            })?;
            done.add(repository);
            report(&done);
        }
    }
}

impl Pair {
    async fn names_here(&self) -> Result<Vec<RepositoryName>, RelocationError> {
        names(&self.source).await.map_err(RelocationError::Source)
    }

    async fn names_there(&self) -> Result<Vec<RepositoryName>, RelocationError> {
        names(&self.target).await.map_err(RelocationError::Target)
    }

    async fn repository(&self, name: &RepositoryName) -> Result<RelocationReport, RelocationError> {
        let mut done = RelocationReport {
            repositories: 1,
            ..RelocationReport::default()
        };
        let unneeded = self.add_blobs(name, &mut done).await?;
        let manifests = self.add_manifests(name, &mut done).await?;
        self.change_tags(name, &mut done).await?;
        self.remove_manifests(name, manifests, &mut done).await?;
        self.unlink_blobs(name, unneeded, &mut done).await?;
        Ok(done)
    }
}

/// The names of all repositories, sorted.
async fn names(storage: &Storage) -> Result<Vec<RepositoryName>, Error> {
    let mut all = Vec::new();
    let mut page = first_page();
    loop {
        let found = storage.manifests().repositories(page).await?;
        let after = found.entries.last().cloned();
        all.extend(found.entries.iter().filter_map(|name| name.parse().ok()));
        if !found.more {
            all.sort();
            return Ok(all);
        }
        page = PageRequest { after, limit: ROWS };
    }
}

/// Calls `take` with each entry of a list of a repository, page by page. A repository that is gone has no
/// entries.
async fn each_entry<T, K, F>(
    list: impl Fn(PageRequest<K>) -> F,
    key: impl Fn(&T) -> K,
    mut take: impl FnMut(T),
) -> Result<(), Error>
where
    F: Future<Output = Result<ListPage<T>, Error>>,
{
    let mut page = first_page();
    loop {
        let found = match list(page).await {
            Err(Error::RepositoryUnknown) => return Ok(()),
            found => found?,
        };
        let after = found.entries.last().map(&key);
        found.entries.into_iter().for_each(&mut take);
        if !found.more {
            return Ok(());
        }
        page = PageRequest { after, limit: ROWS };
    }
}

fn first_page<T>() -> PageRequest<T> {
    PageRequest {
        after: None,
        limit: ROWS,
    }
}
