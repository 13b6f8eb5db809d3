//! What anything that keeps content must be able to do. Every implementation of [`BlobStore`]
//! passes this.

use std::sync::Arc;

use bytes::Bytes;
use oci::DigestAlgorithm;
use storage::collection::DeletableBlob;
use storage::{
    Blob, BlobReader, BlobStore, ContentLocation, CopyTarget, Error, Files, StoreId, UploadId, hash,
};

use super::memory::Memory;
use super::world::sha256;

/// A store to try, and where it lies, if it lies anywhere.
struct Place {
    store: Arc<dyn BlobStore>,
    _directory: Option<tempfile::TempDir>,
}

/// One of each implementation, with nothing in it.
fn places() -> [Place; 2] {
    let directory = tempfile::tempdir().unwrap();
    let files = Arc::new(Files::open_exclusive(directory.path().join("root")).unwrap());
    [
        Place {
            store: files,
            _directory: Some(directory),
        },
        Place {
            store: Arc::new(Memory::default()),
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

async fn store(place: &Place, content: &'static [u8], generation: i64) -> Blob {
    let sink = place.store.append(upload(), 0, None);
    sink.finish(vec![Bytes::from_static(content)])
        .await
        .unwrap();
    let blob = blob(content, generation);
    place.store.publish(upload(), &blob.key).await.unwrap();
    blob
}

async fn read(place: &Place, blob: &Blob, range: std::ops::Range<u64>) -> Result<Vec<u8>, Error> {
    rest(place.store.open(blob, range).await?).await
}

async fn rest(mut source: Box<dyn BlobReader>) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    while let Some(chunk) = source.next().await {
        content.extend_from_slice(&chunk?);
    }
    Ok(content)
}

#[tokio::test]
async fn stretches_of_a_blob() {
    for place in places() {
        let blob = store(&place, b"0123456789", 1).await;
        for (range, expected) in [
            (0..10, &b"0123456789"[..]),
            (0..1, b"0"),
            (9..10, b"9"),
            (3..7, b"3456"),
            (0..0, b""),
            (10..10, b""),
        ] {
            assert_eq!(read(&place, &blob, range).await.unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn an_upload_goes_on_where_it_is_told_to() {
    for place in places() {
        let hasher = hash::ContentHasher::new(DigestAlgorithm::Sha256);
        let mut sink = place.store.append(upload(), 0, Some(hasher));
        for _ in 0..3 {
            sink.write(vec!["ab".into(), "c".into()]).await.unwrap();
        }
        let written = sink.finish(vec!["tail".into()]).await.unwrap();
        assert_eq!(written.length, 13);
        assert_eq!(written.hasher.unwrap().finish(), sha256(b"abcabcabctail"));
        let written = place
            .store
            .append(upload(), 6, None)
            .finish(vec!["!".into()])
            .await
            .unwrap();
        assert_eq!((written.length, written.hasher.is_none()), (7, true));
        assert_eq!(
            place
                .store
                .digest(upload(), 7, DigestAlgorithm::Sha256)
                .await
                .unwrap(),
            sha256(b"abcabc!")
        );
        assert_eq!(
            place
                .store
                .digest(upload(), 3, DigestAlgorithm::Sha256)
                .await
                .unwrap(),
            sha256(b"abc")
        );
        assert!(
            place
                .store
                .digest(upload(), 8, DigestAlgorithm::Sha256)
                .await
                .is_err()
        );
        // What was never there is not made up.
        assert!(
            place
                .store
                .append(upload(), 100, None)
                .finish(vec!["x".into()])
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn publishing_can_be_undone_whether_it_happened_or_not() {
    for place in places() {
        let blob = store(&place, b"cargo", 1).await;
        assert!(place.store.uploads().await.unwrap().is_empty());
        for _ in 0..2 {
            place.store.withdraw(&blob.key, upload()).await.unwrap();
            assert_eq!(place.store.uploads().await.unwrap(), [upload()]);
            assert!(matches!(
                read(&place, &blob, 0..5).await,
                Err(Error::Damaged { .. })
            ));
        }
        assert_eq!(
            place
                .store
                .digest(upload(), 5, DigestAlgorithm::Sha256)
                .await
                .unwrap(),
            sha256(b"cargo")
        );
        place.store.discard(upload()).await.unwrap();
        place.store.discard(upload()).await.unwrap();
        assert!(place.store.uploads().await.unwrap().is_empty());
        assert!(place.store.publish(upload(), &blob.key).await.is_err());
    }
}

#[tokio::test]
async fn removed_is_gone_and_can_be_removed_again() {
    for place in places() {
        let (one, two) = (
            store(&place, b"cargo", 1).await,
            store(&place, b"cargo", 2).await,
        );
        let Blob {
            digest,
            size,
            generation,
            store,
            key,
        } = one.clone();
        let deletable = [DeletableBlob {
            generation,
            digest,
            size,
            store,
            key,
        }];
        let open = place.store.open(&one, 0..5).await.unwrap();
        for _ in 0..2 {
            place.store.remove(&deletable).await.unwrap();
            assert!(matches!(
                read(&place, &one, 0..5).await,
                Err(Error::Damaged { .. })
            ));
        }
        assert_eq!(
            rest(open).await.unwrap(),
            b"cargo",
            "who reads it, reads on"
        );
        assert_eq!(read(&place, &two, 0..5).await.unwrap(), b"cargo");
    }
}

#[tokio::test]
async fn less_than_the_row_says_is_damage() {
    for place in places() {
        let mut blob = store(&place, b"cargo", 1).await;
        blob.size = 6;
        assert!(
            matches!(read(&place, &blob, 0..6).await, Err(Error::Damaged { digest }) if digest == blob.digest)
        );
        blob.store = StoreId::new(77);
        assert!(matches!(
            read(&place, &blob, 0..5).await,
            Err(Error::Damaged { .. })
        ));
    }
}

#[tokio::test]
async fn blobs_of_an_adopted_directory_are_read_copied_and_removed_where_they_lie() {
    for place in places() {
        let (old, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(old.path().join("data"), b"cargo").unwrap();
        let adopted = StoreId::new(1);
        let location = ContentLocation::Directory(old.path().to_owned());
        place.store.add(adopted, &location).unwrap();
        let blob = Blob {
            store: adopted,
            key: "data".to_owned(),
            ..blob(b"cargo", 1)
        };
        assert_eq!(read(&place, &blob, 1..4).await.unwrap(), b"arg");
        let copy = |key: &str| CopyTarget {
            location: ContentLocation::Directory(to.path().to_owned()),
            key: key.to_owned(),
            may_share: false,
        };
        for _ in 0..2 {
            place.store.copy(&blob, &copy("a/b")).await.unwrap();
            assert_eq!(std::fs::read(to.path().join("a/b")).unwrap(), b"cargo");
        }
        let Blob {
            digest,
            size,
            generation,
            store,
            key,
        } = blob.clone();
        place
            .store
            .remove(&[DeletableBlob {
                generation,
                digest,
                size,
                store,
                key,
            }])
            .await
            .unwrap();
        assert!(matches!(
            read(&place, &blob, 0..5).await,
            Err(Error::Damaged { .. })
        ));
        assert!(place.store.copy(&blob, &copy("c")).await.is_err());
    }
}
