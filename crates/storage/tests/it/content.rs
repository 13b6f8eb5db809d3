//! The conformance suite of [`BlobStore`], which every implementation passes.

use std::sync::Arc;

use bytes::Bytes;
use oci::DigestAlgorithm;
use storage::collection::DeletableBlob;
use storage::{
    Blob, BlobReader, BlobStore, ContentLocation, CopyTarget, Error, Files, StoreId, UploadId, hash,
};

use super::memory::MemoryContent;
use super::world::sha256;

/// A store, and the directory of its content, if it has one.
struct TestedStore {
    store: Arc<dyn BlobStore>,
    _directory: Option<tempfile::TempDir>,
}

/// An empty store of each implementation.
fn stores() -> [TestedStore; 2] {
    let directory = tempfile::tempdir().unwrap();
    let files = Arc::new(Files::open_exclusive(directory.path().join("root")).unwrap());
    [
        TestedStore {
            store: files,
            _directory: Some(directory),
        },
        TestedStore {
            store: Arc::new(MemoryContent::default()),
            _directory: None,
        },
    ]
}

const UPLOAD: [u8; 16] = [7; 16];

fn upload() -> UploadId {
    UploadId::from_random(UPLOAD)
}

fn blob(content: &[u8], generation: i64) -> Blob {
    let digest = sha256(content);
    let key = Blob::new_key(&digest, generation);
    Blob {
        digest,
        size: content.len() as u64,
        generation,
        store: StoreId::OWN,
        key,
    }
}

fn deletable(blob: &Blob) -> DeletableBlob {
    DeletableBlob {
        generation: blob.generation,
        digest: blob.digest,
        size: blob.size,
        store: blob.store,
        key: blob.key.clone(),
    }
}

async fn store(tested: &TestedStore, content: &'static [u8], generation: i64) -> Blob {
    let writer = tested.store.append(upload(), 0, None);
    writer
        .finish(vec![Bytes::from_static(content)])
        .await
        .unwrap();
    let blob = blob(content, generation);
    tested.store.publish(upload(), &blob.key).await.unwrap();
    blob
}

async fn read(
    tested: &TestedStore,
    blob: &Blob,
    range: std::ops::Range<u64>,
) -> Result<Vec<u8>, Error> {
    rest(tested.store.open(blob, range).await?).await
}

async fn rest(mut source: Box<dyn BlobReader>) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    while let Some(chunk) = source.next().await {
        content.extend_from_slice(&chunk?);
    }
    Ok(content)
}

#[tokio::test]
async fn ranges_of_a_blob() {
    for tested in stores() {
        let blob = store(&tested, b"0123456789", 1).await;
        for (range, expected) in [
            (0..10, &b"0123456789"[..]),
            (0..1, b"0"),
            (9..10, b"9"),
            (3..7, b"3456"),
            (0..0, b""),
            (10..10, b""),
        ] {
            assert_eq!(read(&tested, &blob, range).await.unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn an_upload_continues_at_a_given_length() {
    for tested in stores() {
        let hasher = hash::ContentHasher::new(DigestAlgorithm::Sha256);
        let mut writer = tested.store.append(upload(), 0, Some(hasher));
        for _ in 0..3 {
            writer.write(vec!["ab".into(), "c".into()]).await.unwrap();
        }
        let written = writer.finish(vec!["tail".into()]).await.unwrap();
        assert_eq!(written.length, 13);
        assert_eq!(written.hasher.unwrap().finish(), sha256(b"abcabcabctail"));
        let written = tested
            .store
            .append(upload(), 6, None)
            .finish(vec!["!".into()])
            .await
            .unwrap();
        assert_eq!((written.length, written.hasher.is_none()), (7, true));
        assert_eq!(
            tested
                .store
                .digest(upload(), 7, DigestAlgorithm::Sha256)
                .await
                .unwrap(),
            sha256(b"abcabc!")
        );
        assert_eq!(
            tested
                .store
                .digest(upload(), 3, DigestAlgorithm::Sha256)
                .await
                .unwrap(),
            sha256(b"abc")
        );
        assert!(
            tested
                .store
                .digest(upload(), 8, DigestAlgorithm::Sha256)
                .await
                .is_err()
        );
        // An upload cannot continue beyond its content.
        assert!(
            tested
                .store
                .append(upload(), 100, None)
                .finish(vec!["x".into()])
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn a_publication_can_be_undone_whether_it_happened_or_not() {
    for tested in stores() {
        let blob = store(&tested, b"hello", 1).await;
        assert!(tested.store.uploads().await.unwrap().is_empty());
        for _ in 0..2 {
            tested.store.withdraw(&blob.key, upload()).await.unwrap();
            assert_eq!(tested.store.uploads().await.unwrap(), [upload()]);
            assert!(matches!(
                read(&tested, &blob, 0..5).await,
                Err(Error::Damaged { .. })
            ));
        }
        assert_eq!(
            tested
                .store
                .digest(upload(), 5, DigestAlgorithm::Sha256)
                .await
                .unwrap(),
            sha256(b"hello")
        );
        tested.store.discard(upload()).await.unwrap();
        tested.store.discard(upload()).await.unwrap();
        assert!(tested.store.uploads().await.unwrap().is_empty());
        assert!(tested.store.publish(upload(), &blob.key).await.is_err());
    }
}

#[tokio::test]
async fn a_removed_blob_is_gone_and_can_be_removed_again() {
    for tested in stores() {
        let (one, two) = (
            store(&tested, b"hello", 1).await,
            store(&tested, b"hello", 2).await,
        );
        let removed = [deletable(&one)];
        let open = tested.store.open(&one, 0..5).await.unwrap();
        for _ in 0..2 {
            tested.store.remove(&removed).await.unwrap();
            assert!(matches!(
                read(&tested, &one, 0..5).await,
                Err(Error::Damaged { .. })
            ));
        }
        assert_eq!(
            rest(open).await.unwrap(),
            b"hello",
            "a reader that is open continues"
        );
        assert_eq!(read(&tested, &two, 0..5).await.unwrap(), b"hello");
    }
}

#[tokio::test]
async fn content_shorter_than_its_row_says_is_damaged() {
    for tested in stores() {
        let mut blob = store(&tested, b"hello", 1).await;
        blob.size = 6;
        assert!(
            matches!(read(&tested, &blob, 0..6).await, Err(Error::Damaged { digest }) if digest == blob.digest)
        );
        blob.store = StoreId::new(77);
        assert!(matches!(
            read(&tested, &blob, 0..5).await,
            Err(Error::Damaged { .. })
        ));
    }
}

#[tokio::test]
async fn blobs_of_an_adopted_directory_are_read_copied_and_removed_in_place() {
    for tested in stores() {
        let (old, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(old.path().join("data"), b"hello").unwrap();
        let adopted = StoreId::new(1);
        let location = ContentLocation::Directory(old.path().to_owned());
        tested.store.add(adopted, &location).unwrap();
        let blob = Blob {
            store: adopted,
            key: "data".to_owned(),
            ..blob(b"hello", 1)
        };
        assert_eq!(read(&tested, &blob, 1..4).await.unwrap(), b"ell");
        let copy = |key: &str| CopyTarget {
            location: ContentLocation::Directory(to.path().to_owned()),
            key: key.to_owned(),
            may_share: false,
        };
        for _ in 0..2 {
            tested.store.copy(&blob, &copy("a/b")).await.unwrap();
            assert_eq!(std::fs::read(to.path().join("a/b")).unwrap(), b"hello");
        }
        tested.store.remove(&[deletable(&blob)]).await.unwrap();
        assert!(matches!(
            read(&tested, &blob, 0..5).await,
            Err(Error::Damaged { .. })
        ));
        assert!(tested.store.copy(&blob, &copy("c")).await.is_err());
    }
}
