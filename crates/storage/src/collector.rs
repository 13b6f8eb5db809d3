//! Collection, walked through; the steps are explained in [`collection`](crate::collection).

use crate::collection::{CollectionHold, CollectionPolicy, CollectionReport, Garbage};
use crate::{Error, Storage};

/// Files that are removed before their rows are: few enough that a crash leaves little to do again.
const REMOVED: u32 = 100;
/// Uploads that are ended in one pass.
const EXPIRED: u32 = 10_000;

impl Storage {
    /// What a pass would remove now, if nothing had to wait. Nothing is changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn plan(&self, policy: CollectionPolicy) -> Result<Garbage, Error> {
        self.shared.backends.collection.plan(policy).await
    }

    /// One pass of collection, beside whatever else goes on.
    ///
    /// # Errors
    /// When the database or the disk fails; the next pass goes on.
    pub async fn collect(&self, policy: CollectionPolicy) -> Result<CollectionReport, Error> {
        let mut collected = CollectionReport {
            uploads: self.end_expired().await?,
            ..CollectionReport::default()
        };
        let collection = &self.shared.backends.collection;
        let mut after = 0;
        while let (garbage, Some(last)) = collection.prune(policy, after).await? {
            collected.manifests += garbage.manifests.len() as u64;
            after = last;
        }
        after = 0;
        while let (marked, Some(last)) = collection.mark(policy, after).await? {
            collected.marked += marked;
            after = last;
        }
        while collection.sweep(policy).await? > 0 {}
        self.remove_deletable(&mut collected).await?;
        Ok(collected)
    }

    /// Keeps every file where it is, for somebody who is copying them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hold(&self, hold: CollectionHold) -> Result<(), Error> {
        self.shared.backends.collection.hold(hold).await
    }

    /// Ends a hold.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(&self, hold: CollectionHold) -> Result<(), Error> {
        self.shared.backends.collection.release(hold).await
    }

    async fn remove_deletable(&self, collected: &mut CollectionReport) -> Result<(), Error> {
        let collection = &self.shared.backends.collection;
        loop {
            let deletable = collection.deletable(REMOVED).await?;
            if deletable.is_empty() {
                return Ok(());
            }
            self.shared.backends.store.remove(&deletable).await?;
            collected.blobs += deletable.len() as u64;
            collected.bytes += deletable.iter().map(|blob| blob.size).sum::<u64>();
            collection.purge(deletable).await?;
        }
    }

    /// Ends uploads that have not moved for too long. One that somebody writes to just now is left
    /// to the next pass: here by its lock, in another process by its lease.
    async fn end_expired(&self) -> Result<u64, Error> {
        let mut ended = 0;
        for id in self.shared.backends.uploads.expired(EXPIRED).await? {
            if let Some(_locked) = self.shared.active.try_lock(id)
                && self.shared.backends.uploads.expire(id).await?
            {
                self.shared.backends.store.discard(id).await?;
                ended += 1;
            }
        }
        Ok(ended)
    }
}
