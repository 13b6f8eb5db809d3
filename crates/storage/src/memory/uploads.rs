//! Uploads, and how their content becomes a blob.

use oci::RepositoryName;

use super::metadata::MemoryMetadata;
use super::tables::{BlobState, Tables, UploadRow};
use crate::seams::is_kept;
use crate::{
    Blob, BlobReservation, Checkpoint, Error, FinishedUpload, LinkedBlob, NewUpload, PendingUpload,
    StorageFuture, StoreId, UploadId, UploadObjects, UploadRecovery, UploadState, UploadStore,
};

impl UploadStore for MemoryMetadata {
    fn begin(
        &self,
        upload: NewUpload,
        limit: u32,
        active: Vec<UploadId>,
    ) -> StorageFuture<'_, Vec<UploadId>> {
        self.write(move |tables, now| {
            let evicted = tables.make_room(&upload.client, limit, &active)?;
            let row = UploadRow {
                repository: upload.repository,
                client: upload.client,
                algorithm: upload.algorithm,
                checkpoint: Checkpoint {
                    received: 0,
                    hash: None,
                    objects: None,
                },
                fence: 0,
                moved_at: now,
            };
            tables.uploads.insert(upload.id, row);
            Ok(evicted)
        })
    }

    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState> {
        self.read(move |tables| {
            let row = tables.uploads.get(&id);
            let row = row.filter(|row| row.repository == *repository);
            Ok(row.ok_or(Error::UploadUnknown)?.state())
        })
    }

    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState> {
        self.write(move |tables, now| {
            let row = tables.uploads.get_mut(&id);
            let row = row.filter(|row| row.repository == *repository);
            let row = row.ok_or(Error::UploadUnknown)?;
            row.moved_at = now;
            Ok(row.state())
        })
    }

    fn record(&self, id: UploadId, fence: i64, checkpoint: Checkpoint) -> StorageFuture<'_, i64> {
        self.write(move |tables, now| {
            let row = tables.fenced(id, fence)?;
            let old = row.checkpoint.objects.take();
            let kept = checkpoint.objects.clone().unwrap_or_default().names;
            row.checkpoint = checkpoint;
            row.moved_at = now;
            row.fence += 1;
            let fence = row.fence;
            tables.mark_unused(old, &kept);
            Ok(fence)
        })
    }

    fn end(&self, id: UploadId) -> StorageFuture<'_, ()> {
        self.write(move |tables, _| {
            tables.end(id, None);
            Ok(())
        })
    }

    fn reserve(&self, finished: FinishedUpload) -> StorageFuture<'_, BlobReservation> {
        self.write(move |tables, now| {
            if let Some(fence) = finished.fence {
                tables.fenced(finished.upload, fence)?;
            }
            if let Some(existing) = tables.current(&finished) {
                let linked = tables.link(&finished, existing, now)?;
                if finished.key.is_none() {
                    tables.end(finished.upload, None);
                }
                return Ok(BlobReservation::Exists(linked));
            }
            if finished.key.is_some() {
                tables
                    .blobs
                    .retain(|_, row| row.upload != Some(finished.upload));
            }
            let generation = tables.next_generation();
            let blob = Blob {
                digest: finished.digest,
                size: finished.size,
                generation,
                store: StoreId::OWN,
                key: finished
                    .key
                    .unwrap_or_else(|| Blob::new_key(&finished.digest, generation)),
            };
            let row = tables.insert_blob(blob.clone(), BlobState::Pending, now);
            row.upload = Some(finished.upload);
            Ok(BlobReservation::Pending(blob))
        })
    }

    fn commit(&self, finished: FinishedUpload, blob: Blob) -> StorageFuture<'_, LinkedBlob> {
        self.write(move |tables, now| {
            let existing = tables.current(&finished);
            let pending = tables.blobs.get_mut(&blob.generation);
            let pending = pending.filter(|row| row.state == BlobState::Pending);
            if let Some(existing) = existing {
                if let Some(pending) = pending {
                    pending.set(BlobState::Deleting, now);
                }
                let linked = tables.link(&finished, existing, now)?;
                tables.end(finished.upload, Some(&blob.key));
                return Ok(linked);
            }
            pending
                .ok_or(Error::UploadUnknown)?
                .set(BlobState::Live, now);
            if let Some(old) = finished.replaces {
                tables.replace(old, blob.generation, now);
            }
            let key = blob.key.clone();
            let linked = tables.link(&finished, blob, now)?;
            tables.end(finished.upload, Some(&key));
            Ok(linked)
        })
    }

    fn abort(&self, blob: Blob) -> StorageFuture<'_, ()> {
        self.write(move |tables, _| {
            let row = tables.blobs.get(&blob.generation);
            if row.is_some_and(|row| row.state == BlobState::Pending) {
                tables.blobs.remove(&blob.generation);
            }
            Ok(())
        })
    }

    fn expired(&self, limit: u32) -> StorageFuture<'_, Vec<UploadId>> {
        self.read(move |tables| {
            let mut expired = tables.expired_uploads(self.upload_expiry());
            expired.truncate(limit as usize);
            Ok(expired)
        })
    }

    fn expire(&self, id: UploadId) -> StorageFuture<'_, bool> {
        self.write(move |tables, _| {
            let is_expired = tables.expired_uploads(self.upload_expiry()).contains(&id);
            if is_expired {
                tables.end(id, None);
            }
            Ok(is_expired)
        })
    }
}

impl UploadRecovery for MemoryMetadata {
    fn pending(&self) -> StorageFuture<'_, Vec<PendingUpload>> {
        self.read(|tables| {
            let rows = tables.blobs.values();
            let pending = rows.filter(|row| row.state == BlobState::Pending);
            let pending = pending.filter_map(|row| {
                Some(PendingUpload {
                    blob: row.blob.clone(),
                    upload: row.upload?,
                })
            });
            Ok(pending.collect())
        })
    }

    fn all(&self) -> StorageFuture<'_, Vec<UploadId>> {
        self.read(|tables| Ok(tables.uploads.keys().copied().collect()))
    }
}

impl Tables {
    /// An upload that no other writer has recorded since it had `fence`.
    fn fenced(&mut self, id: UploadId, fence: i64) -> Result<&mut UploadRow, Error> {
        let row = self.uploads.get_mut(&id).ok_or(Error::UploadUnknown)?;
        if row.fence == fence {
            Ok(row)
        } else {
            Err(Error::UploadBusy)
        }
    }

    /// Removes uploads of `client` that are not active, those that have been idle for longest first,
    /// until there is room for one more.
    fn make_room(
        &mut self,
        client: &str,
        limit: u32,
        active: &[UploadId],
    ) -> Result<Vec<UploadId>, Error> {
        let of_client = self.uploads.iter().filter(|(_, row)| row.client == client);
        let mut oldest: Vec<_> = of_client.map(|(id, row)| (row.moved_at, *id)).collect();
        oldest.sort_unstable();
        let excess = (oldest.len() + 1).saturating_sub(limit as usize);
        let idle = oldest.into_iter().filter(|(_, id)| !active.contains(id));
        let evicted: Vec<_> = idle.take(excess).map(|(_, id)| id).collect();
        if evicted.len() < excess {
            return Err(Error::TooManyUploads { limit });
        }
        for id in &evicted {
            self.end(*id, None);
        }
        Ok(evicted)
    }

    /// Uploads that have been idle since before `before`, the longest idle first.
    pub(super) fn expired_uploads(&self, before: i64) -> Vec<UploadId> {
        let expired = self.uploads.iter();
        let expired = expired.filter(|(_, row)| row.moved_at < before);
        let mut expired: Vec<_> = expired.map(|(id, row)| (row.moved_at, *id)).collect();
        expired.sort_unstable();
        expired.into_iter().map(|(_, id)| id).collect()
    }

    /// The blob that has this content already. The one that is to be replaced does not count.
    fn current(&self, finished: &FinishedUpload) -> Option<Blob> {
        let served = self.served(&finished.digest)?;
        (Some(served.blob.generation) != finished.replaces).then(|| served.blob.clone())
    }

    /// Gives the repository of an upload its blob.
    fn link(
        &mut self,
        finished: &FinishedUpload,
        blob: Blob,
        now: i64,
    ) -> Result<LinkedBlob, Error> {
        let before = self.usage_below(&finished.quotas);
        self.give(&finished.repository, blob.generation, now);
        let warnings = self.check_quotas(&finished.quotas, &before)?;
        Ok(LinkedBlob { blob, warnings })
    }

    /// Ends an upload. Its objects are unused from then on, except the one that became a blob.
    fn end(&mut self, id: UploadId, blob: Option<&str>) {
        if let Some(row) = self.uploads.remove(&id) {
            let kept = blob.map(str::to_owned);
            self.mark_unused(row.checkpoint.objects, kept.as_slice());
        }
    }

    /// Whether this upload's row leads to its content.
    pub(super) fn has_objects(&self, upload: Option<UploadId>) -> bool {
        let row = upload.and_then(|id| self.uploads.get(&id));
        row.is_some_and(|row| row.checkpoint.objects.is_some())
    }

    /// From now on, nothing needs the objects, except those of `kept`.
    fn mark_unused(&mut self, objects: Option<UploadObjects>, kept: &[String]) {
        let names = objects.unwrap_or_default().names.into_iter();
        self.unused_objects
            .extend(names.filter(|name| !is_kept(name, kept)));
    }

    /// Every repository that has the blob `old` gets the blob `new` instead. What is left of the old
    /// one is removed if it is in our own store.
    fn replace(&mut self, old: i64, new: i64, now: i64) {
        for row in self.repositories.values_mut() {
            if row.blobs.remove(&old) {
                row.blobs.insert(new);
            }
        }
        if let Some(row) = self.blobs.get_mut(&old) {
            if row.blob.store == StoreId::OWN {
                row.set(BlobState::Deleting, now);
            } else {
                self.blobs.remove(&old);
            }
        }
    }
}

impl UploadRow {
    fn state(&self) -> UploadState {
        UploadState {
            client: self.client.clone(),
            algorithm: self.algorithm,
            checkpoint: self.checkpoint.clone(),
            fence: self.fence,
            was_taken_over: false,
        }
    }
}
