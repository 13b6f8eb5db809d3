//! Backup: a copy of everything, of one moment, made while clients push and pull.
//!
//! First, garbage collection is held, so that no content is removed. Then the metadata is copied,
//! which fixes the moment, and then every blob in it. What is pushed meanwhile is not in the copy;
//! what is deleted meanwhile is. The copy is complete in itself: it has no unfinished uploads, and
//! blobs of adopted data directories become its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::blob_store::CopyTarget;
use crate::collection::CollectionHold;
use crate::files::make_directory;
use crate::{BackupBlob, ContentLocation, Error, Storage};

/// How long collection is held after a backup was killed.
const LASTING: Duration = Duration::from_secs(3600);
/// Blobs between two renewals of the hold and two reports.
const BATCH: usize = 64;

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The target exists. A backup never overwrites another.
    #[error("{} exists already: name a new directory", .0.display())]
    Exists(PathBuf),
    /// The target is in the directory that is copied.
    #[error("{} is inside the content that is copied: name a directory elsewhere", .0.display())]
    Inside(PathBuf),
    /// An adoption is not complete: the copy would lack what was not read yet.
    #[error("the adoption of {0} is not complete: images that were not read yet would be missing")]
    HalfRead(ContentLocation),
    /// The metadata is not in an embedded database.
    #[error("the metadata is in a database server: back it up with that server's tools")]
    Unsupported,
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
    /// Copies the metadata to the new file `database`, and the content to the new directory `root`.
    /// `report` is called with the number of copied blobs and of all blobs. `id` is 16 random bytes.
    ///
    /// # Errors
    /// [`BackupError`]. The operator removes what was written until then.
    pub async fn backup(
        &self,
        database: &Path,
        root: &Path,
        id: [u8; 16],
        mut report: impl FnMut(usize, usize) + Send,
    ) -> Result<(), BackupError> {
        for target in [database, root] {
            if target.exists() {
                return Err(BackupError::Exists(target.to_owned()));
            }
            if self.is_within_content(target) {
                return Err(BackupError::Inside(target.to_owned()));
            }
        }
        if let Some(location) = self.half_read().await? {
            return Err(BackupError::HalfRead(location));
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

    /// Whether a path that need not exist is in the directory of our own content.
    fn is_within_content(&self, path: &Path) -> bool {
        let existing = path.ancestors().find_map(|above| above.canonicalize().ok());
        match (&self.shared.home, existing) {
            (Some(ContentLocation::Directory(home)), Some(existing)) => existing.starts_with(home),
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
        let backup = self.shared.metadata.backup.as_ref();
        let backup = backup.ok_or(BackupError::Unsupported)?;
        for directory in [database.parent().unwrap_or(Path::new("")), root] {
            let made = make_directory(directory).map_err(Error::io("make a directory"));
            made.map_err(|source| BackupError::Copy {
                path: directory.to_owned(),
                source,
            })?;
        }
        let location = ContentLocation::absolute(root).map_err(Error::io("find a directory"))?;
        let blobs = backup.copy_to(database).await?;
        let (mut done, all) = (0, blobs.len());
        for batch in blobs.chunks(BATCH) {
            self.hold(hold).await?;
            for BackupBlob { blob, key } in batch {
                let to = CopyTarget {
                    location: location.clone(),
                    key: key.clone(),
                    may_share: false,
                };
                let copied = self.shared.content.copy(blob, &to).await;
                copied.map_err(|source| BackupError::Copy {
                    path: root.join(key),
                    source,
                })?;
            }
            done += batch.len();
            report(done, all);
        }
        Ok(())
    }
}
