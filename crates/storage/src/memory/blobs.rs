//! Which repository has which blobs.

use oci::{Digest, RepositoryName};
use tag_rules::ImmutabilityRules;

use super::metadata::MemoryMetadata;
use super::tables::page;
use crate::seams::ImmutableTags;
use crate::{
    AdoptedStore, Blob, BlobIndex, LinkedBlob, ListPage, PageRequest, RepositoryQuotas,
    StorageFuture,
};

impl BlobIndex for MemoryMetadata {
    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, Blob> {
        self.read(move |tables| tables.blob(repository, digest).cloned())
    }

    fn find_all<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digests: Vec<Digest>,
    ) -> StorageFuture<'a, Vec<Blob>> {
        self.read(move |tables| {
            let found = digests
                .iter()
                .filter_map(|digest| tables.blob(repository, digest).ok());
            Ok(found.cloned().collect())
        })
    }

    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, Blob> {
        self.write(move |tables, now| {
            let blob = tables.blob(repository, digest)?.clone();
            tables.revive(blob.generation, now);
            Ok(blob)
        })
    }

    fn mount_within_quotas<'a>(
        &'a self,
        digest: &'a Digest,
        from: &'a RepositoryName,
        to: &'a RepositoryName,
        quotas: RepositoryQuotas,
    ) -> StorageFuture<'a, LinkedBlob> {
        self.write(move |tables, now| {
            let blob = tables.blob(from, digest)?.clone();
            let before = tables.usage_below(&quotas);
            tables.give(to, blob.generation, now);
            let warnings = tables.check_quotas(&quotas, &before)?;
            Ok(LinkedBlob { blob, warnings })
        })
    }

    fn holders<'a>(
        &'a self,
        digest: &'a Digest,
        request: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<RepositoryName>> {
        self.read(move |tables| {
            let names = tables.repositories.keys();
            let rest = names.filter(|name| Some(name.as_str()) > request.after.as_deref());
            let holders = rest.filter(|name| tables.blob(name, digest).is_ok());
            Ok(page(holders.cloned(), request.limit))
        })
    }

    fn stores(&self) -> StorageFuture<'_, Vec<AdoptedStore>> {
        self.read(|tables| {
            let stores = tables.stores.iter().map(|(id, row)| AdoptedStore {
                id: *id,
                location: row.location.clone(),
            });
            Ok(stores.collect())
        })
    }

    fn unlink_unless_immutable<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        immutable: ImmutabilityRules,
    ) -> StorageFuture<'a, ()> {
        self.write(move |tables, _| {
            let generation = tables.blob(repository, digest)?.generation;
            let immutable = ImmutableTags::new(&immutable, repository);
            tables
                .repository(repository)?
                .check_needed(*digest, &immutable)?;
            tables.repository_mut(repository)?.blobs.remove(&generation);
            Ok(())
        })
    }
}
