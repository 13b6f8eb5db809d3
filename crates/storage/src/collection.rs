//! Collection: making room while everybody goes on working.
//!
//! A pass walks through these steps, each a transaction or nothing at all, so that it can be killed
//! between any two:
//!
//! 1. **Sweep**: untagged manifests go that are older than an age (where that is configured at all), unless a manifest
//!    that stays needs them: as a child of an index, as the subject of a referrer, or as a referrer of its own subject.
//! 2. **Condemn**: a live blob to which no manifest refers, and whose lease is older than the grace time, is condemned.
//!    It is still served; whoever may push and asks for it, mounts it, uploads it or pushes a manifest with it, brings
//!    it back to life.
//! 3. **Sentence**: a blob that has been condemned for the wait, and still is not referred to, is *deleting*. From here
//!    on it is gone for everybody; the same content uploaded again gets another row and another key.
//! 4. **Remove**: its file goes, and the directory is synced; then its row goes. A crash in between leaves the row,
//!    and the next pass removes a file that may be gone already.
//!
//! Two passes at once do each other's work twice at worst.

use std::time::Duration;

use oci::{Digest, RepositoryName};

use crate::{StoreId, UploadId};

/// How a pass is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionPolicy {
    /// For how long after its last lease nothing is touched.
    pub grace: Duration,
    /// How long a condemned blob waits to be brought back. Longer than any server may remember a
    /// blob's row without asking; nothing at all is enough beside one server with one database.
    pub wait: Duration,
    /// The age from which manifests without a tag go; none keeps them.
    pub untagged: Option<Duration>,
}

/// What a pass removes, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Manifests that nothing needs.
    pub manifests: Vec<(RepositoryName, Digest)>,
    /// Blobs to which nothing refers, with their sizes in bytes.
    pub blobs: Vec<(Digest, u64)>,
    /// Uploads that have not moved for too long.
    pub uploads: Vec<UploadId>,
}

/// A blob whose file is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletableBlob {
    /// Its row's number.
    pub generation: i64,
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Which store has it.
    pub store: StoreId,
    /// Where in the store its file is, or was.
    pub key: String,
}

/// Keeps files where they are, for somebody who is copying them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionHold {
    /// Nobody else's.
    pub id: [u8; 16],
    /// For how long, unless it is renewed.
    pub lasting: Duration,
}

/// What a pass has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionReport {
    /// Manifests that nothing needed, removed.
    pub manifests: u64,
    /// Blobs condemned.
    pub marked: u64,
    /// Blobs whose files were removed, condemned in this pass or an earlier one.
    pub blobs: u64,
    /// What these files held, in bytes.
    pub bytes: u64,
    /// Uploads that had not moved for too long, ended.
    pub uploads: u64,
}
