//! Adoption: another registry's content is described by rows.

use std::path::PathBuf;

use storage::distribution::{AdoptedBlob, AdoptionTotals, RepositoryPart};
use storage::{
    AdoptedStore, AdoptionProgress, AdoptionStage, Blob, ContentLocation, Error, NewManifest,
    StoreId, TaggedManifest,
};

use super::bench::{Bench, COLLECT, DAY, MakeStores, SECOND, first};
use crate::world::{image, index, name, sha256, tag};

fn location(path: &str) -> ContentLocation {
    ContentLocation::Directory(PathBuf::from(path))
}

const TOTALS: AdoptionTotals = AdoptionTotals {
    manifests: 1,
    tags: 2,
    blobs: 3,
};

/// A part of a repository: blobs with this content, and manifests with these tags.
fn part(
    repository: &str,
    blobs: &[&[u8]],
    manifests: &[(&NewManifest, &[&str])],
    totals: Option<AdoptionTotals>,
) -> RepositoryPart {
    let blobs = blobs.iter().map(|content| AdoptedBlob {
        digest: sha256(content),
        size: content.len() as u64,
        key: format!("docker/{}/data", sha256(content).encoded()),
    });
    let tags = manifests.iter().flat_map(|(manifest, tags)| {
        let digest = manifest.digest();
        tags.iter().map(move |text| TaggedManifest {
            tag: tag(text),
            digest,
        })
    });
    RepositoryPart {
        repository: name(repository),
        blobs: blobs.collect(),
        tags: tags.collect(),
        manifests: manifests.iter().map(|(it, _)| (*it).clone()).collect(),
        totals,
    }
}

async fn begin(bench: &Bench, path: &str) -> AdoptionProgress {
    bench.adoption().begin(&location(path)).await.unwrap()
}

async fn stage(bench: &Bench, path: &str) -> AdoptionStage {
    bench.adoption().stage(&location(path)).await.unwrap()
}

async fn finish(bench: &Bench, path: &str) -> AdoptionStage {
    bench.adoption().finish(&location(path)).await.unwrap()
}

async fn adopt(bench: &Bench, store: StoreId, part: RepositoryPart) {
    bench.adoption().adopt(store, part).await.unwrap();
}

async fn find(bench: &Bench, repository: &str, content: &[u8]) -> Blob {
    let digest = sha256(content);
    let found = bench.blobs().find(&name(repository), &digest).await;
    found.unwrap()
}

pub(crate) async fn an_adoption_goes_through_its_stages(make: MakeStores) {
    let bench = Bench::new(make).await;
    assert_eq!(stage(&bench, "/old").await, AdoptionStage::Unknown);
    assert_eq!(finish(&bench, "/old").await, AdoptionStage::Unknown);
    let begun = begin(&bench, "/old").await;
    assert_ne!(begun.store, StoreId::OWN);
    assert_eq!(
        (&begun.done, begun.totals),
        (&vec![], AdoptionTotals::default())
    );
    assert_eq!(stage(&bench, "/old").await, AdoptionStage::Reading);
    // Only a complete adoption can be made final.
    assert_eq!(finish(&bench, "/old").await, AdoptionStage::Reading);
    bench.adoption().end(begun.store).await.unwrap();
    assert_eq!(stage(&bench, "/old").await, AdoptionStage::Complete);
    for _ in 0..2 {
        assert_eq!(finish(&bench, "/old").await, AdoptionStage::Final);
        assert_eq!(stage(&bench, "/old").await, AdoptionStage::Final);
    }
    assert_eq!(stage(&bench, "/ol").await, AdoptionStage::Unknown);
}

pub(crate) async fn each_location_is_a_store(make: MakeStores) {
    let bench = Bench::new(make).await;
    assert_eq!(bench.blobs().stores().await.unwrap(), []);
    let (one, two) = (begin(&bench, "/one").await, begin(&bench, ".").await);
    assert_ne!(one.store, two.store);
    assert_eq!(begin(&bench, "/one").await.store, one.store);
    let stores = || {
        [(one.store, "/one"), (two.store, ".")].map(|(id, path)| AdoptedStore {
            id,
            location: location(path),
        })
    };
    assert_eq!(bench.blobs().stores().await.unwrap(), stores());
    let unfinished = bench.adoption().unfinished().await.unwrap();
    assert_eq!(unfinished, [location("/one"), location(".")]);
    bench.adoption().end(one.store).await.unwrap();
    let unfinished = bench.adoption().unfinished().await.unwrap();
    assert_eq!(unfinished, [location(".")]);
    finish(&bench, "/one").await;
    bench.adoption().end(two.store).await.unwrap();
    assert_eq!(bench.adoption().unfinished().await.unwrap(), []);
    // The content stays where it is.
    assert_eq!(bench.blobs().stores().await.unwrap(), stores());
}

pub(crate) async fn adopted_images_can_be_pulled(make: MakeStores) {
    let bench = Bench::new(make).await;
    let store = begin(&bench, "/old").await.store;
    let manifest = image(&[b"layer"], None);
    let blobs: [&[u8]; 2] = [b"{}", b"layer"];
    adopt(
        &bench,
        store,
        part("a", &blobs, &[(&manifest, &["x", "y"])], Some(TOTALS)),
    )
    .await;
    for tag in ["x", "y"] {
        assert_eq!(bench.digest("a", tag).await.unwrap(), manifest.digest());
    }
    let layer = find(&bench, "a", b"layer").await;
    assert_eq!((layer.store, layer.size), (store, 5));
    assert_eq!(layer.key, format!("docker/{}/data", layer.digest.encoded()));
    let repositories = bench.manifests().repositories(first(10)).await.unwrap();
    assert_eq!(repositories.entries, ["a"]);
    // A pushed manifest may refer to it.
    bench
        .push("a", image(&[b"layer", b"{}"], None), &["z"])
        .await
        .unwrap();
}

pub(crate) async fn an_interrupted_adoption_continues(make: MakeStores) {
    let bench = Bench::new(make).await;
    let store = begin(&bench, "/old").await.store;
    adopt(&bench, store, part("b", &[b"1"], &[], Some(TOTALS))).await;
    adopt(&bench, store, part("a", &[b"2"], &[], Some(TOTALS))).await;
    // The last part of this one has not come.
    adopt(&bench, store, part("c", &[b"3"], &[], None)).await;
    let mut progress = begin(&bench, "/old").await;
    progress.done.sort();
    assert_eq!(progress.store, store);
    assert_eq!(progress.done, [name("a"), name("b")]);
    let twice = AdoptionTotals {
        manifests: 2,
        tags: 4,
        blobs: 6,
    };
    assert_eq!(progress.totals, twice);
    assert!(bench.has_blob("c", b"3").await);
    let other = begin(&bench, "/other").await;
    assert_eq!(
        (other.done, other.totals),
        (vec![], AdoptionTotals::default())
    );
}

pub(crate) async fn a_complete_adoption_begins_again(make: MakeStores) {
    let bench = Bench::new(make).await;
    let store = begin(&bench, "/old").await.store;
    adopt(&bench, store, part("a", &[b"1"], &[], Some(TOTALS))).await;
    bench.adoption().end(store).await.unwrap();
    finish(&bench, "/old").await;
    let again = begin(&bench, "/old").await;
    assert_eq!(again.store, store);
    assert_eq!(
        (again.done, again.totals),
        (vec![], AdoptionTotals::default())
    );
    assert_eq!(stage(&bench, "/old").await, AdoptionStage::Reading);
    // It is final again only if the operator says so again.
    bench.adoption().end(store).await.unwrap();
    assert_eq!(stage(&bench, "/old").await, AdoptionStage::Complete);
    // What is new in a repository since is taken in.
    begin(&bench, "/old").await;
    adopt(&bench, store, part("a", &[b"2"], &[], Some(TOTALS))).await;
    assert!(bench.has_blob("a", b"2").await);
}

pub(crate) async fn nothing_of_a_repository_that_was_read_is_taken_in(make: MakeStores) {
    let bench = Bench::new(make).await;
    let store = begin(&bench, "/old").await.store;
    let manifest = index(&[]);
    adopt(
        &bench,
        store,
        part("a", &[], &[(&manifest, &["x"])], Some(TOTALS)),
    )
    .await;
    bench.remove("a", manifest.digest()).await.unwrap();
    adopt(
        &bench,
        store,
        part("a", &[b"1"], &[(&manifest, &["y"])], Some(TOTALS)),
    )
    .await;
    assert!(!bench.has_manifest("a", manifest.digest()).await);
    assert!(!bench.has_blob("a", b"1").await);
    assert_eq!(begin(&bench, "/old").await.totals, TOTALS);
    // Nor of any, once all were read.
    bench.adoption().end(store).await.unwrap();
    adopt(&bench, store, part("b", &[b"1"], &[], None)).await;
    assert!(!bench.has_repository("b").await);
}

pub(crate) async fn what_exists_stays_as_it_is(make: MakeStores) {
    let bench = Bench::new(make).await;
    let own = bench.blob("a", b"layer").await;
    bench.blob("a", b"{}").await;
    let pushed = image(&[b"layer"], None);
    bench.push("a", pushed.clone(), &["x"]).await.unwrap();
    let store = begin(&bench, "/old").await.store;
    let old = index(&[]);
    let manifests: [(&NewManifest, &[&str]); 1] = [(&old, &["x", "y"])];
    adopt(
        &bench,
        store,
        part("a", &[b"layer"], &manifests, Some(TOTALS)),
    )
    .await;
    assert_eq!(find(&bench, "a", b"layer").await, own);
    assert_eq!(bench.digest("a", "x").await.unwrap(), pushed.digest());
    assert_eq!(bench.digest("a", "y").await.unwrap(), old.digest());
    // Another repository gets the blob that exists, too.
    adopt(&bench, store, part("b", &[b"layer"], &[], Some(TOTALS))).await;
    assert_eq!(find(&bench, "b", b"layer").await, own);
}

pub(crate) async fn a_repository_comes_in_parts(make: MakeStores) {
    let bench = Bench::new(make).await;
    let store = begin(&bench, "/old").await.store;
    let (one, two) = (index(&[]), image(&[b"layer"], None));
    adopt(&bench, store, part("a", &[], &[(&one, &[])], None)).await;
    // Whether its blobs exist is not asked.
    adopt(&bench, store, part("a", &[], &[(&two, &["two"])], None)).await;
    let mut last = part("a", &[b"{}"], &[], Some(TOTALS));
    for (text, digest) in [("one", one.digest()), ("lost", sha256(b"lost"))] {
        last.tags.push(TaggedManifest {
            tag: tag(text),
            digest,
        });
    }
    adopt(&bench, store, last).await;
    assert_eq!(bench.digest("a", "one").await.unwrap(), one.digest());
    assert_eq!(bench.digest("a", "two").await.unwrap(), two.digest());
    // A tag needs its manifest.
    let lost = bench.digest("a", "lost").await;
    assert!(matches!(lost, Err(Error::ManifestUnknown)));
    assert!(bench.has_blob("a", b"{}").await);
}

pub(crate) async fn adopted_blobs_are_kept_until_the_adoption_is_final(make: MakeStores) {
    let bench = Bench::new(make).await;
    let store = begin(&bench, "/old").await.store;
    adopt(&bench, store, part("a", &[b"idle"], &[], Some(TOTALS))).await;
    bench.pass(30 * DAY);
    for ended in [false, true] {
        if ended {
            bench.adoption().end(store).await.unwrap();
        }
        assert_eq!(bench.collection().plan(COLLECT).await.unwrap().blobs, []);
        assert_eq!(bench.collect(COLLECT).await.removed, []);
    }
    finish(&bench, "/old").await;
    assert_eq!(bench.mark(COLLECT).await, 1);
    // Begun again, it is not final any more: what was marked comes back.
    begin(&bench, "/old").await;
    assert_eq!(bench.sweep(COLLECT).await, 1);
    assert!(bench.has_blob("a", b"idle").await);
    bench.adoption().end(store).await.unwrap();
    finish(&bench, "/old").await;
    let collected = bench.collect(COLLECT).await;
    assert_eq!(collected.removed, [sha256(b"idle")]);
}

pub(crate) async fn adoption_is_a_lease(make: MakeStores) {
    let bench = Bench::new(make).await;
    let own = bench.blob("a", b"own").await;
    let manifest = index(&[]);
    bench.push("a", manifest.clone(), &[]).await.unwrap();
    bench.pass(DAY + SECOND);
    assert_eq!(bench.mark(COLLECT).await, 1);
    let store = begin(&bench, "/old").await.store;
    adopt(
        &bench,
        store,
        part("a", &[b"own"], &[(&manifest, &[])], None),
    )
    .await;
    let untagged = storage::collection::CollectionPolicy {
        untagged: Some(SECOND),
        ..COLLECT
    };
    let collected = bench.collect(untagged).await;
    assert_eq!((collected.manifests, collected.removed), (vec![], vec![]));
    assert_eq!(find(&bench, "a", b"own").await, own);
}

pub(crate) async fn a_damaged_adopted_blob_is_replaced(make: MakeStores) {
    let bench = Bench::new(make).await;
    let store = begin(&bench, "/old").await.store;
    adopt(&bench, store, part("a", &[b"layer"], &[], Some(TOTALS))).await;
    adopt(&bench, store, part("b", &[b"layer"], &[], Some(TOTALS))).await;
    let old = find(&bench, "a", b"layer").await;
    let mut finished = bench.finished("b", b"layer");
    finished.replaces = Some(old.generation);
    let pending = bench.pending(&finished).await;
    let new = bench.commit(&finished, &pending).await;
    assert_eq!(new.store, StoreId::OWN);
    for repository in ["a", "b"] {
        assert_eq!(find(&bench, repository, b"layer").await, new);
    }
    // The other registry's content is not ours to remove.
    assert_eq!(bench.deletable().await, []);
}
