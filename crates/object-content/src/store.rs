//! The store of content in a bucket.

use std::fmt;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use oci::{Digest, DigestAlgorithm};
use storage::collection::DeletableBlob;
use storage::hash::ContentHasher;
use storage::{
    AdoptedStore, Blob, BlobReader, BlobStore, ContentLocation, CopyTarget, Error, StorageFuture,
    StoreId, UploadId, UploadWriter, WrittenContent,
};

use crate::names::parse_multipart;
use crate::reader::ObjectReader;
use crate::shared_store::SharedStore;
use crate::stored_upload::StoredUpload;
use crate::writer::ObjectWriter;

/// Content in a bucket. Clones share it.
#[derive(Clone)]
pub struct ObjectContent {
    pub(crate) shared: Arc<SharedStore>,
}

impl BlobStore for ObjectContent {
    fn chooses_keys(&self) -> bool {
        true
    }

    fn add(&self, _: StoreId, _: &ContentLocation) -> Result<(), Error> {
        Err(unsupported("adopt a data directory into a bucket"))
    }

    fn unreachable(&self, adopted: Vec<AdoptedStore>) -> StorageFuture<'_, Vec<ContentLocation>> {
        Box::pin(async move {
            let mut unreachable: Vec<_> = adopted.into_iter().map(|store| store.location).collect();
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
            if blob.store != StoreId::OWN {
                return Err(damaged);
            }
            let found = self.shared.get(&blob.key, range, Some(blob.size)).await?;
            let Some(reader) = found else {
                self.shared.suspect(&blob.key);
                return Err(damaged);
            };
            Ok(Box::new(ObjectReader {
                digest: blob.digest,
                ..reader
            }) as _)
        })
    }

    fn check<'a>(&'a self, blob: &'a Blob) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let is_sound = blob.store == StoreId::OWN
                && (!self.shared.is_suspect(&blob.key)
                    || self.shared.has(&blob.key, blob.size).await?);
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
        let own = deletable.iter().filter(|blob| blob.store == StoreId::OWN);
        let keys = own.map(|blob| blob.key.clone()).collect();
        Box::pin(self.shared.delete(keys))
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
