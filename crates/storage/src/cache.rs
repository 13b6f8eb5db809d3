//! The cache of manifests, by tag and digest, and of blobs' rows.
//!
//! An entry gets a *stamp* before it is read from the database. It is valid while the stamp of its
//! key is the same. The embedded database advances the stamps of what a write has changed, after its
//! commit and before it is acknowledged. A database server has other clients, too: there the stamps
//! of a repository advance when it is found to have changed, which is looked for before an entry is
//! used. So a client that knows of a change never gets an older entry. A read that was overtaken by a
//! write leaves no valid entry.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::Counter;
use oci::{Digest, Reference, RepositoryName};
use quick_cache::{Equivalent, Weighter, sync};

use crate::{Blob, CacheStatistics, MetadataStatistics, StoredManifest};

/// The size of the cached manifests, in bytes, with their overhead.
const MANIFESTS: u64 = 16 << 20;
/// The expected number of cached manifests, of some kilobytes each.
const MANIFEST_COUNT: usize = 4096;
/// The number of cached blobs, of about 400 bytes each.
const BLOBS: usize = 1 << 14;
/// Keys share stamps. A write for one of two such keys costs the other a read.
const STAMPS: usize = 1 << 12;

pub(crate) struct Cache {
    manifests:
        sync::Cache<(RepositoryName, Reference), Stamped<Arc<StoredManifest>>, ManifestWeight>,
    blobs: sync::Cache<(RepositoryName, Digest), Stamped<CachedBlob>>,
    stamps: Box<[AtomicU64]>,
    repositories: Box<[AtomicU64]>,
    everything: AtomicU64,
    hasher: RandomState,
    manifest_uses: CacheUses,
    blob_uses: CacheUses,
}

/// How often something was found.
#[derive(Default)]
struct CacheUses {
    hits: Counter,
    misses: Counter,
}

impl CacheUses {
    /// `found`, counted.
    fn count<T, E>(&self, found: Result<T, E>) -> Result<T, E> {
        match &found {
            Ok(_) => self.hits.increment(),
            Err(_) => self.misses.increment(),
        }
        found
    }

    fn statistics(&self) -> CacheStatistics {
        CacheStatistics {
            hits: self.hits.value(),
            misses: self.misses.value(),
        }
    }
}

/// A blob of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CachedBlob {
    pub(crate) blob: Blob,
    /// When it was last leased, in seconds of the store's own clock; `None` if it is marked.
    pub(crate) leased_at: Option<i64>,
}

/// Which entries a write has made stale.
#[derive(Debug)]
pub(crate) enum Stale {
    Nothing,
    Manifests(RepositoryName, Vec<Reference>),
    Blob(RepositoryName, Digest),
    Repository(RepositoryName),
    Everything,
}

/// The changes before which something was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheStamp {
    key: u64,
    repository: u64,
    everything: u64,
}

#[derive(Clone)]
struct Stamped<T> {
    stamp: CacheStamp,
    value: T,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            manifests: sync::Cache::with_weighter(MANIFEST_COUNT, MANIFESTS, ManifestWeight),
            blobs: sync::Cache::new(BLOBS),
            stamps: (0..STAMPS).map(|_| AtomicU64::new(0)).collect(),
            repositories: (0..STAMPS).map(|_| AtomicU64::new(0)).collect(),
            everything: AtomicU64::new(0),
            hasher: RandomState::new(),
            manifest_uses: CacheUses::default(),
            blob_uses: CacheUses::default(),
        }
    }

    pub(crate) fn statistics(&self) -> MetadataStatistics {
        MetadataStatistics {
            manifests: self.manifest_uses.statistics(),
            blobs: self.blob_uses.statistics(),
            looks: None,
        }
    }

    /// The manifest, or else the stamp for an entry that is read now.
    pub(crate) fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Arc<StoredManifest>, CacheStamp> {
        let stamp = self.stamp(repository, reference);
        let found = self.manifests.get(&BorrowedKey(repository, reference));
        let found = found.filter(|found| found.stamp == stamp);
        self.manifest_uses
            .count(found.map(|found| found.value).ok_or(stamp))
    }

    pub(crate) fn insert_manifest(
        &self,
        of: &RepositoryName,
        by: &Reference,
        value: Arc<StoredManifest>,
        stamp: CacheStamp,
    ) {
        self.manifests
            .insert((of.clone(), by.clone()), Stamped { stamp, value });
    }

    /// The blob, or else the stamp for an entry that is read now.
    pub(crate) fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<CachedBlob, CacheStamp> {
        let stamp = self.stamp(repository, digest);
        let found = self.blobs.get(&BorrowedKey(repository, digest));
        let found = found.filter(|found| found.stamp == stamp);
        self.blob_uses
            .count(found.map(|found| found.value).ok_or(stamp))
    }

    /// The stamp for a blob that is read now.
    pub(crate) fn blob_stamp(&self, repository: &RepositoryName, digest: &Digest) -> CacheStamp {
        self.stamp(repository, digest)
    }

    pub(crate) fn insert_blob(
        &self,
        repository: &RepositoryName,
        value: CachedBlob,
        stamp: CacheStamp,
    ) {
        self.blobs.insert(
            (repository.clone(), value.blob.digest),
            Stamped { stamp, value },
        );
    }

    pub(crate) fn invalidate(&self, stale: Stale) {
        match stale {
            Stale::Nothing => {}
            Stale::Manifests(repository, references) => {
                references
                    .iter()
                    .for_each(|reference| self.advance(&repository, reference));
            }
            Stale::Blob(repository, digest) => self.advance(&repository, &digest),
            Stale::Repository(repository) => {
                self.stamp_of_all(&repository)
                    .fetch_add(1, Ordering::SeqCst);
            }
            Stale::Everything => {
                self.everything.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn stamp(&self, repository: &RepositoryName, key: &impl Hash) -> CacheStamp {
        CacheStamp {
            key: self.stamp_of(repository, key).load(Ordering::SeqCst),
            repository: self.stamp_of_all(repository).load(Ordering::SeqCst),
            everything: self.everything.load(Ordering::SeqCst),
        }
    }

    fn advance(&self, repository: &RepositoryName, key: &impl Hash) {
        self.stamp_of(repository, key)
            .fetch_add(1, Ordering::SeqCst);
    }

    /// The stamp of everything in a repository.
    fn stamp_of_all(&self, repository: &RepositoryName) -> &AtomicU64 {
        let hash = self.hasher.hash_one(repository);
        &self.repositories[hash as usize % STAMPS]
    }

    fn stamp_of(&self, repository: &RepositoryName, key: &impl Hash) -> &AtomicU64 {
        let hash = self.hasher.hash_one((repository, key));
        &self.stamps[hash as usize % STAMPS]
    }
}

/// A borrowed key.
#[derive(Hash)]
struct BorrowedKey<'a, K>(&'a RepositoryName, &'a K);

impl<K: Eq> Equivalent<(RepositoryName, K)> for BorrowedKey<'_, K> {
    fn equivalent(&self, key: &(RepositoryName, K)) -> bool {
        *self.0 == key.0 && *self.1 == key.1
    }
}

/// Weighs a manifest by its memory.
#[derive(Clone)]
struct ManifestWeight;

impl Weighter<(RepositoryName, Reference), Stamped<Arc<StoredManifest>>> for ManifestWeight {
    fn weight(
        &self,
        key: &(RepositoryName, Reference),
        value: &Stamped<Arc<StoredManifest>>,
    ) -> u64 {
        (512 + key.0.as_str().len() + value.value.bytes.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StoreId, hash};

    fn cached(digest: Digest) -> CachedBlob {
        let blob = Blob {
            digest,
            size: 0,
            generation: 1,
            store: StoreId::OWN,
            key: String::new(),
        };
        CachedBlob {
            blob,
            leased_at: Some(0),
        }
    }

    #[test]
    fn an_entry_that_a_write_made_stale_is_not_used() {
        let (cache, name) = (Cache::new(), "a/b".parse::<RepositoryName>().unwrap());
        let digest = hash::digest(oci::DigestAlgorithm::Sha256, b"a");
        let stamp = cache.blob(&name, &digest).unwrap_err();
        cache.insert_blob(&name, cached(digest), stamp);
        assert_eq!(cache.blob(&name, &digest), Ok(cached(digest)));

        let stamp_before = cache.stamp(&name, &digest);
        cache.invalidate(Stale::Blob(name.clone(), digest));
        cache.insert_blob(&name, cached(digest), stamp_before);
        let stamp = cache.blob(&name, &digest).unwrap_err();
        cache.insert_blob(&name, cached(digest), stamp);
        assert!(cache.blob(&name, &digest).is_ok());
        for stale in [Stale::Repository(name.clone()), Stale::Everything] {
            cache.invalidate(stale);
            let stamp = cache.blob(&name, &digest).unwrap_err();
            cache.insert_blob(&name, cached(digest), stamp);
        }
        cache.invalidate(Stale::Repository("a".parse().unwrap()));
        assert!(cache.blob(&name, &digest).is_ok());
    }

    #[test]
    fn repositories_do_not_share_entries() {
        let cache = Cache::new();
        let (one, two) = ("a".parse().unwrap(), "b".parse().unwrap());
        let tag = Reference::Tag("latest".parse().unwrap());
        let stored = StoredManifest {
            digest: hash::digest(oci::DigestAlgorithm::Sha256, b"m"),
            media_type: "m/m".to_owned(),
            bytes: bytes::Bytes::from_static(b"m"),
        };
        let stamp = cache.manifest(&one, &tag).unwrap_err();
        cache.insert_manifest(&one, &tag, Arc::new(stored), stamp);
        assert!(cache.manifest(&one, &tag).is_ok());
        assert!(cache.manifest(&two, &tag).is_err());
        assert!(
            cache
                .manifest(&one, &Reference::Tag("other".parse().unwrap()))
                .is_err()
        );
    }
}
