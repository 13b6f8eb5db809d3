//! The store of content in a bucket.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::{fmt, io};

use oci::{Digest, DigestAlgorithm};
use storage::collection::DeletableBlob;
use storage::hash::ContentHasher;
use storage::{
    AdoptedStore, Blob, BlobReader, BlobStore, ContentLocation, ContentUrl, CopyTarget, Error,
    StorageFuture, StoreId, Tree, UploadId, UploadWriter, WrittenContent,
};

use crate::adopted::AdoptedBuckets;
use crate::names::parse_multipart;
use crate::reader::ObjectReader;
use crate::shared_store::SharedStore;
use crate::stored_upload::StoredUpload;
use crate::tree::BucketTree;
use crate::writer::ObjectWriter;

/// Content in a bucket. Clones share it.
#[derive(Clone)]
pub struct ObjectContent {
    pub(crate) shared: Arc<SharedStore>,
    pub(crate) adopted: Arc<AdoptedBuckets>,
}

impl ObjectContent {
    /// The bucket of a store.
    pub(crate) fn at(&self, store: StoreId) -> Option<Arc<SharedStore>> {
        match store {
            StoreId::OWN => Some(Arc::clone(&self.shared)),
            adopted => self.adopted.find(adopted),
        }
    }

    fn is_own(&self, store: &Arc<SharedStore>) -> bool {
        Arc::ptr_eq(store, &self.shared)
    }
}

impl BlobStore for ObjectContent {
    fn chooses_keys(&self) -> bool {
        true
    }

    fn add(&self, store: StoreId, location: &ContentLocation) -> Result<(), Error> {
        let opened = self.adopted.open(&self.shared, location);
        let opened = opened.map_err(|source| Error::Io {
            action: "open the bucket of an adopted registry",
            source: Arc::new(source),
        })?;
        self.adopted.add(store, opened);
        Ok(())
    }

    fn tree(&self, location: &ContentLocation) -> io::Result<Arc<dyn Tree>> {
        let opened = self.adopted.open(&self.shared, location)?;
        Ok(Arc::new(BucketTree::new(opened)))
    }

    fn unreachable(&self, adopted: Vec<AdoptedStore>) -> StorageFuture<'_, Vec<ContentLocation>> {
        Box::pin(async move {
            let mut unreachable = Vec::new();
            for AdoptedStore { id, location } in adopted {
                if self.at(id).is_none() && self.add(id, &location).is_err() {
                    unreachable.push(location);
                    continue;
                }
                let store = self.at(id).filter(|store| !self.is_own(store));
                if let Some(store) = store
                    && !store.is_there().await
                {
                    unreachable.push(location);
                }
            }
            if !self.shared.is_there().await {
                unreachable.push(ContentLocation::Bucket(self.shared.url.clone()));
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
            let damaged = Error::Damaged {
                digest: blob.digest,
            };
            let Some(store) = self.at(blob.store) else {
                return Err(damaged);
            };
            let found = store.get_blob(&blob.key, range, blob.size).await?;
            let Some(reader) = found else {
                store.suspect(&blob.key);
                return Err(damaged);
            };
            Ok(Box::new(ObjectReader {
                digest: blob.digest,
                ..reader
            }) as _)
        })
    }

    fn locate<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, Option<ContentUrl>> {
        Box::pin(async move {
            match self.at(blob.store) {
                Some(store) => store.locate(&blob.key).await,
                None => Ok(None),
            }
        })
    }

    fn is_being_read(&self, blob: &DeletableBlob) -> bool {
        let store = self.at(blob.store);
        store.is_some_and(|store| store.in_use.has(&blob.key))
    }

    fn check<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let is_sound = match self.at(blob.store) {
                Some(store) => {
                    !store.is_suspect(&blob.key) || store.has(&blob.key, blob.size).await?
                }
                None => false,
            };
            if is_sound {
                return Ok(());
            }
            Err(Error::Damaged {
                digest: blob.digest,
            })
        })
    }

    fn append(&self, upload: UploadId, from: WrittenContent) -> Box<dyn UploadWriter> {
        Box::new(ObjectWriter::new(Arc::clone(&self.shared), upload, from))
    }

    fn digest<'a>(
        &'a self,
        upload: UploadId,
        content: &'a WrittenContent,
        algorithm: DigestAlgorithm,
    ) -> StorageFuture<'a, Digest> {
        Box::pin(async move {
            let key = content
                .objects
                .as_ref()
                .and_then(|objects| objects.key.as_ref());
            let key = key.ok_or(Error::UploadUnknown)?;
            // Parts cannot be read until they are an object.
            self.publish(upload, content, key).await?;
            let mut reader = self.shared.read(key, 0..content.length).await?;
            let mut hasher = ContentHasher::new(algorithm);
            while let Some(chunk) = reader.next().await {
                hasher.update(&chunk?);
                // Hashing keeps a thread busy that other tasks need, too.
                tokio::task::yield_now().await;
            }
            Ok(hasher.finish())
        })
    }

    fn publish<'a>(
        &'a self,
        upload: UploadId,
        content: &'a WrittenContent,
        key: &'a str,
    ) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let objects = content.objects.as_ref().ok_or(Error::UploadUnknown)?;
            let state = StoredUpload::parse(&objects.state).ok_or(Error::UploadUnknown)?;
            match state {
                StoredUpload::Empty => self.shared.put(key, content.unsaved.clone()).await?,
                StoredUpload::Object { .. } => {}
                StoredUpload::Parts(parts) => {
                    let length = content.length;
                    self.shared.complete(upload, &parts, length).await?;
                }
            }
            self.shared.tails.remove(upload);
            Ok(())
        })
    }

    fn withdraw<'a>(&'a self, _: &'a str, _: UploadId) -> StorageFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn discard(&self, upload: UploadId) -> StorageFuture<'_, ()> {
        self.shared.tails.remove(upload);
        Box::pin(std::future::ready(Ok(())))
    }

    fn uploads(&self) -> StorageFuture<'_, Vec<UploadId>> {
        // Rows lead to all that is stored.
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn copy<'a>(&'a self, blob: &'a Blob, to: &'a CopyTarget) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let ContentLocation::Directory(directory) = &to.location else {
                return Err(unsupported("copy content to a bucket"));
            };
            let target = directory.join(&to.key);
            let existing = tokio::fs::metadata(&target).await;
            if existing.is_ok_and(|file| file.len() == blob.size) {
                return Ok(());
            }
            let reader = self.open(blob, 0..blob.size).await?;
            write_file(&target, reader).await
        })
    }

    fn remove<'a>(&'a self, deletable: &'a [DeletableBlob]) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let mut keys: BTreeMap<StoreId, Vec<String>> = BTreeMap::new();
            for DeletableBlob { store, key, .. } in deletable {
                keys.entry(*store).or_default().push(key.clone());
            }
            for (store, keys) in keys {
                let Some(store) = self.at(store) else {
                    continue;
                };
                for key in &keys {
                    store.small.remove(key);
                }
                store.delete(keys).await?;
            }
            Ok(())
        })
    }

    fn remove_objects<'a>(&'a self, names: &'a [String]) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let mut keys = Vec::new();
            for name in names {
                match parse_multipart(name) {
                    Some((key, id)) => self.shared.abort(key, id).await?,
                    None => keys.push(name.clone()),
                }
            }
            self.shared.delete(keys).await
        })
    }
}

impl fmt::Debug for ObjectContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectContent")
            .field("url", &self.shared.url)
            .finish_non_exhaustive()
    }
}

/// Writes content to a file, which has its name only once all of it is on the disk.
async fn write_file(target: &FilePath, mut reader: Box<dyn BlobReader>) -> Result<(), Error> {
    use tokio::io::AsyncWriteExt;
    let failed = |source| Error::Io {
        action: "copy a blob",
        source: Arc::new(source),
    };
    let directory = target.parent().unwrap_or(FilePath::new(""));
    tokio::fs::create_dir_all(directory).await.map_err(failed)?;
    let temporary = target.with_extension("part");
    let mut file = tokio::fs::File::create(&temporary).await.map_err(failed)?;
    while let Some(chunk) = reader.next().await {
        file.write_all(&chunk?).await.map_err(failed)?;
    }
    file.sync_all().await.map_err(failed)?;
    tokio::fs::rename(&temporary, target)
        .await
        .map_err(failed)?;
    let directory = tokio::fs::File::open(directory).await.map_err(failed)?;
    directory.sync_all().await.map_err(failed)
}

fn unsupported(action: &'static str) -> Error {
    Error::Io {
        action,
        source: Arc::new(std::io::ErrorKind::Unsupported.into()),
    }
}
