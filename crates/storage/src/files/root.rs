//! The directories that have blobs.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Access;

use super::StorageOpenError;

/// A directory that has blobs, open, so that a file is found by its key alone.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    pub(super) directory: Arc<File>,
    /// Whether another program wrote it: then no link out of it is followed.
    pub(super) is_foreign: bool,
}

impl Root {
    pub(super) fn open(path: PathBuf, is_foreign: bool) -> io::Result<Self> {
        let directory = Arc::new(File::open(&path)?);
        Ok(Self {
            path,
            directory,
            is_foreign,
        })
    }
}

/// Requires that this process may read and write all directories, which are few.
pub(super) fn check_access(root: &Path) -> Result<(), StorageOpenError> {
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    // A read-only file system is no matter of owners: a registry in maintenance serves it.
    let is_ours = |path: &Path| {
        let result = rustix::fs::access(path, access).map_err(rustix::io::Errno::kind);
        matches!(result, Ok(()) | Err(ErrorKind::ReadOnlyFilesystem))
    };
    let mut open = vec![root.to_owned(), root.join("uploads"), root.join("blobs")];
    for depth in 1..=2 {
        if let Some(refused) = open.iter().find(|path| !is_ours(path)) {
            return Err(StorageOpenError::NotOurs(refused.clone()));
        }
        open = subdirectories(&root.join("blobs"), depth).map_err(|source| {
            StorageOpenError::Unreachable {
                path: root.join("blobs"),
                source,
            }
        })?;
    }
    match open.into_iter().find(|path| !is_ours(path)) {
        Some(refused) => Err(StorageOpenError::NotOurs(refused)),
        None => Ok(()),
    }
}

/// The directories `levels` levels below `top`.
pub(super) fn subdirectories(top: &Path, levels: usize) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![top.to_owned()];
    for _ in 0..levels {
        let mut below = Vec::new();
        for directory in found {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    below.push(entry.path());
                }
            }
        }
        found = below;
    }
    Ok(found)
}
