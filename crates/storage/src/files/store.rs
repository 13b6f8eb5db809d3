//! The store of content in files.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use oci::{Digest, DigestAlgorithm};

use super::StorageOpenError;
use super::blocking::blocking;
use super::buffers::ReadBuffers;
use super::durable::{
    copy, copy_start, make_directory, publish, remove_files, sync_parent, unless_missing,
};
use super::reader::{self, FileReader};
use super::root::{Root, check_access, subdirectories};
use super::shared_identity;
use super::writer::FileWriter;
use crate::blob_store::{BlobReader, BlobStore, CopyTarget, UploadWriter, WrittenContent};
use crate::collection::DeletableBlob;
use crate::distribution::BASE;
use crate::hash;
use crate::{AdoptedStore, Blob, ContentLocation, Error, StorageFuture, StoreId, UploadId};

/// Content in files under one root, and under the roots of adopted data directories.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    roots: RwLock<HashMap<StoreId, Root>>,
    buffers: Arc<ReadBuffers>,
    _lock: Option<File>,
}

impl Files {
    /// Opens the content under `root` for the one server that may have it. Missing directories are
    /// created, readable by their owner only.
    ///
    /// # Errors
    /// [`StorageOpenError::InUse`] and others.
    pub fn open_exclusive(root: impl Into<PathBuf>) -> Result<Self, StorageOpenError> {
        Self::open_locked(root.into(), File::try_lock)
    }

    /// The same for one of several servers that share the content, and a database server.
    ///
    /// # Errors
    /// [`StorageOpenError::InUse`] if a server has it for itself, and others.
    pub fn open_shared(root: impl Into<PathBuf>) -> Result<Self, StorageOpenError> {
        Self::open_locked(root.into(), File::try_lock_shared)
    }

    fn open_locked(
        root: PathBuf,
        try_lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, StorageOpenError> {
        let unreachable = |source| StorageOpenError::Unreachable {
            path: root.clone(),
            source,
        };
        for directory in [root.clone(), root.join("uploads"), root.join("blobs")] {
            make_directory(&directory).map_err(unreachable)?;
        }
        check_access(&root)?;
        // The kernel releases the lock when the process ends, however it ends.
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
            Err(error) => return Err(unreachable(error)),
        }
        let lock = File::open(&path).map_err(unreachable)?;
        match try_lock(&lock) {
            Ok(()) => Self::with(root, Some(lock)),
            Err(TryLockError::WouldBlock) => Err(StorageOpenError::InUse(root)),
            Err(TryLockError::Error(source)) => Err(unreachable(source)),
        }
    }

    /// Opens the content under `root` for a command. A server may be running. Nothing is created.
    ///
    /// # Errors
    /// [`StorageOpenError::Unreachable`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StorageOpenError> {
        Self::with(root.into(), None)
    }

    fn with(root: PathBuf, lock: Option<File>) -> Result<Self, StorageOpenError> {
        let own = Root::open(root.clone(), false);
        let own = own.map_err(|source| StorageOpenError::Unreachable {
            path: root.clone(),
            source,
        })?;
        let roots = RwLock::new(HashMap::from([(StoreId::OWN, own)]));
        Ok(Self {
            root,
            roots,
            buffers: Arc::default(),
            _lock: lock,
        })
    }

    /// Whether any blob of our own has content.
    pub(crate) fn has_blobs(&self) -> io::Result<bool> {
        has_blobs(&self.root)
    }

    /// Requires that there is no blob of our own at `root`: a database that does not exist has a row of
    /// none. Nothing is created.
    ///
    /// # Errors
    /// [`StorageOpenError::NoRows`] if there is one.
    pub fn require_no_blobs(root: &Path) -> Result<(), StorageOpenError> {
        let path = root.to_owned();
        match has_blobs(root) {
            Ok(true) => Err(StorageOpenError::NoRows(path)),
            Ok(false) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StorageOpenError::Unreachable { path, source }),
        }
    }

    /// Whether no blob of our own was ever stored here.
    pub(crate) fn is_new(&self) -> io::Result<bool> {
        Ok(fs::read_dir(self.root.join("blobs"))?.next().is_none())
    }

    /// The identity of the directory, if it has one.
    pub(crate) fn identity(&self) -> io::Result<Option<String>> {
        shared_identity::read(&self.root)
    }

    /// Gives the directory an identity, unless it has one. Returns the one that it has.
    pub(crate) fn make_identity(&self, new: &str) -> io::Result<String> {
        shared_identity::make(&self.root, new)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    fn root(&self, store: StoreId) -> Option<Root> {
        self.roots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&store)
            .cloned()
    }

    fn resolve(&self, location: &ContentLocation) -> Option<PathBuf> {
        match location {
            ContentLocation::Directory(path) => Some(self.root.join(path)),
            ContentLocation::Bucket(_) => None,
        }
    }

    fn temporary(&self, upload: UploadId) -> PathBuf {
        self.root.join("uploads").join(upload.to_string())
    }
}

impl BlobStore for Files {
    fn add(&self, store: StoreId, location: &ContentLocation) -> Result<(), Error> {
        let path = self.resolve(location).ok_or(ErrorKind::Unsupported.into());
        let root = path.and_then(|path| Root::open(path, true));
        let root = root.map_err(Error::io("open an adopted data directory"))?;
        self.roots
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(store, root);
        Ok(())
    }

    fn unreachable(&self, adopted: Vec<AdoptedStore>) -> StorageFuture<'_, Vec<ContentLocation>> {
        let own = self.root.clone();
        let paths: Vec<_> = adopted
            .iter()
            .filter_map(|store| self.resolve(&store.location))
            .collect();
        Box::pin(async move {
            let (own_is_there, is_there) = blocking("look for directories", move || {
                let is_readable = |path: PathBuf| fs::read_dir(path).is_ok();
                let is_there = paths.iter().map(|path| is_readable(path.join(BASE)));
                let is_there = is_there.collect::<Vec<_>>();
                let own = ["blobs", "uploads"].map(|part| own.join(part));
                Ok((own.into_iter().all(is_readable), is_there))
            })
            .await?;
            let mut unreachable = Vec::new();
            for (store, is_there) in adopted.into_iter().zip(is_there) {
                // A directory that has come back is opened again.
                if !is_there || self.add(store.id, &store.location).is_err() {
                    unreachable.push(store.location);
                }
            }
            if !own_is_there {
                unreachable.push(ContentLocation::Directory(self.root.clone()));
            }
            Ok(unreachable)
        })
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

    fn append(&self, upload: UploadId, from: WrittenContent) -> Box<dyn UploadWriter> {
        let path = self.temporary(upload);
        Box::new(FileWriter::new(path, from.length, from.hasher))
    }

    fn take_over(&self, upload: UploadId, length: u64) -> StorageFuture<'_, ()> {
        let path = self.temporary(upload);
        Box::pin(blocking("copy an upload", move || {
            copy_start(&path, length)
        }))
    }

    fn digest<'a>(
        &'a self,
        upload: UploadId,
        content: &'a WrittenContent,
        algorithm: DigestAlgorithm,
    ) -> StorageFuture<'a, Digest> {
        let (path, length) = (self.temporary(upload), content.length);
        Box::pin(blocking("read an upload again", move || {
            hash_file(&path, length, algorithm)
        }))
    }

    fn publish<'a>(
        &'a self,
        upload: UploadId,
        _content: &'a WrittenContent,
        key: &'a str,
    ) -> StorageFuture<'a, ()> {
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
            // A file with another kind of name is not ours.
            Ok(names?
                .iter()
                .filter_map(|name| name.to_str()?.parse().ok())
                .collect())
        }))
    }

    fn copy<'a>(&'a self, blob: &'a Blob, to: &'a CopyTarget) -> StorageFuture<'a, ()> {
        let from = self.root(blob.store).map(|root| root.path.join(&blob.key));
        let (size, may_share) = (blob.size, to.may_share);
        let to = self.resolve(&to.location).map(|root| root.join(&to.key));
        Box::pin(async move {
            let to = to.ok_or_else(|| Error::io("copy a blob")(ErrorKind::Unsupported.into()))?;
            let from = from.ok_or(Error::Damaged {
                digest: blob.digest,
            })?;
            blocking("copy a blob", move || copy(&from, &to, size, may_share)).await
        })
    }

    fn remove<'a>(&'a self, deletable: &'a [DeletableBlob]) -> StorageFuture<'a, ()> {
        let path =
            |deletable: &DeletableBlob| Some(self.root(deletable.store)?.path.join(&deletable.key));
        let paths: Vec<_> = deletable.iter().filter_map(path).collect();
        Box::pin(blocking("remove a blob", move || remove_files(&paths)))
    }
}

/// The digest of the first `length` bytes of a file.
fn hash_file(path: &Path, length: u64, algorithm: DigestAlgorithm) -> io::Result<Digest> {
    let (read, digest) = hash::read(algorithm, File::open(path)?.take(length))?;
    if read == length {
        Ok(digest)
    } else {
        Err(ErrorKind::UnexpectedEof.into())
    }
}

fn has_blobs(root: &Path) -> io::Result<bool> {
    for directory in subdirectories(&root.join("blobs"), 2)? {
        if fs::read_dir(directory)?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
