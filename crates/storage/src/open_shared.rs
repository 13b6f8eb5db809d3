//! Opening the storage of one of several servers.

use std::path::PathBuf;
use std::sync::Arc;

use crate::content_identity::{IdentityMatch, belongs_to};
use crate::shared::SharedState;
use crate::storage::belong_together;
use crate::{
    ContentIdentity, ContentLocation, Error, Files, MetadataStores, PostgresMetadata, Storage,
    StorageOpenError, UploadLimits,
};

impl Storage {
    /// Opens the storage of one of several servers that share a database, with its content under
    /// `root`, a directory that all of them reach. Uploads are not recovered: another server may be
    /// writing to them. One that is left behind can be continued when its lease ends, or expires.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open_shared(
        metadata: PostgresMetadata,
        root: impl Into<PathBuf>,
        limits: UploadLimits,
    ) -> Result<Self, StorageOpenError> {
        let files = Files::open_shared(root)?;
        belong_together(&metadata, &files).await?;
        if metadata.directory_identity().await?.is_none() {
            // The file first: of servers that start at once on one directory, all find the same.
            let made = files.make_identity(&metadata.new_identity());
            let made = made.map_err(Error::io("write the directory's identity"))?;
            metadata
                .set_content_identity(&format!("directory {made}"))
                .await?;
        }
        is_same_directory(&metadata, &files).await?;
        let storage = Self::on_files(stores(metadata), files, limits);
        storage.add_stores().await?;
        Ok(storage)
    }

    /// The same for a command. Nothing is created.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open_shared_for_command(
        metadata: PostgresMetadata,
        root: impl Into<PathBuf>,
        limits: UploadLimits,
    ) -> Result<Self, StorageOpenError> {
        let files = Files::open(root)?;
        belong_together(&metadata, &files).await?;
        is_same_directory(&metadata, &files).await?;
        let storage = Self::on_files(stores(metadata), files, limits);
        storage.add_stores().await?;
        Ok(storage)
    }

    /// Opens the storage of one of several servers that share a database, with content in a bucket.
    /// `new` becomes the bucket's identity if there is none yet: a random text.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open_shared_bucket(
        metadata: PostgresMetadata,
        content: Arc<dyn ContentIdentity>,
        new: &str,
        limits: UploadLimits,
    ) -> Result<Self, StorageOpenError> {
        match belongs_to(&metadata, content.as_ref()).await? {
            IdentityMatch::Known => {}
            IdentityMatch::Missing(_) => {
                // The row first: a bucket with an identity that no database has could not be used.
                // Of several servers that start at once, all write the identity of the first one.
                let identity = metadata.set_content_identity(new).await?;
                if identity.starts_with("directory ") {
                    return Err(StorageOpenError::ContentInFiles(content.location()));
                }
                content.write_identity(&identity).await?;
            }
        }
        Self::on_bucket(metadata, content, limits).await
    }

    /// The same for a command. Nothing is changed.
    ///
    /// # Errors
    /// [`StorageOpenError`], with a sentence for the operator.
    pub async fn open_shared_bucket_for_command(
        metadata: PostgresMetadata,
        content: Arc<dyn ContentIdentity>,
        limits: UploadLimits,
    ) -> Result<Self, StorageOpenError> {
        belongs_to(&metadata, content.as_ref()).await?;
        Self::on_bucket(metadata, content, limits).await
    }

    async fn on_bucket(
        metadata: PostgresMetadata,
        content: Arc<dyn ContentIdentity>,
        limits: UploadLimits,
    ) -> Result<Self, StorageOpenError> {
        let home = ContentLocation::Bucket(content.location());
        let state = SharedState::new(stores(metadata), content, limits, Some(home));
        let storage = Self {
            shared: Arc::new(state),
        };
        storage.add_stores().await?;
        Ok(storage)
    }
}

/// Rejects a directory that is not that of the other servers.
async fn is_same_directory(
    metadata: &PostgresMetadata,
    files: &Files,
) -> Result<(), StorageOpenError> {
    let Some(known) = metadata.directory_identity().await? else {
        return Ok(());
    };
    let found = files.identity();
    let found = found.map_err(Error::io("read the directory's identity"))?;
    if found.as_ref() == Some(&known) {
        Ok(())
    } else {
        Err(StorageOpenError::OtherDirectory(files.path().to_owned()))
    }
}

fn stores(metadata: PostgresMetadata) -> MetadataStores {
    MetadataStores::new(Arc::new(metadata))
}
