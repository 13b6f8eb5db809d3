//! Content in memory: a second, simple implementation of [`BlobStore`]. It keeps the conformance
//! suite from testing properties of files.

use std::collections::HashMap;
use std::future::ready;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm};
use storage::collection::DeletableBlob;
use storage::{
    AdoptedStore, Blob, BlobReader, BlobStore, ContentLocation, CopyTarget, Error, StorageFuture,
    StoreId, UploadId, UploadWriter, WrittenContent, hash,
};

/// Content in the memory of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryContent(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    uploads: HashMap<UploadId, Vec<u8>>,
    blobs: HashMap<String, Bytes>,
    /// Adopted data directories, whose blobs are files nevertheless.
    adopted: HashMap<StoreId, PathBuf>,
}

impl MemoryContent {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }
}

impl Content {
    fn blob(&self, blob: &Blob) -> Option<Bytes> {
        let found = match self.adopted.get(&blob.store) {
            Some(root) => std::fs::read(root.join(&blob.key)).ok().map(Bytes::from),
            None => self
                .blobs
                .get(&blob.key)
                .filter(|_| blob.store == StoreId::OWN)
                .cloned(),
        };
        found.filter(|content| content.len() as u64 == blob.size)
    }
}

fn done<'a, T: Send + 'a>(result: Result<T, Error>) -> StorageFuture<'a, T> {
    Box::pin(ready(result))
}

fn failed<T>(action: &'static str) -> Result<T, Error> {
    Err(Error::Io {
        action,
        source: Arc::new(io::ErrorKind::NotFound.into()),
    })
}

impl BlobStore for MemoryContent {
    fn add(&self, store: StoreId, location: &ContentLocation) -> Result<(), Error> {
        match location {
            ContentLocation::Directory(path) => {
                self.content().adopted.insert(store, path.clone());
                Ok(())
            }
            ContentLocation::Bucket(_) => failed("adopt a bucket"),
        }
    }

    fn unreachable(&self, adopted: Vec<AdoptedStore>) -> StorageFuture<'_, Vec<ContentLocation>> {
        let locations = adopted.into_iter().map(|store| store.location);
        let missing = |location: &ContentLocation| match location {
            ContentLocation::Directory(path) => !path.is_dir(),
            ContentLocation::Bucket(_) => true,
        };
        done(Ok(locations.filter(missing).collect()))
    }

    fn open<'a>(
        &'a self,
        blob: &'a Blob,
        range: Range<u64>,
    ) -> StorageFuture<'a, Box<dyn BlobReader>> {
        let found = self.content().blob(blob).ok_or(Error::Damaged {
            digest: blob.digest,
        });
        let range = range.start as usize..range.end as usize;
        done(found.map(|content| Box::new(MemoryReader(content.slice(range))) as _))
    }

    fn check<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, ()> {
        let found = self.content().blob(blob);
        done(found.map(drop).ok_or(Error::Damaged {
            digest: blob.digest,
        }))
    }

    fn append(&self, upload: UploadId, from: WrittenContent) -> Box<dyn UploadWriter> {
        Box::new(MemoryWriter {
            memory: self.clone(),
            upload,
            length: from.length,
            hasher: from.hasher,
            failed: false,
        })
    }

    fn digest<'a>(
        &'a self,
        upload: UploadId,
        written: &'a WrittenContent,
        algorithm: DigestAlgorithm,
    ) -> StorageFuture<'a, Digest> {
        let content = self.content();
        let bytes = content
            .uploads
            .get(&upload)
            .and_then(|bytes| bytes.get(..written.length as usize));
        done(bytes.map_or_else(
            || failed("read an upload"),
            |bytes| Ok(hash::digest(algorithm, bytes)),
        ))
    }

    fn publish<'a>(
        &'a self,
        upload: UploadId,
        _: &'a WrittenContent,
        key: &'a str,
    ) -> StorageFuture<'a, ()> {
        let mut content = self.content();
        let Some(bytes) = content.uploads.remove(&upload) else {
            return done(failed("publish an upload"));
        };
        assert!(
            content.blobs.insert(key.to_owned(), bytes.into()).is_none(),
            "{key} was used before"
        );
        done(Ok(()))
    }

    fn withdraw<'a>(&'a self, key: &'a str, upload: UploadId) -> StorageFuture<'a, ()> {
        let mut content = self.content();
        if let Some(bytes) = content.blobs.remove(key) {
            content.uploads.insert(upload, bytes.into());
        }
        done(Ok(()))
    }

    fn discard(&self, upload: UploadId) -> StorageFuture<'_, ()> {
        self.content().uploads.remove(&upload);
        done(Ok(()))
    }

    fn uploads(&self) -> StorageFuture<'_, Vec<UploadId>> {
        done(Ok(self.content().uploads.keys().copied().collect()))
    }

    fn copy<'a>(&'a self, blob: &'a Blob, to: &'a CopyTarget) -> StorageFuture<'a, ()> {
        let ContentLocation::Directory(directory) = &to.location else {
            return done(failed("copy to a bucket"));
        };
        let to = directory.join(&to.key);
        let found = self.content().blob(blob).ok_or(Error::Damaged {
            digest: blob.digest,
        });
        done(found.map(|content| {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::write(to, content).unwrap();
        }))
    }

    fn remove<'a>(&'a self, deletable: &'a [DeletableBlob]) -> StorageFuture<'a, ()> {
        let mut content = self.content();
        for DeletableBlob { store, key, .. } in deletable {
            match content.adopted.get(store) {
                Some(root) => drop(std::fs::remove_file(root.join(key))),
                None => drop(content.blobs.remove(key)),
            }
        }
        done(Ok(()))
    }
}

/// Content that is read in several chunks.
struct MemoryReader(Bytes);

impl BlobReader for MemoryReader {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let chunk = self.0.split_to(self.0.len().div_ceil(2));
        Poll::Ready((!chunk.is_empty()).then_some(Ok(chunk)))
    }
}

struct MemoryWriter {
    memory: MemoryContent,
    upload: UploadId,
    length: u64,
    hasher: Option<hash::ContentHasher>,
    failed: bool,
}

impl MemoryWriter {
    fn take(&mut self, batch: &[Bytes]) -> Result<(), Error> {
        let mut content = self.memory.content();
        let at = usize::try_from(self.length).unwrap();
        let bytes = if at == 0 {
            content.uploads.entry(self.upload).or_default()
        } else {
            match content.uploads.get_mut(&self.upload) {
                Some(bytes) if bytes.len() >= at && !self.failed => bytes,
                _ => {
                    self.failed = true;
                    return failed("write an upload");
                }
            }
        };
        bytes.truncate(at);
        for chunk in batch {
            bytes.extend_from_slice(chunk);
            self.length += chunk.len() as u64;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(chunk);
            }
        }
        Ok(())
    }
}

impl UploadWriter for MemoryWriter {
    fn write(&mut self, batch: Vec<Bytes>) -> StorageFuture<'_, ()> {
        done(self.take(&batch))
    }

    fn finish(mut self: Box<Self>, rest: Vec<Bytes>) -> StorageFuture<'static, WrittenContent> {
        let taken = self.take(&rest);
        done(taken.map(|()| WrittenContent {
            length: self.length,
            hasher: self.hasher,
            ..WrittenContent::default()
        }))
    }
}
