//! Collection, walked through; the steps are explained in [`collection`](crate::collection).

use crate::collection::{Collected, Garbage, Hold, Sweep};
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
    pub async fn plan(&self, sweep: Sweep) -> Result<Garbage, Error> {
        self.shared.parts.collection.plan(sweep).await
    }

    /// One pass of collection, beside whatever else goes on.
    ///
    /// # Errors
    /// When the database or the disk fails; the next pass goes on.
    pub async fn collect(&self, sweep: Sweep) -> Result<Collected, Error> {
        let mut collected = Collected {
            uploads: self.end_expired().await?,
            ..Collected::default()
        };
        let collection = &self.shared.parts.collection;
        let mut after = 0;
        while let (garbage, Some(last)) = collection.sweep(sweep, after).await? {
            collected.manifests += garbage.manifests.len() as u64;
            after = last;
        }
        after = 0;
        while let (condemned, Some(last)) = collection.condemn(sweep, after).await? {
            collected.condemned += condemned;
            after = last;
        }
        while collection.sentence(sweep).await? > 0 {}
        self.remove_doomed(&mut collected).await?;
        Ok(collected)
    }

    /// Keeps every file where it is, for somebody who is copying them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hold(&self, hold: Hold) -> Result<(), Error> {
        self.shared.parts.collection.hold(hold).await
    }

    /// Ends a hold.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(&self, hold: Hold) -> Result<(), Error> {
        self.shared.parts.collection.release(hold).await
    }

    async fn remove_doomed(&self, collected: &mut Collected) -> Result<(), Error> {
        let collection = &self.shared.parts.collection;
        loop {
            let doomed = collection.doomed(REMOVED).await?;
            if doomed.is_empty() {
                return Ok(());
            }
            self.shared.parts.store.remove(&doomed).await?;
            collected.blobs += doomed.len() as u64;
            collected.bytes += doomed.iter().map(|blob| blob.size).sum::<u64>();
            collection.bury(doomed).await?;
        }
    }

    /// Ends uploads that have not moved for too long. One that somebody writes to just now is left
    /// to the next pass: here by its lock, in another process by its lease.
    async fn end_expired(&self) -> Result<u64, Error> {
        let mut ended = 0;
        for id in self.shared.parts.uploads.expired(EXPIRED).await? {
            if let Ok(mut running) = self.shared.running(id).try_lock_owned()
                && self.shared.parts.uploads.expire(id).await?
            {
                self.shared.parts.store.discard(id).await?;
                *running = crate::upload::Running::Ended;
                self.shared.forget(id);
                ended += 1;
            }
        }
        Ok(ended)
    }
}
