//! Everything there is, and what a damaged blob or manifest affects.

use oci::Digest;
use storage::{AffectedRepository, Error, TaggedManifest};

use super::bench::{Bench, COLLECT, DAY, MakeStores, SECOND, after, first, sha512, walk};
use crate::world::{image, index, name, sha256, tag};

pub(crate) async fn all_blobs_by_generation(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"deleting").await;
    bench.pass(DAY + SECOND);
    bench.mark(COLLECT).await;
    bench.sweep(COLLECT).await;
    let mut expected = Vec::new();
    for content in [&b"c"[..], b"a", b"unlinked", b"b"] {
        expected.push(bench.blob("a", content).await);
        bench.pending(&bench.finished("a", b"pending")).await;
    }
    bench.blob("b", b"a").await;
    bench
        .blobs()
        .unlink(&name("a"), &sha256(b"unlinked"))
        .await
        .unwrap();
    bench.pass(DAY + SECOND);
    // Marked blobs can be pulled.
    assert_eq!(bench.mark(COLLECT).await, 4);
    for limit in [1, 2, 4, 5, u32::MAX] {
        let list = async |page| bench.inventory().blobs(page).await.unwrap();
        let walked = walk(limit, |blob| blob.generation, list).await;
        assert_eq!(walked, expected, "{limit}");
    }
    let before = expected[1].generation - 1;
    let page = bench.inventory().blobs(after(before, 1)).await.unwrap();
    assert_eq!((page.entries, page.more), (vec![expected[1].clone()], true));
}

pub(crate) async fn the_blobs_of_a_repository_by_generation(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut expected = Vec::new();
    for content in [&b"c"[..], b"a", b"b"] {
        expected.push(bench.blob("a", content).await);
        bench.blob("b", &[content, b"2"].concat()).await;
    }
    for limit in [1, 2, 3, 4] {
        let list = async |page| bench.inventory().linked(&name("a"), page).await.unwrap();
        let walked = walk(limit, |blob| blob.generation, list).await;
        assert_eq!(walked, expected, "{limit}");
    }
    bench.push("c", index(&[]), &[]).await.unwrap();
    let none = bench
        .inventory()
        .linked(&name("c"), first(1))
        .await
        .unwrap();
    assert_eq!((none.entries, none.more), (Vec::new(), false));
}

pub(crate) async fn manifests_by_digest_and_tags_by_name(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (mut manifests, mut tags) = (Vec::new(), Vec::new());
    for text in ["a-b", "a", "B", "a.b"] {
        let manifest = index(&[sha256(text.as_bytes())]);
        let digest = bench.push("a", manifest.clone(), &[text]).await.unwrap();
        manifests.push((digest, manifest.bytes().clone()));
        tags.push(TaggedManifest {
            tag: tag(text),
            digest,
        });
    }
    // By the other algorithm, after all of the first.
    let bytes = index(&[]).bytes().clone();
    let claimed = sha512(&bytes);
    let other = storage::NewManifest::parse(None, bytes.clone(), Some(claimed)).unwrap();
    manifests.push((bench.push("a", other, &[]).await.unwrap(), bytes));
    bench.push("b", index(&[]), &["c"]).await.unwrap();
    manifests.sort_by_key(|(digest, _)| digest.to_string());
    tags.sort_by(|one, two| one.tag.as_str().as_bytes().cmp(two.tag.as_str().as_bytes()));
    for limit in [1, 2, 5, 6] {
        let list = async |page| bench.inventory().manifests(&name("a"), page).await.unwrap();
        let walked = walk(limit, |manifest| manifest.digest, list).await;
        let walked: Vec<_> = walked.into_iter().map(|it| (it.digest, it.bytes)).collect();
        assert_eq!(walked, manifests, "{limit}");
        let list = async |page| bench.inventory().tags(&name("a"), page).await.unwrap();
        let walked = walk(limit, |it| it.tag.as_str().to_owned(), list).await;
        assert_eq!(walked, tags, "{limit}");
    }
    let page = bench
        .inventory()
        .tags(&name("a"), after("a-c", 1))
        .await
        .unwrap();
    assert_eq!(page.entries, [tags[3].clone()]);
}

pub(crate) async fn an_unknown_repository_has_no_inventory(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"content").await;
    let (inventory, unknown) = (bench.inventory(), name("b"));
    for outcome in [
        inventory.linked(&unknown, first(1)).await.map(drop),
        inventory.manifests(&unknown, first(1)).await.map(drop),
        inventory.tags(&unknown, first(1)).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::RepositoryUnknown)));
    }
    // One with a blob only has no manifests.
    let none = inventory.manifests(&name("a"), first(1)).await.unwrap();
    assert_eq!(none.entries, []);
    let none = inventory.tags(&name("a"), first(1)).await.unwrap();
    assert_eq!(none.entries, []);
}

async fn affected(bench: &Bench, digest: Digest) -> Vec<(String, Vec<String>)> {
    let affected = bench.inventory().affected(&digest).await.unwrap();
    affected
        .into_iter()
        .map(|AffectedRepository { repository, tags }| (repository.to_string(), tags))
        .collect()
}

pub(crate) async fn damage_affects_everything_above_it(make: MakeStores) {
    let bench = Bench::new(make).await;
    let image = bench.image("a", "layer", &["image", "also"]).await;
    let inner = bench.push("a", index(&[image]), &[]).await.unwrap();
    let outer = index(&[inner, sha256(b"sparse")]);
    bench.push("a", outer, &["outer"]).await.unwrap();
    bench.image("a", "other", &["other"]).await;
    bench.image("b", "layer", &["b"]).await;
    bench.image("c", "other", &["c"]).await;
    bench.blob("only-the-blob", b"layer").await;
    let sparse = index(&[image, sha256(b"sparse")]);
    bench.push("d-index", sparse, &["sparse"]).await.unwrap();
    let strings = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        affected(&bench, sha256(b"layer")).await,
        [
            ("a".to_owned(), strings(&["also", "image", "outer"])),
            ("b".to_owned(), strings(&["b"])),
            ("only-the-blob".to_owned(), vec![]),
        ]
    );
    // A manifest affects itself and the indexes that list it, in each repository by itself.
    assert_eq!(
        affected(&bench, image).await,
        [
            ("a".to_owned(), strings(&["also", "image", "outer"])),
            ("b".to_owned(), strings(&["b"])),
            ("d-index".to_owned(), strings(&["sparse"])),
        ]
    );
    assert_eq!(
        affected(&bench, inner).await,
        [("a".to_owned(), strings(&["outer"]))]
    );
    assert_eq!(affected(&bench, sha256(b"unknown")).await, []);
}

pub(crate) async fn damage_to_what_is_untagged(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "layer", &[]).await;
    for damaged in [digest, sha256(b"layer"), sha256(b"{}")] {
        let expected = [("a".to_owned(), vec![])];
        assert_eq!(affected(&bench, damaged).await, expected);
    }
    // A referrer does not need its subject.
    let referrer = image(&[], Some(digest));
    bench.push("a", referrer, &["signature"]).await.unwrap();
    assert_eq!(affected(&bench, digest).await, [("a".to_owned(), vec![])]);
    bench.remove("a", digest).await.unwrap();
    assert_eq!(affected(&bench, digest).await, []);
}
