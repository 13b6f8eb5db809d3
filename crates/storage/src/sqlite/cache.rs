//! What is asked for most, remembered: manifests by tag and digest, and where blobs lie.
//!
//! An entry is *stamped* before it is read from the database, and it counts only while the stamp of
//! its key is the same. A write moves the stamps of what it changed on after its commit and before
//! it is acknowledged. So nobody who was told of a change sees what was before, and a read that was
//! overtaken by a write leaves nothing behind that counts.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oci::{Digest, Reference, RepositoryName};
use quick_cache::{Equivalent, Weighter, sync};

use crate::{Blob, StoredManifest};

/// Manifests that are remembered, in bytes with what they cost to keep.
const MANIFESTS: u64 = 16 << 20;
/// Manifests to expect, of some kilobytes each.
const MANIFEST_COUNT: usize = 4096;
/// Blobs whose place is remembered: about 400 bytes each.
const BLOBS: usize = 1 << 14;
/// Keys share stamps; two that do cost each other a read at worst.
const STAMPS: usize = 1 << 12;

pub(super) struct Cache {
    manifests: sync::Cache<(RepositoryName, Reference), Stamped<Arc<StoredManifest>>, Bytes>,
    blobs: sync::Cache<(RepositoryName, Digest), Stamped<Known>>,
    stamps: Box<[AtomicU64]>,
    everything: AtomicU64,
    hasher: RandomState,
}

/// A blob of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) blob: Blob,
    /// When it was last leased, in seconds since the Unix epoch; none once it is condemned.
    pub(super) leased_at: Option<i64>,
}

/// What is no longer so.
#[derive(Debug)]
pub(super) enum Stale {
    Nothing,
    Manifests(RepositoryName, Vec<Reference>),
    Blob(RepositoryName, Digest),
    Everything,
}

/// When something was read: before which changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CacheStamp {
    key: u64,
    everything: u64,
}

#[derive(Clone)]
struct Stamped<T> {
    stamp: CacheStamp,
    value: T,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            manifests: sync::Cache::with_weighter(MANIFEST_COUNT, MANIFESTS, Bytes),
            blobs: sync::Cache::new(BLOBS),
            stamps: (0..STAMPS).map(|_| AtomicU64::new(0)).collect(),
            everything: AtomicU64::new(0),
            hasher: RandomState::new(),
        }
    }

    /// The manifest, or else the stamp under which it may be remembered after it was read.
    pub(super) fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Arc<StoredManifest>, CacheStamp> {
        let stamp = self.stamp(repository, reference);
        let found = self.manifests.get(&Pair(repository, reference));
        found
            .filter(|found| found.stamp == stamp)
            .map(|found| found.value)
            .ok_or(stamp)
    }

    pub(super) fn remember_manifest(
        &self,
        of: &RepositoryName,
        by: &Reference,
        value: Arc<StoredManifest>,
        stamp: CacheStamp,
    ) {
        self.manifests
            .insert((of.clone(), by.clone()), Stamped { stamp, value });
    }

    /// The blob, or else the stamp under which it may be remembered after it was read.
    pub(super) fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Known, CacheStamp> {
        let stamp = self.stamp(repository, digest);
        let found = self.blobs.get(&Pair(repository, digest));
        found
            .filter(|found| found.stamp == stamp)
            .map(|found| found.value)
            .ok_or(stamp)
    }

    pub(super) fn remember_blob(
        &self,
        repository: &RepositoryName,
        value: Known,
        stamp: CacheStamp,
    ) {
        self.blobs.insert(
            (repository.clone(), value.blob.digest),
            Stamped { stamp, value },
        );
    }

    pub(super) fn forget(&self, stale: Stale) {
        match stale {
            Stale::Nothing => {}
            Stale::Manifests(repository, references) => {
                references
                    .iter()
                    .for_each(|reference| self.move_on(&repository, reference));
            }
            Stale::Blob(repository, digest) => self.move_on(&repository, &digest),
            Stale::Everything => {
                self.everything.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn stamp(&self, repository: &RepositoryName, key: &impl Hash) -> CacheStamp {
        let key = self.place(repository, key).load(Ordering::SeqCst);
        CacheStamp {
            key,
            everything: self.everything.load(Ordering::SeqCst),
        }
    }

    fn move_on(&self, repository: &RepositoryName, key: &impl Hash) {
        self.place(repository, key).fetch_add(1, Ordering::SeqCst);
    }

    fn place(&self, repository: &RepositoryName, key: &impl Hash) -> &AtomicU64 {
        let hash = self.hasher.hash_one((repository, key));
        &self.stamps[hash as usize % STAMPS]
    }
}

/// A key that is only borrowed.
#[derive(Hash)]
struct Pair<'a, K>(&'a RepositoryName, &'a K);

impl<K: Eq> Equivalent<(RepositoryName, K)> for Pair<'_, K> {
    fn equivalent(&self, key: &(RepositoryName, K)) -> bool {
        *self.0 == key.0 && *self.1 == key.1
    }
}

/// Weighs a manifest by what it takes in memory.
#[derive(Clone)]
struct Bytes;

impl Weighter<(RepositoryName, Reference), Stamped<Arc<StoredManifest>>> for Bytes {
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

    fn known(digest: Digest) -> Known {
        let blob = Blob {
            digest,
            size: 0,
            generation: 1,
            store: StoreId::OWN,
            key: String::new(),
        };
        Known {
            blob,
            leased_at: Some(0),
        }
    }

    #[test]
    fn what_a_write_changed_does_not_count_even_when_it_is_remembered_late() {
        let (cache, name) = (Cache::new(), "a/b".parse::<RepositoryName>().unwrap());
        let digest = hash::digest(oci::DigestAlgorithm::Sha256, b"a");
        let stamp = cache.blob(&name, &digest).unwrap_err();
        cache.remember_blob(&name, known(digest), stamp);
        assert_eq!(cache.blob(&name, &digest), Ok(known(digest)));

        let read_before = cache.stamp(&name, &digest);
        cache.forget(Stale::Blob(name.clone(), digest));
        cache.remember_blob(&name, known(digest), read_before);
        let stamp = cache.blob(&name, &digest).unwrap_err();
        cache.remember_blob(&name, known(digest), stamp);
        assert!(cache.blob(&name, &digest).is_ok());
        cache.forget(Stale::Everything);
        assert!(cache.blob(&name, &digest).is_err());
    }

    #[test]
    fn repositories_do_not_share_what_they_have() {
        let cache = Cache::new();
        let (one, two) = ("a".parse().unwrap(), "b".parse().unwrap());
        let tag = Reference::Tag("latest".parse().unwrap());
        let stored = StoredManifest {
            digest: hash::digest(oci::DigestAlgorithm::Sha256, b"m"),
            media_type: "m/m".to_owned(),
            bytes: bytes::Bytes::from_static(b"m"),
        };
        let stamp = cache.manifest(&one, &tag).unwrap_err();
        cache.remember_manifest(&one, &tag, Arc::new(stored), stamp);
        assert!(cache.manifest(&one, &tag).is_ok());
        assert!(cache.manifest(&two, &tag).is_err());
        assert!(
            cache
                .manifest(&one, &Reference::Tag("other".parse().unwrap()))
                .is_err()
        );
    }
}
