//! Uploads, and how their content becomes a blob.

use oci::RepositoryName;
use rusqlite::{Connection, OptionalExtension};

use super::cache::Stale;
use super::columns::{
    BLOB, Packed, PackedAlgorithm, blob, link, make_repository, revive, upload_id,
};
use super::{Sqlite, seconds};
use crate::{
    Blob, Error, FinishedUpload, NewUpload, Reservation, StorageFuture, StoreId, UploadId,
    UploadState, UploadStore,
};

impl UploadStore for Sqlite {
    fn begin(&self, upload: NewUpload, limit: u32) -> StorageFuture<'_, ()> {
        let now = self.now();
        Box::pin(self.write(
            move |connection| begin(connection, &upload, limit, now),
            |()| Stale::Nothing,
        ))
    }

    fn open<'a>(&'a self, client: &'a str) -> StorageFuture<'a, u32> {
        let client = client.to_owned();
        Box::pin(self.read(move |connection| open(connection, &client)))
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

    fn record(&self, id: UploadId, received: u64) -> StorageFuture<'_, ()> {
        let now = self.now();
        let work = move |connection: &Connection| {
            let mut record = connection
                .prepare_cached("UPDATE uploads SET received = ?2, moved_at = ?3 WHERE id = ?1")?;
            match record.execute((id.as_bytes(), received, now))? {
                0 => Err(Error::UploadUnknown),
                _ => Ok(()),
            }
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }

    fn end(&self, id: UploadId) -> StorageFuture<'_, ()> {
        Box::pin(self.write(move |connection| end(connection, id), |()| Stale::Nothing))
    }

    fn reserve<'a>(&'a self, landing: FinishedUpload) -> StorageFuture<'a, Reservation> {
        let (now, stale) = (
            self.now(),
            Stale::Blob(landing.repository.clone(), landing.digest),
        );
        Box::pin(self.write(
            move |connection| reserve(connection, &landing, now),
            |_| stale,
        ))
    }

    fn settle<'a>(&'a self, landing: FinishedUpload, blob: Blob) -> StorageFuture<'a, Blob> {
        let (now, stale) = (
            self.now(),
            Stale::Blob(landing.repository.clone(), landing.digest),
        );
        Box::pin(self.write(
            move |connection| settle(connection, &landing, &blob, now),
            |_| stale,
        ))
    }

    fn abandon(&self, blob: Blob) -> StorageFuture<'_, ()> {
        let work = move |connection: &Connection| {
            connection
                .prepare_cached("DELETE FROM blobs WHERE generation = ?1 AND state = 0")?
                .execute([blob.generation])?;
            Ok(())
        };
        Box::pin(self.write(work, |()| Stale::Nothing))
    }

    fn pending(&self) -> StorageFuture<'_, Vec<(Blob, UploadId)>> {
        Box::pin(self.read(|connection| {
            // The second condition is the partial index's, word for word.
            let mut list = connection.prepare_cached(&format!(
                "SELECT {BLOB}, b.upload FROM blobs b WHERE b.state = 0 AND b.state <> 1 ORDER BY b.generation"
            ))?;
            let rows = list.query_map((), |row| Ok((blob(row)?, UploadId::from_bytes(row.get(5)?))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        }))
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
        let before = self.upload_expiry();
        let work = move |connection: &Connection| {
            let mut delete =
                connection.prepare_cached("DELETE FROM uploads WHERE id = ?1 AND moved_at < ?2")?;
            Ok(delete.execute((id.as_bytes(), before))? > 0)
        };
        Box::pin(self.write(work, |_| Stale::Nothing))
    }

    fn all(&self) -> StorageFuture<'_, Vec<UploadId>> {
        Box::pin(self.read(|connection| {
            let mut list = connection.prepare_cached("SELECT id FROM uploads ORDER BY id")?;
            Ok(list.query_map((), upload_id)?.collect::<Result<_, _>>()?)
        }))
    }
}

impl Sqlite {
    /// An upload that has not moved since before this has expired, in seconds since the Unix epoch.
    pub(super) fn upload_expiry(&self) -> i64 {
        self.now()
            .saturating_sub(seconds(self.shared.retention.upload_expiry))
    }
}

/// An upload, and when it last moved.
fn find(
    connection: &Connection,
    repository: &RepositoryName,
    id: UploadId,
) -> Result<(UploadState, i64), Error> {
    let sql = "SELECT algorithm, received, moved_at FROM uploads WHERE id = ?1 AND repository = ?2";
    let row =
        connection
            .prepare_cached(sql)?
            .query_row((id.as_bytes(), repository.as_str()), |row| {
                let upload = UploadState {
                    algorithm: row.get::<_, PackedAlgorithm>(0)?.0,
                    received: row.get(1)?,
                };
                Ok((upload, row.get(2)?))
            });
    row.optional()?.ok_or(Error::UploadUnknown)
}

fn begin(connection: &Connection, upload: &NewUpload, limit: u32, now: i64) -> Result<(), Error> {
    if open(connection, &upload.client)? >= limit {
        return Err(Error::TooManyUploads { limit });
    }
    connection
        .prepare_cached("INSERT INTO uploads VALUES (?1, ?2, ?3, ?4, 0, ?5)")?
        .execute((
            upload.id.as_bytes(),
            upload.repository.as_str(),
            &upload.client,
            PackedAlgorithm(upload.algorithm),
            now,
        ))?;
    Ok(())
}

fn open(connection: &Connection, client: &str) -> Result<u32, Error> {
    let mut count = connection.prepare_cached("SELECT count(*) FROM uploads WHERE client = ?1")?;
    Ok(count.query_row([client], |row| row.get(0))?)
}

fn end(connection: &Connection, id: UploadId) -> Result<(), Error> {
    connection
        .prepare_cached("DELETE FROM uploads WHERE id = ?1")?
        .execute([id.as_bytes()])?;
    Ok(())
}

fn reserve(
    connection: &Connection,
    landing: &FinishedUpload,
    now: i64,
) -> Result<Reservation, Error> {
    if let Some(there) = current(connection, landing)? {
        land(connection, landing, there.generation, now)?;
        return Ok(Reservation::Exists(there));
    }
    connection
        .prepare_cached(
            "INSERT INTO blobs (digest, size, store, key, state, since, leased_at, upload)
             VALUES (?1, ?2, ?3, '', 0, ?4, ?4, ?5)",
        )?
        .execute((
            Packed(landing.digest),
            landing.size,
            StoreId::OWN.0,
            now,
            landing.upload.as_bytes(),
        ))?;
    let generation = connection.last_insert_rowid();
    let key = Blob::new_key(&landing.digest, generation);
    connection
        .prepare_cached("UPDATE blobs SET key = ?2 WHERE generation = ?1")?
        .execute((generation, &key))?;
    let (digest, size) = (landing.digest, landing.size);
    Ok(Reservation::Pending(Blob {
        digest,
        size,
        generation,
        store: StoreId::OWN,
        key,
    }))
}

fn settle(
    connection: &Connection,
    landing: &FinishedUpload,
    pending: &Blob,
    now: i64,
) -> Result<Blob, Error> {
    if let Some(there) = current(connection, landing)? {
        // Somebody was faster. Our file has a key that nobody will ask for.
        let sql = "UPDATE blobs SET state = 3, since = ?2, upload = NULL WHERE generation = ?1 AND state = 0";
        connection
            .prepare_cached(sql)?
            .execute([pending.generation, now])?;
        land(connection, landing, there.generation, now)?;
        return Ok(there);
    }
    let sql = "UPDATE blobs SET state = 1, since = ?2, leased_at = ?2, upload = NULL WHERE generation = ?1 AND state = 0";
    if connection
        .prepare_cached(sql)?
        .execute([pending.generation, now])?
        == 0
    {
        // Collection took it for what a crash had left behind.
        return Err(Error::UploadUnknown);
    }
    land(connection, landing, pending.generation, now)?;
    Ok(pending.clone())
}

/// The row that leads to this content now.
fn current(connection: &Connection, landing: &FinishedUpload) -> Result<Option<Blob>, Error> {
    let sql = format!("SELECT {BLOB} FROM blobs b WHERE b.digest = ?1 AND b.state IN (1, 2)");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([Packed(landing.digest)], blob)
        .optional()?)
}

/// Gives the repository its blob, and ends the upload.
fn land(
    connection: &Connection,
    landing: &FinishedUpload,
    generation: i64,
    now: i64,
) -> Result<(), Error> {
    revive(connection, generation, now)?;
    link(
        connection,
        make_repository(connection, &landing.repository)?,
        generation,
    )?;
    end(connection, landing.upload)
}
