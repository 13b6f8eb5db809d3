//! Which blobs a repository has.

use oci::{Digest, RepositoryName};
use postgresql::Row;
use postgresql::types::ToSql;
use tag_rules::ImmutabilityRules;

use super::columns::{BLOB, blob, column, location};
use super::quotas::{QuotaColumns, StatementWithin};
use super::tag_history::{RuleColumns, refused};
use super::{PostgresMetadata, pages};
use crate::cache::CachedBlob;
use crate::packed_digest::pack;
use crate::seams::ImmutableTags;
use crate::{
    AdoptedStore, Blob, BlobIndex, Error, LinkedBlob, ListPage, PageRequest, RepositoryQuotas,
    StorageFuture, StoreId,
};

/// The state of a live blob.
const LIVE: i16 = 1;

impl BlobIndex for PostgresMetadata {
    fn find<'a>(&'a self, name: &'a RepositoryName, digest: &'a Digest) -> StorageFuture<'a, Blob> {
        Box::pin(async move { Ok(self.cached(name, digest).await?.blob) })
    }

    fn find_all<'a>(
        &'a self,
        name: &'a RepositoryName,
        digests: Vec<Digest>,
    ) -> StorageFuture<'a, Vec<Blob>> {
        Box::pin(async move {
            if digests.is_empty() {
                return Ok(Vec::new());
            }
            let sql = format!(
                "SELECT {BLOB} FROM repositories r, unnest($2::bytea[]) AS wanted
                 JOIN blobs b ON b.digest = wanted AND b.state IN (1, 2)
                 JOIN links l ON l.blob = b.generation
                 WHERE r.name = $1 AND l.repository = r.id"
            );
            let packed: Vec<_> = digests.iter().map(pack).collect();
            let rows = self.query(&sql, &[&name.as_str(), &packed]).await?;
            rows.iter().map(|row| blob(row, 0)).collect()
        })
    }

    fn lease<'a>(
        &'a self,
        name: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, Blob> {
        Box::pin(async move {
            let known = self.cached(name, digest).await?;
            let renewal = i64::try_from(self.renewal().as_secs()).unwrap_or(i64::MAX);
            let oldest = self.shared.clock.seconds().saturating_sub(renewal);
            if known.leased_at.is_some_and(|leased_at| leased_at >= oldest) {
                return Ok(known.blob);
            }
            let stamp = self.shared.cache.blob_stamp(name, digest);
            let began = self.shared.clock.seconds();
            let sql = "SELECT * FROM lease_blob_1($1, $2, $3, $4)";
            let (name_text, packed) = (name.as_str(), pack(digest));
            let renewal = self.renewal_seconds();
            let rows = self
                .query(sql, &[&self.at(), &name_text, &packed, &renewal])
                .await?;
            let leased = blob(rows.first().ok_or(Error::BlobUnknown)?, 0)?;
            // The statement may have renewed nothing: then the lease is not older than an eighth of
            // the grace time, which is remembered only when the blob is read again.
            if known.leased_at.is_none_or(|leased_at| leased_at < oldest) && known.blob == leased {
                let known = CachedBlob {
                    blob: leased.clone(),
                    leased_at: Some(began),
                };
                self.shared.cache.insert_blob(name, known, stamp);
            }
            Ok(leased)
        })
    }

    fn mount_within_quotas<'a>(
        &'a self,
        digest: &'a Digest,
        from: &'a RepositoryName,
        to: &'a RepositoryName,
        quotas: RepositoryQuotas,
    ) -> StorageFuture<'a, LinkedBlob> {
        Box::pin(async move {
            let (packed, from, to) = (pack(digest), from.as_str(), to.as_str());
            let (at, renewal) = (self.at(), self.renewal_seconds());
            let parameters = [&at as &(dyn ToSql + Sync), &packed, &from, &to, &renewal];
            let quotas = QuotaColumns::new(&quotas);
            let sql = StatementWithin {
                without: "SELECT * FROM mount_blob_1($1, $2, $3, $4, $5)",
                within: "SELECT * FROM mount_within_quotas_1($1, $2, $3, $4, $5, $6, $7, $8)",
            };
            let rows = self.change_within(&quotas, sql, &parameters).await?;
            let row = rows.first().ok_or(Error::BlobUnknown)?;
            Ok(LinkedBlob {
                blob: blob(row, 0)?,
                warnings: quotas.warnings(row, 5)?,
            })
        })
    }

    fn holders<'a>(
        &'a self,
        digest: &'a Digest,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<RepositoryName>> {
        Box::pin(pages::holders(self, digest, page))
    }

    fn stores(&self) -> StorageFuture<'_, Vec<AdoptedStore>> {
        Box::pin(async move {
            let rows = self
                .query("SELECT id, path FROM stores ORDER BY id", &[])
                .await?;
            let stores = rows.iter().map(|row| {
                Ok(AdoptedStore {
                    id: StoreId(column(row, 0)?),
                    location: location(column(row, 1)?),
                })
            });
            stores.collect()
        })
    }

    fn unlink_unless_immutable<'a>(
        &'a self,
        name: &'a RepositoryName,
        digest: &'a Digest,
        immutable: ImmutabilityRules,
    ) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let immutable = ImmutableTags::new(&immutable, name);
            let RuleColumns {
                patterns,
                exceptions,
            } = RuleColumns::new(&immutable);
            let sql = "SELECT unlink_unless_immutable_1($1, $2, $3, $4)";
            let (name, digest) = (name.as_str(), pack(digest));
            let unlinked = self
                .try_query(sql, &[&name, &digest, &patterns, &exceptions])
                .await;
            unlinked.map_err(|error| refused(error, &immutable))?;
            self.settle().await;
            Ok(())
        })
    }
}

impl PostgresMetadata {
    async fn cached(&self, name: &RepositoryName, digest: &Digest) -> Result<CachedBlob, Error> {
        let stamp = match self.cache().await?.blob(name, digest) {
            Ok(known) => return Ok(known),
            Err(stamp) => stamp,
        };
        let began = self.shared.clock.seconds();
        let rows = self.read_blob(name, digest).await?;
        let known = cached_blob(rows.first().ok_or(Error::BlobUnknown)?, began)?;
        self.shared.cache.insert_blob(name, known.clone(), stamp);
        Ok(known)
    }

    async fn read_blob(&self, name: &RepositoryName, digest: &Digest) -> Result<Vec<Row>, Error> {
        let (at, name, packed) = (self.at(), name.as_str(), pack(digest));
        if !self.shared.pool.prepares() {
            let sql = "SELECT * FROM find_blob_1($1, $2, $3)";
            return self.query(sql, &[&at, &name, &packed]).await;
        }
        let sql = format!(
            "SELECT {BLOB}, b.state,
                 extract(epoch FROM coalesce($1::timestamptz, now()) - b.leased_at)::float8
             FROM repositories r JOIN blobs b ON b.digest = $3 AND b.state IN (1, 2)
             JOIN links l ON l.repository = r.id AND l.blob = b.generation WHERE r.name = $2"
        );
        self.query(&sql, &[&at, &name, &packed]).await
    }
}

/// A blob, its state and the age of its lease. They were read after `began`, so the lease is not
/// older than is remembered.
fn cached_blob(row: &Row, began: i64) -> Result<CachedBlob, Error> {
    let (state, age): (i16, f64) = (column(row, 5)?, column(row, 6)?);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an age in seconds, and a cast saturates"
    )]
    let age = age.ceil() as i64;
    Ok(CachedBlob {
        blob: blob(row, 0)?,
        leased_at: (state == LIVE).then(|| began.saturating_sub(age)),
    })
}
