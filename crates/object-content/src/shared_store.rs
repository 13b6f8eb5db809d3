//! Requests to the store.

use std::collections::HashSet;
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
    Attribute, Attributes, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload,
};
use storage::{ContentUrl, Error, UploadId};
use tokio::time::{Instant, timeout};

use crate::error::{StoreFailure, unavailable};
use crate::in_use::ObjectsInUse;
use crate::location::KeyPrefix;
use crate::memory::UploadMemory;
use crate::names::IDENTITY;
use crate::signed_urls::SignedUrls;
use crate::small_content::SmallContent;
use crate::stored_upload::MultipartUpload;
use crate::tails::Tails;

/// How long the store may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(5);
/// How long an answer of the store that it is there, or is not, counts.
const ANSWER_AGE: Duration = Duration::from_secs(5);
/// How many blobs are remembered whose content was missing.
const SUSPECTS: usize = 10_000;

/// Clients of one store, which differ in how they ask.
pub(crate) struct StoreClients {
    pub(crate) client: AmazonS3,
    pub(crate) single_deletes: AmazonS3,
    pub(crate) reading_client: AmazonS3,
}

/// What all clones and writers share.
pub(crate) struct SharedStore {
    pub(crate) client: AmazonS3,
    /// The same store, for a store that cannot delete many objects at once.
    pub(crate) single_deletes: AmazonS3,
    /// The same store, whose requests are not repeated: readers do that themselves.
    pub(crate) reading_client: AmazonS3,
    /// Where clients are sent to, if they are.
    pub(crate) signed_urls: Option<SignedUrls>,
    pub(crate) in_use: ObjectsInUse,
    pub(crate) small: SmallContent,
    pub(crate) deletes_singly: AtomicBool,
    pub(crate) prefix: KeyPrefix,
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
        clients: StoreClients,
        signed_urls: Option<SignedUrls>,
        prefix: KeyPrefix,
        url: String,
        part: usize,
        storage_class: Option<String>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let StoreClients {
            client,
            single_deletes,
            reading_client,
        } = clients;
        Self {
            client,
            single_deletes,
            reading_client,
            signed_urls,
            in_use: ObjectsInUse::default(),
            small: SmallContent::default(),
            deletes_singly: AtomicBool::new(false),
            prefix,
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

    /// Where a client can read an object by itself.
    pub(crate) async fn locate(&self, key: &str) -> Result<Option<ContentUrl>, Error> {
        let Some(signed_urls) = &self.signed_urls else {
            return Ok(None);
        };
        // A client could not tell that it is missing. The server can.
        if self.is_suspect(key) {
            return Ok(None);
        }
        let credential = self.client.credentials().get_credential().await;
        let credential = credential.map_err(unavailable("sign a URL"))?;
        let path = self.path(key);
        Ok(Some(signed_urls.sign(path.as_ref(), credential)))
    }

    /// Whether an object has this size.
    pub(crate) async fn has(&self, key: &str, size: u64) -> Result<bool, Error> {
        has_object(&self.client, &self.path(key), size).await
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
        let path = self.path(IDENTITY);
        let is_there = match timeout(ANSWER, self.client.head(&path)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => StoreFailure::new(&error).is_missing(),
            Err(_) => false,
        };
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

/// Whether an object has this size.
pub(crate) async fn has_object(client: &AmazonS3, path: &Path, size: u64) -> Result<bool, Error> {
    match client.head(path).await {
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

/// The content as one body.
fn payload(content: Vec<Bytes>) -> PutPayload {
    content.into_iter().collect()
}
