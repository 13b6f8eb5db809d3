//! The lock that prevents a second server on a database.
//!
//! SQLite would let two servers share a file. But a server has state outside its database, such as
//! active uploads and failed logins. Two servers would contradict each other.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Locks a database for one server, until it is dropped or the process ends. The kernel holds the lock
/// (flock(2)), so the file that remains has no meaning.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock of the database at `path`. `None` if it is taken, by another process or this one.
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
