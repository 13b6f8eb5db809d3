//! The conformance suite of [`BlobStore`], which every implementation passes. The crate with content
//! in S3 has the same file in its tests.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm};
use storage::collection::DeletableBlob;
use storage::{
    Blob, BlobReader, BlobStore, ContentLocation, CopyTarget, Error, StoreId, UploadId,
    WrittenContent, hash,
};

/// An empty store, and what it needs to live.
pub(crate) struct TestedStore {
    pub(crate) store: Arc<dyn BlobStore>,
    pub(crate) _guard: Box<dyn Any + Send + Sync>,
}

/// Makes a test of each case for one implementation.
macro_rules! content_suite {
    ($implementation:ident, $make:path) => {
        mod $implementation {
            crate::content_suite::content_suite!(
                @ $make;
                ranges_of_a_blob,
                an_upload_continues_at_a_given_length,
                an_upload_continues_after_many_batches,
                the_digest_of_an_upload_by_another_algorithm,
                empty_content,
                a_publication_can_be_undone_whether_it_happened_or_not,
                a_removed_blob_is_gone_and_can_be_removed_again,
                content_shorter_than_its_row_says_is_damaged,
                a_blob_is_copied_to_a_directory,
                nothing_is_unreachable,
            );
        }
    };
    (@ $make:path; $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::content_suite::$case($make().await).await;
            }
        )*
    };
}
pub(crate) use content_suite;

fn upload(number: u8) -> UploadId {
    UploadId::from_random([number; 16])
}

fn sha256(content: &[u8]) -> Digest {
    hash::digest(DigestAlgorithm::Sha256, content)
}

fn new_content() -> WrittenContent {
    WrittenContent {
        hasher: Some(hash::ContentHasher::new(DigestAlgorithm::Sha256)),
        ..WrittenContent::default()
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

impl TestedStore {
    /// Writes content as one request does, in batches. As storage does, it gives the names to the row
    /// before anything is stored.
    async fn append(
        &self,
        id: UploadId,
        from: WrittenContent,
        batches: &[&[u8]],
        is_complete: bool,
    ) -> Result<WrittenContent, Error> {
        let mut writer = self.store.append(id, from);
        writer.unrecorded();
        let (last, first) = batches.split_last().unwrap();
        for batch in first {
            writer.write(vec![Bytes::copy_from_slice(batch)]).await?;
            writer.unrecorded();
        }
        let rest = vec![Bytes::copy_from_slice(last)];
        if is_complete {
            writer.complete(rest).await
        } else {
            writer.finish(rest).await
        }
    }

    async fn publish(&self, id: UploadId, written: &WrittenContent, generation: i64) -> Blob {
        let digest = written.hasher.clone().unwrap().finish();
        let key = written.objects.as_ref().map(|objects| objects.key.clone());
        let key = key.map_or_else(|| Blob::new_key(&digest, generation), Option::unwrap);
        self.store.publish(id, written, &key).await.unwrap();
        Blob {
            digest,
            size: written.length,
            generation,
            store: StoreId::OWN,
            key,
        }
    }

    async fn blob(&self, content: &[u8], generation: i64) -> Blob {
        let id = upload(7);
        let written = self.append(id, new_content(), &[content], true).await;
        self.publish(id, &written.unwrap(), generation).await
    }

    async fn read(&self, blob: &Blob, range: Range<u64>) -> Result<Vec<u8>, Error> {
        rest(self.store.open(blob, range).await?).await
    }

    async fn is_damaged(&self, blob: &Blob) -> bool {
        let read = self.read(blob, 0..blob.size).await;
        matches!(read, Err(Error::Damaged { digest }) if digest == blob.digest)
    }
}

async fn rest(mut source: Box<dyn BlobReader>) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    while let Some(chunk) = source.next().await {
        content.extend_from_slice(&chunk?);
    }
    Ok(content)
}

pub(crate) async fn ranges_of_a_blob(tested: TestedStore) {
    let blob = tested.blob(b"0123456789", 1).await;
    for (range, expected) in [
        (0..10, &b"0123456789"[..]),
        (0..1, b"0"),
        (9..10, b"9"),
        (3..7, b"3456"),
        (0..0, b""),
        (10..10, b""),
    ] {
        assert_eq!(tested.read(&blob, range).await.unwrap(), expected);
    }
    tested.store.check(&blob).await.unwrap();
}

pub(crate) async fn an_upload_continues_at_a_given_length(tested: TestedStore) {
    let id = upload(1);
    let batches: [&[u8]; 4] = [b"abc", b"abc", b"abc", b"tail"];
    let written = tested.append(id, new_content(), &batches, false).await;
    let saved = written.unwrap();
    assert_eq!(saved.length, 13);
    let hasher = saved.hasher.clone().unwrap();
    assert_eq!(hasher.finish(), sha256(b"abcabcabctail"));
    // A request that is interrupted leaves the upload as its row has it.
    let lost = tested.append(id, saved.clone(), &[b"lost"], false).await;
    assert_eq!(lost.unwrap().length, 17);
    let again = tested.append(id, saved.clone(), &[b"!"], true).await;
    let again = again.unwrap();
    assert_eq!(again.length, 14);
    let blob = tested.publish(id, &again, 1).await;
    assert_eq!(blob.digest, sha256(b"abcabcabctail!"));
    let content = tested.read(&blob, 0..14).await.unwrap();
    assert_eq!(content, b"abcabcabctail!");
    // An upload cannot continue beyond its content.
    let beyond = WrittenContent {
        length: 100,
        ..saved
    };
    let id = upload(2);
    assert!(tested.append(id, beyond, &[b"x"], false).await.is_err());
}

pub(crate) async fn an_upload_continues_after_many_batches(tested: TestedStore) {
    // As large as a few parts, whose size the test of a bucket sets to 5 MiB.
    let content: Vec<u8> = (0..13_000_001_u32).map(|n| (n % 251) as u8).collect();
    let id = upload(1);
    let mut written = new_content();
    // Ends within a part, at a part, behind one, and so that many small batches are a part.
    for range in [0..3_000_000, 3_000_000..5_242_880, 5_242_880..11_000_000] {
        let batches: Vec<_> = content[range].chunks(999_983).collect();
        written = tested.append(id, written, &batches, false).await.unwrap();
    }
    let batches: Vec<_> = content[11_000_000..].chunks(1_000_003).collect();
    let written = tested.append(id, written, &batches, true).await.unwrap();
    assert_eq!(written.length, content.len() as u64);
    let blob = tested.publish(id, &written, 1).await;
    assert_eq!(blob.digest, sha256(&content));
    assert!(tested.read(&blob, 0..blob.size).await.unwrap() == content);
    let range = 5_242_000..5_243_000;
    let part = tested.read(&blob, range).await.unwrap();
    assert!(part == content[5_242_000..5_243_000]);
}

pub(crate) async fn the_digest_of_an_upload_by_another_algorithm(tested: TestedStore) {
    let id = upload(1);
    for batches in [&[&b"abc"[..]][..], &[&[5; 6_000_000], &[6; 3]]] {
        let written = tested.append(id, new_content(), batches, true).await;
        let written = written.unwrap();
        let computed = tested.store.digest(id, &written, DigestAlgorithm::Sha512);
        let expected = hash::digest(DigestAlgorithm::Sha512, &batches.concat());
        assert_eq!(computed.await.unwrap(), expected);
        let blob = tested.publish(id, &written, 1).await;
        let content = tested.read(&blob, 0..blob.size).await.unwrap();
        assert!(content == batches.concat());
        tested.store.remove(&[deletable(&blob)]).await.unwrap();
    }
}

pub(crate) async fn empty_content(tested: TestedStore) {
    let blob = tested.blob(b"", 1).await;
    assert_eq!(tested.read(&blob, 0..0).await.unwrap(), b"");
    tested.store.check(&blob).await.unwrap();
}

pub(crate) async fn a_publication_can_be_undone_whether_it_happened_or_not(tested: TestedStore) {
    let id = upload(7);
    let written = tested.append(id, new_content(), &[b"hello"], false).await;
    let written = written.unwrap();
    let blob = tested.publish(id, &written, 1).await;
    for _ in 0..2 {
        tested.store.withdraw(&blob.key, id).await.unwrap();
    }
    let digest = tested
        .store
        .digest(id, &written, DigestAlgorithm::Sha512)
        .await;
    let expected = hash::digest(DigestAlgorithm::Sha512, b"hello");
    assert_eq!(digest.unwrap(), expected);
    if !tested.store.chooses_keys() {
        assert!(tested.is_damaged(&blob).await);
        assert_eq!(tested.store.uploads().await.unwrap(), [id]);
    }
    let blob = tested.publish(id, &written, 2).await;
    assert_eq!(tested.read(&blob, 0..5).await.unwrap(), b"hello");
    assert!(tested.store.uploads().await.unwrap().is_empty());
    for _ in 0..2 {
        tested.store.discard(id).await.unwrap();
    }
    assert_eq!(tested.read(&blob, 0..5).await.unwrap(), b"hello");
}

pub(crate) async fn a_removed_blob_is_gone_and_can_be_removed_again(tested: TestedStore) {
    let one = tested.blob(b"hello", 1).await;
    let two = tested.blob(b"hello", 2).await;
    assert_ne!(one.key, two.key);
    let open = tested.store.open(&one, 0..5).await.unwrap();
    for _ in 0..2 {
        tested.store.remove(&[deletable(&one)]).await.unwrap();
        assert!(tested.is_damaged(&one).await);
        let checked = tested.store.check(&one).await;
        assert!(matches!(checked, Err(Error::Damaged { .. })));
    }
    let content = rest(open).await.unwrap();
    assert_eq!(content, b"hello", "a reader that is open continues");
    assert_eq!(tested.read(&two, 0..5).await.unwrap(), b"hello");
}

pub(crate) async fn content_shorter_than_its_row_says_is_damaged(tested: TestedStore) {
    let mut blob = tested.blob(b"hello", 1).await;
    blob.size = 6;
    assert!(tested.is_damaged(&blob).await);
    blob.size = 5;
    assert_eq!(tested.read(&blob, 0..5).await.unwrap(), b"hello");
    blob.store = StoreId::new(77);
    assert!(tested.is_damaged(&blob).await);
}

pub(crate) async fn a_blob_is_copied_to_a_directory(tested: TestedStore) {
    let directory = tempfile::tempdir().unwrap();
    let blob = tested.blob(b"hello", 1).await;
    let copy = |key: &str| CopyTarget {
        location: ContentLocation::Directory(directory.path().to_owned()),
        key: key.to_owned(),
        may_share: false,
    };
    for _ in 0..2 {
        tested.store.copy(&blob, &copy("a/b")).await.unwrap();
        let copied = std::fs::read(directory.path().join("a/b")).unwrap();
        assert_eq!(copied, b"hello");
    }
    tested.store.remove(&[deletable(&blob)]).await.unwrap();
    assert!(tested.store.copy(&blob, &copy("c")).await.is_err());
    assert!(!directory.path().join("c").exists());
}

pub(crate) async fn nothing_is_unreachable(tested: TestedStore) {
    assert_eq!(tested.store.unreachable(Vec::new()).await.unwrap(), []);
}
