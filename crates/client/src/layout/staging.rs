//! Files that are on their way into a layout. They lie in a directory of their own, which is removed
//! when it is empty, and each is written by one transfer at a time.
//!
//! A file has a fixed name, so that a transfer that was broken off can continue. Others who may write
//! into the layout can prepare that name, so links are never followed there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::Error;

/// The directory's name.
const NAME: &str = ".wharfinger";
/// How often a file is opened again because another transfer took it, or the directory, away.
const ATTEMPTS: usize = 1000;

/// The directory of a layout.
#[derive(Clone, Debug)]
pub(super) struct StagingDirectory(PathBuf);

impl StagingDirectory {
    pub(super) fn of(layout: &Path) -> Self {
        Self(layout.join(NAME))
    }

    /// The path of the file called `name`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Opens the file called `name` for this transfer alone, and creates it if it is missing. Waits
    /// for another transfer that has it open.
    pub(super) async fn open(&self, name: &str) -> Result<File, Error> {
        let path = self.path(name);
        for _ in 0..ATTEMPTS {
            let file = self.within(|| open_no_follow(&path));
            let file = lock(file.map_err(Error::file(&path))?, &path).await?;
            // The transfer that had it before has renamed or deleted it: it is not this one's.
            if is_at(&file, &path).map_err(Error::file(&path))? {
                return Ok(file);
            }
        }
        Err(Error::file(&path)(io::Error::other(
            "other transfers keep replacing the file",
        )))
    }

    /// Writes `path`, whole or not at all.
    pub(super) fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let write = || {
            let mut file = tempfile::Builder::new()
                .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
                .tempfile_in(&self.0)?;
            file.write_all(bytes)?;
            file.persist(path).map_err(|error| error.error)
        };
        self.within(write).map(drop).map_err(Error::file(path))
    }

    /// Removes the directory if it is empty.
    pub(super) fn tidy(&self) {
        let _ = fs::remove_dir(&self.0);
    }

    /// Does something in the directory, which another transfer may remove at any time.
    fn within<T>(&self, attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
        for _ in 0..ATTEMPTS {
            create(&self.0)?;
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => return outcome,
            }
        }
        attempt()
    }
}

/// Creates a directory, unless it exists. A link in its place is an error.
fn create(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(io::Error::other("not a directory")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    match fs::create_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Opens a regular file that has no other name. Anything else of this name was prepared by another
/// user, and is replaced.
fn open_no_follow(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let is_own = match &opened {
        Ok(file) => {
            let found = file.metadata()?;
            found.is_file() && found.nlink() <= 1
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return opened,
        Err(_) => fs::symlink_metadata(path)?.is_file(),
    };
    if is_own {
        return opened;
    }
    fs::remove_file(path)?;
    // `within` tries again.
    Err(io::ErrorKind::NotFound.into())
}

/// Whether `path` leads to this very file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn lock(file: File, path: &Path) -> Result<File, Error> {
    // Mostly the file is free, and no thread is needed to wait for it.
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(fs::TryLockError::WouldBlock) => {}
        Err(fs::TryLockError::Error(error)) => return Err(Error::file(path)(error)),
    }
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transfer_that_waited_for_a_file_that_is_gone_gets_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let staging = StagingDirectory::of(directory.path());
        let mut first = staging.open("a").await.unwrap();
        first.write_all(b"half").unwrap();
        let waiting = tokio::spawn({
            let staging = staging.clone();
            async move { staging.open("a").await.unwrap().metadata().unwrap().len() }
        });
        tokio::task::yield_now().await;
        fs::rename(staging.path("a"), directory.path().join("whole")).unwrap();
        staging.tidy();
        drop(first);
        assert_eq!(waiting.await.unwrap(), 0);
        assert_eq!(fs::read(directory.path().join("whole")).unwrap(), b"half");
    }

    #[tokio::test]
    async fn many_at_once_neither_fail_nor_mix() {
        let directory = tempfile::tempdir().unwrap();
        let staging = StagingDirectory::of(directory.path());
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let staging = staging.clone();
                let path = directory.path().join(format!("{number}"));
                std::thread::spawn(move || {
                    for _ in 0..200 {
                        staging.write_whole(&path, b"whole").unwrap();
                        staging.tidy();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(fs::read(directory.path().join("3")).unwrap(), b"whole");
    }

    /// Whatever another user put in the place of a file is replaced, and what it leads to is
    /// untouched.
    #[tokio::test]
    async fn a_prepared_name_is_not_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        let staging = StagingDirectory::of(directory.path());
        let link = |to: &Path, from: &Path| std::os::unix::fs::symlink(to, from);
        let prepare: [fn(&Path, &Path) -> io::Result<()>; 2] = [
            |to, from| std::os::unix::fs::symlink(to, from),
            |to, from| fs::hard_link(to, from),
        ];
        for prepare in prepare {
            fs::write(&victim, "untouched").unwrap();
            fs::create_dir_all(&staging.0).unwrap();
            prepare(&victim, &staging.path("a")).unwrap();
            let mut file = staging.open("a").await.unwrap();
            file.write_all(b"content").unwrap();
            assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
            assert_eq!(fs::read(staging.path("a")).unwrap(), b"content");
            fs::remove_dir_all(&staging.0).unwrap();
        }
        let dangling = directory.path().join("nowhere");
        fs::create_dir(&staging.0).unwrap();
        link(&dangling, &staging.path("a")).unwrap();
        staging.open("a").await.unwrap();
        assert!(!dangling.exists());
        fs::remove_dir_all(&staging.0).unwrap();

        let elsewhere = tempfile::tempdir().unwrap();
        link(elsewhere.path(), &staging.0).unwrap();
        staging.open("a").await.unwrap_err();
        staging.write_whole(&victim, b"x").unwrap_err();
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
