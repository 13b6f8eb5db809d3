//! Uploads, and how they become blobs.

use oci::RepositoryName;
use rusqlite::{Connection, OptionalExtension};

use super::columns::{
    BLOB, Packed, PackedAlgorithm, blob, link, make_repository, revive, upload_id,
};
use super::objects::{mark_unused, names, objects_from_text, objects_to_text};
use super::quotas::QuotaCheck;
use super::{Sqlite, seconds};
use crate::cache::Stale;
use crate::hash::HashState;
use crate::{
    Blob, BlobReservation, Checkpoint, Error, FinishedUpload, LinkedBlob, NewUpload, PendingUpload,
    StorageFuture, StoreId, UploadId, UploadRecovery, UploadState, UploadStore,
};

impl UploadStore for Sqlite {
    fn begin(
        &self,
        upload: NewUpload,
        limit: u32,
        active: Vec<UploadId>,
    ) -> StorageFuture<'_, Vec<UploadId>> {
        let now = self.now();
        Box::pin(self.write(
            move |connection| begin(connection, &upload, limit, &active, now),
            |_| Stale::Nothing,
        ))
    }

    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState> {
        let repository = repository.clone();
        Box::pin(self.read(move |connection| Ok(find(connection, &repository, id)?.0)))
    }

    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState> {
        let (of, now) = (repository.clone(), self.now());
        let recent = now.saturating_sub(seconds(self.shared.retention.upload_expiry) / 8);
        Box::pin(async move {
            let (row, moved_at) = self
                .read(move |connection| find(connection, &of, id))
                .await?;
            if moved_at < recent {
                let work = move |connection: &Connection| {
                    let mut lease = connection
                        .prepare_cached("UPDATE uploads SET moved_at = ?2 WHERE id = ?1")?;
                    if lease.execute((id.as_bytes(), now))? > 0 {
                        Ok(())
                    } else {
                        Err(Error::UploadUnknown)
                    }
                };
                self.write(work, |()| Stale::Nothing).await?;
            }
            Ok(row)
        })
    }

    fn record(&self, id: UploadId, fence: i64, checkpoint: Checkpoint) -> StorageFuture<'_, i64> {
        let now = self.now();
        let work = move |connection: &Connection| {
            let old = check_fence(connection, id, fence)?;
            let Checkpoint {
                received,
                hash,
                objects,
            } = &checkpoint;
            let kept = objects.as_ref().map_or(&[][..], |objects| &objects.names);
            mark_unused(connection, &old, kept, now)?;
            let mut record = connection.prepare_cached(
                "UPDATE uploads SET received = ?2, hash = ?3, objects = ?4, moved_at = ?5, fence = fence + 1 WHERE id = ?1",
            )?;
            record.execute((
                id.as_bytes(),
                received,
                hash.as_ref().map(HashState::as_bytes),
                objects.as_ref().map(objects_to_text),
                now,
            ))?;
            Ok(fence + 1)
        };
        Box::pin(self.write(work, |_| Stale::Nothing))
    }

    fn end(&self, id: UploadId) -> StorageFuture<'_, ()> {
        let now = self.now();
        Box::pin(self.write(
            move |connection| end(connection, id, None, now),
            |()| Stale::Nothing,
        ))
    }

    fn reserve<'a>(&'a self, finished: FinishedUpload) -> StorageFuture<'a, BlobReservation> {
        let (now, stale) = (self.now(), stale(&finished));
        Box::pin(self.write(
            move |connection| reserve(connection, &finished, now),
            |_| stale,
        ))
    }

    fn commit<'a>(&'a self, finished: FinishedUpload, blob: Blob) -> StorageFuture<'a, LinkedBlob> {
        let (now, stale) = (self.now(), stale(&finished));
        Box::pin(self.write(
            move |connection| commit(connection, &finished, &blob, now),
            |_| stale,
        ))
    }

    fn abort(&self, blob: Blob) -> StorageFuture<'_, ()> {
        let work = move |connection: &Connection| {
            connection
                .prepare_cached("DELETE FROM blobs WHERE generation = ?1 AND state = 0")?
                .execute([blob.generation])?;
            Ok(())
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }

    fn expired(&self, limit: u32) -> StorageFuture<'_, Vec<UploadId>> {
        let before = self.upload_expiry();
        Box::pin(self.read(move |connection| {
            let mut list = connection.prepare_cached(
                "SELECT id FROM uploads WHERE moved_at < ?1 ORDER BY moved_at LIMIT ?2",
            )?;
            Ok(list
                .query_map((before, limit), upload_id)?
                .collect::<Result<_, _>>()?)
        }))
    }

    fn expire(&self, id: UploadId) -> StorageFuture<'_, bool> {
        let (before, now) = (self.upload_expiry(), self.now());
        let work = move |connection: &Connection| {
            let mut find = connection
                .prepare_cached("SELECT 1 FROM uploads WHERE id = ?1 AND moved_at < ?2")?;
            let is_expired = find.exists((id.as_bytes(), before))?;
            if is_expired {
                end(connection, id, None, now)?;
            }
            Ok(is_expired)
        };
        Box::pin(self.write(work, |_| Stale::Nothing))
    }
}

impl UploadRecovery for Sqlite {
    fn pending(&self) -> StorageFuture<'_, Vec<PendingUpload>> {
        Box::pin(self.read(|connection| {
            // The second condition is that of the partial index, literally.
            let mut list = connection.prepare_cached(&format!(
                "SELECT {BLOB}, b.upload FROM blobs b WHERE b.state = 0 AND b.state <> 1 ORDER BY b.generation"
            ))?;
            let rows = list.query_map((), |row| {
                let upload = UploadId::from_bytes(row.get(5)?);
                Ok(PendingUpload { blob: blob(row)?, upload })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        }))
    }

    fn all(&self) -> StorageFuture<'_, Vec<UploadId>> {
        Box::pin(self.read(|connection| {
            let mut list = connection.prepare_cached("SELECT id FROM uploads ORDER BY id")?;
            Ok(list.query_map((), upload_id)?.collect::<Result<_, _>>()?)
        }))
    }
}

impl Sqlite {
    /// An upload that was last used before this has expired, in seconds since the Unix epoch.
    pub(super) fn upload_expiry(&self) -> i64 {
        self.now()
            .saturating_sub(seconds(self.shared.retention.upload_expiry))
    }
}

/// The cache entries that an upload makes stale by becoming a blob, or by replacing one.
fn stale(finished: &FinishedUpload) -> Stale {
    match finished.replaces {
        Some(_) => Stale::Everything,
        None => Stale::Blob(finished.repository.clone(), finished.digest),
    }
}

/// An upload, and the time of its last use.
fn find(
    connection: &Connection,
    repository: &RepositoryName,
    id: UploadId,
) -> Result<(UploadState, i64), Error> {
    let sql = "SELECT client, algorithm, received, hash, fence, moved_at, objects FROM uploads
        WHERE id = ?1 AND repository = ?2";
    let row =
        connection
            .prepare_cached(sql)?
            .query_row((id.as_bytes(), repository.as_str()), |row| {
                let hash: Option<Vec<u8>> = row.get(3)?;
                let checkpoint = Checkpoint {
                    received: row.get(2)?,
                    hash: hash.and_then(HashState::from_bytes),
                    objects: row
                        .get::<_, Option<String>>(6)?
                        .and_then(|text| objects_from_text(&text)),
                };
                let upload = UploadState {
                    client: row.get(0)?,
                    algorithm: row.get::<_, PackedAlgorithm>(1)?.0,
                    checkpoint,
                    fence: row.get(4)?,
                    was_taken_over: false,
                };
                Ok((upload, row.get(5)?))
            });
    row.optional()?.ok_or(Error::UploadUnknown)
}

/// Requires that no other writer has recorded a checkpoint since. Returns the names of the upload's
/// objects.
fn check_fence(connection: &Connection, id: UploadId, fence: i64) -> Result<Vec<String>, Error> {
    let mut find = connection.prepare_cached("SELECT fence, objects FROM uploads WHERE id = ?1")?;
    let now = find.query_row([id.as_bytes()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
    });
    match now.optional()? {
        None => Err(Error::UploadUnknown),
        Some((now, objects)) if now == fence => Ok(names(objects.as_deref())),
        Some(_) => Err(Error::UploadBusy),
    }
}

fn begin(
    connection: &Connection,
    upload: &NewUpload,
    limit: u32,
    active: &[UploadId],
    now: i64,
) -> Result<Vec<UploadId>, Error> {
    let evicted = make_room(connection, &upload.client, limit, active, now)?;
    connection
        .prepare_cached(
            "INSERT INTO uploads (id, repository, client, algorithm, received, moved_at)
             VALUES (?1, ?2, ?3, ?4, 0, ?5)",
        )?
        .execute((
            upload.id.as_bytes(),
            upload.repository.as_str(),
            &upload.client,
            PackedAlgorithm(upload.algorithm),
            now,
        ))?;
    Ok(evicted)
}

/// Removes the uploads of `client` that have been idle for longest, until it may begin another one.
fn make_room(
    connection: &Connection,
    client: &str,
    limit: u32,
    active: &[UploadId],
    now: i64,
) -> Result<Vec<UploadId>, Error> {
    let mut count = connection.prepare_cached("SELECT count(*) FROM uploads WHERE client = ?1")?;
    let count: usize = count.query_row([client], |row| row.get(0))?;
    let excess = (count + 1).saturating_sub(limit as usize);
    if excess == 0 {
        return Ok(Vec::new());
    }
    let mut list = connection
        .prepare_cached("SELECT id FROM uploads WHERE client = ?1 ORDER BY moved_at, id")?;
    let oldest = list
        .query_map([client], upload_id)?
        .collect::<Result<Vec<_>, _>>()?;
    let idle = oldest.into_iter().filter(|id| !active.contains(id));
    let evicted: Vec<_> = idle.take(excess).collect();
    if evicted.len() < excess {
        return Err(Error::TooManyUploads { limit });
    }
    for id in &evicted {
        end(connection, *id, None, now)?;
    }
    Ok(evicted)
}

/// Ends an upload. Its objects are unused from then on, except the one that became a blob.
fn end(connection: &Connection, id: UploadId, blob: Option<&str>, now: i64) -> Result<(), Error> {
    let mut delete =
        connection.prepare_cached("DELETE FROM uploads WHERE id = ?1 RETURNING objects")?;
    let objects = delete.query_row([id.as_bytes()], |row| row.get::<_, Option<String>>(0));
    let objects = objects.optional()?.flatten();
    let kept = blob.map(str::to_owned);
    mark_unused(connection, &names(objects.as_deref()), kept.as_slice(), now)
}

fn reserve(
    connection: &Connection,
    finished: &FinishedUpload,
    now: i64,
) -> Result<BlobReservation, Error> {
    if let Some(fence) = finished.fence {
        check_fence(connection, finished.upload, fence)?;
    }
    if let Some(existing) = current(connection, finished)? {
        let linked = give(connection, finished, existing, now)?;
        if finished.key.is_none() {
            end(connection, finished.upload, None, now)?;
        }
        return Ok(BlobReservation::Exists(linked));
    }
    if finished.key.is_some() {
        // What an earlier request has reserved for the same content.
        connection
            .prepare_cached("DELETE FROM blobs WHERE state = 0 AND state <> 1 AND upload = ?1")?
            .execute([finished.upload.as_bytes()])?;
    }
    connection
        .prepare_cached(
            "INSERT INTO blobs (digest, size, store, key, state, since, leased_at, upload)
             VALUES (?1, ?2, ?3, '', 0, ?4, ?4, ?5)",
        )?
        .execute((
            Packed(finished.digest),
            finished.size,
            StoreId::OWN.0,
            now,
            finished.upload.as_bytes(),
        ))?;
    let generation = connection.last_insert_rowid();
    let new_key = || Blob::new_key(&finished.digest, generation);
    let key = finished.key.clone().unwrap_or_else(new_key);
    connection
        .prepare_cached("UPDATE blobs SET key = ?2 WHERE generation = ?1")?
        .execute((generation, &key))?;
    let (digest, size) = (finished.digest, finished.size);
    Ok(BlobReservation::Pending(Blob {
        digest,
        size,
        generation,
        store: StoreId::OWN,
        key,
    }))
}

fn commit(
    connection: &Connection,
    finished: &FinishedUpload,
    pending: &Blob,
    now: i64,
) -> Result<LinkedBlob, Error> {
    if let Some(existing) = current(connection, finished)? {
        // Another upload was faster. Collection removes our file.
        let sql = "UPDATE blobs SET state = 3, since = ?2, upload = NULL WHERE generation = ?1 AND state = 0";
        connection
            .prepare_cached(sql)?
            .execute([pending.generation, now])?;
        let linked = give(connection, finished, existing, now)?;
        end(connection, finished.upload, Some(&pending.key), now)?;
        return Ok(linked);
    }
    let is_pending = "SELECT 1 FROM blobs WHERE generation = ?1 AND state = 0";
    if !connection
        .prepare_cached(is_pending)?
        .exists([pending.generation])?
    {
        // Collection removed it as a row that a crash had left.
        return Err(Error::UploadUnknown);
    }
    // The old row first: one row at a time may lead to a digest.
    replace(connection, finished, pending.generation, now)?;
    let sql = "UPDATE blobs SET state = 1, since = ?2, leased_at = ?2, upload = NULL WHERE generation = ?1";
    connection
        .prepare_cached(sql)?
        .execute([pending.generation, now])?;
    let linked = give(connection, finished, pending.clone(), now)?;
    end(connection, finished.upload, Some(&pending.key), now)?;
    Ok(linked)
}

/// The row that has this content now, other than the one that is being replaced.
fn current(connection: &Connection, finished: &FinishedUpload) -> Result<Option<Blob>, Error> {
    let sql = format!(
        "SELECT {BLOB} FROM blobs b WHERE b.digest = ?1 AND b.state IN (1, 2) AND b.generation IS NOT ?2"
    );
    Ok(connection
        .prepare_cached(&sql)?
        .query_row((Packed(finished.digest), finished.replaces), blob)
        .optional()?)
}

/// Replaces a row whose content is missing or damaged: every repository that has it gets the new one.
/// Collection removes what is left of its file, if that is ours.
fn replace(
    connection: &Connection,
    finished: &FinishedUpload,
    by: i64,
    now: i64,
) -> Result<(), Error> {
    let Some(old) = finished.replaces else {
        return Ok(());
    };
    connection
        .prepare_cached("UPDATE links SET blob = ?2 WHERE blob = ?1")?
        .execute([old, by])?;
    connection
        .prepare_cached(
            "UPDATE blobs SET state = 3, since = ?2 WHERE generation = ?1 AND store = 0",
        )?
        .execute([old, now])?;
    connection
        .prepare_cached("DELETE FROM blobs WHERE generation = ?1 AND store <> 0")?
        .execute([old])?;
    Ok(())
}

/// Gives the repository its blob.
fn give(
    connection: &Connection,
    finished: &FinishedUpload,
    blob: Blob,
    now: i64,
) -> Result<LinkedBlob, Error> {
    let quotas = QuotaCheck::begin(connection, &finished.quotas)?;
    revive(connection, blob.generation, now)?;
    let repository = make_repository(connection, &finished.repository)?;
    link(connection, repository, blob.generation)?;
    let warnings = quotas.end(connection)?;
    Ok(LinkedBlob { blob, warnings })
}
