//! Immutable tags: what would move or remove one, or what it needs, changes nothing.

use std::sync::Arc;
use std::time::Duration;

use oci::{Digest, Tag};
use storage::collection::CollectionPolicy;
use storage::{ChangeSet, Error, ImmutableTag, ManifestChange, NewManifest};
use tag_rules::{ImmutabilityRule, ImmutabilityRules, RuleOrigin};
use tokio::task::JoinSet;

use super::bench::{Bench, COLLECT, DAY, MakeStores};
use crate::world::{image, index, name, sha256, tag};

/// A rule of the database, number 1.
pub(crate) fn rule(repository: &str, tag: &str, except: &[&str]) -> ImmutabilityRule {
    ImmutabilityRule {
        origin: RuleOrigin::Database(1),
        repository: repository.parse().unwrap(),
        tag: tag.parse().unwrap(),
        except: except.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

/// Tags that begin with `v` and a digit are immutable, if they do not end with `-dev`.
fn releases() -> ImmutabilityRules {
    [rule("prod/**", "v[0-9]*", &["*-dev"])]
        .into_iter()
        .collect()
}

async fn apply(bench: &Bench, repository: &str, change: ManifestChange) -> Result<(), Error> {
    let changes = ChangeSet {
        immutable: releases(),
        ..change.into()
    };
    let applied = bench.manifests().apply(&name(repository), changes).await;
    applied.map(drop)
}

async fn push(
    bench: &Bench,
    repository: &str,
    manifest: &NewManifest,
    tags: &[&str],
) -> Result<(), Error> {
    let tags = tags.iter().map(|text| tag(text)).collect();
    let manifest = manifest.clone();
    apply(bench, repository, ManifestChange::Push { manifest, tags }).await
}

fn numbered(number: u8) -> NewManifest {
    index(&[sha256(&[number])])
}

/// The error of a change that this tag is in the way of.
#[track_caller]
fn assert_refused(result: Result<(), Error>, text: &str, digest: Digest) {
    let Err(Error::TagImmutable(refused)) = result else {
        panic!("not refused: {result:?}");
    };
    let ImmutableTag {
        repository,
        tag,
        digest: at,
        rule,
    } = *refused;
    assert_eq!(repository.as_str(), "prod/app");
    assert_eq!((tag.as_str(), at), (text, digest));
    assert_eq!(rule, RuleOrigin::Database(1));
}

pub(crate) async fn an_immutable_tag_does_not_move(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (one, two) = (numbered(1), numbered(2));
    push(&bench, "prod/app", &one, &["v1", "latest"])
        .await
        .unwrap();
    assert_refused(
        push(&bench, "prod/app", &two, &["v1"]).await,
        "v1",
        one.digest(),
    );
    assert_eq!(bench.digest("prod/app", "v1").await.unwrap(), one.digest());
    // The refused manifest was not stored.
    assert!(!bench.has_manifest("prod/app", two.digest()).await);
    // The same content again is no move. Other tags do move.
    push(&bench, "prod/app", &one, &["v1"]).await.unwrap();
    push(&bench, "prod/app", &two, &["latest"]).await.unwrap();
    assert_eq!(
        bench.digest("prod/app", "latest").await.unwrap(),
        two.digest()
    );
}

pub(crate) async fn patterns_match_whole_names(make: MakeStores) {
    let bench = Bench::new(make).await;
    for (repository, text, is_immutable) in [
        ("prod/app", "v1", true),
        ("prod/app", "v1.2.3", true),
        ("prod/a/b", "v1", true),
        ("prod/app", "dev1", false),
        ("prod/app", "xv1", false),
        ("prod/app", "v", false),
        ("prod/app", "v1-dev", false),
        ("prod/app", "v1-dev-2", true),
        ("prod", "v1", false),
        ("preprod/app", "v1", false),
        ("x/prod/app", "v1", false),
    ] {
        push(&bench, repository, &numbered(1), &[text])
            .await
            .unwrap();
        let moved = push(&bench, repository, &numbered(2), &[text]).await;
        let untagged = apply(&bench, repository, ManifestChange::Untag(tag(text))).await;
        let expected = matches!(moved, Err(Error::TagImmutable(_)));
        assert_eq!(expected, is_immutable, "{repository}:{text}: {moved:?}");
        let expected = matches!(untagged, Err(Error::TagImmutable(_)));
        assert_eq!(expected, is_immutable, "{repository}:{text}: {untagged:?}");
    }
}

pub(crate) async fn of_several_tags_one_refuses_all(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (one, two) = (numbered(1), numbered(2));
    push(&bench, "prod/app", &one, &["v2", "v1"]).await.unwrap();
    let pushed = push(&bench, "prod/app", &two, &["new", "v2", "v1", "v3"]).await;
    assert_refused(pushed, "v1", one.digest());
    for text in ["new", "v3"] {
        assert!(bench.digest("prod/app", text).await.is_err(), "{text}");
    }
    // A push by digest with tags is the same change.
    push(&bench, "prod/app", &two, &["v3", "v3"]).await.unwrap();
    assert_refused(
        push(&bench, "prod/app", &one, &["v1", "v3"]).await,
        "v3",
        two.digest(),
    );
}

pub(crate) async fn an_immutable_tag_does_not_go(make: MakeStores) {
    let bench = Bench::new(make).await;
    let one = numbered(1);
    push(&bench, "prod/app", &one, &["v1", "latest"])
        .await
        .unwrap();
    let untagged = apply(&bench, "prod/app", ManifestChange::Untag(tag("v1"))).await;
    assert_refused(untagged, "v1", one.digest());
    let removed = apply(&bench, "prod/app", ManifestChange::Remove(one.digest())).await;
    assert_refused(removed, "v1", one.digest());
    assert_eq!(
        bench.digest("prod/app", "latest").await.unwrap(),
        one.digest()
    );
    apply(&bench, "prod/app", ManifestChange::Untag(tag("latest")))
        .await
        .unwrap();
    // What does not exist is unknown, not immutable.
    for change in [
        ManifestChange::Untag(tag("v9")),
        ManifestChange::Remove(numbered(9).digest()),
    ] {
        let unknown = apply(&bench, "prod/app", change.clone()).await;
        assert!(
            matches!(unknown, Err(Error::ManifestUnknown)),
            "{unknown:?}"
        );
        let unknown = apply(&bench, "prod/none", change).await;
        assert!(
            matches!(unknown, Err(Error::RepositoryUnknown)),
            "{unknown:?}"
        );
    }
}

pub(crate) async fn what_an_immutable_tag_needs_stays(make: MakeStores) {
    let bench = Bench::new(make).await;
    let remove = |digest| apply(&bench, "prod/app", ManifestChange::Remove(digest));
    let child = bench.image("prod/app", "layer", &[]).await;
    let inner = index(&[child]);
    let outer = index(&[inner.digest(), sha256(b"sparse")]);
    let other = bench.image("prod/app", "another layer", &["latest"]).await;
    push(&bench, "prod/app", &inner, &[]).await.unwrap();
    push(&bench, "prod/app", &outer, &["v1"]).await.unwrap();
    for digest in [child, inner.digest(), outer.digest()] {
        assert_refused(remove(digest).await, "v1", outer.digest());
    }
    // A child that is not there is unknown.
    let missing = remove(sha256(b"sparse")).await;
    assert!(
        matches!(missing, Err(Error::ManifestUnknown)),
        "{missing:?}"
    );
    let unlink = |content: &'static [u8]| {
        let digest = sha256(content);
        let bench = &bench;
        async move {
            let blobs = bench.blobs();
            blobs
                .unlink_unless_immutable(&name("prod/app"), &digest, releases())
                .await
        }
    };
    for content in [&b"layer"[..], b"{}"] {
        assert_refused(unlink(content).await, "v1", outer.digest());
    }
    // What only other tags need may go.
    unlink(b"another layer").await.unwrap();
    remove(other).await.unwrap();
    let unknown = unlink(b"never pushed").await;
    assert!(matches!(unknown, Err(Error::BlobUnknown)), "{unknown:?}");
    // A signature is not needed by what it signs.
    let signature = image(&[b"layer"], Some(outer.digest()));
    push(&bench, "prod/app", &signature, &[]).await.unwrap();
    remove(signature.digest()).await.unwrap();
}

pub(crate) async fn a_circle_of_indexes_ends_the_search(make: MakeStores) {
    let bench = Bench::new(make).await;
    // No digest can be in its own content, but a sparse index may name what comes later.
    let mut last = sha256(b"first");
    for _ in 0..50 {
        let next = index(&[last, sha256(b"first")]);
        push(&bench, "prod/app", &next, &[]).await.unwrap();
        last = next.digest();
    }
    push(&bench, "prod/app", &index(&[last]), &["v1"])
        .await
        .unwrap();
    let removed = apply(&bench, "prod/app", ManifestChange::Remove(last)).await;
    assert!(
        matches!(removed, Err(Error::TagImmutable(_))),
        "{removed:?}"
    );
}

pub(crate) async fn collection_takes_nothing_of_an_immutable_tag(make: MakeStores) {
    let bench = Bench::new(make).await;
    let child = bench.image("prod/app", "layer", &[]).await;
    let parent = index(&[child]);
    push(&bench, "prod/app", &parent, &["v1"]).await.unwrap();
    bench.pass(400 * DAY);
    let everything = CollectionPolicy {
        grace: Duration::ZERO,
        untagged: Some(Duration::ZERO),
        ..COLLECT
    };
    assert_eq!(bench.collect(everything).await.removed, []);
    assert!(bench.has_manifest("prod/app", child).await);
    assert!(bench.has_blob("prod/app", b"layer").await);
    assert_eq!(
        bench.digest("prod/app", "v1").await.unwrap(),
        parent.digest()
    );
}

pub(crate) async fn of_many_first_pushes_one_wins(make: MakeStores) {
    let bench = Arc::new(Bench::new(make).await);
    let other = Arc::new(bench.other_handle());
    for round in 0..5 {
        let (repository, text) = (format!("prod/{}", round / 2), format!("v{round}"));
        let mut running = JoinSet::new();
        for number in 0..8_u8 {
            let bench = Arc::clone(if number % 2 == 0 { &bench } else { &other });
            let (repository, text) = (repository.clone(), text.clone());
            running.spawn(async move {
                let manifest = numbered(number);
                let pushed = push(&bench, &repository, &manifest, &[&text]).await;
                (pushed, manifest.digest())
            });
        }
        let outcomes = running.join_all().await;
        let won: Vec<Digest> = outcomes
            .iter()
            .filter(|(pushed, _)| pushed.is_ok())
            .map(|(_, digest)| *digest)
            .collect();
        assert_eq!(won, [bench.digest(&repository, &text).await.unwrap()]);
        for (pushed, _) in outcomes.into_iter().filter(|(pushed, _)| pushed.is_err()) {
            let Err(Error::TagImmutable(refused)) = pushed else {
                panic!("{pushed:?}");
            };
            assert_eq!(refused.digest, won[0]);
        }
    }
}

pub(crate) async fn a_pattern_of_stars_is_no_load(make: MakeStores) {
    let bench = Bench::new(make).await;
    let stars = format!("{}b", "*a".repeat(60));
    let rules: ImmutabilityRules = (0..100).map(|_| rule("**", &stars, &[&stars])).collect();
    let long: Tag = tag(&"a".repeat(128));
    let first = bench
        .push("prod/app", numbered(1), &[long.as_str()])
        .await
        .unwrap();
    for change in [
        ManifestChange::Untag(long.clone()),
        ManifestChange::Remove(first),
    ] {
        let changes = ChangeSet {
            immutable: rules.clone(),
            ..change.into()
        };
        bench
            .manifests()
            .apply(&name("prod/app"), changes)
            .await
            .unwrap();
    }
}
