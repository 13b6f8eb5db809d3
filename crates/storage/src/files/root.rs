//! The directories that have blobs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Access;
use rustix::io::Errno;

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
    let mut open = vec![root.to_owned(), root.join("uploads"), root.join("blobs")];
    for depth in 1..=2 {
        open.iter().try_for_each(|path| check_directory(path))?;
        open = subdirectories(&root.join("blobs"), depth).map_err(|source| {
            StorageOpenError::Unreachable {
                path: root.join("blobs"),
                source,
            }
        })?;
    }
    open.iter().try_for_each(|path| check_directory(path))
}

fn check_directory(path: &Path) -> Result<(), StorageOpenError> {
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::access(path, access) {
        // A read-only file system is no matter of owners: a registry in maintenance serves it.
        Ok(()) | Err(Errno::ROFS) => Ok(()),
        Err(Errno::ACCESS | Errno::PERM) => Err(StorageOpenError::NotOurs(path.to_owned())),
        // Such as a symbolic link to nothing.
        Err(error) => Err(StorageOpenError::Unreachable {
            path: path.to_owned(),
            source: error.into(),
        }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nothing_is_no_matter_of_owners() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("uploads")).unwrap();
        let blobs = root.path().join("blobs");
        std::os::unix::fs::symlink("/nowhere", &blobs).unwrap();
        let refused = check_access(root.path());
        assert!(
            matches!(&refused, Err(StorageOpenError::Unreachable { path, .. }) if *path == blobs),
            "{refused:?}"
        );
    }
}
