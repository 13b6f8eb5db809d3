//! Tags that retention removes, what is left of them, and pull times.

use std::sync::Arc;
use std::time::Duration;

use oci::Digest;
use retention::TagState;
use storage::collection::CollectionPolicy;
use storage::{
    ChangeAuthor, Error, NewOutboxRecord, PulledManifest, RestoreOutcome, TagRemoval,
    TagRemovalOutcome, TagRestoration, Tombstone, TombstoneTerms, UntaggedManifests,
};

use super::bench::{Bench, COLLECT, DAY, HOUR, MakeStores, SECOND, first};
use crate::world::{image, index, name, sha256, tag};

/// The kind of the records.
const KIND: &str = "test";

const UNTAGGED: CollectionPolicy = CollectionPolicy {
    untagged: Some(DAY),
    ..COLLECT
};
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const KEEP: TombstoneTerms = TombstoneTerms {
    undelete: WEEK,
    untagged: UntaggedManifests::Collection,
};
const RELEASE: TombstoneTerms = TombstoneTerms {
    undelete: WEEK,
    untagged: UntaggedManifests::Remove,
};

pub(crate) fn author() -> ChangeAuthor {
    ChangeAuthor {
        account: "registry retention".to_owned(),
        request_id: String::new(),
    }
}

impl Bench {
    /// What is known of a tag.
    pub(crate) async fn state(&self, repository: &str, text: &str) -> TagState {
        let store = &self.stores.handles[0].retention;
        let page = store
            .tag_states(&name(repository), first(100))
            .await
            .unwrap();
        let found = page
            .entries
            .into_iter()
            .find(|state| state.tag == tag(text));
        found.unwrap()
    }

    pub(crate) async fn remove_tag(
        &self,
        repository: &str,
        state: TagState,
        terms: TombstoneTerms,
    ) -> TagRemovalOutcome {
        let outbox = vec![NewOutboxRecord {
            kind: KIND.to_owned(),
            payload: state.tag.to_string().into_bytes(),
        }];
        let removal = TagRemoval {
            state,
            reason: "rule 1 does not keep it".to_owned(),
            outbox,
        };
        let store = &self.stores.handles[0].retention;
        let repository = name(repository);
        let outcomes = store.remove_tags(&repository, vec![removal], terms, Some(author()));
        outcomes.await.unwrap()[0]
    }

    async fn removed(&self, repository: &str, text: &str, terms: TombstoneTerms) {
        let state = self.state(repository, text).await;
        let outcome = self.remove_tag(repository, state, terms).await;
        assert_eq!(outcome, TagRemovalOutcome::Removed);
    }

    pub(crate) async fn tombstones(&self) -> Vec<Tombstone> {
        let store = &self.stores.handles[0].tombstones;
        store.tombstones(None, first(100)).await.unwrap().entries
    }

    pub(crate) async fn restore(&self, tombstone: i64, text: &str) -> RestoreOutcome {
        let restoration = TagRestoration {
            tombstone,
            tag: tag(text),
            author: Some(author()),
            outbox: Vec::new(),
            quotas: storage::RepositoryQuotas::default(),
        };
        let store = &self.stores.handles[0].tombstones;
        store.restore(restoration).await.unwrap().outcome
    }

    pub(crate) async fn pulled(&self, repository: &str, digest: Digest, gap: bool) {
        let pulled = PulledManifest {
            repository: name(repository),
            digest,
        };
        let store = &self.stores.handles[0].pull_times;
        store.record_pulls(vec![pulled], gap).await.unwrap();
    }
}

pub(crate) async fn a_removed_tag_leaves_a_tombstone(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "one", &["x", "y"]).await;
    let state = bench.state("a", "x").await;
    assert_eq!((state.digest, state.pulled_at), (digest, None));
    assert_eq!(state.pushed_at, state.leased_at);
    assert_eq!(bench.digest("a", "x").await.unwrap(), digest);
    bench.pass(HOUR);
    bench.removed("a", "x", KEEP).await;
    for seen in [bench.other_handle(), bench.other_handle().other_handle()] {
        assert!(matches!(
            seen.digest("a", "x").await,
            Err(Error::ManifestUnknown)
        ));
        assert_eq!(seen.digest("a", "y").await.unwrap(), digest);
        assert!(seen.has_manifest("a", digest).await);
    }
    let tombstones = bench.tombstones().await;
    let [tombstone] = &tombstones[..] else {
        panic!("{tombstones:?}")
    };
    assert_eq!(
        (&tombstone.repository, &tombstone.tag),
        (&name("a"), &tag("x"))
    );
    assert_eq!(
        (tombstone.digest, tombstone.pushed_at),
        (digest, state.pushed_at)
    );
    assert_eq!(tombstone.removed_at, state.pushed_at + 3600);
    assert_eq!(tombstone.expires_at, tombstone.removed_at + 7 * 24 * 3600);
    assert_eq!(tombstone.reason, "rule 1 does not keep it");
    let store = &bench.stores.handles[1].tombstones;
    for (of, count) in [("a", 1), ("b", 0)] {
        let page = store.tombstones(Some(&name(of)), first(9)).await.unwrap();
        assert_eq!(page.entries.len(), count);
    }
    bench.pass(WEEK);
    assert_eq!(bench.tombstones().await, []);
}

pub(crate) async fn a_tag_that_was_used_since_stays(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "one", &["x"]).await;
    bench.image("a", "two", &["y"]).await;
    let planned = bench.state("a", "x").await;
    let outcome = async |planned: &TagState| bench.remove_tag("a", planned.clone(), KEEP).await;

    bench.pass(2 * HOUR);
    bench.pulled("a", digest, false).await;
    assert_eq!(outcome(&planned).await, TagRemovalOutcome::Pulled);
    let planned = bench.state("a", "x").await;
    let leased = bench.manifests().lease(&name("a"), &digest.into()).await;
    leased.unwrap();
    assert_eq!(outcome(&planned).await, TagRemovalOutcome::Leased);
    let planned = bench.state("a", "x").await;
    bench.pass(2 * HOUR);
    bench.image("a", "one", &["x"]).await;
    assert_eq!(outcome(&planned).await, TagRemovalOutcome::Pushed);
    let planned = bench.state("a", "x").await;
    bench.image("a", "two", &["x"]).await;
    assert_eq!(outcome(&planned).await, TagRemovalOutcome::Moved);
    assert_eq!(bench.tombstones().await, []);
    let planned = bench.state("a", "x").await;
    bench.untag("a", "x").await.unwrap();
    assert_eq!(outcome(&planned).await, TagRemovalOutcome::Gone);
    let elsewhere = bench.remove_tag("b", planned, KEEP).await;
    assert_eq!(elsewhere, TagRemovalOutcome::Gone);
    // Only what was done is told.
    let records = bench.outbox().records(KIND, None, 10).await.unwrap();
    assert!(records.is_empty(), "{records:?}");
    bench.removed("a", "y", KEEP).await;
    let records = bench.outbox().records(KIND, None, 10).await.unwrap();
    let tags: Vec<_> = records.iter().map(|it| &it.record.payload[..]).collect();
    assert_eq!(tags, [b"y"]);
}

pub(crate) async fn collection_keeps_what_a_tombstone_holds(make: MakeStores) {
    let bench = Bench::new(make).await;
    let child = bench.image("a", "child", &[]).await;
    let list = bench.push("a", index(&[child]), &["x"]).await.unwrap();
    bench.blob("a", b"signature").await;
    let signature = image(&[b"signature"], Some(child));
    let signature = bench.push("a", signature, &[]).await.unwrap();
    bench.pass(2 * DAY);
    bench.removed("a", "x", KEEP).await;
    bench.pass(2 * DAY);
    let plan = bench.collection().plan(UNTAGGED).await.unwrap();
    assert_eq!((plan.manifests, plan.blobs), (Vec::new(), Vec::new()));
    assert_eq!(bench.collect(UNTAGGED).await.manifests, []);
    for content in [&b"child"[..], b"{}", b"signature"] {
        assert!(bench.has_blob("a", content).await);
    }
    bench.pass(WEEK);
    let mut all = [child, list, signature].map(|digest| ("a".to_owned(), digest));
    all.sort();
    let collected = bench.collect(UNTAGGED).await;
    assert_eq!(collected.manifests, all);
    assert_eq!(collected.removed.len(), 3);
    assert!(!bench.has_repository("a").await || !bench.has_manifest("a", list).await);
}

pub(crate) async fn without_an_age_only_released_manifests_go(make: MakeStores) {
    let bench = Bench::new(make).await;
    let shared = bench.image("a", "shared", &[]).await;
    let own = bench.image("a", "own", &[]).await;
    let gone = bench
        .push("a", index(&[shared, own]), &["gone"])
        .await
        .unwrap();
    let other = bench.push("a", index(&[shared]), &["stays"]).await.unwrap();
    let about = bench.push("a", image(&[], Some(own)), &[]).await.unwrap();
    let untagged = bench.image("a", "untagged", &[]).await;
    let kept = bench.image("a", "kept", &["kept"]).await;
    bench.pass(2 * DAY);
    bench.removed("a", "gone", RELEASE).await;
    bench.removed("a", "kept", KEEP).await;
    bench.pass(WEEK - SECOND);
    assert_eq!(bench.prune(COLLECT).await, []);
    bench.pass(SECOND);
    let mut all = [gone, own, about].map(|digest| ("a".to_owned(), digest));
    all.sort();
    let plan = bench.collection().plan(COLLECT).await.unwrap();
    assert_eq!(plan.manifests.len(), 3);
    assert_eq!(bench.prune(COLLECT).await, all);
    for digest in [shared, other, untagged, kept] {
        assert!(bench.has_manifest("a", digest).await);
    }
    assert_eq!(bench.prune(COLLECT).await, []);
}

pub(crate) async fn what_was_used_since_is_not_released(make: MakeStores) {
    let bench = Bench::new(make).await;
    let leased = bench.image("a", "leased", &["leased"]).await;
    let tagged = bench.image("a", "tagged", &["tagged"]).await;
    let restored = bench.image("a", "restored", &["restored"]).await;
    bench.pass(2 * DAY);
    for text in ["leased", "tagged", "restored"] {
        bench.removed("a", text, RELEASE).await;
    }
    bench.pass(2 * HOUR);
    let by_digest = leased.into();
    bench
        .manifests()
        .lease(&name("a"), &by_digest)
        .await
        .unwrap();
    let tombstones = bench.tombstones().await;
    assert_eq!(
        bench.restore(tombstones[2].id, "restored").await,
        RestoreOutcome::Restored
    );
    bench.image("a", "tagged", &["again"]).await;
    bench.pass(10 * DAY);
    assert_eq!(bench.prune(COLLECT).await, []);
    // The tombstones have gone, so nothing is released later either.
    bench.untag("a", "again").await.unwrap();
    bench.pass(10 * DAY);
    assert_eq!(bench.prune(COLLECT).await, []);
    for digest in [leased, tagged, restored] {
        assert!(bench.has_manifest("a", digest).await);
    }
}

pub(crate) async fn a_restored_tag_is_as_it_was(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "one", &["x"]).await;
    let (a, x) = (name("a"), tag("x").into());
    let before = bench.manifests().find(&a, &x).await.unwrap();
    bench.pass(2 * DAY);
    bench.removed("a", "x", RELEASE).await;
    bench.pass(DAY);
    bench.collect(UNTAGGED).await;
    let id = bench.tombstones().await[0].id;
    // It was made again meanwhile.
    let other = bench.image("a", "two", &["x"]).await;
    assert_eq!(
        bench.restore(id, "x").await,
        RestoreOutcome::TagExists(other)
    );
    assert_eq!(bench.tombstones().await.len(), 1);
    assert_eq!(bench.restore(id, "old-x").await, RestoreOutcome::Restored);
    assert_eq!(bench.digest("a", "x").await.unwrap(), other);
    let after = bench.other_handle();
    let after = after
        .manifests()
        .find(&a, &tag("old-x").into())
        .await
        .unwrap();
    assert_eq!(*after, *before);
    assert!(bench.has_blob("a", b"one").await);
    let state = bench.state("a", "old-x").await;
    assert_eq!((state.digest, state.pushed_at), (digest, state.leased_at));
    for id in [id, id + 100] {
        assert_eq!(
            bench.restore(id, "again").await,
            RestoreOutcome::TombstoneUnknown
        );
    }
    bench.pass(2 * DAY);
    bench.removed("a", "old-x", KEEP).await;
    let id = bench.tombstones().await[0].id;
    bench.pass(WEEK);
    assert_eq!(
        bench.restore(id, "x2").await,
        RestoreOutcome::TombstoneUnknown
    );
}

pub(crate) async fn the_history_has_what_retention_does(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "one", &["x"]).await;
    let planned = bench.state("a", "x").await;
    bench.removed("a", "x", KEEP).await;
    assert_eq!(
        bench.remove_tag("a", planned, KEEP).await,
        TagRemovalOutcome::Gone
    );
    let id = bench.tombstones().await[0].id;
    assert_eq!(bench.restore(id, "y").await, RestoreOutcome::Restored);
    for (text, from, to) in [("x", Some(digest), None), ("y", None, Some(digest))] {
        let store = &bench.stores.handles[1].tag_history;
        let (a, tag) = (name("a"), tag(text));
        let changes = store.tag_history(&a, &tag, first(9)).await.unwrap();
        let [change] = &changes.entries[..] else {
            panic!("{changes:?}")
        };
        assert_eq!(
            (change.from, change.to, &change.author),
            (from, to, &author())
        );
    }
}

pub(crate) async fn a_tombstone_goes_with_its_manifest(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "one", &["x"]).await;
    bench.removed("a", "x", KEEP).await;
    let id = bench.tombstones().await[0].id;
    bench.remove("a", digest).await.unwrap();
    assert_eq!(bench.tombstones().await, []);
    assert_eq!(
        bench.restore(id, "x").await,
        RestoreOutcome::TombstoneUnknown
    );
    bench.prune(COLLECT).await;
    bench.image("a", "one", &["x"]).await;
    bench.removed("a", "x", KEEP).await;
    assert!(
        bench.tombstones().await[0].id > id,
        "no number is used twice"
    );
}

pub(crate) async fn pulls_are_noted_with_the_manifest(make: MakeStores) {
    let bench = Bench::new(make).await;
    let recording = async || {
        bench.stores.handles[1]
            .pull_times
            .recording()
            .await
            .unwrap()
    };
    assert_eq!(recording().await.since, None);
    let child = bench.image("a", "child", &["child"]).await;
    bench.push("a", index(&[child]), &["list"]).await.unwrap();
    bench.image("a", "other", &["other"]).await;
    bench.image("b", "child", &["child"]).await;
    let now = recording().await.now;
    bench.pulled("a", sha256(b"unknown"), false).await;
    assert_eq!(recording().await.since, Some(now));
    bench.pass(HOUR);
    bench.pulled("a", child, false).await;
    bench.pulled("unknown", child, false).await;
    assert_eq!(recording().await.since, Some(now));
    for (text, pulled) in [("child", true), ("list", true), ("other", false)] {
        let state = bench.state("a", text).await;
        assert_eq!(state.pulled_at, pulled.then_some(now + 3600), "{text}");
    }
    assert_eq!(bench.state("b", "child").await.pulled_at, None);
    bench.pass(HOUR);
    bench.pulled("a", child, true).await;
    assert_eq!(bench.state("a", "child").await.pulled_at, Some(now + 7200));
    assert_eq!(recording().await.since, Some(now + 7200), "it began again");
}

pub(crate) async fn the_tags_and_the_size_of_an_image(make: MakeStores) {
    let bench = Bench::new(make).await;
    let one = bench.image("a", "one", &["x", "y", "z"]).await;
    let list = index(&[one, sha256(b"sparse")]);
    let length = list.bytes().len() + image(&[b"one"], None).bytes().len();
    let list = bench.push("a", list, &["list"]).await.unwrap();
    let store = Arc::clone(&bench.stores.handles[1].retention);
    let found = store.manifest_tags(&name("a"), &one, 2).await.unwrap();
    assert!(found.exists && found.more && !found.is_held);
    assert_eq!(
        found.tags,
        [bench.state("a", "x").await, bench.state("a", "y").await]
    );
    let unknown = sha256(b"unknown");
    let sizes = store.image_sizes(&name("a"), vec![unknown, list]).await;
    assert_eq!(sizes.unwrap(), [0, length as u64 + 2 + 3]);
    assert_eq!(
        store.image_sizes(&name("b"), vec![list]).await.unwrap(),
        [0]
    );
    bench.removed("a", "list", KEEP).await;
    let found = store.manifest_tags(&name("a"), &list, 2).await.unwrap();
    assert!(found.exists && found.is_held && found.tags.is_empty());
    bench.pass(WEEK);
    for (of, digest, exists) in [("a", list, true), ("a", unknown, false), ("b", list, false)] {
        let found = store.manifest_tags(&name(of), &digest, 2).await.unwrap();
        assert_eq!((found.exists, found.is_held), (exists, false));
    }
    let none = store.tag_states(&name("b"), first(1)).await.unwrap();
    assert!(none.entries.is_empty() && !none.more);
}
