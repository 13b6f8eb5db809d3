//! Quotas: what is counted.

use std::path::PathBuf;

use storage::collection::CollectionPolicy;
use storage::distribution::{AdoptedBlob, RepositoryPart};
use storage::{
    Checkpoint, ContentLocation, FinishedUpload, QuotaCounting, QuotaUsage, TaggedManifest,
    TrackedPrefixes, UploadObjects, UsageQuery,
};

use super::bench::{Bench, COLLECT, DAY, MakeStores, SECOND};
use super::quotas::{length, listed, prefixes, quota, quotas, refusal};
use crate::world::{image, name, sha256, tag};

pub(crate) async fn a_blob_counts_once_within_a_prefix(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.track(&["*", "team", "team/app", "team2"]).await;
    let manifest = image(&[b"layer"], None);
    let size = length(&manifest);
    for repository in ["team/app", "team/web", "team2", "other", "team"] {
        bench.image(repository, "layer", &["x", "y"]).await;
    }
    // `{}` and `layer`.
    assert_eq!(bench.used("team/app").await, (7 + size, 2));
    assert_eq!(bench.used("team2").await, (7 + size, 2));
    assert_eq!(bench.used("team").await, (7 + 3 * size, 6));
    assert_eq!(bench.used("*").await, (7 + 5 * size, 10));
    bench.counts_are_right().await;
    // Once more changes nothing, and a tag that moves is one tag.
    bench.image("team/app", "layer", &["x"]).await;
    bench.push("team/app", listed(1), &["x"]).await.unwrap();
    let added = length(&listed(1));
    assert_eq!(bench.used("team").await, (7 + 3 * size + added, 6));
    bench.remove("team/app", listed(1).digest()).await.unwrap();
    bench.untag("team/app", "y").await.unwrap();
    assert_eq!(bench.used("team").await, (7 + 3 * size, 4));
    bench.unlink("team/web", b"layer").await;
    assert_eq!(bench.used("team").await.0, 7 + 3 * size);
    for repository in ["team", "team/app"] {
        bench.unlink(repository, b"layer").await;
    }
    assert_eq!(bench.used("team").await.0, 2 + 3 * size);
    assert_eq!(bench.used("*").await.0, 7 + 5 * size);
    bench.counts_are_right().await;
}

pub(crate) async fn what_is_there_is_counted_when_it_is_tracked(make: MakeStores) {
    let bench = Bench::new(make).await;
    for repository in ["a", "a/b", "a/b/c", "a-b", "b"] {
        bench.image(repository, "layer", &["x"]).await;
    }
    let size = length(&image(&[b"layer"], None));
    let counted = |counted, removed| TrackedPrefixes { counted, removed };
    assert_eq!(bench.track(&["a", "*"]).await, counted(2, 0));
    assert_eq!(bench.used("a").await, (7 + 3 * size, 3));
    assert_eq!(bench.used("*").await, (7 + 5 * size, 5));
    assert_eq!(bench.track(&["a", "*"]).await, counted(0, 0));
    assert_eq!(bench.track(&["a/b", "a", "c"]).await, counted(2, 1));
    let all = bench.quotas().usage(UsageQuery::All).await.unwrap();
    let all: Vec<_> = all.iter().map(|it| it.prefix.to_string()).collect();
    assert_eq!(all, ["a", "a/b", "c"]);
    assert_eq!(bench.used("a/b").await, (7 + 2 * size, 2));
    assert_eq!(bench.used("c").await, (0, 0));
    let unknown = UsageQuery::Of(prefixes(&["*", "b"]));
    assert_eq!(bench.quotas().usage(unknown).await.unwrap(), []);
    let again = bench
        .quotas()
        .track(prefixes(&["a", "b"]), QuotaCounting::Again);
    assert_eq!(again.await.unwrap(), counted(2, 2));
    assert_eq!(bench.used("b").await, (7 + size, 1));
    // Without a quota, too.
    let measured = bench.quotas().measure(&"a/b".parse().unwrap()).await;
    let usage = QuotaUsage {
        bytes: 7 + 2 * size,
        tags: 2,
    };
    assert_eq!(measured.unwrap(), usage);
    let nothing = bench.quotas().measure(&"x".parse().unwrap()).await;
    assert_eq!(nothing.unwrap(), QuotaUsage::default());
    bench.counts_are_right().await;
    assert_eq!(bench.track(&[]).await, counted(0, 2));
    bench.image("d", "layer", &["x"]).await;
    bench.counts_are_right().await;
}

pub(crate) async fn a_replaced_blob_counts_as_before(make: MakeStores) {
    let bench = Bench::new(make).await;
    let limits = quotas(&[quota("a", Some(7), None), quota("b", Some(3), None)]);
    bench.track(&["a", "b", "*"]).await;
    let old = bench.blob("a/x", b"layer").await;
    bench.blob("a/y", b"layer").await;
    bench.blob("c", b"layer").await;
    let replace = |repository: &str, generation: i64| {
        let mut finished = bench.finished(repository, b"layer");
        finished.replaces = Some(generation);
        finished.quotas = limits.of(&name(repository));
        finished
    };
    // A repository that does not have it yet, of a prefix without room.
    let elsewhere = replace("b", old.generation);
    let pending = bench.pending(&elsewhere).await;
    refusal(bench.uploads().commit(elsewhere, pending.clone()).await);
    bench.uploads().abort(pending).await.unwrap();
    let found = bench.blobs().find(&name("c"), &old.digest).await.unwrap();
    assert_eq!(found, old);
    let again = replace("a/x", old.generation);
    let pending = bench.pending(&again).await;
    let new = bench.commit(&again, &pending).await;
    assert_eq!(bench.used("a").await.0, 5);
    let again = replace("a/z", new.generation);
    let pending = bench.pending(&again).await;
    bench.commit(&again, &pending).await;
    assert_eq!((bench.used("a").await.0, bench.used("*").await.0), (5, 5));
    bench.counts_are_right().await;
    // In a store that chooses keys, there is no pending row.
    let upload = bench.begin("a/x").await;
    let checkpoint = Checkpoint {
        received: 5,
        hash: None,
        objects: Some(UploadObjects {
            key: Some("object".to_owned()),
            names: vec!["object".to_owned()],
            state: String::new(),
        }),
    };
    let recorded = bench.uploads().record(upload, 0, checkpoint).await.unwrap();
    let current = bench.blobs().find(&name("c"), &old.digest).await.unwrap();
    let object = FinishedUpload {
        upload,
        fence: Some(recorded),
        key: Some("object".to_owned()),
        ..replace("a/x", current.generation)
    };
    let pending = bench.pending(&object).await;
    bench.commit(&object, &pending).await;
    assert_eq!((bench.used("a").await.0, bench.used("*").await.0), (5, 5));
    bench.counts_are_right().await;
    for repository in ["a/x", "a/y", "a/z"] {
        bench.unlink(repository, b"layer").await;
    }
    assert_eq!((bench.used("a").await.0, bench.used("*").await.0), (0, 5));
}

pub(crate) async fn a_change_counts_a_prefix_that_is_not_tracked(make: MakeStores) {
    let bench = Bench::new(make).await;
    let other = bench.other_handle();
    let limits = quotas(&[quota("a", None, Some(2)), quota("a/b", None, None)]);
    bench.push("a/b", listed(1), &["x"]).await.unwrap();
    bench
        .push_within("a", listed(1), &["y"], &limits)
        .await
        .unwrap();
    assert_eq!(bench.used("a").await.1, 2);
    // Another server has other quotas.
    other.track(&["b"]).await;
    assert_eq!(
        bench
            .quotas()
            .usage(UsageQuery::Of(prefixes(&["a"])))
            .await
            .unwrap(),
        []
    );
    refusal(bench.push_within("a/b", listed(2), &["z"], &limits).await);
    other.track(&["b"]).await;
    let low = quotas(&[quota("a", Some(1), None)]);
    refusal(bench.blob_within("a", b"layer", &low).await);
    other.track(&["b"]).await;
    bench.blob_within("a/b", b"layer", &limits).await.unwrap();
    assert_eq!(bench.used("a/b").await, (5 + length(&listed(1)), 1));
    assert_eq!(other.used("b").await, (0, 0));
    bench.counts_are_right().await;
}

pub(crate) async fn collection_gives_room(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.track(&["a", "*"]).await;
    let digest = bench.image("a", "layer", &["x"]).await;
    bench.image("b", "layer", &["x"]).await;
    bench.blob("a", b"idle").await;
    bench.pass(2 * DAY);
    let size = length(&image(&[b"layer"], None));
    assert_eq!(bench.used("a").await, (11 + size, 1));
    bench.collect(COLLECT).await;
    assert_eq!(bench.used("a").await, (7 + size, 1));
    bench.untag("a", "x").await.unwrap();
    assert_eq!(bench.used("a").await, (7 + size, 0));
    let untagged = CollectionPolicy {
        untagged: Some(SECOND),
        ..COLLECT
    };
    bench.collect(untagged).await;
    bench.collect(untagged).await;
    assert!(!bench.has_manifest("a", digest).await);
    assert!(!bench.has_repository("a").await);
    assert_eq!(bench.used("a").await, (0, 0));
    assert_eq!(bench.used("*").await, (7 + size, 1));
    // The repository is another one now.
    bench.image("a", "layer", &["x"]).await;
    assert_eq!(bench.used("a").await, (7 + size, 1));
    bench.counts_are_right().await;
}

pub(crate) async fn adopted_content_is_counted(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.track(&["a", "*"]).await;
    bench.blob("b", b"layer").await;
    let location = ContentLocation::Directory(PathBuf::from("/old"));
    let store = bench.adoption().begin(&location).await.unwrap().store;
    let blob = |content: &[u8]| AdoptedBlob {
        digest: sha256(content),
        size: content.len() as u64,
        key: sha256(content).encoded(),
    };
    let manifest = image(&[b"layer", b"more"], None);
    let part = |repository: &str| RepositoryPart {
        repository: name(repository),
        blobs: vec![blob(b"{}"), blob(b"layer"), blob(b"more"), blob(b"more")],
        manifests: vec![manifest.clone(), listed(1)],
        tags: vec![TaggedManifest {
            tag: tag("x"),
            digest: manifest.digest(),
        }],
        totals: None,
    };
    for repository in ["a/one", "a/one", "a/two"] {
        bench
            .adoption()
            .adopt(store, part(repository))
            .await
            .unwrap();
    }
    let manifests = length(&manifest) + length(&listed(1));
    assert_eq!(bench.used("a").await, (11 + 2 * manifests, 2));
    assert_eq!(bench.used("*").await, (11 + 2 * manifests, 2));
    bench.counts_are_right().await;
}

pub(crate) async fn of_many_prefixes_those_that_cover_a_repository_count(make: MakeStores) {
    let bench = Bench::new(make).await;
    let texts: Vec<String> = (0..300).map(|number| format!("p{number}/x")).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    texts.extend(["p7", "p7/x/y"]);
    bench.track(&texts).await;
    bench.push("p7/x/y", listed(1), &["a"]).await.unwrap();
    bench.push("p7/xy", listed(1), &["a"]).await.unwrap();
    let all = bench.quotas().usage(UsageQuery::All).await.unwrap();
    let used = all.iter().filter(|it| it.usage != QuotaUsage::default());
    let used: Vec<_> = used
        .map(|it| (it.prefix.to_string(), it.usage.tags))
        .collect();
    let expected = [("p7", 2), ("p7/x", 1), ("p7/x/y", 1)];
    assert_eq!(
        used,
        expected.map(|(prefix, tags)| (prefix.to_owned(), tags))
    );
    bench.counts_are_right().await;
}
