//! A data directory that is being read into rows, one repository at a time. A repository that a
//! request needs is read first. So everything in the directory can be pulled at once.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oci::RepositoryName;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::problem::AdoptionProblem;
use super::reader::DataDirectoryReader;
use super::report::{AdoptError, AdoptionCheck, AdoptionReport};
use crate::seams::{AdoptionTotals, RepositoryPart};
use crate::{AdoptionProgress, AdoptionStore, ContentLocation, Error, RemotePart, StoreId, Tree};

/// When a client may try again while another registry's data cannot be reached.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Rows in one transaction.
const ROWS: usize = 500;

/// An adoption that this process has begun with
/// [`Storage::begin_adoption`](crate::Storage::begin_adoption).
#[derive(Debug)]
pub struct OngoingAdoption {
    pub(super) store: StoreId,
    /// The location as its row has it.
    row: ContentLocation,
    location: ContentLocation,
    tree: Arc<dyn Tree>,
    check: AdoptionCheck,
    rows: Arc<dyn AdoptionStore>,
    /// Repositories that are read or being read. Each is read once; other requests for it wait.
    repositories: Mutex<HashMap<RepositoryName, Arc<OnceCell<()>>>>,
    found: Mutex<AdoptionReport>,
}

impl OngoingAdoption {
    /// An adoption that continues after the repositories of `done`.
    pub(super) fn new(
        rows: Arc<dyn AdoptionStore>,
        row: ContentLocation,
        location: ContentLocation,
        tree: Arc<dyn Tree>,
        check: AdoptionCheck,
        AdoptionProgress {
            store,
            done,
            totals,
        }: AdoptionProgress,
    ) -> Self {
        let done = done
            .into_iter()
            .map(|name| (name, Arc::new(OnceCell::new_with(Some(())))));
        let repositories = Mutex::new(done.collect());
        Self {
            store,
            row,
            location,
            tree,
            check,
            rows,
            repositories,
            found: Mutex::new(AdoptionReport {
                manifests: totals.manifests,
                tags: totals.tags,
                blobs: totals.blobs,
                ..AdoptionReport::default()
            }),
        }
    }

    pub(super) fn row(&self) -> &ContentLocation {
        &self.row
    }

    /// How many repositories are read at once: their rows share commits.
    pub(super) fn parallel_repositories(&self) -> usize {
        self.tree.parallel_repositories().max(1)
    }

    /// Every repository, by name.
    pub(super) async fn list(self: &Arc<Self>) -> Result<Vec<RepositoryName>, AdoptError> {
        let adoption = Arc::clone(self);
        let task = spawn_blocking(move || {
            adoption.tree.prepare()?;
            let mut reader = DataDirectoryReader::new(&*adoption.tree, AdoptionCheck::Manifests);
            reader.repositories().map(|names| (names, reader.problems))
        });
        let listed = task.await.map_or_else(Error::from_join_error, Ok)?;
        let (names, problems) = listed.map_err(|source| AdoptError::Read {
            location: self.location.clone(),
            source,
        })?;
        self.found().problems.extend(problems);
        Ok(names)
    }

    /// Reads a repository, if there is one of this name and it was not read yet.
    pub(crate) async fn ensure_adopted(
        self: &Arc<Self>,
        name: &RepositoryName,
    ) -> Result<(), Error> {
        let known = lock(&self.repositories).get(name).cloned();
        let cell = match known {
            Some(cell) => cell,
            // Only existing repositories take memory: a client may ask for any name.
            None if self.has(name).await? => {
                Arc::clone(lock(&self.repositories).entry(name.clone()).or_default())
            }
            None => return Ok(()),
        };
        cell.get_or_try_init(|| self.read(name)).await.copied()
    }

    async fn has(self: &Arc<Self>, name: &RepositoryName) -> Result<bool, Error> {
        let (adoption, name) = (Arc::clone(self), name.clone());
        let task = spawn_blocking(move || {
            DataDirectoryReader::new(&*adoption.tree, AdoptionCheck::Manifests).has(&name)
        });
        task.await
            .map_or_else(Error::from_join_error, Ok)?
            .map_err(failed("look for a repository in an adopted data directory"))
    }

    async fn read(self: &Arc<Self>, name: &RepositoryName) -> Result<(), Error> {
        let (adoption, name) = (Arc::clone(self), name.clone());
        let task = spawn_blocking(move || {
            let mut reader = DataDirectoryReader::new(&*adoption.tree, adoption.check);
            Ok((reader.repository(name)?, reader.problems))
        });
        let read = task.await.map_or_else(Error::from_join_error, Ok)?;
        let (found, problems) = read.map_err(failed("read an adopted data directory"))?;
        let totals = found.totals.unwrap_or_default();
        for part in parts(found) {
            self.rows.adopt(self.store, part).await?;
        }
        self.found().add(totals, problems);
        Ok(())
    }

    /// Counts repositories from 0 again, of `of`.
    pub(super) fn begin_count(&self, of: usize) {
        let mut found = self.found();
        (found.repositories, found.of) = (0, of);
    }

    /// What was found so far.
    pub(super) fn found(&self) -> MutexGuard<'_, AdoptionReport> {
        lock(&self.found)
    }
}

impl AdoptionReport {
    fn add(&mut self, totals: AdoptionTotals, problems: Vec<AdoptionProblem>) {
        self.manifests += totals.manifests;
        self.tags += totals.tags;
        self.blobs += totals.blobs;
        self.problems.extend(problems);
    }
}

/// For `map_err`: the failure of an action. A tree that cannot be reached may be reached again.
fn failed(action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        ErrorKind::HostUnreachable => {
            tracing::error!(cause = %error, "cannot {action}");
            Error::Unavailable {
                what: RemotePart::Content,
                retry_after: RETRY_AFTER,
            }
        }
        _ => Error::io(action)(error),
    }
}

/// A repository in parts of at most [`ROWS`] rows, so that other writes need not wait for long:
/// first blobs, then manifests, then the tags that point at them.
fn parts(found: RepositoryPart) -> Vec<RepositoryPart> {
    let RepositoryPart {
        repository,
        blobs,
        manifests,
        tags,
        totals,
    } = found;
    let empty = || RepositoryPart {
        repository: repository.clone(),
        blobs: Vec::new(),
        manifests: Vec::new(),
        tags: Vec::new(),
        totals: None,
    };
    let (mut parts, mut part, mut rows) = (Vec::new(), empty(), 0);
    let mut room = |part: &mut RepositoryPart| {
        rows += 1;
        if rows > ROWS {
            rows = 1;
            parts.push(std::mem::replace(part, empty()));
        }
    };
    for blob in blobs {
        room(&mut part);
        part.blobs.push(blob);
    }
    for manifest in manifests {
        room(&mut part);
        part.manifests.push(manifest);
    }
    for tag in tags {
        room(&mut part);
        part.tags.push(tag);
    }
    part.totals = Some(totals.unwrap_or_default());
    parts.push(part);
    parts
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::AdoptedBlob;
    use crate::hash;

    fn blob(number: usize) -> AdoptedBlob {
        let digest = hash::digest(oci::DigestAlgorithm::Sha256, &number.to_be_bytes());
        AdoptedBlob {
            digest,
            size: 8,
            key: String::new(),
        }
    }

    #[test]
    fn the_last_part_and_no_other_ends_a_repository() {
        for (blobs, expected) in [(0, 1), (1, 1), (ROWS, 1), (ROWS + 1, 2), (3 * ROWS, 3)] {
            let blobs: Vec<_> = (0..blobs).map(blob).collect();
            let repository = "a".parse().unwrap();
            let whole = RepositoryPart {
                repository,
                blobs: blobs.clone(),
                manifests: vec![],
                tags: vec![],
                totals: Some(AdoptionTotals::default()),
            };
            let parts = parts(whole);
            assert_eq!(parts.len(), expected);
            assert!(
                parts
                    .iter()
                    .rev()
                    .enumerate()
                    .all(|(back, part)| part.totals.is_some() == (back == 0))
            );
            assert_eq!(
                parts
                    .into_iter()
                    .flat_map(|part| part.blobs)
                    .collect::<Vec<_>>(),
                blobs
            );
        }
    }
}
