//! Opening a bucket: a probe says whether it can be used, before clients find out.

use std::sync::Arc;

use common::{Clock, Entropy};
use object_store::aws::AmazonS3;
use object_store::multipart::MultipartStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use storage::{ContentIdentity, StorageFuture};

use crate::adopted::AdoptedBuckets;
use crate::clients::open_store;
use crate::error::{S3OpenError, StoreFailure, unavailable};
use crate::names::{IDENTITY, new_key};
use crate::settings::S3Settings;
use crate::store::ObjectContent;

/// What the probe writes.
const PROBE: &[u8] = b"wharfinger";

impl ObjectContent {
    /// The content of this bucket. Nothing is asked yet.
    ///
    /// # Errors
    /// [`S3OpenError::Settings`].
    pub fn new(
        settings: &S3Settings,
        entropy: Arc<dyn Entropy>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, S3OpenError> {
        let shared = open_store(settings, &entropy, &clock)?;
        Ok(Self {
            shared: Arc::new(shared),
            adopted: Arc::new(AdoptedBuckets::new(settings.clone(), entropy, clock)),
        })
    }

    /// Writes, reads and removes an object, and begins an upload in parts, stores a part, and ends it. So
    /// what is wrong is known before a client pushes.
    ///
    /// # Errors
    /// [`S3OpenError::Refused`], with what is wrong and what to do.
    pub async fn probe(&self) -> Result<(), S3OpenError> {
        let shared = &self.shared;
        let refused = |action| {
            move |error: object_store::Error| StoreFailure::new(&error).refused(&shared.url, action)
        };
        let key = new_key(shared.entropy.as_ref());
        let key = key.map_err(|error| S3OpenError::Settings {
            url: shared.url.clone(),
            message: error.to_string(),
        })?;
        let path = shared.path(&key);
        let client: &AmazonS3 = &shared.client;
        let put = client.put_opts(&path, PROBE.into(), shared.put_options());
        put.await.map_err(refused("write an object"))?;
        let options = GetOptions {
            range: Some(GetRange::Bounded(1..3)),
            ..GetOptions::default()
        };
        let found = client.get_opts(&path, options).await;
        let found = found.map_err(refused("read a range of an object"))?;
        let part = found.bytes().await;
        let part = part.map_err(refused("read a range of an object"))?;
        if part != PROBE[1..3] {
            return Err(S3OpenError::Refused {
                url: shared.url.clone(),
                action: "read a range of an object",
                cause: "the store returned other content than was written".to_owned(),
            });
        }
        let options = shared.multipart_options();
        let id = client.create_multipart_opts(&path, options).await;
        let id = id.map_err(refused("begin an upload in parts"))?;
        let part = client.put_part(&path, &id, 0, PROBE.into()).await;
        let aborted = client.abort_multipart(&path, &id).await;
        // A part without an ETag is an error, because no upload can be completed without it.
        part.map_err(refused("store a part of an upload"))?;
        aborted.map_err(refused("end an upload in parts"))?;
        let deleted = client.delete(&path).await;
        deleted.map_err(refused("remove an object"))
    }
}

impl ContentIdentity for ObjectContent {
    fn location(&self) -> String {
        self.shared.url.clone()
    }

    fn read_identity(&self) -> StorageFuture<'_, Option<String>> {
        Box::pin(async move {
            let path = self.shared.path(IDENTITY);
            let found = match self.shared.client.get(&path).await {
                Ok(found) => found,
                Err(error) => {
                    let failure = StoreFailure::new(&error);
                    if failure.is_missing() {
                        return Ok(None);
                    }
                    return Err(failure.unavailable("read whose content the bucket has"));
                }
            };
            let text = found.bytes().await;
            let text = text.map_err(unavailable("read whose content the bucket has"))?;
            Ok(Some(String::from_utf8_lossy(&text).trim().to_owned()))
        })
    }

    fn write_identity<'a>(&'a self, identity: &'a str) -> StorageFuture<'a, ()> {
        let content = identity.to_owned().into_bytes();
        Box::pin(async move { self.shared.put(IDENTITY, vec![content.into()]).await })
    }
}
