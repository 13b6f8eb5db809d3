//! Uploads, and how they become blobs.

use std::time::Duration;

use oci::RepositoryName;
use postgresql::Row;

use super::PostgresMetadata;
use super::columns::{blob, column, invalid, number, seconds, size, text, upload_id};
use super::quotas::{QuotaColumns, StatementWithin};
use crate::hash::HashState;
use crate::packed_digest::{algorithm, algorithm_number, pack};
use crate::{
    Blob, BlobReservation, Checkpoint, Error, FinishedUpload, LinkedBlob, NewUpload, PendingUpload,
    StorageFuture, UploadId, UploadObjects, UploadRecovery, UploadState, UploadStore,
};

/// How long a server has the lease of an upload unless it renews it, and how often it does so.
const LEASE: Duration = Duration::from_secs(30);
const RENEWAL: Duration = Duration::from_secs(10);

const COLUMNS: &str =
    "client, algorithm, received, hash, object_key, object_names, object_state, fence";

impl UploadStore for PostgresMetadata {
    fn begin(
        &self,
        upload: NewUpload,
        limit: u32,
        active: Vec<UploadId>,
    ) -> StorageFuture<'_, Vec<UploadId>> {
        Box::pin(async move {
            let sql = "SELECT begin_upload_1($1, $2, $3, $4, $5, $6, $7, $8)";
            let active: Vec<&[u8]> = active.iter().map(|id| &id.as_bytes()[..]).collect();
            let begun = self
                .one(
                    sql,
                    &[
                        &self.at(),
                        &&upload.id.as_bytes()[..],
                        &upload.repository.as_str(),
                        &text(&upload.client),
                        &i16::from(algorithm_number(upload.algorithm)),
                        &i64::from(limit),
                        &active,
                        &&self.shared.server[..],
                    ],
                )
                .await?;
            let evicted: Option<Vec<&[u8]>> = column(&begun, 0)?;
            let evicted = evicted.ok_or(Error::TooManyUploads { limit })?;
            evicted.into_iter().map(upload_id).collect()
        })
    }

    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState> {
        Box::pin(async move {
            let sql = format!("SELECT {COLUMNS} FROM uploads WHERE id = $1 AND repository = $2");
            let rows = self
                .query(&sql, &[&&id.as_bytes()[..], &repository.as_str()])
                .await?;
            state(rows.first().ok_or(Error::UploadUnknown)?)
        })
    }

    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState> {
        Box::pin(async move {
            let sql = format!(
                "SELECT {COLUMNS}, taken, was_taken_over FROM lease_upload_1($1, $2, $3, $4, $5)"
            );
            let (id, server) = (&id.as_bytes()[..], &self.shared.server[..]);
            let repository = repository.as_str();
            let lease = seconds(LEASE);
            let rows = self
                .query(&sql, &[&self.at(), &repository, &id, &server, &lease])
                .await?;
            let row = rows.first().ok_or(Error::UploadUnknown)?;
            if !column::<bool>(row, 8)? {
                return Err(Error::UploadBusy);
            }
            Ok(UploadState {
                was_taken_over: column(row, 9)?,
                ..state(row)?
            })
        })
    }

    fn release(&self, id: UploadId) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "UPDATE uploads SET owner = NULL, until = NULL WHERE id = $1 AND owner = $2";
            let (id, server) = (&id.as_bytes()[..], &self.shared.server[..]);
            self.query(sql, &[&id, &server]).await.map(drop)
        })
    }

    fn renewal(&self) -> Duration {
        RENEWAL
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn record(&self, id: UploadId, fence: i64, checkpoint: Checkpoint) -> StorageFuture<'_, i64> {
        Box::pin(async move {
            let Checkpoint {
                received,
                hash,
                objects,
            } = checkpoint;
            let hash = hash.as_ref().map(HashState::as_bytes);
            let (key, names, state) = objects.map_or((None, None, None), |objects| {
                (objects.key, Some(objects.names), Some(objects.state))
            });
            let sql = "SELECT record_upload_1($1, $2, $3, $4, $5, $6, $7, $8)";
            let recorded = self
                .one(
                    sql,
                    &[
                        &self.at(),
                        &&id.as_bytes()[..],
                        &fence,
                        &number(received),
                        &hash,
                        &key,
                        &names,
                        &state,
                    ],
                )
                .await?;
            match column(&recorded, 0)? {
                0 => Ok(fence + 1),
                1 => Err(Error::UploadUnknown),
                _ => Err(Error::UploadBusy),
            }
        })
    }

    fn end(&self, id: UploadId) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "SELECT end_upload_1($1, $2, '{}')";
            self.query(sql, &[&self.at(), &&id.as_bytes()[..]])
                .await
                .map(drop)
        })
    }

    fn reserve(&self, finished: FinishedUpload) -> StorageFuture<'_, BlobReservation> {
        Box::pin(async move {
            let sql = StatementWithin {
                without: "SELECT * FROM reserve_blob_1($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                within:
                    "SELECT * FROM reserve_within_quotas_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                    $11, $12)",
            };
            let quotas = QuotaColumns::new(&finished.quotas);
            let rows = self
                .change_within(
                    &quotas,
                    sql,
                    &[
                        &self.at(),
                        &&finished.upload.as_bytes()[..],
                        &finished.fence,
                        &finished.repository.as_str(),
                        &pack(&finished.digest),
                        &number(finished.size),
                        &finished.replaces,
                        &finished.key,
                        &self.renewal_seconds(),
                    ],
                )
                .await?;
            let row = rows.first().ok_or(Error::Conflict)?;
            match column(row, 0)? {
                0 => Ok(BlobReservation::Exists(LinkedBlob {
                    blob: blob(row, 1)?,
                    warnings: quotas.warnings(row, 6)?,
                })),
                1 => Ok(BlobReservation::Pending(blob(row, 1)?)),
                2 => Err(Error::UploadUnknown),
                _ => Err(Error::UploadBusy),
            }
        })
    }

    fn commit<'a>(
        &'a self,
        finished: FinishedUpload,
        pending: Blob,
    ) -> StorageFuture<'a, LinkedBlob> {
        Box::pin(async move {
            let sql = StatementWithin {
                without: "SELECT * FROM commit_blob_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                within:
                    "SELECT * FROM commit_within_quotas_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                    $11, $12, $13, $14)",
            };
            let quotas = QuotaColumns::new(&finished.quotas);
            let rows = self
                .change_within(
                    &quotas,
                    sql,
                    &[
                        &self.at(),
                        &&finished.upload.as_bytes()[..],
                        &finished.fence,
                        &finished.repository.as_str(),
                        &pack(&finished.digest),
                        &number(finished.size),
                        &finished.replaces,
                        &pending.generation,
                        &pending.key,
                        &finished.key.is_some(),
                        &self.renewal_seconds(),
                    ],
                )
                .await?;
            let row = rows.first().ok_or(Error::Conflict)?;
            let blob = match column(row, 0)? {
                0 | 1 => blob(row, 1)?,
                2 => return Err(Error::UploadUnknown),
                _ => return Err(Error::UploadBusy),
            };
            if finished.replaces.is_some() {
                self.settle().await;
            }
            Ok(LinkedBlob {
                blob,
                warnings: quotas.warnings(row, 6)?,
            })
        })
    }

    fn abort(&self, blob: Blob) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "DELETE FROM blobs WHERE generation = $1 AND state = 0";
            self.query(sql, &[&blob.generation]).await.map(drop)
        })
    }

    fn unpublished(&self, id: UploadId) -> StorageFuture<'_, Vec<Blob>> {
        Box::pin(async move {
            let sql = "SELECT digest, size, generation, store, key FROM blobs
                WHERE state = 0 AND state <> 1 AND upload = $1";
            let rows = self.query(sql, &[&&id.as_bytes()[..]]).await?;
            rows.iter().map(|row| blob(row, 0)).collect()
        })
    }

    fn expired(&self, limit: u32) -> StorageFuture<'_, Vec<UploadId>> {
        Box::pin(async move {
            let sql = "SELECT id FROM uploads
                WHERE moved_at < coalesce($1::timestamptz, now()) - make_interval(secs => $2)
                    AND (until IS NULL OR until <= coalesce($1::timestamptz, now()))
                ORDER BY moved_at, id LIMIT $3";
            let expiry = seconds(self.shared.retention.upload_expiry);
            let rows = self
                .query(sql, &[&self.at(), &expiry, &i64::from(limit)])
                .await?;
            rows.iter().map(|row| upload_id(column(row, 0)?)).collect()
        })
    }

    fn expire(&self, id: UploadId) -> StorageFuture<'_, bool> {
        Box::pin(async move {
            let sql = "SELECT expire_upload_1($1, $2, $3)";
            let expiry = seconds(self.shared.retention.upload_expiry);
            let expired = self
                .one(sql, &[&self.at(), &&id.as_bytes()[..], &expiry])
                .await?;
            column(&expired, 0)
        })
    }
}

/// For the tests of the seams. A server does not recover uploads here: others may be writing to them.
impl UploadRecovery for PostgresMetadata {
    fn pending(&self) -> StorageFuture<'_, Vec<PendingUpload>> {
        Box::pin(async move {
            let sql = "SELECT digest, size, generation, store, key, upload FROM blobs
                WHERE state = 0 AND state <> 1 ORDER BY generation";
            let rows = self.query(sql, &[]).await?;
            let pending = rows.iter().map(|row| {
                let upload = upload_id(column(row, 5)?)?;
                let blob = blob(row, 0)?;
                Ok(PendingUpload { blob, upload })
            });
            pending.collect()
        })
    }

    fn all(&self) -> StorageFuture<'_, Vec<UploadId>> {
        Box::pin(async move {
            let rows = self
                .query("SELECT id FROM uploads ORDER BY id", &[])
                .await?;
            rows.iter().map(|row| upload_id(column(row, 0)?)).collect()
        })
    }
}

/// An upload, whose columns are those of [`COLUMNS`].
fn state(row: &Row) -> Result<UploadState, Error> {
    let number: i16 = column(row, 1)?;
    let number = u8::try_from(number).ok();
    let algorithm = number.and_then(algorithm);
    let hash: Option<Vec<u8>> = column(row, 3)?;
    let names: Option<Vec<String>> = column(row, 5)?;
    let objects = match names {
        None => None,
        Some(names) => Some(UploadObjects {
            key: column(row, 4)?,
            names,
            state: column::<Option<String>>(row, 6)?.unwrap_or_default(),
        }),
    };
    Ok(UploadState {
        client: column(row, 0)?,
        algorithm: algorithm.ok_or_else(|| invalid("read an upload of the database"))?,
        checkpoint: Checkpoint {
            received: size(row, 2)?,
            hash: hash.and_then(HashState::from_bytes),
            objects,
        },
        fence: column(row, 7)?,
        was_taken_over: false,
    })
}
