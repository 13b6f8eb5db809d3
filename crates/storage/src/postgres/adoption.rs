//! Adoption of what another registry wrote.

use oci::RepositoryName;

use super::PostgresMetadata;
use super::columns::{column, location, location_text, name, number, size};
use super::manifest_changes::ManifestColumns;
use crate::packed_digest::pack;
use crate::seams::{AdoptionTotals, RepositoryPart};
use crate::{
    AdoptionProgress, AdoptionStage, AdoptionStore, ContentLocation, Error, StorageFuture, StoreId,
};

impl AdoptionStore for PostgresMetadata {
    fn stage<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionStage> {
        Box::pin(async move { stage(self, &location_text(location)?).await })
    }

    fn begin<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionProgress> {
        Box::pin(async move {
            let path = location_text(location)?;
            let begun = self.one("SELECT begin_adoption_1($1)", &[&path]).await?;
            progress(self, StoreId(column(&begun, 0)?)).await
        })
    }

    fn adopt(&self, store: StoreId, part: RepositoryPart) -> StorageFuture<'_, ()> {
        Box::pin(async move { adopt(self, store, &part).await })
    }

    fn end(&self, store: StoreId) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "SELECT end_adoption_1($1)";
            self.query(sql, &[&store.0]).await.map(drop)
        })
    }

    fn finish<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionStage> {
        Box::pin(async move {
            let path = location_text(location)?;
            let sql = "UPDATE stores SET final = true WHERE path = $1 AND complete";
            self.query(sql, &[&path]).await?;
            stage(self, &path).await
        })
    }

    fn unfinished(&self) -> StorageFuture<'_, Vec<ContentLocation>> {
        Box::pin(async move {
            let sql = "SELECT path FROM stores WHERE NOT complete ORDER BY id";
            let rows = self.query(sql, &[]).await?;
            rows.iter()
                .map(|row| column(row, 0).map(location))
                .collect()
        })
    }
}

async fn stage(metadata: &PostgresMetadata, path: &str) -> Result<AdoptionStage, Error> {
    let sql = "SELECT complete, final FROM stores WHERE path = $1";
    let rows = metadata.query(sql, &[&path]).await?;
    let Some(row) = rows.first() else {
        return Ok(AdoptionStage::Unknown);
    };
    Ok(match (column(row, 0)?, column(row, 1)?) {
        (false, _) => AdoptionStage::Reading,
        (true, false) => AdoptionStage::Complete,
        (true, true) => AdoptionStage::Final,
    })
}

async fn progress(metadata: &PostgresMetadata, store: StoreId) -> Result<AdoptionProgress, Error> {
    let sql = "SELECT name, manifests, tags, blobs FROM adopted_repositories WHERE store = $1 ORDER BY name";
    let mut progress = AdoptionProgress {
        store,
        done: Vec::new(),
        totals: AdoptionTotals::default(),
    };
    for row in &metadata.query(sql, &[&store.0]).await? {
        progress.done.push(name(row, 0)?);
        progress.totals.manifests += size(row, 1)?;
        progress.totals.tags += size(row, 2)?;
        progress.totals.blobs += size(row, 3)?;
    }
    Ok(progress)
}

async fn adopt(
    metadata: &PostgresMetadata,
    store: StoreId,
    part: &RepositoryPart,
) -> Result<(), Error> {
    let RepositoryPart {
        repository,
        blobs,
        manifests,
        tags,
        totals,
    } = part;
    let repository: &RepositoryName = repository;
    let columns: Vec<_> = manifests.iter().map(ManifestColumns::new).collect();
    let counts = columns.iter().map(|it| it.references.len());
    let counts: Vec<i32> = counts
        .map(|count| i32::try_from(count).unwrap_or(i32::MAX))
        .collect();
    let references: Vec<_> = columns.iter().flat_map(|it| &it.references).collect();
    let totals = totals.map(|totals| vec![totals.manifests, totals.tags, totals.blobs]);
    let totals = totals.unwrap_or_default().into_iter().map(number);
    let sql = "SELECT adopt_part_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    metadata
        .query(
            sql,
            &[
                &metadata.at(),
                &store.0,
                &repository.as_str(),
                &blobs
                    .iter()
                    .map(|blob| pack(&blob.digest))
                    .collect::<Vec<_>>(),
                &blobs
                    .iter()
                    .map(|blob| number(blob.size))
                    .collect::<Vec<_>>(),
                &blobs
                    .iter()
                    .map(|blob| blob.key.as_str())
                    .collect::<Vec<_>>(),
                &columns.iter().map(|it| &it.digest).collect::<Vec<_>>(),
                &columns.iter().map(|it| &it.media_type).collect::<Vec<_>>(),
                &columns.iter().map(|it| &it.subject).collect::<Vec<_>>(),
                &columns.iter().map(|it| it.bytes).collect::<Vec<_>>(),
                &counts,
                &references,
                &columns
                    .iter()
                    .map(|it| &it.artifact_type)
                    .collect::<Vec<_>>(),
                &columns.iter().map(|it| &it.annotations).collect::<Vec<_>>(),
                &tags.iter().map(|it| it.tag.as_str()).collect::<Vec<_>>(),
                &tags.iter().map(|it| pack(&it.digest)).collect::<Vec<_>>(),
                &totals.collect::<Vec<_>>(),
            ],
        )
        .await
        .map(drop)
}
