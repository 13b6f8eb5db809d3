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
//! 4. **Remove**: once it has been *deleting* for [`Retention::retain`](crate::Retention::retain), and
//!    this process does not read it any more, its content is removed, and the directory is synced. Then
//!    its row is removed. A crash in between leaves the row, and the next pass removes the content
//!    again.
//!
//! If two passes run at once, some work is done twice, and no harm.

use std::time::Duration;

use crate::{Duty, Error, Storage};

pub use crate::seams::{
    CollectionCursor, CollectionHold, CollectionPolicy, DeletableBlob, Garbage, GarbageBlob,
    GarbageManifest, MarkStep, PruneStep,
};

/// How many files are removed before their rows are: few, so that a crash leaves little to repeat.
const REMOVED: u32 = 100;
/// How many unused objects are removed before their rows are: as many as S3 deletes in one request.
const UNUSED: u32 = 1000;
/// How many expired uploads one pass removes.
const EXPIRED: u32 = 10_000;

/// How long a server has the duty of collection unless it renews the lease.
const LEASE: Duration = Duration::from_secs(30);

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

impl Storage {
    /// What a pass would remove now without waiting times. Nothing is changed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn plan(&self, policy: CollectionPolicy) -> Result<Garbage, Error> {
        self.shared.metadata.collection.plan(policy).await
    }

    /// Runs one pass of garbage collection.
    ///
    /// # Errors
    /// If the database or the disk fails; the next pass continues.
    pub async fn collect(&self, policy: CollectionPolicy) -> Result<CollectionReport, Error> {
        let mut report = CollectionReport {
            uploads: self.end_expired().await?,
            ..CollectionReport::default()
        };
        let collection = &self.shared.metadata.collection;
        let mut after = None;
        loop {
            let step = collection.prune(policy, after).await?;
            report.manifests += step.manifests.len() as u64;
            after = step.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let step = collection.mark(policy, after).await?;
            report.marked += step.marked;
            after = step.next;
            if after.is_none() {
                break;
            }
        }
        while collection.sweep(policy).await? > 0 {}
        self.remove_deletable(&mut report).await?;
        self.remove_unused_objects().await?;
        Ok(report)
    }

    /// Runs a pass if it is due and this server's turn: of several servers that share the storage, one
    /// does it each `every`. Returns `None` if it is not due, or another server does it.
    ///
    /// # Errors
    /// As [`collect`](Self::collect).
    pub async fn collect_in_turn(
        &self,
        policy: CollectionPolicy,
        every: Duration,
    ) -> Result<Option<CollectionReport>, Error> {
        let duty = Duty {
            name: "collection",
            every,
            lease: LEASE,
        };
        self.in_turn(duty, self.collect(policy)).await
    }

    /// Keeps all content while it is being copied.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hold(&self, hold: CollectionHold) -> Result<(), Error> {
        self.shared.metadata.collection.hold(hold).await
    }

    /// Ends a hold.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release(&self, hold: CollectionHold) -> Result<(), Error> {
        self.shared.metadata.collection.release(hold).await
    }

    async fn remove_deletable(&self, report: &mut CollectionReport) -> Result<(), Error> {
        let collection = &self.shared.metadata.collection;
        loop {
            let mut deletable = collection.deletable(REMOVED).await?;
            // A later pass removes what clients are still reading.
            deletable.retain(|blob| !self.shared.content.is_being_read(blob));
            if deletable.is_empty() {
                return Ok(());
            }
            self.shared.content.remove(&deletable).await?;
            report.blobs += deletable.len() as u64;
            report.bytes += deletable.iter().map(|blob| blob.size).sum::<u64>();
            collection.purge(deletable).await?;
        }
    }

    /// Removes what uploads have left behind in a store that chooses keys.
    async fn remove_unused_objects(&self) -> Result<(), Error> {
        let collection = &self.shared.metadata.collection;
        loop {
            let names = collection.unused_objects(UNUSED).await?;
            if names.is_empty() {
                return Ok(());
            }
            self.shared.content.remove_objects(&names).await?;
            collection.forget_objects(names).await?;
        }
    }

    /// Removes expired uploads. An upload in use is left to the next pass: this process knows it by
    /// its lock, another one by its lease.
    async fn end_expired(&self) -> Result<u64, Error> {
        let uploads = &self.shared.metadata.uploads;
        let mut ended = 0;
        for id in uploads.expired(EXPIRED).await? {
            if let Some(_locked) = self.shared.active.try_lock(id)
                && uploads.expire(id).await?
            {
                self.shared.content.discard(id).await?;
                ended += 1;
            }
        }
        Ok(ended)
    }
}
