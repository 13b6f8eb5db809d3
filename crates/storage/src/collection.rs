//! Garbage collection, which runs while clients push and pull.
//!
//! A pass goes through these steps. Each is a transaction, or changes nothing in the database. So a
//! pass can be killed between any two steps, and the next one continues.
//!
//! 1. **Prune**: untagged manifests older than an age are removed, if an age is configured. A
//!    manifest stays if one that stays needs it: as a child of an index, as the subject of a
//!    referrer, or as a referrer of its own subject.
//! 2. **Mark**: a live blob is marked if no manifest refers to it and its lease is older than the
//!    grace time. It is still served. A client that may push unmarks it by asking for it, mounting
//!    it, uploading it, or pushing a manifest that needs it.
//! 3. **Sweep**: a blob that has been marked for the wait, and to which still nothing refers, is
//!    *deleting*. Now no client can see it. If the same content is uploaded again, it gets another
//!    row and another key.
//! 4. **Remove**: its content is removed, and the directory is synced. Then its row is removed. A
//!    crash in between leaves the row, and the next pass removes the content again.
//!
//! If two passes run at once, some work is done twice, and no harm.

pub use crate::seams::{
    CollectionCursor, CollectionHold, CollectionPolicy, DeletableBlob, Garbage, GarbageBlob,
    GarbageManifest, MarkStep, PruneStep,
};

/// What a pass has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionReport {
    /// How many manifests were removed.
    pub manifests: u64,
    /// How many blobs were marked.
    pub marked: u64,
    /// How many blobs were removed, marked in this pass or an earlier one.
    pub blobs: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// How many expired uploads were removed.
    pub uploads: u64,
}
