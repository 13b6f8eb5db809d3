//! Garbage collection's queries. Garbage is looked for without locks. It is removed in short
//! transactions, which check again that it still is garbage.
//!
//! A marked blob is deleted only when every transaction has ended that may have read that it is
//! live. So no blob has to be locked by a push that refers to it.

use std::time::Duration;

use super::PostgresMetadata;
use super::columns::{blob, column, digest, seconds, size, upload_id};
use super::prune::{PrunableRepository, UnneededRows};
use crate::collection::{
    CollectionCursor, CollectionHold, CollectionPolicy, DeletableBlob, Garbage, GarbageBlob,
    GarbageManifest, MarkStep, PruneStep,
};
use crate::{CollectionStore, Error, StorageFuture};

/// Rows in one transaction.
const ROWS: i64 = 500;
/// A pending row younger than this may belong to a running upload, however short the grace time is.
const MIN_PENDING_AGE: Duration = Duration::from_secs(3600);
/// How long a sweep waits for transactions that were running when a blob was marked, and how often
/// it looks. Those that take longer are left to the next pass.
const PATIENCE: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_millis(20);

impl CollectionStore for PostgresMetadata {
    fn plan(&self, policy: CollectionPolicy) -> StorageFuture<'_, Garbage> {
        Box::pin(plan(self, policy))
    }

    fn prune(
        &self,
        policy: CollectionPolicy,
        after: Option<CollectionCursor>,
    ) -> StorageFuture<'_, PruneStep> {
        Box::pin(prune(self, policy, number(after)))
    }

    fn mark(
        &self,
        policy: CollectionPolicy,
        after: Option<CollectionCursor>,
    ) -> StorageFuture<'_, MarkStep> {
        Box::pin(async move {
            let sql = "SELECT * FROM mark_blobs_1($1, $2, $3, $4)";
            let grace = seconds(policy.grace);
            let marked = self
                .one(sql, &[&self.at(), &number(after), &grace, &ROWS])
                .await?;
            let (count, last): (i64, Option<i64>) = (column(&marked, 0)?, column(&marked, 1)?);
            if count > 0 {
                self.settle().await;
            }
            Ok(MarkStep {
                marked: count.unsigned_abs(),
                next: last.map(CollectionCursor::new),
            })
        })
    }

    fn sweep(&self, policy: CollectionPolicy) -> StorageFuture<'_, u64> {
        Box::pin(sweep(self, policy))
    }

    fn deletable(&self, limit: u32) -> StorageFuture<'_, Vec<DeletableBlob>> {
        Box::pin(async move {
            let sql = "SELECT digest, size, generation, store, key FROM blobs
                WHERE state = 3 AND state <> 1
                    AND since <= coalesce($1::timestamptz, now()) - make_interval(secs => $3)
                    AND NOT EXISTS (SELECT 1 FROM collection_holds WHERE until > coalesce($1::timestamptz, now()))
                ORDER BY generation LIMIT $2";
            let retain = seconds(self.shared.retention.retain);
            let rows = self
                .query(sql, &[&self.at(), &i64::from(limit), &retain])
                .await?;
            let deletable = rows.iter().map(|row| {
                let blob = blob(row, 0)?;
                Ok(DeletableBlob {
                    generation: blob.generation,
                    digest: blob.digest,
                    size: blob.size,
                    store: blob.store,
                    key: blob.key,
                })
            });
            deletable.collect()
        })
    }

    fn purge(&self, deletable: Vec<DeletableBlob>) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "DELETE FROM blobs WHERE generation = ANY ($1) AND state = 3";
            let generations: Vec<i64> = deletable.iter().map(|blob| blob.generation).collect();
            self.query(sql, &[&generations]).await.map(drop)
        })
    }

    fn unused_objects(&self, limit: u32) -> StorageFuture<'_, Vec<String>> {
        Box::pin(async move {
            let sql = "SELECT name FROM unused_objects ORDER BY name LIMIT $1";
            let rows = self.query(sql, &[&i64::from(limit)]).await?;
            rows.iter().map(|row| column(row, 0)).collect()
        })
    }

    fn forget_objects(&self, names: Vec<String>) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "DELETE FROM unused_objects WHERE name = ANY ($1)";
            self.query(sql, &[&names]).await.map(drop)
        })
    }

    fn hold(&self, hold: CollectionHold) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "SELECT hold_collection_1($1, $2, $3)";
            let (id, lasting) = (&hold.id[..], seconds(hold.lasting));
            self.query(sql, &[&self.at(), &id, &lasting])
                .await
                .map(drop)
        })
    }

    fn release(&self, hold: CollectionHold) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "DELETE FROM collection_holds WHERE id = $1";
            self.query(sql, &[&&hold.id[..]]).await.map(drop)
        })
    }
}

/// The number of the row after which a walk continues. The first number is 1.
fn number(cursor: Option<CollectionCursor>) -> i64 {
    cursor.map_or(0, CollectionCursor::number)
}

async fn prune(
    metadata: &PostgresMetadata,
    policy: CollectionPolicy,
    after: i64,
) -> Result<PruneStep, Error> {
    let repositories = metadata.some_repositories(policy, after).await?;
    let mut step = PruneStep {
        manifests: Vec::new(),
        next: repositories.last().map(|row| CollectionCursor::new(row.id)),
    };
    let mut changed = false;
    for row in &repositories {
        let unneeded = match row.has_untagged {
            true => metadata.unneeded(row, policy).await?,
            false => UnneededRows::default(),
        };
        if row.is_untidy || !unneeded.ids.is_empty() {
            step.manifests
                .extend(prune_repository(metadata, policy, row, unneeded).await?);
            changed = true;
        }
        if row.has_expired {
            let sql = "SELECT purge_tombstones_1($1, $2)";
            metadata.query(sql, &[&metadata.at(), &row.id]).await?;
        }
    }
    if changed {
        metadata.settle().await;
    }
    if step.next.is_none() {
        let sql = "DELETE FROM removed_repositories WHERE removed_at < coalesce($1::timestamptz, now()) - interval '1 hour'";
        metadata.query(sql, &[&metadata.at()]).await?;
    }
    Ok(step)
}

/// Removes what a repository does not need, and returns the manifests. If it has changed meanwhile, they
/// are left to the next pass.
async fn prune_repository(
    metadata: &PostgresMetadata,
    policy: CollectionPolicy,
    row: &PrunableRepository,
    unneeded: UnneededRows,
) -> Result<Vec<GarbageManifest>, Error> {
    let UnneededRows {
        version,
        ids,
        manifests,
    } = unneeded;
    let sql = "SELECT prune_repository_1($1, $2, $3, $4, $5)";
    let grace = seconds(policy.grace);
    let pruned = metadata
        .one(sql, &[&metadata.at(), &row.id, &version, &ids, &grace])
        .await?;
    Ok(if column(&pruned, 0)? {
        manifests
    } else {
        Vec::new()
    })
}

async fn sweep(metadata: &PostgresMetadata, policy: CollectionPolicy) -> Result<u64, Error> {
    let (wait, pending) = (
        seconds(policy.wait),
        seconds(policy.grace.max(MIN_PENDING_AGE)),
    );
    let mut waited = Duration::ZERO;
    loop {
        metadata.query("SELECT set_horizons_1()", &[]).await?;
        let sql = "SELECT * FROM sweep_blobs_1($1, $2, $3, $4)";
        let swept = metadata
            .one(sql, &[&metadata.at(), &wait, &pending, &ROWS])
            .await?;
        let (moved, waiting): (i64, bool) = (column(&swept, 0)?, column(&swept, 1)?);
        if moved > 0 {
            metadata.settle().await;
        }
        if moved > 0 || !waiting || waited >= PATIENCE {
            return Ok(moved.unsigned_abs());
        }
        tokio::time::sleep(INTERVAL).await;
        waited += INTERVAL;
    }
}

async fn plan(metadata: &PostgresMetadata, policy: CollectionPolicy) -> Result<Garbage, Error> {
    let mut garbage = Garbage::default();
    let mut gone: Vec<i64> = Vec::new();
    let mut after = 0;
    loop {
        let some = metadata.some_repositories(policy, after).await?;
        let Some(last) = some.last() else { break };
        after = last.id;
        for row in some.iter().filter(|row| row.has_untagged) {
            let unneeded = metadata.unneeded(row, policy).await?;
            gone.extend(unneeded.ids);
            garbage.manifests.extend(unneeded.manifests);
        }
    }
    // Blobs without a lease, to which only these manifests refer.
    let sql = "SELECT digest, size FROM blobs b WHERE state IN (1, 2)
            AND leased_at < coalesce($1::timestamptz, now()) - make_interval(secs => $2)
            AND (store = 0 OR store IN (SELECT id FROM stores WHERE final))
            AND NOT EXISTS (
                SELECT 1 FROM manifest_references f WHERE f.digest = b.digest AND f.manifest <> ALL ($3))
        ORDER BY generation";
    let grace = seconds(policy.grace);
    for row in &metadata
        .query(sql, &[&metadata.at(), &grace, &gone])
        .await?
    {
        garbage.blobs.push(GarbageBlob {
            digest: digest(row, 0)?,
            size: size(row, 1)?,
        });
    }
    let sql = "SELECT id FROM uploads
        WHERE moved_at < coalesce($1::timestamptz, now()) - make_interval(secs => $2) ORDER BY moved_at, id";
    let expiry = seconds(metadata.shared.retention.upload_expiry);
    for row in &metadata.query(sql, &[&metadata.at(), &expiry]).await? {
        garbage.uploads.push(upload_id(column(row, 0)?)?);
    }
    Ok(garbage)
}
