//! Export to a bucket that Distribution's registry can serve.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use common::{BoxFuture, Clock};
use futures_util::stream::{self, StreamExt};
use object_store::aws::AmazonS3;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload,
};
use storage::distribution::{ExportFile, ExportTarget};
use storage::{Blob, BlobReader, BlobStore, Error, StorageFuture};

use crate::clients::open_client;
use crate::error::{S3OpenError, unavailable};
use crate::location::KeyPrefix;
use crate::settings::{LEAST_PART, S3Settings};
use crate::shared_store::has_object;
use crate::store::ObjectContent;

/// Small files that are written at once.
const FILES: usize = 64;
/// Blobs that are copied at once. Each has a part in memory.
const BLOBS: usize = 16;
/// The largest object that one request can copy, in bytes.
const LARGEST_COPY: u64 = 5 << 30;
/// How many parts an object can have.
const PARTS: u64 = 10_000;

/// A bucket that gets an export.
pub struct BucketExport {
    client: AmazonS3,
    settings: S3Settings,
    prefix: KeyPrefix,
    /// The content that is exported, if the store can copy it within this bucket.
    own: Option<ObjectContent>,
}

impl BucketExport {
    /// The bucket of these settings. What `content` has in the same bucket is copied by the store.
    ///
    /// # Errors
    /// [`S3OpenError::Settings`].
    pub fn new(
        settings: &S3Settings,
        content: Option<&ObjectContent>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, S3OpenError> {
        Ok(Self {
            client: open_client(settings, clock)?,
            settings: settings.clone(),
            prefix: KeyPrefix::new(&settings.prefix),
            own: content.cloned(),
        })
    }

    /// What messages call the bucket: `s3://bucket/prefix`.
    #[must_use]
    pub fn url(&self) -> String {
        self.settings.url()
    }

    fn attributes(&self) -> Attributes {
        let class = self.settings.storage_class.iter();
        class
            .map(|class| (Attribute::StorageClass, class.clone()))
            .collect()
    }

    async fn put(&self, path: &Path, content: PutPayload) -> object_store::Result<()> {
        let options = PutOptions::from(self.attributes());
        self.client.put_opts(path, content, options).await.map(drop)
    }

    /// Asks the store to copy. Returns false if it cannot.
    async fn copy_within(&self, blob: &Blob, to: &Path) -> bool {
        let from = self.own.as_ref().and_then(|own| {
            let store = own.at(blob.store)?;
            own.adopted.path_in(&self.settings, &store, &blob.key)
        });
        match from {
            Some(from) if blob.size <= LARGEST_COPY => self.client.copy(&from, to).await.is_ok(),
            _ => false,
        }
    }

    async fn stream(&self, reader: Box<dyn BlobReader>, size: u64, to: &Path) -> Result<(), Error> {
        let mut reader = PieceReader {
            reader,
            rest: Bytes::new(),
        };
        let part = (self.settings.part.max(LEAST_PART) as u64).max(size.div_ceil(PARTS));
        if size <= part {
            let content = reader.next(size).await?;
            let put = self.put(to, content).await;
            return put.map_err(unavailable("store content"));
        }
        let options = PutMultipartOptions::from(self.attributes());
        let id = self.client.create_multipart_opts(to, options).await;
        let id = id.map_err(unavailable("begin an upload in parts"))?;
        let sent = self.send_parts(&mut reader, size, part, to, &id).await;
        if sent.is_err() {
            // What it leaves costs storage only.
            let _ = self.client.abort_multipart(to, &id).await;
        }
        sent
    }

    async fn send_parts(
        &self,
        reader: &mut PieceReader,
        size: u64,
        part: u64,
        to: &Path,
        id: &String,
    ) -> Result<(), Error> {
        let mut parts = Vec::new();
        let mut left = size;
        while left > 0 {
            let length = left.min(part);
            let content = reader.next(length).await?;
            left -= length;
            let sent = self.client.put_part(to, id, parts.len(), content).await;
            parts.push(sent.map_err(unavailable("store a part of content"))?);
        }
        let completed = self.client.complete_multipart(to, id, parts).await;
        completed.map(drop).map_err(unavailable("complete content"))
    }
}

impl ExportTarget for BucketExport {
    fn name(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("{}/{path}", self.settings.url()))
    }

    fn parallel_blobs(&self) -> usize {
        BLOBS
    }

    fn prepare(&self) -> StorageFuture<'_, ()> {
        // A bucket has no directories.
        Box::pin(std::future::ready(Ok(())))
    }

    fn write<'a>(
        &'a self,
        files: Vec<ExportFile>,
    ) -> BoxFuture<'a, Result<(), (ExportFile, Error)>> {
        Box::pin(async move {
            let written = stream::iter(files).map(|file| async move {
                let path = self.prefix.path(&file.path);
                let put = self.put(&path, file.content.clone().into()).await;
                put.map_err(|error| (file, unavailable("write a file of an export")(error)))
            });
            let mut written = written.buffer_unordered(FILES);
            while let Some(done) = written.next().await {
                done?;
            }
            Ok(())
        })
    }

    fn copy<'a>(
        &'a self,
        content: &'a dyn BlobStore,
        blob: &'a Blob,
        path: &'a str,
    ) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let to = self.prefix.path(path);
            if has_object(&self.client, &to, blob.size).await? || self.copy_within(blob, &to).await
            {
                return Ok(());
            }
            let reader = content.open(blob, 0..blob.size).await?;
            self.stream(reader, blob.size, &to).await
        })
    }
}

impl fmt::Debug for BucketExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketExport")
            .field("url", &self.settings.url())
            .finish_non_exhaustive()
    }
}

/// Content in pieces of exact lengths: some stores want all parts of one size.
struct PieceReader {
    reader: Box<dyn BlobReader>,
    /// The end of a chunk that belongs to the next piece.
    rest: Bytes,
}

impl PieceReader {
    async fn next(&mut self, length: u64) -> Result<PutPayload, Error> {
        let mut chunks = Vec::new();
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        while left > 0 {
            if self.rest.is_empty() {
                let chunk = self.reader.next().await;
                self.rest = chunk.unwrap_or_else(|| Err(too_short()))?;
            }
            let piece = self.rest.split_to(left.min(self.rest.len()));
            left -= piece.len();
            chunks.push(piece);
        }
        Ok(chunks.into_iter().collect())
    }
}

fn too_short() -> Error {
    Error::Io {
        action: "read a blob",
        source: Arc::new(std::io::ErrorKind::UnexpectedEof.into()),
    }
}
