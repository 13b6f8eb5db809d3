//! Which database a bucket belongs to.
//!
//! A database and a directory are found to belong together by what they have. A bucket is not
//! listed, and several servers may reach it. So the bucket has an object with a random text, its
//! *identity*, and so has the database.

use std::sync::Arc;

use common::Clock;
use database::SqliteDatabase;

use crate::recovery::recover_uploads;
use crate::shared::{ContentRows, SharedState};
use crate::{
    BlobStore, ContentLocation, MetadataStores, Sqlite, Storage, StorageFuture, StorageOpenError,
    StorageSettings,
};

/// Content that says which database it belongs to.
pub trait ContentIdentity: BlobStore {
    /// What messages call the content: a URL.
    fn location(&self) -> String;

    /// The identity. `None` if the content has none yet.
    fn read_identity(&self) -> StorageFuture<'_, Option<String>>;

    /// Gives the content an identity.
    fn write_identity<'a>(&'a self, identity: &'a str) -> StorageFuture<'a, ()>;
}

impl Storage {
    /// Opens the storage of the one server that has `database`, with content in a bucket, and
    /// [recovers](recover_uploads) uploads. `new` becomes the identity if there is none yet: a random
    /// text.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open_bucket(
        database: SqliteDatabase,
        content: Arc<dyn ContentIdentity>,
        new: &str,
        settings: StorageSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageOpenError> {
        let rows = Sqlite::new(database, settings.retention, clock)?;
        match belongs_to(&rows, content.as_ref()).await? {
            IdentityMatch::Known => {}
            IdentityMatch::Missing(identity) => {
                let identity = identity.unwrap_or_else(|| new.to_owned());
                // The row first: a bucket with an identity that no database has could not be used.
                rows.set_content_identity(identity.clone()).await?;
                content.write_identity(&identity).await?;
            }
        }
        recover_uploads(&rows, content.as_ref()).await?;
        Self::with_bucket(rows, content, settings).await
    }

    /// Opens the storage for a command. A server may be running.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open_bucket_for_command(
        database: SqliteDatabase,
        content: Arc<dyn ContentIdentity>,
        settings: StorageSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageOpenError> {
        let rows = Sqlite::for_command(database, settings.retention, clock)?;
        belongs_to(&rows, content.as_ref()).await?;
        Self::with_bucket(rows, content, settings).await
    }

    async fn with_bucket(
        rows: Sqlite,
        content: Arc<dyn ContentIdentity>,
        settings: StorageSettings,
    ) -> Result<Self, StorageOpenError> {
        let rows = Arc::new(rows);
        let metadata = MetadataStores {
            backup: Some(Arc::clone(&rows) as _),
            ..MetadataStores::new(rows)
        };
        let home = ContentLocation::Bucket(content.location());
        let storage = Self {
            shared: Arc::new(SharedState::new(
                metadata,
                content,
                settings.limits,
                Some(home),
            )),
        };
        storage.add_stores().await?;
        Ok(storage)
    }
}

pub(crate) enum IdentityMatch {
    Known,
    /// The bucket has none. The database may have one, if the server was killed between the two.
    Missing(Option<String>),
}

/// Rejects a database without its content, and content without its database.
pub(crate) async fn belongs_to(
    rows: &impl ContentRows,
    content: &dyn ContentIdentity,
) -> Result<IdentityMatch, StorageOpenError> {
    let own = rows.own_blobs().await?;
    let known = rows.content_identity().await?;
    if known.is_none() && own.any {
        return Err(StorageOpenError::ContentInFiles(content.location()));
    }
    match (known, content.read_identity().await?) {
        (Some(known), Some(found)) if known == found => Ok(IdentityMatch::Known),
        (_, Some(_)) => Err(StorageOpenError::OtherContent(content.location())),
        (Some(_), None) if own.any_live => {
            Err(StorageOpenError::NoContentInBucket(content.location()))
        }
        (known, None) => Ok(IdentityMatch::Missing(known)),
    }
}
