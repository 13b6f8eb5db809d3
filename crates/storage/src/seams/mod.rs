//! The traits that a store of metadata implements, one file for each.
//!
//! This crate implements them with SQLite, with PostgreSQL, and [in memory](crate::memory), where
//! they are easiest to read. Every implementation passes the conformance suite in `tests/it/conformance`.
//!
//! Each method is one transaction: when it returns, its change is complete and visible to every
//! caller; when it fails, nothing has changed. Times come from the implementation's own clock.

mod adoption;
mod blobs;
mod collection;
mod duties;
mod immutable_tags;
mod inventory;
mod manifests;
mod outbox;
mod quotas;
mod retention;
mod tag_history;
mod uploads;

pub use adoption::{
    AdoptedBlob, AdoptionProgress, AdoptionStage, AdoptionStore, AdoptionTotals, RepositoryPart,
};
pub use blobs::{AdoptedStore, BlobIndex};
pub use collection::{
    CollectionCursor, CollectionHold, CollectionPolicy, CollectionStore, DeletableBlob, Garbage,
    GarbageBlob, GarbageManifest, MarkStep, PruneStep,
};
pub use duties::{Duty, DutyLease, DutyStore};
pub(crate) use immutable_tags::ImmutableTags;
pub use inventory::{AffectedRepository, BackupBlob, Inventory, MetadataBackup};
pub(crate) use manifests::MISSING_BLOBS;
pub use manifests::{ChangeAuthor, ChangeSet, ManifestChange, ManifestStore};
pub use outbox::{NewOutboxRecord, OutboxRecord, OutboxRecordId, OutboxStore};
pub use quotas::{
    LinkedBlob, PrefixUsage, QuotaCounting, QuotaStore, TrackedPrefixes, UsageQuery, WrongCount,
};
pub use retention::{
    ManifestTags, PullRecording, PullTimeStore, PulledManifest, RestoreOutcome, RestoredTag,
    TagRemoval, TagRemovalOutcome, TagRestoration, TagRetention, Tombstone, TombstoneStore,
    TombstoneTerms, UntaggedManifests,
};
pub use tag_history::{TagChange, TagChangeId, TagHistoryStore};
pub(crate) use uploads::is_kept;
pub use uploads::{
    BlobReservation, Checkpoint, FinishedUpload, NewUpload, PendingUpload, UploadObjects,
    UploadRecovery, UploadState, UploadStore,
};
