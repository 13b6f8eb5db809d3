//! The steps of a garbage collection; [`collection`](crate::collection) explains them.

use crate::collection::{CollectionHold, CollectionPolicy, CollectionReport, Garbage};
use crate::{Error, Storage};

/// How many files are removed before their rows are: few, so that a crash leaves little to repeat.
const REMOVED: u32 = 100;
/// How many expired uploads one pass removes.
const EXPIRED: u32 = 10_000;

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
        Ok(report)
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
            let deletable = collection.deletable(REMOVED).await?;
            if deletable.is_empty() {
                return Ok(());
            }
            self.shared.content.remove(&deletable).await?;
            report.blobs += deletable.len() as u64;
            report.bytes += deletable.iter().map(|blob| blob.size).sum::<u64>();
            collection.purge(deletable).await?;
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
