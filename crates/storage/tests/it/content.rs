//! Content in files and in memory.

use std::sync::Arc;

use bytes::Bytes;
use oci::DigestAlgorithm;
use storage::collection::DeletableBlob;
use storage::{Blob, ContentLocation, CopyTarget, Error, Files, StoreId, UploadId, WrittenContent};

use super::content_suite::{TestedStore, content_suite};
use super::memory::MemoryContent;
use super::world::sha256;

async fn files() -> TestedStore {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open_exclusive(directory.path().join("root")).unwrap();
    TestedStore {
        store: Arc::new(files),
        _guard: Box::new(directory),
    }
}

async fn memory() -> TestedStore {
    TestedStore {
        store: Arc::new(MemoryContent::default()),
        _guard: Box::new(()),
    }
}

content_suite!(in_files, crate::content::files);
content_suite!(in_memory, crate::content::memory);

fn upload() -> UploadId {
    UploadId::from_random([7; 16])
}

fn at(length: u64) -> WrittenContent {
    WrittenContent {
        length,
        ..WrittenContent::default()
    }
}

#[tokio::test]
async fn the_digest_of_the_first_bytes() {
    for tested in [files().await, memory().await] {
        let store = &tested.store;
        let writer = store.append(upload(), at(0));
        writer.finish(vec!["abcabc!".into()]).await.unwrap();
        for (length, content) in [(7, &b"abcabc!"[..]), (3, b"abc")] {
            let content_at = at(length);
            let digest = store.digest(upload(), &content_at, DigestAlgorithm::Sha256);
            assert_eq!(digest.await.unwrap(), sha256(content));
        }
        let longer = at(8);
        let digest = store.digest(upload(), &longer, DigestAlgorithm::Sha256);
        assert!(digest.await.is_err());
        store.discard(upload()).await.unwrap();
        assert!(store.publish(upload(), &at(7), "key").await.is_err());
    }
}

#[tokio::test]
async fn blobs_of_an_adopted_directory_are_read_copied_and_removed_in_place() {
    for tested in [files().await, memory().await] {
        let (old, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(old.path().join("data"), b"hello").unwrap();
        let adopted = StoreId::new(1);
        let location = ContentLocation::Directory(old.path().to_owned());
        tested.store.add(adopted, &location).unwrap();
        let blob = Blob {
            digest: sha256(b"hello"),
            size: 5,
            generation: 1,
            store: adopted,
            key: "data".to_owned(),
        };
        let mut reader = tested.store.open(&blob, 1..4).await.unwrap();
        let mut content = Vec::new();
        while let Some(chunk) = reader.next().await {
            content.extend_from_slice(&chunk.unwrap());
        }
        assert_eq!(Bytes::from(content), b"ell"[..]);
        let copy = |key: &str| CopyTarget {
            location: ContentLocation::Directory(to.path().to_owned()),
            key: key.to_owned(),
            may_share: false,
        };
        for _ in 0..2 {
            tested.store.copy(&blob, &copy("a/b")).await.unwrap();
            assert_eq!(std::fs::read(to.path().join("a/b")).unwrap(), b"hello");
        }
        let deletable = DeletableBlob {
            generation: 1,
            digest: blob.digest,
            size: 5,
            store: adopted,
            key: "data".to_owned(),
        };
        tested.store.remove(&[deletable]).await.unwrap();
        let opened = tested.store.open(&blob, 0..5).await;
        assert!(matches!(opened, Err(Error::Damaged { .. })));
        assert!(tested.store.copy(&blob, &copy("c")).await.is_err());
    }
}
