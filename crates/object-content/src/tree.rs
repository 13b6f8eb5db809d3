//! Reading another registry's data in a bucket, many requests at once.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use oci::{Digest, DigestAlgorithm};
use storage::hash::ContentHasher;
use storage::{EntryKind, LinkFile, Tree, TreeEntry};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::error::StoreFailure;
use crate::shared_store::SharedStore;

/// Requests that are under way at once.
const REQUESTS: usize = 64;
/// Repositories that are read at once.
const REPOSITORIES: usize = 32;
/// What one request lists.
const PAGE: usize = 1000;
/// Where the content of blobs is, but for those with another algorithm.
const BLOBS: &str = "docker/registry/v2/blobs/sha256";

/// Data of Distribution's registry in a bucket.
pub(crate) struct BucketTree {
    store: Arc<SharedStore>,
    requests: Semaphore,
    /// The sizes of all blobs, sorted by their digests; `None` until they are listed.
    sizes: Mutex<Option<Arc<Vec<BlobSize>>>>,
}

/// The hash of a blob, and its length in bytes. There may be ten millions of these.
type BlobSize = ([u8; 32], u64);

impl BucketTree {
    pub(crate) fn new(store: Arc<SharedStore>) -> Self {
        Self {
            store,
            requests: Semaphore::new(REQUESTS),
            sizes: Mutex::default(),
        }
    }

    fn path(&self, path: &str) -> io::Result<Path> {
        let whole = self.store.prefix.key(path);
        Path::parse(whole).map_err(|error| io::Error::new(ErrorKind::InvalidFilename, error))
    }

    /// Does the same with each of `paths`, many at once. The results are in their order.
    fn each<'a, T, F: Future<Output = io::Result<T>>>(
        &'a self,
        paths: &'a [String],
        work: impl Fn(Path) -> F + Copy,
    ) -> Vec<io::Result<T>> {
        let requests = stream::iter(paths).map(|path| async move {
            let path = self.path(path)?;
            let _permit = self.requests.acquire().await.map_err(io::Error::other)?;
            work(path).await
        });
        Handle::current().block_on(requests.buffered(REQUESTS).collect())
    }

    async fn list_one(&self, directory: Path) -> io::Result<Vec<TreeEntry>> {
        let listed = self
            .store
            .client
            .list_with_delimiter(Some(&directory))
            .await;
        let listed = listed.map_err(failure)?;
        let entry = |path: &Path, kind| {
            let name = path.filename()?.to_owned();
            Some(TreeEntry { name, kind })
        };
        let prefixes = listed.common_prefixes.iter();
        let mut entries: Vec<_> = prefixes
            .filter_map(|path| entry(path, EntryKind::Directory))
            .collect();
        let objects = listed.objects.iter();
        // An object that stands for the directory itself is no entry of it.
        let objects = objects.filter(|object| object.location != directory);
        entries.extend(objects.filter_map(|object| entry(&object.location, EntryKind::Other)));
        if entries.is_empty() {
            return Err(ErrorKind::NotFound.into());
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    async fn read_one(&self, file: Path, limit: u64) -> io::Result<Vec<u8>> {
        let found = self.store.client.get(&file).await.map_err(failure)?;
        if found.meta.size > limit {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                "larger than anything of its kind",
            ));
        }
        Ok(found.bytes().await.map_err(failure)?.into())
    }

    async fn size_of(&self, file: Path) -> io::Result<u64> {
        Ok(self.store.client.head(&file).await.map_err(failure)?.size)
    }

    async fn digest_of(&self, file: Path, algorithm: DigestAlgorithm) -> io::Result<(u64, Digest)> {
        let found = self.store.client.get(&file).await.map_err(failure)?;
        let mut content = found.into_stream();
        let (mut hasher, mut length) = (ContentHasher::new(algorithm), 0);
        while let Some(chunk) = content.try_next().await.map_err(failure)? {
            hasher.update(&chunk);
            length += chunk.len() as u64;
        }
        Ok((length, hasher.finish()))
    }

    /// The sizes of all blobs below a directory, at most about `limit`.
    async fn blob_sizes(&self, directory: Path, limit: usize) -> io::Result<Vec<BlobSize>> {
        let objects = self.store.client.list(Some(&directory)).take(limit);
        objects
            .map_err(failure)
            .try_filter_map(|object| {
                let size = object.size;
                let hash = hash_of(object.location.as_ref());
                std::future::ready(Ok(hash.map(|hash| (hash, size))))
            })
            .try_collect()
            .await
    }

    async fn all_sizes(&self) -> io::Result<Vec<BlobSize>> {
        let top = self.path(BLOBS)?;
        let first = self.blob_sizes(top.clone(), PAGE).await?;
        if first.len() < PAGE {
            return Ok(first);
        }
        let ranges = stream::iter(0..=u8::MAX).map(|byte| {
            let range = top.clone().join(format!("{byte:02x}"));
            async move {
                let _permit = self.requests.acquire().await.map_err(io::Error::other)?;
                self.blob_sizes(range, usize::MAX).await
            }
        });
        let mut all: Vec<BlobSize> = ranges.buffer_unordered(REQUESTS).try_concat().await?;
        all.sort_unstable();
        Ok(all)
    }

    fn known_sizes(&self) -> Option<Arc<Vec<BlobSize>>> {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.clone()
    }
}

impl Tree for BucketTree {
    fn parallel_repositories(&self) -> usize {
        REPOSITORIES
    }

    fn prepare(&self) -> io::Result<()> {
        let sizes = Handle::current().block_on(self.all_sizes())?;
        *self.sizes.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(sizes));
        Ok(())
    }

    fn list(&self, directories: &[String]) -> Vec<io::Result<Vec<TreeEntry>>> {
        self.each(directories, |directory| self.list_one(directory))
    }

    fn links(&self, directory: &str) -> Option<io::Result<Vec<LinkFile>>> {
        let list = async {
            let directory = self.path(directory)?;
            let _permit = self.requests.acquire().await.map_err(io::Error::other)?;
            let objects = self.store.client.list(Some(&directory));
            let links = objects.map_err(failure).try_filter_map(|object| {
                let link = link_file(&directory, &object.location, object.size);
                std::future::ready(Ok(link))
            });
            links.try_collect().await
        };
        Some(Handle::current().block_on(list))
    }

    fn exists(&self, directory: &str) -> io::Result<bool> {
        Handle::current().block_on(async {
            let directory = self.path(directory)?;
            let _permit = self.requests.acquire().await.map_err(io::Error::other)?;
            let mut objects = self.store.client.list(Some(&directory));
            Ok(objects.try_next().await.map_err(failure)?.is_some())
        })
    }

    fn read(&self, files: &[String], limit: u64) -> Vec<io::Result<Vec<u8>>> {
        self.each(files, |file| self.read_one(file, limit))
    }

    fn sizes(&self, files: &[String]) -> Vec<io::Result<u64>> {
        let Some(known) = self.known_sizes() else {
            return self.each(files, |file| self.size_of(file));
        };
        let listed = |file: &String| {
            let hash = hash_of(file)?;
            let at = known.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
            known.get(at).map(|(_, size)| *size)
        };
        let found: Vec<Option<u64>> = files.iter().map(listed).collect();
        // What was not listed may have been pushed since, or is named by another algorithm.
        let unlisted = files.iter().zip(&found);
        let unlisted = unlisted.filter(|(_, size)| size.is_none());
        let unlisted: Vec<_> = unlisted.map(|(file, _)| file.clone()).collect();
        let mut asked = self.each(&unlisted, |file| self.size_of(file)).into_iter();
        let missing = || Err(ErrorKind::NotFound.into());
        let size = |size: Option<u64>| match size {
            Some(size) => Ok(size),
            None => asked.next().unwrap_or_else(missing),
        };
        found.into_iter().map(size).collect()
    }

    fn digest(&self, file: &str, algorithm: DigestAlgorithm) -> io::Result<(u64, Digest)> {
        Handle::current().block_on(async {
            let file = self.path(file)?;
            let _permit = self.requests.acquire().await.map_err(io::Error::other)?;
            self.digest_of(file, algorithm).await
        })
    }
}

impl fmt::Debug for BucketTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketTree")
            .field("url", &self.store.url)
            .finish_non_exhaustive()
    }
}

/// The link that an object is.
fn link_file(directory: &Path, object: &Path, size: u64) -> Option<LinkFile> {
    let mut parts = object.prefix_match(directory)?;
    let (algorithm, hash, link) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || link.as_ref() != "link" {
        return None;
    }
    let (algorithm, encoded) = (algorithm.as_ref().to_owned(), hash.as_ref().to_owned());
    Some(LinkFile {
        has_own_length: size == (algorithm.len() + ":".len() + encoded.len()) as u64,
        algorithm,
        encoded,
    })
}

/// The hash in the path of a blob's content: `…/sha256/ab/HASH/data`.
fn hash_of(path: &str) -> Option<[u8; 32]> {
    let mut parts = path.rsplit('/');
    if parts.next()? != "data" {
        return None;
    }
    let (hash, _, algorithm) = (parts.next()?, parts.next()?, parts.next()?);
    let digest: Digest = format!("{algorithm}:{hash}").parse().ok()?;
    digest.hash().try_into().ok()
}

/// Only if an object is missing, archived, or has a strange key, another try would say the same.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` wants"
)]
fn failure(error: object_store::Error) -> io::Error {
    if let object_store::Error::InvalidPath { source } = &error {
        return io::Error::new(ErrorKind::InvalidFilename, source.to_string());
    }
    StoreFailure::new(&error).io_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_found_by_its_path() {
        let hash = "ab".repeat(32);
        let path = format!("docker/registry/v2/blobs/sha256/ab/{hash}/data");
        assert_eq!(hash_of(&path), Some([0xab; 32]));
        for path in [
            "",
            "data",
            "sha256/ab/cd/data",
            &format!("sha256/ab/{hash}/startedat"),
        ] {
            assert_eq!(hash_of(path), None, "{path}");
        }
    }

    #[test]
    fn only_links_count() {
        let directory = Path::from("r/_layers");
        let hash = "ab".repeat(32);
        let link = |path: &str, size| {
            let path = Path::from(format!("r/_layers/{path}"));
            link_file(&directory, &path, size)
        };
        let found = link(&format!("sha256/{hash}/link"), 71).unwrap();
        assert!(found.has_own_length && found.encoded == hash);
        assert!(
            !link(&format!("sha256/{hash}/link"), 0)
                .unwrap()
                .has_own_length
        );
        assert_eq!(
            link(&format!("sha256/{hash}/signatures/sha256/x/link"), 71),
            None
        );
        assert_eq!(link("sha256", 0), None);
    }
}
