//! A copy of everything, of one moment, made while everybody works.
//!
//! Collection is held first, so that no file goes; then the metadata is copied, which fixes the
//! moment; then every blob that it speaks of. What is pushed meanwhile is not in the copy, what is
//! deleted meanwhile still is. The copy is whole by itself: it has no uploads under way, and blobs
//! of adopted data directories are its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::collection::CollectionHold;
use crate::files::make_directory;
use crate::{Error, Storage};

/// How long collection stays held by a backup that has died.
const LASTING: Duration = Duration::from_secs(3600);
/// Blobs between two renewals of the hold and two reports.
const BATCH: usize = 64;

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Something is there already; a backup never writes over another.
    #[error("{} exists already: name a new directory", .0.display())]
    Exists(PathBuf),
    /// It would lie in the directory that is copied.
    #[error("{} lies within the content that is to be copied: name a directory elsewhere", .0.display())]
    Inside(PathBuf),
    /// A data directory is still being adopted: what was not read yet would be missing.
    #[error("{} is not adopted to its end: what was not read yet would be missing", .0.display())]
    HalfRead(PathBuf),
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// The database or the disk failed.
    #[error(transparent)]
    Storage(#[from] Error),
}

impl Storage {
    /// Copies the metadata to the new file `database` and the content to the new directory `root`,
    /// and reports blobs copied and blobs in all as it goes. `id` is nobody else's: 16 bytes at
    /// random.
    ///
    /// # Errors
    /// [`BackupError`]; what was written until then is left for the operator to look at and remove.
    pub async fn backup(
        &self,
        database: &Path,
        root: &Path,
        id: [u8; 16],
        mut report: impl FnMut(usize, usize) + Send,
    ) -> Result<(), BackupError> {
        for place in [database, root] {
            if place.exists() {
                return Err(BackupError::Exists(place.to_owned()));
            }
            if self.is_within_content(place) {
                return Err(BackupError::Inside(place.to_owned()));
            }
        }
        if let Some(directory) = self.half_read().await? {
            return Err(BackupError::HalfRead(directory));
        }
        let hold = CollectionHold {
            id,
            lasting: LASTING,
        };
        self.hold(hold).await?;
        let copied = self.copy(database, root, hold, &mut report).await;
        self.release(hold).await?;
        copied
    }

    /// Whether a path that need not exist yet lies in the directory of our own content.
    fn is_within_content(&self, path: &Path) -> bool {
        let existing = path.ancestors().find_map(|above| above.canonicalize().ok());
        match (&self.shared.home, existing) {
            (Some(home), Some(existing)) => existing.starts_with(home),
            _ => false,
        }
    }

    async fn copy(
        &self,
        database: &Path,
        root: &Path,
        hold: CollectionHold,
        report: &mut (impl FnMut(usize, usize) + Send),
    ) -> Result<(), BackupError> {
        for directory in [database.parent().unwrap_or(Path::new("")), root] {
            let made = make_directory(directory).map_err(Error::io("make a directory"));
            made.map_err(|source| BackupError::Copy {
                path: directory.to_owned(),
                source,
            })?;
        }
        let blobs = self.shared.backends.inventory.copy_to(database).await?;
        let (mut done, all) = (0, blobs.len());
        for batch in blobs.chunks(BATCH) {
            self.hold(hold).await?;
            for (blob, key) in batch {
                let to = root.join(key);
                let copied = self.shared.backends.store.copy(blob, &to, false).await;
                copied.map_err(|source| BackupError::Copy { path: to, source })?;
            }
            done += batch.len();
            report(done, all);
        }
        Ok(())
    }
}
