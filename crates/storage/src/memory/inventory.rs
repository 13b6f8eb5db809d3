//! Everything there is.

use std::collections::BTreeSet;

use oci::{Digest, RepositoryName};

use super::metadata::MemoryMetadata;
use super::tables::{RepositoryRow, page};
use crate::{
    AffectedRepository, Blob, Inventory, ListPage, PageRequest, StorageFuture, StoredManifest,
    TaggedManifest,
};

impl Inventory for MemoryMetadata {
    fn blobs(&self, request: PageRequest<i64>) -> StorageFuture<'_, ListPage<Blob>> {
        self.read(move |tables| {
            let served = tables.blobs.values().filter(|row| row.is_served());
            let rest = served.filter(|row| Some(row.blob.generation) > request.after);
            Ok(page(rest.map(|row| row.blob.clone()), request.limit))
        })
    }

    fn manifests<'a>(
        &'a self,
        repository: &'a RepositoryName,
        request: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<StoredManifest>> {
        self.read(move |tables| {
            let manifests = tables.repository(repository)?.manifests.iter();
            let rest = manifests.filter(|(digest, _)| Some(*digest) > request.after.as_ref());
            Ok(page(rest.map(|(_, row)| row.stored()), request.limit))
        })
    }

    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        request: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<TaggedManifest>> {
        self.read(move |tables| {
            let tags = tables.repository(repository)?.tags.iter();
            let rest = tags.filter(|(tag, _)| Some(tag.as_str()) > request.after.as_deref());
            let rest = rest.map(|(tag, row)| TaggedManifest {
                tag: tag.clone(),
                digest: row.digest,
            });
            Ok(page(rest, request.limit))
        })
    }

    fn linked<'a>(
        &'a self,
        repository: &'a RepositoryName,
        request: PageRequest<i64>,
    ) -> StorageFuture<'a, ListPage<Blob>> {
        self.read(move |tables| {
            let generations = &tables.repository(repository)?.blobs;
            let rows = generations
                .iter()
                .map(|generation| &tables.blobs[generation]);
            let served = rows.filter(|row| row.is_served());
            let rest = served.filter(|row| Some(row.blob.generation) > request.after);
            Ok(page(rest.map(|row| row.blob.clone()), request.limit))
        })
    }

    fn affected<'a>(&'a self, digest: &'a Digest) -> StorageFuture<'a, Vec<AffectedRepository>> {
        self.read(move |tables| {
            let mut affected = Vec::new();
            for (name, repository) in &tables.repositories {
                let needing = repository.needing(digest);
                if needing.is_empty() && tables.blob(name, digest).is_err() {
                    continue;
                }
                let tags = repository.tags.iter();
                let tags = tags.filter(|(_, row)| needing.contains(&row.digest));
                affected.push(AffectedRepository {
                    repository: name.clone(),
                    tags: tags.map(|(tag, _)| tag.as_str().to_owned()).collect(),
                });
            }
            Ok(affected)
        })
    }
}

impl RepositoryRow {
    /// The manifests that are this content or refer to it, and the indexes that list these.
    fn needing(&self, digest: &Digest) -> BTreeSet<&Digest> {
        let mut needing = BTreeSet::new();
        let mut reached = vec![digest];
        if let Some((own, _)) = self.manifests.get_key_value(digest) {
            needing.insert(own);
        }
        while let Some(digest) = reached.pop() {
            for (parent, row) in &self.manifests {
                if row.refers_to(digest) && needing.insert(parent) {
                    reached.push(parent);
                }
            }
        }
        needing
    }
}
