//! Where cargo lies.
//!
//! *Content* (blobs) is write-once: files that are hashed as they arrive, made safe on the disk and
//! never changed. *Metadata* (which repository has which manifests, tags and blobs, and where each
//! blob lies) is rows, changed in transactions. So a list is a query, a delete is visible at once,
//! and [collection] runs while everybody works.
//!
//! [`Storage`] is what a registry opens. The seams below it, [`ManifestStore`], [`BlobIndex`], [`UploadStore`],
//! [`CollectionStore`] for rows and [`BlobStore`] for content, have one implementation each here, in
//! SQLite and in files.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::sync::Arc;
//! use std::time::SystemTime;
//! use storage::{Clock, NewUpload, StorageSettings, Storage, UploadId, hash};
//!
//! # let location = database::DatabaseLocation::at(directory.path().join("w.db"));
//! # let database = database::Database::open_exclusive(&location).unwrap();
//! # let root = directory.path().join("data");
//! let clock: Clock = Arc::new(|| SystemTime::UNIX_EPOCH);
//! let storage = Storage::open(database, root, StorageSettings::default(), clock).await.unwrap();
//!
//! let (repository, algorithm) = ("library/app".parse::<oci::RepositoryName>().unwrap(), oci::DigestAlgorithm::Sha256);
//! let id = UploadId::from_random([7; 16]);
//! let new = NewUpload { id, repository: repository.clone(), client: "alice".to_owned(), algorithm };
//! storage.begin(new).await.unwrap();
//! let mut upload = storage.upload(&repository, id, Some(0)).await.unwrap();
//! upload.write("cargo".into()).await.unwrap();
//! let blob = upload.finish(hash::digest(algorithm, b"cargo")).await.unwrap();
//!
//! let mut source = storage.read(&repository, &blob, 1..3).await.unwrap();
//! assert_eq!(source.next().await.unwrap().unwrap(), b"ar".as_slice());
//! # });
//! ```

mod active_uploads;
mod backup;
mod blob_store;
pub mod collection;
mod collector;
pub mod distribution;
mod error;
mod files;
pub mod hash;
mod model;
mod seams;
mod sqlite;
mod storage;
mod upload;
mod verify;

pub use backup::BackupError;
pub use blob_store::{BlobReader, BlobStore, UploadWriter, WrittenContent};
pub use error::{DigestMismatch, Error};
pub use files::{Files, StorageOpenError};
pub use model::{
    Blob, ListPage, NewManifest, NewManifestError, PageRequest, ReferrerEntry, StoreId,
    StoredManifest, UploadId,
};
pub use seams::{
    AdoptionProgress, AdoptionStage, AdoptionStore, BlobIndex, ChangeSet, Checkpoint,
    CollectionStore, FinishedUpload, Inventory, ManifestChange, ManifestStore, NewOutboxRecord,
    NewUpload, OutboxRecord, OutboxStore, Reservation, StorageFuture, UploadState, UploadStore,
};
pub use sqlite::{Retention, Sqlite};
pub use storage::{Backends, Clock, Storage, StorageSettings, UploadLimits};
pub use upload::Upload;
pub use verify::{ContentHealth, VerifyResult};
