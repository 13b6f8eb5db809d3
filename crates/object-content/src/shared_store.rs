//! Requests to the store.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use common::Entropy;
use futures_util::StreamExt;
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload,
};
use oci::DigestAlgorithm;
use storage::{BlobReader, Error, StoreId, UploadId};
use tokio::time::{Instant, timeout};

use crate::adopted::AdoptedBuckets;
use crate::error::{StoreFailure, unavailable};
use crate::location::KeyPrefix;
use crate::memory::UploadMemory;
use crate::names::IDENTITY;
use crate::reader::ObjectReader;
use crate::settings::S3Settings;
use crate::stored_upload::MultipartUpload;
use crate::tails::Tails;

/// How long the store may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(5);
/// How long an answer of the store that it is there, or is not, counts.
const ANSWER_AGE: Duration = Duration::from_secs(5);
/// How many blobs are remembered whose content was missing.
const SUSPECTS: usize = 10_000;

/// What all clones and writers share.
pub(crate) struct SharedStore {
    pub(crate) client: AmazonS3,
    /// The same store, for a store that cannot delete many objects at once.
    pub(crate) single_deletes: AmazonS3,
    pub(crate) deletes_singly: AtomicBool,
    pub(crate) prefix: KeyPrefix,
    pub(crate) adopted: AdoptedBuckets,
    pub(crate) url: String,
    /// The size of a part, in bytes.
    pub(crate) part: usize,
    pub(crate) storage_class: Option<String>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) tails: Tails,
    pub(crate) memory: UploadMemory,
    /// The keys of blobs that could not be opened.
    suspects: Mutex<HashSet<String>>,
    /// When the store last said whether it is there, and what it said.
    answered: Mutex<Option<(Instant, bool)>>,
}

impl SharedStore {
    pub(crate) fn new(
        clients: [AmazonS3; 2],
        prefix: KeyPrefix,
        adopted: AdoptedBuckets,
        url: String,
        part: usize,
        storage_class: Option<String>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let [client, single_deletes] = clients;
        Self {
            client,
            single_deletes,
            deletes_singly: AtomicBool::new(false),
            prefix,
            adopted,
            url,
            part,
            storage_class,
            entropy,
            tails: Tails::default(),
            memory: UploadMemory::new(part),
            suspects: Mutex::default(),
            answered: Mutex::default(),
        }
    }

    pub(crate) fn path(&self, key: &str) -> Path {
        self.prefix.path(key)
    }

    /// Where an object of a store is. `None` if the store is unknown.
    pub(crate) fn find(&self, store: StoreId, key: &str) -> Option<(AmazonS3, Path)> {
        if store == StoreId::OWN {
            return Some((self.client.clone(), self.path(key)));
        }
        let adopted = self.adopted.find(store)?;
        let path = adopted.prefix.path(key);
        Some((adopted.client, path))
    }

    /// The path of an object of a store, if it is in the bucket of `settings`.
    pub(crate) fn path_in(&self, settings: &S3Settings, store: StoreId, key: &str) -> Option<Path> {
        if store == StoreId::OWN {
            let is_same = self.adopted.is_same_bucket(settings);
            return is_same.then(|| self.path(key));
        }
        let adopted = self.adopted.find(store)?;
        let is_same = self.adopted.is_same_store(settings) && adopted.bucket == settings.bucket;
        is_same.then(|| adopted.prefix.path(key))
    }

    fn attributes(&self) -> Attributes {
        let class = self.storage_class.iter();
        class
            .map(|class| (Attribute::StorageClass, class.clone()))
            .collect()
    }

    pub(crate) fn put_options(&self) -> PutOptions {
        self.attributes().into()
    }

    pub(crate) fn multipart_options(&self) -> PutMultipartOptions {
        self.attributes().into()
    }

    /// Stores an object.
    pub(crate) async fn put(&self, key: &str, content: Vec<Bytes>) -> Result<(), Error> {
        let path = self.path(key);
        let options = self.put_options();
        let put = self.client.put_opts(&path, payload(content), options);
        put.await.map(drop).map_err(unavailable("store content"))
    }

    /// Stores a part, and returns what completion needs.
    pub(crate) async fn put_part(
        &self,
        key: &str,
        id: &str,
        index: usize,
        content: Vec<Bytes>,
    ) -> Result<String, Error> {
        let (path, id) = (self.path(key), id.to_owned());
        let put = self.client.put_part(&path, &id, index, payload(content));
        match put.await {
            Ok(part) => Ok(part.content_id),
            Err(error) => {
                let failure = StoreFailure::new(&error);
                // The upload was ended, perhaps by a rule of the bucket.
                if failure.is_missing() {
                    return Err(Error::UploadUnknown);
                }
                Err(failure.unavailable("store a part of an upload"))
            }
        }
    }

    /// Makes the parts of an upload an object. It may be one already, if an answer was lost.
    pub(crate) async fn complete(
        &self,
        upload: UploadId,
        multipart: &MultipartUpload,
        length: u64,
    ) -> Result<(), Error> {
        let MultipartUpload { key, id, .. } = multipart;
        let mut etags = multipart.etags.clone();
        if let Some(tail) = self.tails.find(upload, length)
            && tail.is_replaced
            && !multipart.is_aligned()
        {
            // An interrupted request has sent a longer part in place of the last one.
            etags.pop();
            let last = self.put_part(key, id, etags.len(), tail.content);
            let last = last.await?;
            etags.push(last);
        }
        let parts = etags.into_iter();
        let parts = parts.map(|content_id| PartId { content_id }).collect();
        let path = self.path(key);
        let completed = self.client.complete_multipart(&path, id, parts);
        let Err(error) = completed.await else {
            return Ok(());
        };
        let failure = StoreFailure::new(&error);
        if failure.is_mismatch() {
            tracing::warn!(%upload, "the store has other parts of an upload than its row says; the client has to begin again");
            return Err(Error::UploadUnknown);
        }
        if !failure.is_missing() {
            return Err(failure.unavailable("complete an upload"));
        }
        match self.client.head(&path).await {
            Ok(object) if object.size == length => Ok(()),
            Ok(_) => Err(Error::UploadUnknown),
            Err(error) => {
                let failure = StoreFailure::new(&error);
                if failure.is_missing() {
                    return Err(Error::UploadUnknown);
                }
                Err(failure.unavailable("look at an object"))
            }
        }
    }

    /// Reads an object that an upload has.
    pub(crate) async fn read(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<Box<dyn BlobReader>, Error> {
        match self.get(StoreId::OWN, key, range, None).await? {
            Some(reader) => Ok(Box::new(reader)),
            None => Err(Error::UploadUnknown),
        }
    }

    /// A reader of a range. `None` if the store is unknown, or the object is missing or not of this
    /// size.
    pub(crate) async fn get(
        &self,
        store: StoreId,
        key: &str,
        range: Range<u64>,
        size: Option<u64>,
    ) -> Result<Option<ObjectReader>, Error> {
        let left = range.end.saturating_sub(range.start);
        // The digest is only for messages about damaged content.
        let digest = storage::hash::digest(DigestAlgorithm::Sha256, b"");
        if left == 0 {
            return Ok(Some(ObjectReader {
                stream: None,
                digest,
                left,
            }));
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let Some((client, path)) = self.find(store, key) else {
            return Ok(None);
        };
        match client.get_opts(&path, options).await {
            Ok(found) if size.is_some_and(|size| size != found.meta.size) => Ok(None),
            Ok(found) => Ok(Some(ObjectReader {
                stream: Some(found.into_stream()),
                digest,
                left,
            })),
            Err(error) => {
                let failure = StoreFailure::new(&error);
                if failure.is_missing() || failure.is_short() {
                    return Ok(None);
                }
                Err(failure.unavailable("read content"))
            }
        }
    }

    /// Whether an object has this size.
    pub(crate) async fn has(&self, store: StoreId, key: &str, size: u64) -> Result<bool, Error> {
        let Some((client, path)) = self.find(store, key) else {
            return Ok(false);
        };
        match client.head(&path).await {
            Ok(object) => Ok(object.size == size),
            Err(error) => {
                let failure = StoreFailure::new(&error);
                if failure.is_missing() {
                    return Ok(false);
                }
                Err(failure.unavailable("look at an object"))
            }
        }
    }

    /// Removes objects. Those that are gone already are no error.
    pub(crate) async fn delete(&self, keys: Vec<String>) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        if !self.deletes_singly.load(Ordering::Relaxed) {
            match self.delete_with(&self.client, &keys).await {
                Err(failure) if failure.is_unsupported() => {
                    tracing::info!("the object store cannot delete several objects at once");
                    self.deletes_singly.store(true, Ordering::Relaxed);
                }
                deleted => return deleted.map_err(|failure| failure.unavailable("remove content")),
            }
        }
        let deleted = self.delete_with(&self.single_deletes, &keys).await;
        deleted.map_err(|failure| failure.unavailable("remove content"))
    }

    async fn delete_with(&self, client: &AmazonS3, keys: &[String]) -> Result<(), StoreFailure> {
        let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(key))).collect();
        let mut deleted = client.delete_stream(futures_util::stream::iter(paths).boxed());
        while let Some(done) = deleted.next().await {
            if let Err(error) = done {
                let failure = StoreFailure::new(&error);
                if !failure.is_missing() {
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// Removes objects of an adopted registry. Those that are gone already are no error.
    pub(crate) async fn delete_adopted(&self, store: StoreId, key: &str) -> Result<(), Error> {
        let Some((client, path)) = self.find(store, key) else {
            return Ok(());
        };
        let Err(error) = client.delete(&path).await else {
            return Ok(());
        };
        let failure = StoreFailure::new(&error);
        if failure.is_missing() {
            return Ok(());
        }
        Err(failure.unavailable("remove content of an adopted registry"))
    }

    pub(crate) async fn abort(&self, key: &str, id: &str) -> Result<(), Error> {
        let (path, id) = (self.path(key), id.to_owned());
        match self.client.abort_multipart(&path, &id).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let failure = StoreFailure::new(&error);
                if failure.is_missing() {
                    return Ok(());
                }
                Err(failure.unavailable("remove an upload"))
            }
        }
    }

    /// Asks whether the store is there, unless it was asked a moment ago.
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of an answer on the runtime's timer"
    )]
    pub(crate) async fn is_there(&self) -> bool {
        let known = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, is_there)) = known
            && at.elapsed() < ANSWER_AGE
        {
            return is_there;
        }
        let is_there = answers(&self.client, &self.path(IDENTITY)).await;
        let now = Some((Instant::now(), is_there));
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = now;
        is_there
    }

    pub(crate) fn suspect(&self, key: &str) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.len() < SUSPECTS {
            suspects.insert(key.to_owned());
        }
    }

    pub(crate) fn is_suspect(&self, key: &str) -> bool {
        let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.contains(key)
    }
}

/// Whether a bucket can be asked for an object, which may be missing.
pub(crate) async fn answers(client: &AmazonS3, path: &Path) -> bool {
    match timeout(ANSWER, client.head(path)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => StoreFailure::new(&error).is_missing(),
        Err(_) => false,
    }
}

/// The content as one body.
fn payload(content: Vec<Bytes>) -> PutPayload {
    content.into_iter().collect()
}
