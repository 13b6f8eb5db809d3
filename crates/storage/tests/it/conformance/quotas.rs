//! Quotas: which changes are refused, and when a store warns.

use storage::{
    BlobReservation, ChangeSet, Error, LinkedBlob, ManifestChange, NewManifest, PrefixUsage, Quota,
    QuotaCounting, QuotaExceeded, QuotaPrefix, QuotaResource, QuotaStore, QuotaWarning, Quotas,
    RestoreOutcome, TagRestoration, TombstoneTerms, TrackedPrefixes, UntaggedManifests, UsageQuery,
};

use super::bench::{Bench, DAY, MakeStores};
use crate::world::{index, name, sha256, tag};

/// A quota of a prefix.
pub(crate) fn quota(prefix: &str, max_bytes: Option<u64>, max_tags: Option<u64>) -> Quota {
    Quota {
        prefix: prefix.parse().unwrap(),
        max_bytes,
        max_tags,
        warn_at: None,
    }
}

pub(crate) fn quotas(quotas: &[Quota]) -> Quotas {
    Quotas::new(quotas.to_vec()).unwrap()
}

pub(super) fn prefixes(texts: &[&str]) -> Vec<QuotaPrefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

impl Bench {
    pub(crate) fn quotas(&self) -> &dyn QuotaStore {
        self.stores.handles[0].quotas.as_ref()
    }

    pub(crate) async fn track(&self, texts: &[&str]) -> TrackedPrefixes {
        let tracked = self.quotas().track(prefixes(texts), QuotaCounting::New);
        tracked.await.unwrap()
    }

    /// What is counted for a prefix: bytes and tags.
    pub(super) async fn used(&self, prefix: &str) -> (u64, u64) {
        let query = UsageQuery::Of(prefixes(&[prefix]));
        let found = self.quotas().usage(query).await.unwrap();
        let [PrefixUsage { usage, .. }] = &found[..] else {
            panic!("{prefix} is not counted: {found:?}")
        };
        (usage.bytes, usage.tags)
    }

    pub(super) async fn unlink(&self, repository: &str, content: &[u8]) {
        let unlinked = self.blobs();
        let unlinked = unlinked.unlink(&name(repository), &sha256(content)).await;
        unlinked.unwrap();
    }

    /// Requires that what is counted is what the rows say.
    pub(crate) async fn counts_are_right(&self) {
        assert_eq!(self.quotas().wrong_counts().await.unwrap(), []);
        for counted in self.quotas().usage(UsageQuery::All).await.unwrap() {
            let measured = self.quotas().measure(&counted.prefix).await.unwrap();
            assert_eq!(counted.usage, measured, "{}", counted.prefix);
        }
    }

    pub(crate) async fn push_within(
        &self,
        repository: &str,
        manifest: NewManifest,
        tags: &[&str],
        quotas: &Quotas,
    ) -> Result<Vec<QuotaWarning>, Error> {
        let repository = name(repository);
        let tags = tags.iter().map(|text| tag(text)).collect();
        let changes = ChangeSet {
            quotas: quotas.of(&repository),
            ..ManifestChange::Push { manifest, tags }.into()
        };
        self.manifests().apply(&repository, changes).await
    }

    /// Gives a repository a blob with this content.
    pub(crate) async fn blob_within(
        &self,
        repository: &str,
        content: &[u8],
        quotas: &Quotas,
    ) -> Result<LinkedBlob, Error> {
        let mut finished = self.finished(repository, content);
        finished.quotas = quotas.of(&name(repository));
        match self.uploads().reserve(finished.clone()).await? {
            BlobReservation::Exists(linked) => Ok(linked),
            BlobReservation::Pending(pending) => {
                let committed = self.uploads().commit(finished, pending.clone()).await;
                if committed.is_err() {
                    self.uploads().abort(pending).await.unwrap();
                }
                committed
            }
        }
    }

    pub(crate) async fn mount_within(
        &self,
        content: &[u8],
        from: &str,
        to: &str,
        quotas: &Quotas,
    ) -> Result<LinkedBlob, Error> {
        let (digest, from, to) = (sha256(content), name(from), name(to));
        let quotas = quotas.of(&to);
        let blobs = self.blobs();
        blobs.mount_within_quotas(&digest, &from, &to, quotas).await
    }
}

pub(super) fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> QuotaExceeded {
    match result {
        Err(Error::QuotaExceeded(refused)) => *refused,
        other => panic!("{other:?}"),
    }
}

pub(super) fn length(manifest: &NewManifest) -> u64 {
    manifest.bytes().len() as u64
}

/// A manifest that needs nothing. Those of other numbers are as long.
pub(super) fn listed(number: u8) -> NewManifest {
    index(&[sha256(&[number])])
}

pub(crate) async fn a_push_over_a_limit_changes_nothing(make: MakeStores) {
    let bench = Bench::new(make).await;
    let size = length(&listed(1));
    let limits = quotas(&[quota("team", Some(2 * size), Some(3))]);
    let push = |number, tags: &'static [&'static str]| {
        bench.push_within("team/app", listed(number), tags, &limits)
    };
    push(1, &["a"]).await.unwrap();
    push(2, &["b"]).await.unwrap();
    let refused = refusal(push(3, &["c"]).await);
    let expected = QuotaExceeded {
        prefix: "team".parse().unwrap(),
        resource: QuotaResource::Bytes,
        used: 2 * size,
        limit: 2 * size,
        requested: size,
        is_partial: false,
    };
    assert_eq!(refused, expected);
    assert!(!bench.has_manifest("team/app", listed(3).digest()).await);
    assert!(bench.digest("team/app", "c").await.is_err());
    assert_eq!(bench.used("team").await, (2 * size, 2));
    // A manifest that is there already adds only its tags.
    let refused = refusal(push(1, &["a", "c", "d"]).await);
    assert_eq!(refused.resource, QuotaResource::Tags);
    assert_eq!((refused.used, refused.limit, refused.requested), (2, 3, 2));
    push(1, &["c", "c", "a"]).await.unwrap();
    // What adds nothing passes, over a lowered limit, too.
    let lowered = quotas(&[quota("team", Some(1), Some(1))]);
    let pushed = bench.push_within("team/app", listed(1), &["a", "b"], &lowered);
    assert_eq!(pushed.await.unwrap(), []);
    assert_eq!(
        bench.digest("team/app", "b").await.unwrap(),
        listed(1).digest()
    );
    let changes = ChangeSet {
        quotas: lowered.of(&name("team/app")),
        ..ManifestChange::Remove(listed(2).digest()).into()
    };
    let removed = bench.manifests().apply(&name("team/app"), changes).await;
    removed.unwrap();
    // A refused push makes no repository.
    refusal(
        bench
            .push_within("team/new", listed(1), &[], &lowered)
            .await,
    );
    assert!(!bench.has_repository("team/new").await);
    // Others are not concerned.
    bench
        .push_within("team2", listed(1), &["a"], &lowered)
        .await
        .unwrap();
    bench.counts_are_right().await;
}

pub(crate) async fn each_nested_limit_holds(make: MakeStores) {
    let bench = Bench::new(make).await;
    let limits = quotas(&[
        quota("*", None, Some(4)),
        quota("a", None, Some(3)),
        quota("a/b", None, Some(2)),
    ]);
    let push = |repository, tags: &'static [&'static str]| {
        bench.push_within(repository, listed(1), tags, &limits)
    };
    push("a/b/c", &["1"]).await.unwrap();
    push("a/b", &["1"]).await.unwrap();
    let refused = refusal(push("a/b", &["2"]).await);
    assert_eq!(refused.prefix.to_string(), "a/b");
    push("a", &["1"]).await.unwrap();
    // The outermost is named.
    let refused = refusal(push("a/b", &["2"]).await);
    assert_eq!(
        (refused.prefix.to_string(), refused.used),
        ("a".to_owned(), 3)
    );
    push("b", &["1"]).await.unwrap();
    let refused = refusal(push("b", &["2"]).await);
    assert_eq!(
        (refused.prefix.to_string(), refused.used),
        ("*".to_owned(), 4)
    );
    bench.untag("a/b", "1").await.unwrap();
    push("b", &["2"]).await.unwrap();
    bench.counts_are_right().await;
}

pub(crate) async fn a_blob_needs_room_unless_the_prefix_has_it(make: MakeStores) {
    let bench = Bench::new(make).await;
    let limits = quotas(&[quota("a", Some(10), None)]);
    bench.blob("other", b"layer").await;
    bench.blob_within("a/x", b"12345", &limits).await.unwrap();
    // It exists elsewhere: reserved at once, and mounted.
    bench.blob_within("a/x", b"layer", &limits).await.unwrap();
    bench.blob_within("a/y", b"layer", &limits).await.unwrap();
    bench
        .mount_within(b"12345", "a/x", "a/y", &limits)
        .await
        .unwrap();
    bench
        .mount_within(b"layer", "other", "a/x", &limits)
        .await
        .unwrap();
    assert_eq!(bench.used("a").await, (10, 0));
    bench.blob("other", b"9").await;
    for refused in [
        bench.blob_within("a/x", b"123", &limits).await,
        bench.blob_within("a/new", b"9", &limits).await,
        bench.mount_within(b"9", "other", "a/x", &limits).await,
    ] {
        let refused = refusal(refused);
        assert_eq!((refused.used, refused.limit), (10, 10));
    }
    for content in [&b"123"[..], b"9"] {
        assert!(!bench.has_blob("a/x", content).await);
    }
    assert!(!bench.has_repository("a/new").await);
    assert_eq!(bench.recovery().pending().await.unwrap(), []);
    // An empty blob adds nothing.
    bench.blob_within("a/x", b"", &limits).await.unwrap();
    let (layer, asked) = (sha256(b"layer"), prefixes(&["b", "a"]));
    let having = bench.quotas().prefixes_with(&layer, asked).await;
    assert_eq!(having.unwrap(), prefixes(&["a"]));
    bench.counts_are_right().await;
}

pub(crate) async fn a_restored_tag_needs_room(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut limit = quota("a", None, Some(2));
    limit.warn_at = Some(100);
    let limits = quotas(&[limit]);
    bench.push("a", listed(1), &["x", "y"]).await.unwrap();
    let state = bench.state("a", "x").await;
    let terms = TombstoneTerms {
        undelete: DAY,
        untagged: UntaggedManifests::Collection,
    };
    bench.track(&["a"]).await;
    bench.remove_tag("a", state, terms).await;
    // The tag is gone, its manifest is not.
    assert_eq!(bench.used("a").await, (length(&listed(1)), 1));
    bench.push("a", listed(1), &["z"]).await.unwrap();
    let restore = || {
        let tombstones = &bench.stores.handles[0].tombstones;
        async {
            let tombstone = bench.tombstones().await[0].id;
            let restoration = TagRestoration {
                tombstone,
                tag: tag("x"),
                author: None,
                outbox: Vec::new(),
                quotas: limits.of(&name("a")),
            };
            tombstones.restore(restoration).await
        }
    };
    let refused = refusal(restore().await);
    assert_eq!((refused.used, refused.requested), (2, 1));
    assert!(bench.digest("a", "x").await.is_err());
    bench.untag("a", "z").await.unwrap();
    let restored = restore().await.unwrap();
    assert_eq!(restored.outcome, RestoreOutcome::Restored);
    assert_eq!(restored.warnings.len(), 1);
    assert_eq!(bench.used("a").await.1, 2);
    bench.counts_are_right().await;
}

pub(crate) async fn a_warning_comes_when_a_share_is_crossed(make: MakeStores) {
    let bench = Bench::new(make).await;
    let limits = quotas(&[
        Quota {
            warn_at: Some(50),
            ..quota("a", None, Some(4))
        },
        Quota {
            warn_at: Some(80),
            ..quota("*", Some(10), Some(100))
        },
    ]);
    let push = |tags: &'static [&'static str]| async {
        let empty = quotas(&[]);
        let limits = [&limits, &empty][usize::from(tags.is_empty())];
        bench.push_within("a", listed(1), tags, limits).await
    };
    push(&[]).await.unwrap();
    assert_eq!(push(&["1"]).await.unwrap(), []);
    let warning = |prefix: &str, resource, used, limit| QuotaWarning {
        prefix: prefix.parse().unwrap(),
        resource,
        used,
        limit,
    };
    let tags = warning("a", QuotaResource::Tags, 2, 4);
    assert_eq!(push(&["2"]).await.unwrap(), std::slice::from_ref(&tags));
    assert_eq!(push(&["3"]).await.unwrap(), []);
    // Below it and over it again is another crossing.
    for text in ["2", "3"] {
        bench.untag("a", text).await.unwrap();
    }
    assert_eq!(push(&["2"]).await.unwrap(), [tags]);
    let other = Bench::new(make).await;
    let blob = async |content: &[u8]| {
        let linked = other.blob_within("b", content, &limits).await;
        linked.unwrap().warnings
    };
    assert_eq!(blob(b"1234567").await, []);
    let bytes = warning("*", QuotaResource::Bytes, 8, 10);
    assert_eq!(blob(b"1").await, [bytes]);
    assert_eq!(blob(b"2").await, []);
    other.unlink("b", b"2").await;
    other.unlink("b", b"1").await;
    other.blob("c", b"1").await;
    other.blob("d", b"3").await;
    assert_eq!(blob(b"1").await, []);
}
