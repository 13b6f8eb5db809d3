//! What is on its way into a layout: files that no other transfer writes to at the same time, in a
//! directory that goes when it is empty.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// The directory's name.
const NAME: &str = ".wharfinger";
/// How often a file is opened anew because another transfer took it, or the directory, away
/// meanwhile.
const ATTEMPTS: usize = 1000;

/// The directory of a layout.
#[derive(Clone, Debug)]
pub(super) struct StagingDirectory(PathBuf);

impl StagingDirectory {
    pub(super) fn of(layout: &Path) -> Self {
        Self(layout.join(NAME))
    }

    /// Where the file called `name` is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The file called `name`, made when it is not there, for this transfer alone; another that has
    /// it is waited for.
    pub(super) async fn open(&self, name: &str) -> Result<File, Error> {
        let path = self.path(name);
        for _ in 0..ATTEMPTS {
            let file = self.within(|| {
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&path)
            });
            let file = lock(file.map_err(Error::file(&path))?, &path).await?;
            // Whoever had it before has given it its final name or thrown it away: then it is not
            // ours to write to.
            if is_at(&file, &path).map_err(Error::file(&path))? {
                return Ok(file);
            }
        }
        Err(Error::file(&path)(io::Error::other(
            "other transfers do not leave it alone",
        )))
    }

    /// Writes `path` so that it is there whole or not at all.
    pub(super) fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        // Two processes at once must not write into one file.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = self.path(&format!("{name}.{}", std::process::id()));
        let written = self
            .within(|| fs::write(&unfinished, bytes))
            .and_then(|()| fs::rename(&unfinished, path));
        written.map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            Error::file(path)(error)
        })
    }

    /// Takes the directory away when nothing is in it.
    pub(super) fn tidy(&self) {
        let _ = fs::remove_dir(&self.0);
    }

    /// Does something in the directory, which another transfer may tidy away at any time.
    fn within<T>(&self, attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
        for _ in 0..ATTEMPTS {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => make(&self.0)?,
                outcome => return outcome,
            }
        }
        attempt()
    }
}

/// Makes a directory, unless it is there, or was a moment ago: somebody made it and tidied it away,
/// and the next attempt sees.
fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Whether `path` leads to this very file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn lock(file: File, path: &Path) -> Result<File, Error> {
    // Mostly nobody has it, and then nobody has to be waited for.
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
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn who_waited_for_a_file_that_is_gone_gets_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let unfinished = StagingDirectory::of(directory.path());
        let mut first = unfinished.open("a").await.unwrap();
        first.write_all(b"half").unwrap();
        let waiting = tokio::spawn({
            let unfinished = unfinished.clone();
            async move {
                unfinished
                    .open("a")
                    .await
                    .unwrap()
                    .metadata()
                    .unwrap()
                    .len()
            }
        });
        tokio::task::yield_now().await;
        fs::rename(unfinished.path("a"), directory.path().join("whole")).unwrap();
        unfinished.tidy();
        drop(first);
        assert_eq!(waiting.await.unwrap(), 0);
        assert_eq!(fs::read(directory.path().join("whole")).unwrap(), b"half");
    }

    #[tokio::test]
    async fn many_at_once_neither_fail_nor_mix() {
        let directory = tempfile::tempdir().unwrap();
        let unfinished = StagingDirectory::of(directory.path());
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (unfinished, path) = (
                    unfinished.clone(),
                    directory.path().join(format!("{number}")),
                );
                std::thread::spawn(move || {
                    for _ in 0..200 {
                        unfinished.write_whole(&path, b"whole").unwrap();
                        unfinished.tidy();
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(fs::read(directory.path().join("3")).unwrap(), b"whole");
    }
}
