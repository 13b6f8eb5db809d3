//! Which repository has which blobs.

use oci::RepositoryName;
use storage::{Blob, BlobReservation, Error, StoreId};

use super::bench::{Bench, MakeStores, after, first, sha512, walk};
use crate::world::{name, sha256};

pub(crate) async fn a_blob_belongs_to_its_repository(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"content").await;
    assert_eq!((blob.digest, blob.size), (sha256(b"content"), 7));
    assert_eq!(blob.store, StoreId::OWN);
    for _ in 0..2 {
        let found = bench.blobs().find(&name("a"), &blob.digest).await;
        let leased = bench.blobs().lease(&name("a"), &blob.digest).await;
        assert_eq!((&found.unwrap(), &leased.unwrap()), (&blob, &blob));
    }
    bench.blob("b", b"other").await;
    for repository in ["b", "never", "a/a"] {
        let repository = name(repository);
        for unknown in [
            bench.blobs().find(&repository, &blob.digest).await,
            bench.blobs().lease(&repository, &blob.digest).await,
        ] {
            assert!(matches!(unknown, Err(Error::BlobUnknown)), "{repository}");
        }
    }
    let unknown = bench.blobs().find(&name("a"), &sha256(b"x")).await;
    assert!(matches!(unknown, Err(Error::BlobUnknown)));
}

pub(crate) async fn find_all_returns_what_there_is(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut expected = Vec::new();
    for content in [&b"1"[..], b"2", b""] {
        expected.push(bench.blob("a", content).await);
    }
    bench.blob("b", b"3").await;
    let digests = [&b"3"[..], b"2", b"4", b"1", b""].map(sha256).to_vec();
    let found = bench.blobs().find_all(&name("a"), digests.clone()).await;
    let mut found = found.unwrap();
    found.sort_by_key(|blob| blob.generation);
    assert_eq!(found, expected);
    let none = bench.blobs().find_all(&name("never"), digests).await;
    assert_eq!(none.unwrap(), []);
    let none = bench.blobs().find_all(&name("a"), Vec::new()).await;
    assert_eq!(none.unwrap(), []);
}

pub(crate) async fn the_same_content_is_one_blob(make: MakeStores) {
    let bench = Bench::new(make).await;
    let one = bench.blob("a", b"content").await;
    assert_eq!(bench.blob("b", b"content").await, one);
    assert_eq!(bench.blob("a", b"content").await, one);
    // By another algorithm, it is another blob.
    let mut finished = bench.finished("a", b"content");
    finished.digest = sha512(b"content");
    let pending = bench.pending(&finished).await;
    let other = bench.commit(&finished, &pending).await;
    assert_ne!(other.generation, one.generation);
    let found = bench.blobs().find(&name("a"), &one.digest).await;
    assert_eq!(found.unwrap(), one);
}

pub(crate) async fn a_mount_gives_the_same_blob_to_another_repository(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"content").await;
    let (a, b) = (name("a"), name("b"));
    assert!(!bench.has_repository("b").await);
    let mounted = bench.blobs().mount(&blob.digest, &a, &b).await;
    assert_eq!(mounted.unwrap(), blob);
    assert!(bench.has_repository("b").await);
    // Again, onto itself and back: nothing changes.
    for (from, to) in [(&a, &b), (&b, &b), (&b, &a)] {
        let mounted = bench.blobs().mount(&blob.digest, from, to).await;
        assert_eq!(mounted.unwrap(), blob);
    }
    for repository in [&a, &b] {
        let blobs = bench.inventory().linked(repository, first(10)).await;
        assert_eq!(blobs.unwrap().entries, std::slice::from_ref(&blob));
    }
}

pub(crate) async fn a_mount_needs_the_blob_in_the_other_repository(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"content").await;
    bench.blob("b", b"other").await;
    for from in ["b", "never"] {
        let (from, to) = (name(from), name("c"));
        let failed = bench.blobs().mount(&blob.digest, &from, &to).await;
        assert!(matches!(failed, Err(Error::BlobUnknown)));
    }
    let failed = bench
        .blobs()
        .mount(&sha256(b"x"), &name("a"), &name("c"))
        .await;
    assert!(matches!(failed, Err(Error::BlobUnknown)));
    assert!(!bench.has_repository("c").await);
}

pub(crate) async fn unlink_takes_a_blob_from_one_repository(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"content").await;
    let mounted = bench
        .blobs()
        .mount(&blob.digest, &name("a"), &name("b"))
        .await;
    mounted.unwrap();
    assert!(bench.has_blob("a", b"content").await);
    bench
        .blobs()
        .unlink(&name("a"), &blob.digest)
        .await
        .unwrap();
    assert!(!bench.has_blob("a", b"content").await);
    assert!(bench.has_blob("b", b"content").await);
    for repository in ["a", "never"] {
        let repository = name(repository);
        let again = bench.blobs().unlink(&repository, &blob.digest).await;
        assert!(matches!(again, Err(Error::BlobUnknown)));
    }
    let leased = bench.blobs().lease(&name("a"), &blob.digest).await;
    assert!(matches!(leased, Err(Error::BlobUnknown)));
    assert!(bench.has_repository("a").await);
}

pub(crate) async fn unlink_changes_no_manifest(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "layer", &["x"]).await;
    bench
        .blobs()
        .unlink(&name("a"), &sha256(b"layer"))
        .await
        .unwrap();
    assert_eq!(bench.digest("a", "x").await.unwrap(), digest);
    // The blob is needed all the same, and comes back by an upload without content.
    let finished = bench.finished("a", b"layer");
    let BlobReservation::Exists(_) = bench.reserve(&finished).await else {
        panic!("the blob is gone")
    };
    assert!(bench.has_blob("a", b"layer").await);
}

pub(crate) async fn an_unlinked_blob_can_be_uploaded_again(make: MakeStores) {
    let bench = Bench::new(make).await;
    let blob = bench.blob("a", b"content").await;
    bench
        .blobs()
        .unlink(&name("a"), &blob.digest)
        .await
        .unwrap();
    // Nothing has removed it yet.
    assert_eq!(bench.blob("a", b"content").await, blob);
    assert!(bench.has_blob("a", b"content").await);
}

pub(crate) async fn holders_by_name_in_pages(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut names = ["c", "a/b", "a-b", "a", "a0", "a.b"];
    let digest = sha256(b"content");
    for repository in names {
        bench.blob(repository, b"content").await;
    }
    bench.blob("other", b"other").await;
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for limit in [1, 2, 6, 7, u32::MAX] {
        let list = async |page| bench.blobs().holders(&digest, page).await.unwrap();
        let walked = walk(limit, RepositoryName::to_string, list).await;
        let walked: Vec<_> = walked.iter().map(RepositoryName::as_str).collect();
        assert_eq!(walked, names, "{limit}");
    }
    let part = bench
        .blobs()
        .holders(&digest, after("a-c", 1))
        .await
        .unwrap();
    assert_eq!((part.entries, part.more), (vec![name("a.b")], true));
    bench.blobs().unlink(&name("a"), &digest).await.unwrap();
    let rest = bench.blobs().holders(&digest, first(1)).await.unwrap();
    assert_eq!(rest.entries, [name("a-b")]);
    let none = bench
        .blobs()
        .holders(&sha256(b"x"), first(1))
        .await
        .unwrap();
    assert_eq!((none.entries, none.more), (Vec::new(), false));
}

/// Two servers, or a server and a command. Neither may serve what the other has taken away.
pub(crate) async fn the_second_handle_sees_every_blob_at_once(make: MakeStores) {
    let bench = Bench::new(make).await;
    let [one, two] = [0, 1].map(|at| &bench.stores.handles[at].blobs);
    let blob: Blob = bench.blob("a", b"content").await;
    for blobs in [one, two] {
        assert_eq!(blobs.find(&name("a"), &blob.digest).await.unwrap(), blob);
    }
    two.unlink(&name("a"), &blob.digest).await.unwrap();
    for blobs in [one, two] {
        let gone = blobs.find(&name("a"), &blob.digest).await;
        assert!(matches!(gone, Err(Error::BlobUnknown)));
    }
    let blob = bench.blob("b", b"content").await;
    two.mount(&blob.digest, &name("b"), &name("a"))
        .await
        .unwrap();
    for blobs in [one, two] {
        assert_eq!(blobs.find(&name("a"), &blob.digest).await.unwrap(), blob);
    }
}
