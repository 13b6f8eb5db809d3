//! Taking over what another registry has written.

use std::collections::BTreeMap;

use oci::RepositoryName;

use super::metadata::MemoryMetadata;
use super::tables::{BlobState, StoreRow, Tables, TagRow};
use crate::distribution::{AdoptionTotals, RepositoryPart};
use crate::{
    AdoptionProgress, AdoptionStage, AdoptionStore, Blob, ContentLocation, StorageFuture, StoreId,
};

impl AdoptionStore for MemoryMetadata {
    fn stage<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionStage> {
        self.read(move |tables| Ok(tables.stage(location)))
    }

    fn begin<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionProgress> {
        self.write(move |tables, _| {
            let store = tables.store_or_new(location);
            let row = tables.stores.entry(store).or_insert_with(|| StoreRow {
                location: location.clone(),
                is_complete: false,
                is_final: false,
                read: BTreeMap::new(),
            });
            if row.is_complete {
                row.is_complete = false;
                row.is_final = false;
            }
            let mut totals = AdoptionTotals::default();
            for found in row.read.values() {
                totals.manifests += found.manifests;
                totals.tags += found.tags;
                totals.blobs += found.blobs;
            }
            Ok(AdoptionProgress {
                store,
                done: row.read.keys().cloned().collect(),
                totals,
            })
        })
    }

    fn adopt(&self, store: StoreId, part: RepositoryPart) -> StorageFuture<'_, ()> {
        self.write(move |tables, now| {
            if !tables.is_read(store, &part.repository) {
                adopt(tables, store, part, now);
            }
            Ok(())
        })
    }

    fn end(&self, store: StoreId) -> StorageFuture<'_, ()> {
        self.write(move |tables, _| {
            if let Some(row) = tables.stores.get_mut(&store) {
                row.is_complete = true;
                row.read.clear();
            }
            Ok(())
        })
    }

    fn finish<'a>(&'a self, location: &'a ContentLocation) -> StorageFuture<'a, AdoptionStage> {
        self.write(move |tables, _| {
            let mut rows = tables.stores.values_mut();
            if let Some(row) = rows.find(|row| row.location == *location) {
                row.is_final |= row.is_complete;
            }
            Ok(tables.stage(location))
        })
    }

    fn unfinished(&self) -> StorageFuture<'_, Vec<ContentLocation>> {
        self.read(|tables| {
            let rows = tables.stores.values();
            let unfinished = rows.filter(|row| !row.is_complete);
            Ok(unfinished.map(|row| row.location.clone()).collect())
        })
    }
}

impl Tables {
    fn stage(&self, location: &ContentLocation) -> AdoptionStage {
        let mut rows = self.stores.values();
        match rows.find(|row| row.location == *location) {
            None => AdoptionStage::Unknown,
            Some(row) if !row.is_complete => AdoptionStage::Reading,
            Some(row) if !row.is_final => AdoptionStage::Complete,
            Some(_) => AdoptionStage::Final,
        }
    }

    /// The store that lies at `location`, or a new number.
    fn store_or_new(&self, location: &ContentLocation) -> StoreId {
        let mut stores = self.stores.iter();
        let known = stores.find(|(_, row)| row.location == *location);
        let next = || {
            let last = self.stores.keys().last().copied();
            StoreId::new(last.unwrap_or(StoreId::OWN).0 + 1)
        };
        known.map_or_else(next, |(id, _)| *id)
    }

    fn is_read(&self, store: StoreId, repository: &RepositoryName) -> bool {
        let row = self.stores.get(&store);
        row.is_some_and(|row| row.is_complete || row.read.contains_key(repository))
    }
}

fn adopt(tables: &mut Tables, store: StoreId, part: RepositoryPart, now: i64) {
    for adopted in part.blobs {
        let known = tables.served(&adopted.digest);
        let known = known.map(|row| row.blob.generation);
        let generation = known.unwrap_or_else(|| {
            let blob = Blob {
                digest: adopted.digest,
                size: adopted.size,
                generation: tables.next_generation(),
                store,
                key: adopted.key,
            };
            let row = tables.insert_blob(blob, BlobState::Live, now);
            row.blob.generation
        });
        tables.give(&part.repository, generation, now);
    }
    let repository = tables.repository_or_new(&part.repository);
    for manifest in &part.manifests {
        repository.take_in(manifest, now);
    }
    for tagged in part.tags {
        if repository.manifests.contains_key(&tagged.digest) {
            let row = TagRow {
                digest: tagged.digest,
                pushed_at: now,
            };
            repository.tags.entry(tagged.tag).or_insert(row);
        }
    }
    if let (Some(totals), Some(row)) = (part.totals, tables.stores.get_mut(&store)) {
        row.read.insert(part.repository, totals);
    }
}
