//! The storage of a registry.
//!
//! *Content* is the bytes of blobs. They are hashed while they arrive, synced to the disk, and never
//! changed. *Metadata* says which repository has which manifests, tags and blobs, and where the
//! content of each blob is. It is rows, which are changed in transactions. So a list is a query, a
//! delete takes effect at once, and [garbage collection](collection) runs while clients push and
//! pull.
//!
//! A registry opens [`Storage`]. It uses the metadata through [`ManifestStore`], [`BlobIndex`],
//! [`UploadStore`] and the other traits of [`MetadataStores`], and the content through [`BlobStore`].
//! [`Sqlite`] and [`Files`] implement them. [`memory`] is the metadata without a database, for tests
//! and for readers.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::sync::Arc;
//! use storage::{NewUpload, StorageSettings, Storage, UploadId, hash};
//!
//! # let location = database::DatabaseLocation::at(directory.path().join("w.db"));
//! # let database = database::SqliteDatabase::open_exclusive(&location).unwrap();
//! # let root = directory.path().join("data");
//! let clock = Arc::new(common::SystemClock);
//! let storage = Storage::open(database, root, StorageSettings::default(), clock).await.unwrap();
//!
//! let (repository, algorithm) = ("library/app".parse::<oci::RepositoryName>().unwrap(), oci::DigestAlgorithm::Sha256);
//! let id = UploadId::from_random([7; 16]);
//! let new = NewUpload { id, repository: repository.clone(), client: "alice".to_owned(), algorithm };
//! storage.begin(new).await.unwrap();
//! let mut upload = storage.upload(&repository, id, Some(0)).await.unwrap();
//! upload.write("content".into()).await.unwrap();
//! let blob = upload.finish(hash::digest(algorithm, b"content")).await.unwrap();
//!
//! let mut source = storage.read(&repository, &blob, 1..3).await.unwrap();
//! assert_eq!(source.next().await.unwrap().unwrap(), b"on".as_slice());
//! # });
//! ```

mod active_uploads;
mod backup;
mod blob_store;
mod cache;
pub mod collection;
mod completion;
mod content_identity;
pub mod distribution;
mod duty;
mod error;
mod files;
pub mod hash;
mod measured_store;
pub mod memory;
mod model;
mod open_shared;
mod packed_digest;
mod postgres;
mod publication;
mod pull_times;
mod quota;
mod recovery;
mod relocation;
mod seams;
mod settings;
mod shared;
mod sqlite;
mod statistics;
mod storage;
pub mod tag_retention;
mod tree;
mod upload;
mod upload_lease;
mod verify;

pub use backup::BackupError;
pub use blob_store::{BlobReader, BlobStore, ContentUrl, CopyTarget, UploadWriter, WrittenContent};
pub use content_identity::ContentIdentity;
pub use error::{DigestMismatch, Error, ImmutableTag, RemotePart, StorageFuture};
pub use files::{Files, StorageOpenError};
pub use model::{
    Blob, ContentLocation, ListPage, NewManifest, NewManifestError, PageRequest, ReferrerEntry,
    StoreId, StoredManifest, TaggedManifest, UploadId,
};
pub use postgres::{DatabaseClock, LookPeriods, PostgresMetadata, PostgresSettings};
pub use pull_times::PullTimes;
pub use quota::{
    DuplicateQuota, Quota, QuotaExceeded, QuotaPrefix, QuotaResource, QuotaRoom, QuotaUsage,
    QuotaWarning, Quotas, RepositoryQuotas,
};
pub use recovery::recover_uploads;
pub use relocation::{RelocationError, RelocationReport};
pub use seams::{
    AdoptedStore, AdoptionProgress, AdoptionStage, AdoptionStore, AffectedRepository, BackupBlob,
    BlobIndex, BlobReservation, ChangeAuthor, ChangeSet, Checkpoint, CollectionStore, Duty,
    DutyLease, DutyStore, FinishedUpload, Inventory, LinkedBlob, ManifestChange, ManifestStore,
    ManifestTags, MetadataBackup, NewOutboxRecord, NewUpload, OutboxRecord, OutboxRecordId,
    OutboxStore, PendingUpload, PrefixUsage, PullRecording, PullTimeStore, PulledManifest,
    QuotaCounting, QuotaStore, RestoreOutcome, RestoredTag, TagChange, TagChangeId,
    TagHistoryStore, TagRemoval, TagRemovalOutcome, TagRestoration, TagRetention, Tombstone,
    TombstoneStore, TombstoneTerms, TrackedPrefixes, UntaggedManifests, UploadObjects,
    UploadRecovery, UploadState, UploadStore, UsageQuery, WrongCount,
};
pub use settings::{Retention, StorageSettings, UploadLimits};
pub use shared::MetadataStores;
pub use sqlite::Sqlite;
pub use statistics::{CacheStatistics, LookStatistics, MetadataStatistics, StorageStatistics};
pub use storage::Storage;
pub use tree::{EntryKind, LinkFile, Tree, TreeEntry};
pub use upload::Upload;
pub use verify::{ContentHealth, VerifyResult};
