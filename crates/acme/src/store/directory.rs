//! Documents as files of a directory, in the format of Go's autocert.
//!
//! A file is written under another name, synced and renamed. Several servers may share the directory:
//! the one that changes something holds a lock on the file `.lock`, which the system releases when the
//! process ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use common::BoxFuture;

use super::{AcmeLease, AcmeStore, AcmeStoreError};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// The file that is locked.
const LOCK: &str = ".lock";

/// What a name ends with while its file is written.
const PART: &str = "+part";

/// Keeps documents as files that only their owner can read.
#[derive(Clone, Debug)]
pub struct CacheDirectory(PathBuf);

/// The lock on a directory.
struct DirectoryLease {
    directory: PathBuf,
    _lock: File,
}

impl CacheDirectory {
    /// The files of `directory`, which is created when something is written.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self(directory)
    }
}

impl AcmeStore for CacheDirectory {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, AcmeStoreError>> {
        let path = self.0.join(name);
        Box::pin(blocking(move || {
            let read = read_file(&path);
            read.map_err(|error| failed("cannot read", &path, error))
        }))
    }

    fn lease(&self) -> BoxFuture<'_, Result<Option<Box<dyn AcmeLease>>, AcmeStoreError>> {
        let directory = self.0.clone();
        Box::pin(blocking(move || {
            let path = directory.join(LOCK);
            let lock = lock(&directory, &path);
            let lock = lock.map_err(|error| failed("cannot lock", &path, error))?;
            Ok(lock.map(|lock| {
                let lease = DirectoryLease {
                    directory,
                    _lock: lock,
                };
                Box::new(lease) as Box<dyn AcmeLease>
            }))
        }))
    }
}

impl AcmeLease for DirectoryLease {
    fn write<'a>(
        &'a self,
        name: &'a str,
        content: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<(), AcmeStoreError>> {
        let (path, part) = (
            self.directory.join(name),
            self.directory.join(format!("{name}{PART}")),
        );
        let (directory, content) = (self.directory.clone(), content.map(<[u8]>::to_vec));
        Box::pin(blocking(move || {
            let written = match content {
                Some(content) => write_file(&part, &content)
                    .and_then(|()| fs::rename(&part, &path))
                    .inspect_err(|_| {
                        // What is there of it is of no use; the error says more than this one.
                        let _ = fs::remove_file(&part);
                    }),
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    other => other,
                },
            };
            let synced = written.and_then(|()| File::open(&directory)?.sync_all());
            synced.map_err(|error| failed("cannot write", &path, error))
        }))
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), AcmeStoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ()> {
        drop(self);
        Box::pin(async {})
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AcmeStoreError> + Send + 'static,
) -> Result<T, AcmeStoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(AcmeStoreError::Failed {
            what: "the work on files was cancelled".to_owned(),
            source: error.into(),
        }),
    }
}

fn failed(what: &str, path: &Path, error: io::Error) -> AcmeStoreError {
    AcmeStoreError::Failed {
        what: format!("{what} {}", path.display()),
        source: error.into(),
    }
}

fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content)?;
    match content.len() as u64 <= LARGEST {
        true => Ok(Some(content)),
        false => Err(io::ErrorKind::FileTooLarge.into()),
    }
}

/// A lock that is held until the file is closed; `None` if another process has it.
fn lock(directory: &Path, path: &Path) -> io::Result<Option<File>> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let file = private_file().create(true).append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    // One that was left behind may have other permissions.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private_file().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}
