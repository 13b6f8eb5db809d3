//! The lock that keeps a second server off a database.
//!
//! SQLite itself would let two servers share a file. But a server remembers things beside its
//! database (which uploads are under way, how often a login failed), and two that do not know of
//! each other would contradict one another.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Holds a database for one server, until it is dropped or the process ends, however it ends: the
/// lock is the kernel's (flock(2)), and the file that stays behind means nothing.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock of the database at `path`; none when another process, or another opening in
    /// this one, has it.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(lock_path(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let first = DataLock::take(&path).unwrap().unwrap();
        assert!(DataLock::take(&path).unwrap().is_none());
        assert!(
            DataLock::take(&directory.path().join("b.db"))
                .unwrap()
                .is_some()
        );
        drop(first);
        assert!(DataLock::take(&path).unwrap().is_some());
    }
}
