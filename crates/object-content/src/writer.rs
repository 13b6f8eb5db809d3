//! Writing an upload.
//!
//! Content is gathered until it is a part. One part is sent while the next one is gathered. What is
//! shorter than a part in all is one object.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use object_store::multipart::MultipartStore;
use storage::hash::ContentHasher;
use storage::{Error, StorageFuture, UploadId, UploadObjects, UploadWriter, WrittenContent};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::unavailable;
use crate::names::{multipart_name, new_key};
use crate::shared_store::SharedStore;
use crate::stored_upload::{MultipartUpload, StoredUpload};

/// How many parts an upload may have, as S3 allows.
const PARTS: usize = 10_000;

pub(crate) struct ObjectWriter {
    shared: Arc<SharedStore>,
    upload: UploadId,
    /// Where the content is that the row knows.
    from: StoredUpload,
    from_length: u64,
    /// Whether the writer continues what `from` says, and not from its beginning.
    is_loaded: bool,
    /// The key of what is stored anew. The row has it before.
    key: Option<String>,
    /// What the row has to name beside what `from` says.
    names: Vec<String>,
    is_recorded: bool,
    /// The multipart upload, if there is more than one part.
    multipart: Option<MultipartUpload>,
    /// The part that is being sent.
    sending: Option<JoinHandle<Result<String, Error>>>,
    gathered: Vec<Bytes>,
    gathered_length: usize,
    length: u64,
    hasher: Option<ContentHasher>,
    memory: Option<OwnedSemaphorePermit>,
    has_failed: bool,
}

impl ObjectWriter {
    pub(crate) fn new(shared: Arc<SharedStore>, upload: UploadId, content: WrittenContent) -> Self {
        let objects = content.objects.unwrap_or_default();
        // A row that cannot be read is not continued.
        let from = StoredUpload::parse(&objects.state);
        let is_valid = from
            .as_ref()
            .is_some_and(|from| from.length() == content.length);
        let from = from.unwrap_or_default();
        let key = if continues_parts(&shared, upload, &from) {
            None
        } else {
            new_key(shared.entropy.as_ref()).ok()
        };
        let mut names = objects.names;
        names.extend(key.clone());
        Self {
            is_recorded: key.is_none(),
            shared,
            upload,
            from,
            from_length: content.length,
            is_loaded: false,
            key,
            names,
            multipart: None,
            sending: None,
            gathered: Vec::new(),
            gathered_length: 0,
            length: content.length,
            hasher: content.hasher,
            memory: None,
            has_failed: !is_valid,
        }
    }

    async fn take(&mut self, batch: Vec<Bytes>) -> Result<(), Error> {
        if std::mem::replace(&mut self.has_failed, true) {
            return Err(broken("the upload cannot be continued"));
        }
        if !self.is_loaded {
            self.load().await?;
            self.is_loaded = true;
        }
        let batch = self.hash(batch).await?;
        for chunk in batch {
            self.length += chunk.len() as u64;
            self.gather(chunk).await?;
        }
        self.has_failed = false;
        Ok(())
    }

    /// Takes up what the row knows, so that more content can follow.
    async fn load(&mut self) -> Result<(), Error> {
        let object = match self.from.clone() {
            StoredUpload::Empty => return Ok(()),
            StoredUpload::Object { key, length } => {
                let tail = self.shared.tails.find(self.upload, length);
                let whole = tail.filter(|_| length <= self.shared.part as u64);
                if let Some(whole) = whole {
                    return self.gather_all(whole.content).await;
                }
                key
            }
            StoredUpload::Parts(parts) if parts.is_aligned() => {
                self.multipart = Some(parts);
                return Ok(());
            }
            StoredUpload::Parts(mut parts) => {
                if let Some(tail) = self.shared.tails.find(self.upload, self.from_length) {
                    parts.etags.pop();
                    parts.end = parts.part;
                    self.multipart = Some(parts);
                    return self.gather_all(tail.content).await;
                }
                let (length, key) = (parts.length(), parts.key.clone());
                self.shared.complete(self.upload, &parts, length).await?;
                key
            }
        };
        // The end of the content is not in memory any more.
        let mut reader = self.shared.read(&object, 0..self.from_length).await?;
        while let Some(chunk) = reader.next().await {
            self.gather(chunk?).await?;
        }
        Ok(())
    }

    async fn gather_all(&mut self, content: Vec<Bytes>) -> Result<(), Error> {
        for chunk in content {
            self.gather(chunk).await?;
        }
        Ok(())
    }

    /// Adds to the part, and sends it once it is whole and more content comes.
    async fn gather(&mut self, mut chunk: Bytes) -> Result<(), Error> {
        let part = self.shared.part;
        while !chunk.is_empty() {
            if self.gathered_length == part {
                self.send().await?;
            }
            let more = chunk.split_to(chunk.len().min(part - self.gathered_length));
            self.gathered_length += more.len();
            self.gathered.push(more);
        }
        Ok(())
    }

    /// Sends what was gathered as the next part, once the part before is stored.
    async fn send(&mut self) -> Result<(), Error> {
        if self.multipart.is_none() {
            self.begin_parts().await?;
        }
        self.wait().await?;
        let Some(multipart) = &self.multipart else {
            return Ok(());
        };
        if multipart.etags.len() >= PARTS {
            let limit = multipart.part.saturating_mul(PARTS as u64);
            return Err(Error::TooLarge { limit });
        }
        let content = std::mem::take(&mut self.gathered);
        self.gathered_length = 0;
        // The part may take the place of one that a row names.
        self.shared.tails.mark_replaced(self.upload);
        let (shared, key, id) = (
            Arc::clone(&self.shared),
            multipart.key.clone(),
            multipart.id.clone(),
        );
        let index = multipart.etags.len();
        self.sending = Some(tokio::spawn(async move {
            shared.put_part(&key, &id, index, content).await
        }));
        Ok(())
    }

    async fn begin_parts(&mut self) -> Result<(), Error> {
        let key = self.new_key()?;
        let path = self.shared.path(&key);
        let options = self.shared.multipart_options();
        let id = self
            .shared
            .client
            .create_multipart_opts(&path, options)
            .await;
        let id = id.map_err(unavailable("begin an upload"))?;
        self.names.push(key.clone());
        self.names.push(multipart_name(&key, &id));
        self.is_recorded = false;
        self.multipart = Some(MultipartUpload {
            key,
            id,
            part: self.shared.part as u64,
            etags: Vec::new(),
            end: self.shared.part as u64,
        });
        Ok(())
    }

    /// Waits for the part that is being sent.
    async fn wait(&mut self) -> Result<(), Error> {
        if let Some(sending) = &mut self.sending {
            let sent = sending.await;
            self.sending = None;
            let etag = sent.unwrap_or_else(|error| Err(broken(&error.to_string())))?;
            if let Some(multipart) = &mut self.multipart {
                multipart.etags.push(etag);
            }
        }
        Ok(())
    }

    async fn hash(&mut self, batch: Vec<Bytes>) -> Result<Vec<Bytes>, Error> {
        let Some(mut hasher) = self.hasher.take() else {
            return Ok(batch);
        };
        let hashed = spawn_blocking(move || {
            batch.iter().for_each(|chunk| hasher.update(chunk));
            (hasher, batch)
        });
        let (hasher, batch) = hashed.await.map_err(|error| broken(&error.to_string()))?;
        self.hasher = Some(hasher);
        Ok(batch)
    }

    fn new_key(&mut self) -> Result<String, Error> {
        match self.key.take() {
            Some(key) => Ok(key),
            None => new_key(self.shared.entropy.as_ref()),
        }
    }

    /// Whether nothing was written, so that all is as the row says.
    fn is_unchanged(&self, rest: &[Bytes]) -> bool {
        !self.is_loaded && self.from_length > 0 && rest.iter().all(Bytes::is_empty)
    }

    /// What an upload has to which nothing was written.
    fn unchanged(self) -> WrittenContent {
        WrittenContent {
            length: self.length,
            hasher: self.hasher,
            objects: Some(self.from.to_objects(&[])),
            unsaved: Vec::new(),
        }
    }

    /// All parts are stored, and these are their state.
    async fn end_parts(&mut self) -> Result<Option<StoredUpload>, Error> {
        if self.multipart.is_none() {
            return Ok(None);
        }
        let end = self.gathered_length;
        let content = self.gathered.clone();
        if end > 0 {
            self.send().await?;
        }
        self.wait().await?;
        let Some(mut multipart) = self.multipart.take() else {
            return Ok(None);
        };
        if end > 0 {
            multipart.end = end as u64;
        }
        if multipart.is_aligned() {
            self.shared.tails.remove(self.upload);
        } else {
            self.shared.tails.keep(self.upload, self.length, &content);
        }
        Ok(Some(StoredUpload::Parts(multipart)))
    }

    async fn save(&mut self) -> Result<StoredUpload, Error> {
        if let Some(parts) = self.end_parts().await? {
            return Ok(parts);
        }
        let key = self.new_key()?;
        let content = std::mem::take(&mut self.gathered);
        self.shared.put(&key, content.clone()).await?;
        self.shared.tails.keep(self.upload, self.length, &content);
        Ok(StoredUpload::Object {
            key,
            length: self.length,
        })
    }
}

impl UploadWriter for ObjectWriter {
    fn write(&mut self, batch: Vec<Bytes>) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            if self.memory.is_none() {
                self.memory = Some(self.shared.memory.reserve().await?);
            }
            self.take(batch).await
        })
    }

    fn unrecorded(&mut self) -> Option<UploadObjects> {
        if self.has_failed || std::mem::replace(&mut self.is_recorded, true) {
            return None;
        }
        // Until the next checkpoint, the content is where it was.
        Some(self.from.to_objects(&self.names))
    }

    fn finish(mut self: Box<Self>, rest: Vec<Bytes>) -> StorageFuture<'static, WrittenContent> {
        Box::pin(async move {
            if self.is_unchanged(&rest) {
                return Ok(self.unchanged());
            }
            self.take(rest).await?;
            let state = self.save().await?;
            Ok(WrittenContent {
                length: self.length,
                hasher: self.hasher,
                objects: Some(state.to_objects(&[])),
                unsaved: Vec::new(),
            })
        })
    }

    fn complete(mut self: Box<Self>, rest: Vec<Bytes>) -> StorageFuture<'static, WrittenContent> {
        Box::pin(async move {
            if self.is_unchanged(&rest) {
                return Ok(self.unchanged());
            }
            self.take(rest).await?;
            let (objects, unsaved) = match self.end_parts().await? {
                Some(parts) => (parts.to_objects(&[]), Vec::new()),
                None => {
                    let key = self.new_key()?;
                    let objects = UploadObjects {
                        key: Some(key.clone()),
                        names: vec![key],
                        state: String::new(),
                    };
                    (objects, std::mem::take(&mut self.gathered))
                }
            };
            Ok(WrittenContent {
                length: self.length,
                hasher: self.hasher,
                objects: Some(objects),
                unsaved,
            })
        })
    }

    fn abandon(mut self: Box<Self>) -> StorageFuture<'static, ()> {
        Box::pin(async move { self.wait().await })
    }
}

/// Whether more content can follow the parts without a new key.
fn continues_parts(shared: &SharedStore, upload: UploadId, from: &StoredUpload) -> bool {
    match from {
        StoredUpload::Parts(parts) => {
            parts.is_aligned() || shared.tails.find(upload, parts.length()).is_some()
        }
        StoredUpload::Empty | StoredUpload::Object { .. } => false,
    }
}

fn broken(message: &str) -> Error {
    Error::Io {
        action: "write an upload",
        source: Arc::new(io::Error::other(message.to_owned())),
    }
}
