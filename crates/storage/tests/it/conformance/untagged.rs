//! Garbage collection of manifests: what is needed stays, and what nothing needs goes.

use storage::collection::{CollectionPolicy, GarbageBlob, GarbageManifest};
use storage::{Error, PageRequest};

use super::bench::{Bench, COLLECT, Collected, DAY, MakeStores, SECOND, first};
use crate::world::{image, index, name, sha256};

const UNTAGGED: CollectionPolicy = CollectionPolicy {
    untagged: Some(DAY),
    ..COLLECT
};

pub(crate) async fn untagged_manifests_stay_unless_an_age_is_set(make: MakeStores) {
    let bench = Bench::new(make).await;
    let old = bench.image("a", "old", &["x"]).await;
    let new = bench.image("a", "new", &["x"]).await;
    bench.pass(100 * DAY);
    assert_eq!(bench.collect(COLLECT).await, Collected::default());
    assert!(bench.has_manifest("a", old).await);
    let plan = bench.collection().plan(UNTAGGED).await.unwrap();
    let manifest = GarbageManifest {
        repository: name("a"),
        digest: old,
    };
    let blob = GarbageBlob {
        digest: sha256(b"old"),
        size: 3,
    };
    assert_eq!((plan.manifests, plan.blobs), (vec![manifest], vec![blob]));
    assert!(bench.has_manifest("a", old).await);
    let collected = bench.collect(UNTAGGED).await;
    assert_eq!(collected.manifests, [("a".to_owned(), old)]);
    assert_eq!(collected.removed, [sha256(b"old")]);
    assert!(!bench.has_manifest("a", old).await);
    assert_eq!(bench.digest("a", "x").await.unwrap(), new);
}

pub(crate) async fn the_longer_of_age_and_grace_time_counts(make: MakeStores) {
    for (grace, untagged, kept_for) in [(DAY, 3 * DAY, 3 * DAY), (3 * DAY, DAY, 3 * DAY)] {
        let bench = Bench::new(make).await;
        let policy = CollectionPolicy {
            grace,
            untagged: Some(untagged),
            ..COLLECT
        };
        let digest = bench.push("a", index(&[]), &[]).await.unwrap();
        bench.pass(kept_for);
        assert_eq!(bench.prune(policy).await, []);
        bench.pass(SECOND);
        assert_eq!(bench.prune(policy).await, [("a".to_owned(), digest)]);
    }
}

pub(crate) async fn a_lease_and_a_push_keep_an_untagged_manifest(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (a, digest) = (name("a"), index(&[]).digest());
    bench.push("a", index(&[]), &[]).await.unwrap();
    bench.pass(DAY + SECOND);
    bench.manifests().lease(&a, &digest.into()).await.unwrap();
    assert_eq!(bench.prune(UNTAGGED).await, []);
    bench.pass(DAY + SECOND);
    bench.push("a", index(&[]), &[]).await.unwrap();
    assert_eq!(bench.prune(UNTAGGED).await, []);
    bench.pass(DAY + SECOND);
    // Finding it is no lease.
    bench.manifests().find(&a, &digest.into()).await.unwrap();
    assert_eq!(bench.prune(UNTAGGED).await, [("a".to_owned(), digest)]);
    let gone = bench.manifests().lease(&a, &digest.into()).await;
    assert!(matches!(
        gone,
        Err(Error::ManifestUnknown | Error::RepositoryUnknown)
    ));
}

pub(crate) async fn a_manifest_keeps_its_age_when_its_tag_goes(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.push("a", index(&[]), &["x"]).await.unwrap();
    bench.pass(DAY + SECOND);
    assert_eq!(bench.prune(UNTAGGED).await, []);
    bench.untag("a", "x").await.unwrap();
    assert_eq!(bench.prune(UNTAGGED).await, [("a".to_owned(), digest)]);
}

pub(crate) async fn children_of_what_stays_stay(make: MakeStores) {
    let bench = Bench::new(make).await;
    let child = bench.image("a", "child", &[]).await;
    let other = bench.image("a", "other", &[]).await;
    let inner = bench.push("a", index(&[child]), &[]).await.unwrap();
    let outer = index(&[inner, sha256(b"sparse")]);
    let outer = bench.push("a", outer, &["x"]).await.unwrap();
    bench.pass(DAY + SECOND);
    assert_eq!(bench.prune(UNTAGGED).await, [("a".to_owned(), other)]);
    bench.untag("a", "x").await.unwrap();
    let mut all = [child, inner, outer].map(|digest| ("a".to_owned(), digest));
    all.sort();
    assert_eq!(bench.prune(UNTAGGED).await, all);
}

pub(crate) async fn an_untagged_index_is_not_kept_by_its_children(make: MakeStores) {
    let bench = Bench::new(make).await;
    let child = bench.image("a", "child", &["x"]).await;
    let parent = bench.push("a", index(&[child]), &[]).await.unwrap();
    bench.pass(DAY + SECOND);
    assert_eq!(bench.prune(UNTAGGED).await, [("a".to_owned(), parent)]);
    assert!(bench.has_manifest("a", child).await);
}

pub(crate) async fn subjects_and_referrers_keep_each_other(make: MakeStores) {
    let bench = Bench::new(make).await;
    let subject = bench.image("a", "subject", &["x"]).await;
    for layer in [&b"signature"[..], b"attestation"] {
        bench.blob("a", layer).await;
    }
    let signature = image(&[b"signature"], Some(subject));
    let signature = bench.push("a", signature, &[]).await.unwrap();
    let attestation = image(&[b"attestation"], Some(signature));
    let attestation = bench.push("a", attestation, &[]).await.unwrap();
    bench.pass(DAY + SECOND);
    assert_eq!(bench.prune(UNTAGGED).await, []);
    // The tag moves to the other end of the chain.
    bench.untag("a", "x").await.unwrap();
    let tagged = image(&[b"attestation"], Some(signature));
    bench.push("a", tagged, &["attested"]).await.unwrap();
    bench.pass(DAY + SECOND);
    assert_eq!(bench.prune(UNTAGGED).await, []);
    bench.untag("a", "attested").await.unwrap();
    let mut all = [subject, signature, attestation].map(|digest| ("a".to_owned(), digest));
    all.sort();
    assert_eq!(bench.prune(UNTAGGED).await, all);
}

pub(crate) async fn a_circle_of_manifests_is_not_needed_by_itself(make: MakeStores) {
    let bench = Bench::new(make).await;
    // An index about its own child: each leads to the other.
    let child = bench.image("a", "child", &[]).await;
    let about = crate::world::descriptor(oci::media_type::OCI_MANIFEST, child, 7);
    let members = format!(r#""manifests":[{about}],"subject":{about}"#);
    let parent = crate::world::manifest(oci::media_type::OCI_INDEX, &members);
    let parent = bench.push("a", parent, &["x"]).await.unwrap();
    bench.pass(DAY + SECOND);
    assert_eq!(bench.prune(UNTAGGED).await, []);
    bench.untag("a", "x").await.unwrap();
    assert_eq!(bench.prune(UNTAGGED).await.len(), 2);
    assert!(!bench.has_manifest("a", parent).await);
}

pub(crate) async fn another_repository_keeps_no_manifest(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "one", &[]).await;
    bench.image("b", "one", &["x"]).await;
    bench.push("c", index(&[digest]), &["x"]).await.unwrap();
    bench.pass(DAY + SECOND);
    let collected = bench.collect(UNTAGGED).await;
    assert_eq!(collected.manifests, [("a".to_owned(), digest)]);
    assert_eq!(bench.digest("b", "x").await.unwrap(), digest);
    // Its blobs are needed there, too.
    assert_eq!(collected.removed, []);
    assert!(bench.has_blob("b", b"one").await);
}

pub(crate) async fn a_repository_loses_blobs_that_only_others_need(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "one", &["x"]).await;
    bench.image("b", "one", &["x"]).await;
    bench.blob("a", b"idle").await;
    bench.remove("a", digest).await.unwrap();
    bench.pass(DAY);
    bench.prune(COLLECT).await;
    assert!(bench.has_blob("a", b"one").await, "its lease has not ended");
    bench.pass(SECOND);
    bench.prune(COLLECT).await;
    assert!(!bench.has_blob("a", b"one").await);
    assert!(bench.has_blob("b", b"one").await);
    // To this one nothing refers: it is marked instead.
    assert!(bench.has_blob("a", b"idle").await);
}

pub(crate) async fn an_empty_repository_goes(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.push("a", index(&[]), &["x"]).await.unwrap();
    bench.blob("b", b"blob").await;
    bench.remove("a", digest).await.unwrap();
    bench.prune(COLLECT).await;
    assert!(!bench.has_repository("a").await);
    assert!(bench.has_repository("b").await);
    let found = bench.digest("a", "x").await;
    assert!(matches!(found, Err(Error::RepositoryUnknown)));
    bench.pass(DAY + SECOND);
    bench.collect(COLLECT).await;
    bench.prune(COLLECT).await;
    assert!(!bench.has_repository("b").await);
    // It can be made again.
    bench.push("a", index(&[]), &["x"]).await.unwrap();
    assert_eq!(bench.digest("a", "x").await.unwrap(), digest);
}

pub(crate) async fn a_pruned_manifest_is_in_no_list(make: MakeStores) {
    let bench = Bench::new(make).await;
    let subject = sha256(b"subject");
    bench.blob("a", b"{}").await;
    let referrer = bench.push("a", image(&[], Some(subject)), &[]).await;
    bench.pass(DAY + SECOND);
    assert_eq!(
        bench.prune(UNTAGGED).await,
        [("a".to_owned(), referrer.unwrap())]
    );
    let page = PageRequest {
        after: None,
        limit: 10,
    };
    let repository = name("a");
    let listed = bench
        .manifests()
        .referrers(&repository, &subject, None, page);
    assert!(listed.await.unwrap().entries.is_empty());
    let repositories = bench.manifests().repositories(first(10)).await.unwrap();
    assert!(repositories.entries.is_empty());
    let manifests = bench.inventory().manifests(&repository, first(10)).await;
    assert!(manifests.unwrap().entries.is_empty());
}
