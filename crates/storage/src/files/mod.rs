//! Content in files.
//!
//! ```text
//! ROOT/uploads/c0ffee00-…                   an upload, growing
//! ROOT/blobs/sha256/ab/abcdef….17           a blob: its digest and the number of its row
//! ```
//!
//! A blob is one file, written once: it is complete and synced before it gets its name, and its
//! directory is synced before anybody hears of it. Blobs of an adopted data directory lie under a
//! root of their own.

mod buffers;
mod reader;
mod writer;

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use oci::{Digest, DigestAlgorithm};
use rustix::fs::Access;
use tokio::task::JoinError;

use crate::blob_store::{BlobReader, BlobStore, UploadWriter};
use crate::collection::DeletableBlob;
use crate::hash::{self, ContentHasher};
use crate::{Blob, Error, StorageFuture, StoreId, UploadId};

use buffers::ReadBuffers;
use reader::FileReader;
use writer::FileWriter;

/// Content in files under one root, and under the roots of adopted data directories, which are only
/// read.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    /// Every root, open, so that a file is found by its key alone.
    roots: RwLock<HashMap<StoreId, Root>>,
    buffers: Arc<ReadBuffers>,
    _lock: Option<File>,
}

/// Why a place for content could not be opened. Each sentence is for the operator and names the
/// directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageOpenError {
    /// The directory cannot be made or reached.
    #[error("cannot create or reach the storage directory {}", path.display())]
    Unreachable {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Part of it cannot be written to, perhaps because a command of another user made it.
    #[error(
        "cannot read and write {}: it belongs to another user; give it to the server's user with chown -R",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// There is content, and no row leads to it.
    #[error(
        "the storage directory {at} holds blobs, but the database has none: the database is lost, or it is another one. \
         Restore the database from a backup, or name the right one. To begin with an empty registry, move {at}/blobs away",
        at = .0.display()
    )]
    NoRows(PathBuf),
    /// There are rows, and the content is not there.
    #[error(
        "the database has blobs, but the storage directory {at} is empty: its disk is not mounted, or it is another \
         directory. Mount it, or restore the content from a backup",
        at = .0.display()
    )]
    NoContent(PathBuf),
    /// A server has it.
    #[error("another server has the storage directory {} open", .0.display())]
    InUse(PathBuf),
    /// The database failed, or the disk did while it was put right what a crash had left behind.
    #[error(transparent)]
    Storage(#[from] Error),
}

/// A directory that blobs lie under.
#[derive(Clone, Debug)]
struct Root {
    path: PathBuf,
    directory: Arc<File>,
    /// Whether others wrote it: then no link is followed out of it.
    is_foreign: bool,
}

impl Files {
    /// Content under `root` for the one server that may have it: it is made where it is missing,
    /// readable by its owner alone.
    ///
    /// # Errors
    /// [`StorageOpenError::InUse`], or what the operating system said.
    pub fn open_exclusive(root: impl Into<PathBuf>) -> Result<Self, StorageOpenError> {
        let root = root.into();
        let place = |source| StorageOpenError::Unreachable {
            path: root.clone(),
            source,
        };
        for directory in [root.clone(), root.join("uploads"), root.join("blobs")] {
            make_directory(&directory).map_err(place)?;
        }
        check_access(&root)?;
        // The lock is the kernel's, and ends with the process however it ends.
        let path = root.join("lock");
        let made = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        match made {
            Ok(_) => {}
            // No server can write here, so there is nothing to lock.
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
                return Self::with(root, None);
            }
            Err(error) => return Err(place(error)),
        }
        let lock = File::open(&path).map_err(place)?;
        match lock.try_lock() {
            Ok(()) => Self::with(root, Some(lock)),
            Err(TryLockError::WouldBlock) => Err(StorageOpenError::InUse(root)),
            Err(TryLockError::Error(source)) => Err(place(source)),
        }
    }

    /// Content under `root` for a command that runs beside a server. Nothing is made.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StorageOpenError> {
        Self::with(root.into(), None)
    }

    fn with(root: PathBuf, lock: Option<File>) -> Result<Self, StorageOpenError> {
        let directory = File::open(&root).map_err(|source| StorageOpenError::Unreachable {
            path: root.clone(),
            source,
        })?;
        let own = Root {
            path: root.clone(),
            directory: Arc::new(directory),
            is_foreign: false,
        };
        let roots = RwLock::new(HashMap::from([(StoreId::OWN, own)]));
        Ok(Self {
            root,
            roots,
            buffers: Arc::default(),
            _lock: lock,
        })
    }

    /// Whether there is any blob of our own.
    pub(crate) fn has_blobs(&self) -> io::Result<bool> {
        let blobs = self.root.join("blobs");
        for directory in subdirectories(&blobs, 2)? {
            if fs::read_dir(directory)?.next().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether no blob of our own was ever stored here.
    pub(crate) fn is_new(&self) -> io::Result<bool> {
        Ok(fs::read_dir(self.root.join("blobs"))?.next().is_none())
    }

    /// Where it lies.
    pub(crate) fn place(&self) -> &Path {
        &self.root
    }

    fn root(&self, store: StoreId) -> Option<Root> {
        self.roots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&store)
            .cloned()
    }

    fn temporary(&self, upload: UploadId) -> PathBuf {
        self.root.join("uploads").join(upload.to_string())
    }
}

impl BlobStore for Files {
    fn add(&self, store: StoreId, path: &Path) -> Result<(), Error> {
        let directory = File::open(path).map_err(Error::io("open an adopted data directory"))?;
        let root = Root {
            path: path.to_owned(),
            directory: Arc::new(directory),
            is_foreign: true,
        };
        self.roots
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(store, root);
        Ok(())
    }

    fn open<'a>(
        &'a self,
        blob: &'a Blob,
        range: Range<u64>,
    ) -> StorageFuture<'a, Box<dyn BlobReader>> {
        Box::pin(async move {
            let root = self.root(blob.store).ok_or(Error::Damaged {
                digest: blob.digest,
            })?;
            let reader = FileReader::open(&root, blob, range, Arc::clone(&self.buffers)).await?;
            Ok(Box::new(reader) as _)
        })
    }

    fn check<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let root = self.root(blob.store).ok_or(Error::Damaged {
                digest: blob.digest,
            })?;
            reader::open(&root, blob).await.map(drop)
        })
    }

    fn append(
        &self,
        upload: UploadId,
        at: u64,
        hasher: Option<ContentHasher>,
    ) -> Box<dyn UploadWriter> {
        Box::new(FileWriter::new(self.temporary(upload), at, hasher))
    }

    fn digest(
        &self,
        upload: UploadId,
        length: u64,
        algorithm: DigestAlgorithm,
    ) -> StorageFuture<'_, Digest> {
        let path = self.temporary(upload);
        Box::pin(blocking("read an upload again", move || {
            hash_file(&path, length, algorithm)
        }))
    }

    fn publish<'a>(&'a self, upload: UploadId, key: &'a str) -> StorageFuture<'a, ()> {
        let (from, to) = (self.temporary(upload), self.root.join(key));
        Box::pin(blocking("give a blob its name", move || {
            publish(&from, &to)
        }))
    }

    fn withdraw<'a>(&'a self, key: &'a str, upload: UploadId) -> StorageFuture<'a, ()> {
        let (from, to) = (self.root.join(key), self.temporary(upload));
        Box::pin(blocking(
            "take a blob's name back",
            move || match fs::rename(&from, &to) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
                Ok(()) => [&from, &to]
                    .into_iter()
                    .try_for_each(|path| sync_parent(path)),
            },
        ))
    }

    fn discard(&self, upload: UploadId) -> StorageFuture<'_, ()> {
        let path = self.temporary(upload);
        Box::pin(blocking("remove an upload", move || {
            unless_missing(fs::remove_file(&path))
        }))
    }

    fn uploads(&self) -> StorageFuture<'_, Vec<UploadId>> {
        let directory = self.root.join("uploads");
        Box::pin(blocking("list the uploads", move || {
            let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name()));
            let names: io::Result<Vec<_>> = names.collect();
            // What is not named as an upload is not ours.
            Ok(names?
                .iter()
                .filter_map(|name| name.to_str()?.parse().ok())
                .collect())
        }))
    }

    fn copy<'a>(&'a self, blob: &'a Blob, to: &'a Path, shared: bool) -> StorageFuture<'a, ()> {
        let (from, to, size) = (
            self.root(blob.store).map(|root| root.path.join(&blob.key)),
            to.to_owned(),
            blob.size,
        );
        Box::pin(async move {
            let from = from.ok_or(Error::Damaged {
                digest: blob.digest,
            })?;
            blocking("copy a blob", move || copy(&from, &to, size, shared)).await
        })
    }

    fn remove<'a>(&'a self, deletable: &'a [DeletableBlob]) -> StorageFuture<'a, ()> {
        let path =
            |deletable: &DeletableBlob| Some(self.root(deletable.store)?.path.join(&deletable.key));
        let paths: Vec<_> = deletable.iter().filter_map(path).collect();
        Box::pin(blocking("remove a blob", move || remove_files(&paths)))
    }
}

/// Requires that this process may read and write all directories, which are few.
fn check_access(root: &Path) -> Result<(), StorageOpenError> {
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    // A file system that can only be read is no matter of owners: a registry in maintenance serves it.
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

/// The directories so many levels below `top`.
fn subdirectories(top: &Path, levels: usize) -> io::Result<Vec<PathBuf>> {
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

/// Runs what may wait for a disk where nobody waits for it.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    join(tokio::task::spawn_blocking(work).await).map_err(Error::io(action))
}

/// The outcome of work on another thread: its panic goes on here, and a runtime that is ending is
/// an error.
fn join<T>(outcome: Result<io::Result<T>, JoinError>) -> io::Result<T> {
    outcome.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(ending) => Err(io::Error::other(ending)),
    })
}

fn publish(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        // The first blob with these two digits.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            to.parent().map_or(Ok(()), make_directory)?;
            fs::rename(from, to)?;
        }
        renamed => renamed?,
    }
    // The other directory need not be synced: should the upload's name come back, the next start
    // removes it.
    sync_parent(to)
}

/// Makes a directory that is there after a power cut, with those above it.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_directory(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| sync_parent(path)),
    }
}

fn copy(from: &Path, to: &Path, size: u64, shared: bool) -> io::Result<()> {
    if fs::metadata(to).is_ok_and(|there| there.len() == size) {
        return Ok(());
    }
    to.parent().map_or(Ok(()), make_directory)?;
    match if shared {
        fs::hard_link(from, to)
    } else {
        Err(ErrorKind::Unsupported.into())
    } {
        Ok(()) => sync_parent(to),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(error),
        // Another file system, or one without links. (Those that can, share the blocks of a copy.)
        Err(_) => replace(to, |temporary| fs::copy(from, temporary).map(drop)),
    }
}

/// Makes a file whole before it gets its name, so that who is interrupted leaves nothing in part.
pub(crate) fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = path.with_added_extension("tmp");
    make(&temporary)?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}

fn remove_files(paths: &[PathBuf]) -> io::Result<()> {
    let mut directories = BTreeSet::new();
    for path in paths {
        match unless_missing(fs::remove_file(path)) {
            // Not ours: something else was put where a blob was.
            Err(error) if error.kind() == ErrorKind::IsADirectory => {}
            removed => removed?,
        }
        directories.extend(path.parent());
    }
    // Before the rows go: a file that came back would belong to nobody.
    directories.into_iter().try_for_each(|directory| {
        unless_missing(File::open(directory).and_then(|it| it.sync_all()))
    })
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn hash_file(path: &Path, length: u64, algorithm: DigestAlgorithm) -> io::Result<Digest> {
    let (read, digest) = hash::read(algorithm, File::open(path)?.take(length))?;
    if read == length {
        Ok(digest)
    } else {
        Err(ErrorKind::UnexpectedEof.into())
    }
}
