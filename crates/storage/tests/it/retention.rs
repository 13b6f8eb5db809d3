//! Plans of retention, what is removed by them, and pull times, on the metadata in memory.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oci::Digest;
use retention::{KeepCriteria, KeepReason, RetentionRule, RetentionRules, TagDecision};
use storage::memory::MemoryMetadata;
use storage::tag_retention::{
    PlannedRemoval, RetentionObserver, RetentionPolicy, RetentionPolicySource, UndeleteOutcome,
    Undeletion,
};
use storage::{
    ChangeAuthor, Error, Files, ManifestStore, MetadataStores, NewManifest, NewOutboxRecord,
    PullTimes, Storage, StorageFuture, TagRemovalOutcome, TombstoneTerms, UntaggedManifests,
    UploadLimits,
};
use tag_rules::{ImmutabilityRule, ImmutabilityRules, RuleOrigin};
use tempfile::TempDir;

use crate::world::{clock, image, index, name, retention, sha256, tag};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

struct Registry {
    storage: Storage,
    metadata: MetadataStores,
    now: Arc<AtomicU64>,
    _content: TempDir,
}

/// What the run has told: the tag, and what became of it.
#[derive(Default)]
struct Told(Mutex<Vec<(String, TagRemovalOutcome)>>);

impl RetentionObserver for Told {
    fn records(&self, _: PlannedRemoval<'_>) -> Vec<NewOutboxRecord> {
        Vec::new()
    }

    fn author(&self) -> Option<ChangeAuthor> {
        None
    }

    fn observe(&self, removal: PlannedRemoval<'_>, outcome: TagRemovalOutcome) {
        let mut told = self.0.lock().unwrap();
        told.push((removal.state.tag.to_string(), outcome));
    }
}

impl Registry {
    fn new() -> Self {
        let now = Arc::new(AtomicU64::new(1_800_000_000));
        let memory = MemoryMetadata::new(retention(), clock(&now));
        let metadata = MetadataStores::new(Arc::new(memory));
        let content = tempfile::tempdir().unwrap();
        let files = Files::open_exclusive(content.path()).unwrap();
        let limits = UploadLimits::default();
        Self {
            storage: Storage::new(metadata.clone(), Arc::new(files), limits),
            metadata,
            now,
            _content: content,
        }
    }

    fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    fn manifests(&self) -> &dyn ManifestStore {
        self.metadata.manifests.as_ref()
    }

    async fn push(&self, repository: &str, manifest: NewManifest, tags: &[&str]) -> Digest {
        let digest = manifest.digest();
        let tags = tags.iter().map(|text| tag(text)).collect();
        let manifest = manifest.without_requiring_blobs();
        let repository = name(repository);
        let pushed = self.manifests().push(&repository, manifest, tags);
        pushed.await.unwrap();
        digest
    }

    /// Pushes an image, and lets a day pass.
    async fn image(&self, text: &str, tags: &[&str]) -> Digest {
        let digest = self.push("a", image(&[text.as_bytes()], None), tags).await;
        self.pass(DAY);
        digest
    }

    /// The tags that go by the plan.
    async fn planned(&self, policy: &RetentionPolicy, repository: &str) -> Vec<String> {
        let repository = name(repository);
        let mut plan = self
            .storage
            .plan_retention(policy, &repository)
            .await
            .unwrap();
        let mut gone = Vec::new();
        while let Some(page) = plan.next().await.unwrap() {
            assert!(page.tags.len() <= 1000);
            gone.extend(page.removals().map(|removal| removal.state.tag.to_string()));
        }
        gone
    }

    /// The tags that went by a run.
    async fn run(&self, policy: &RetentionPolicy) -> Vec<String> {
        let told = Told::default();
        self.storage
            .run_retention(policy, None, &told)
            .await
            .unwrap();
        let told = told.0.into_inner().unwrap().into_iter();
        told.map(|(tag, outcome)| {
            assert_eq!(outcome, TagRemovalOutcome::Removed);
            tag
        })
        .collect()
    }

    async fn has(&self, repository: &str, reference: &str) -> bool {
        let reference = reference.parse().unwrap();
        let found = self.manifests().find(&name(repository), &reference).await;
        found.is_ok()
    }
}

/// Keeps the tag that was pushed last, and what is immutable.
fn policy(immutable: &[&str]) -> RetentionPolicy {
    let immutable = immutable.iter().map(|text| ImmutabilityRule {
        origin: RuleOrigin::Database(1),
        repository: "**".parse().unwrap(),
        tag: text.parse().unwrap(),
        except: Vec::new(),
    });
    RetentionPolicy {
        rules: RetentionRules::new(vec![RetentionRule {
            repositories: vec!["a".parse().unwrap()],
            tags: Vec::new(),
            keep: KeepCriteria {
                last_pushed: Some(1),
                ..KeepCriteria::default()
            },
        }]),
        immutable: immutable.collect::<ImmutabilityRules>(),
        lease: Duration::from_secs(DAY),
        tombstones: TombstoneTerms {
            undelete: Duration::from_secs(7 * DAY),
            untagged: UntaggedManifests::Remove,
        },
    }
}

fn signature(of: Digest) -> String {
    format!("sha256-{}.sig", of.encoded())
}

#[tokio::test]
async fn a_plan_is_read_in_pages() {
    let registry = Registry::new();
    for hundred in 0..25 {
        let tags: Vec<_> = (0..100).map(|at| format!("t{hundred:02}{at:02}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        registry.push("a", index(&[]), &tags).await;
        registry.pass(1);
    }
    registry.pass(2 * DAY);
    let policy = policy(&[]);
    let planned = registry.planned(&policy, "a").await;
    assert_eq!(planned.len(), 2499);
    assert!(
        !planned.contains(&"t2499".to_owned()),
        "the last by name of those that were pushed last"
    );
    assert_eq!(
        registry.planned(&policy, "a").await,
        planned,
        "a plan changes nothing"
    );
    assert_eq!(registry.run(&policy).await, planned);
    assert_eq!(registry.planned(&policy, "a").await, [""; 0]);
}

#[tokio::test]
async fn an_immutable_tag_stays_and_holds_no_other() {
    let registry = Registry::new();
    registry.image("one", &["v1", "v1-rc"]).await;
    registry.image("two", &["v2"]).await;
    registry.pass(DAY);
    let policy = policy(&["v1"]);
    assert_eq!(registry.planned(&policy, "a").await, ["v1-rc"]);
    assert_eq!(registry.run(&policy).await, ["v1-rc"]);
    assert!(registry.has("a", "v1").await);
    // What has no tag is in no plan, immutable or not.
    registry.push("a", image(&[b"three"], None), &[]).await;
    let repository = name("a");
    let mut plan = registry
        .storage
        .plan_retention(&policy, &repository)
        .await
        .unwrap();
    assert_eq!(plan.next().await.unwrap().unwrap().tags.len(), 2);
    assert!(plan.next().await.unwrap().is_none());
}

/// A policy that is asked for again and again: each of these once, and the last from then on.
struct ChangingPolicy {
    policies: Vec<Result<RetentionPolicy, Error>>,
    asked: AtomicUsize,
}

impl RetentionPolicySource for ChangingPolicy {
    fn current(&self) -> StorageFuture<'_, RetentionPolicy> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let policy = self.policies[asked.min(self.policies.len() - 1)].clone();
        Box::pin(async move { policy })
    }
}

impl ChangingPolicy {
    fn new(policies: Vec<Result<RetentionPolicy, Error>>) -> Self {
        Self {
            policies,
            asked: AtomicUsize::new(0),
        }
    }
}

#[tokio::test]
async fn a_rule_that_is_added_during_a_run_counts_for_what_follows() {
    let registry = Registry::new();
    let v1 = registry.image("one", &["v1", "old"]).await;
    let signature = signature(v1);
    registry
        .push("a", image(&[b"of v1"], None), &[&signature])
        .await;
    registry.image("two", &["v2"]).await;
    registry.pass(2 * DAY);
    // The plan is made before the rule is there, and carried out afterwards.
    let (before, after) = (policy(&[]), policy(&["v1"]));
    let source = ChangingPolicy::new(vec![Ok(before.clone()), Ok(before), Ok(after)]);
    let told = Told::default();
    let run = registry.storage.run_retention(&source, None, &told);
    let report = run.await.unwrap();
    assert_eq!((report.removed, report.skipped, report.tags), (1, 0, 4));
    assert!(registry.has("a", "v1").await, "the rule protects it");
    assert!(registry.has("a", &signature).await, "and its signature");
    assert!(!registry.has("a", "old").await);
}

#[tokio::test]
async fn a_run_ends_when_there_is_no_policy_any_more() {
    let registry = Registry::new();
    registry.image("one", &["v1"]).await;
    registry.image("two", &["v2"]).await;
    registry.pass(DAY);
    let source = ChangingPolicy::new(vec![Ok(policy(&[])), Ok(policy(&[])), Err(Error::ReadOnly)]);
    let told = Told::default();
    let run = registry.storage.run_retention(&source, None, &told).await;
    assert!(matches!(run, Err(Error::ReadOnly)), "{run:?}");
    assert!(registry.has("a", "v1").await);
}

#[tokio::test]
async fn what_was_used_since_the_plan_is_skipped_and_said() {
    let registry = Registry::new();
    for text in ["one", "two", "three", "last"] {
        registry.image(text, &[text]).await;
    }
    registry.pass(DAY);
    let (policy, repository) = (policy(&[]), name("a"));
    let mut plan = registry
        .storage
        .plan_retention(&policy, &repository)
        .await
        .unwrap();
    let page = plan.next().await.unwrap().unwrap();
    registry.push("a", image(&[b"two"], None), &["two"]).await;
    registry
        .push("a", image(&[b"else"], None), &["three"])
        .await;
    let told = Told::default();
    let report = registry
        .storage
        .carry_out(&policy, &page, &told)
        .await
        .unwrap();
    assert_eq!((report.removed, report.skipped), (1, 2));
    let told = told.0.into_inner().unwrap();
    let of = |text: &str| told.iter().find(|(tag, _)| tag == text).unwrap().1;
    assert_eq!(of("one"), TagRemovalOutcome::Removed);
    assert_eq!(of("two"), TagRemovalOutcome::Pushed);
    assert_eq!(of("three"), TagRemovalOutcome::Moved);
    assert!(registry.has("a", "two").await && registry.has("a", "three").await);
}

#[tokio::test]
async fn signatures_go_and_come_back_with_their_image() {
    let registry = Registry::new();
    let old = registry.image("old", &["old", "older"]).await;
    let new = registry.image("new", &["new"]).await;
    let of_old = registry
        .push("a", image(&[b"of old"], None), &[&signature(old)])
        .await;
    registry
        .push("a", image(&[b"of new"], None), &[&signature(new)])
        .await;
    // The signature of a signature, of an image that is elsewhere, and of what has no tag.
    registry
        .push("a", image(&[b"of that"], None), &[&signature(of_old)])
        .await;
    registry
        .push(
            "a",
            image(&[b"x"], None),
            &[&signature(sha256(b"elsewhere"))],
        )
        .await;
    let untagged = registry.push("a", image(&[b"untagged"], None), &[]).await;
    registry
        .push("a", image(&[b"y"], None), &[&signature(untagged)])
        .await;
    registry.pass(3 * DAY);

    let held = policy(&["older"]);
    assert_eq!(registry.planned(&held, "a").await, ["old"]);
    let policy = policy(&[]);
    let mut expected = vec![
        "old".to_owned(),
        "older".to_owned(),
        signature(old),
        signature(of_old),
    ];
    expected.sort();
    assert_eq!(registry.planned(&policy, "a").await, expected);
    assert_eq!(registry.run(&policy).await, expected);
    let (repository, gone) = (name("a"), tag("old"));
    let undeletion = Undeletion::of(gone);
    let undelete = registry
        .storage
        .undelete(&repository, &undeletion, |_, _| Vec::new());
    let UndeleteOutcome::Restored {
        tombstone, along, ..
    } = undelete.await.unwrap()
    else {
        panic!()
    };
    assert_eq!((tombstone.digest, along), (old, vec![tag(&signature(old))]));
    assert!(registry.has("a", &signature(old)).await);
}

#[tokio::test]
async fn the_size_of_an_image_is_counted_with_its_last_tag() {
    let registry = Registry::new();
    let both = registry.image("both", &["x", "y"]).await;
    registry.image("half", &["z", "latest"]).await;
    registry
        .push("a", image(&[b"half"], None), &["latest"])
        .await;
    registry.pass(2 * DAY);
    let (policy, repository) = (policy(&[]), name("a"));
    let mut plan = registry
        .storage
        .plan_retention(&policy, &repository)
        .await
        .unwrap();
    let page = plan.next().await.unwrap().unwrap();
    let mut sizes = Vec::new();
    for planned in &page.tags {
        let size = plan.released_size(planned).await.unwrap();
        sizes.push((planned.state.tag.to_string(), size.is_some()));
    }
    let is_first = |text: &str| sizes.contains(&(text.to_owned(), true));
    assert!(is_first("x") && !is_first("y") && !is_first("z") && !is_first("latest"));
    assert!(page.tags.iter().any(|planned| planned.state.digest == both));
}

#[tokio::test]
async fn a_pull_is_recorded_once_an_hour() {
    let registry = Registry::new();
    let digest = registry.image("one", &["x"]).await;
    let pulls = PullTimes::new(clock(&registry.now));
    let pulled_at = async || {
        pulls.note(&name("a"), &digest);
        pulls.flush(&registry.storage).await.unwrap();
        let page = storage::PageRequest {
            after: None,
            limit: 1,
        };
        let states = registry
            .metadata
            .retention
            .tag_states(&name("a"), page)
            .await;
        states.unwrap().entries[0].pulled_at.unwrap()
    };
    // The tests begin with an hour.
    let first = pulled_at().await;
    registry.pass(HOUR / 2);
    assert_eq!(pulled_at().await, first);
    registry.pass(HOUR / 2);
    assert_eq!(pulled_at().await, first + 3600);
    let since = registry
        .metadata
        .pull_times
        .recording()
        .await
        .unwrap()
        .since;
    assert_eq!(since, Some(first));
}

#[tokio::test]
async fn pulls_that_have_no_room_are_a_gap() {
    let registry = Registry::new();
    let pulls = PullTimes::new(clock(&registry.now));
    let recording = async || {
        pulls.flush(&registry.storage).await.unwrap();
        registry.metadata.pull_times.recording().await.unwrap()
    };
    let begun = recording().await;
    assert_eq!(begun.since, Some(begun.now));
    registry.pass(DAY);
    let note = |count: u32| {
        for number in 0..count {
            pulls.note(&name("a"), &sha256(&number.to_be_bytes()));
        }
    };
    note(1 << 14);
    assert_eq!(
        recording().await.since,
        begun.since,
        "there was room for all"
    );
    registry.pass(DAY);
    note((1 << 14) + 1);
    let again = recording().await;
    assert_eq!(again.since, Some(again.now));
}

#[tokio::test]
async fn rules_with_pull_times_wait_until_they_are_recorded_for_long_enough() {
    let registry = Registry::new();
    let mut policy = policy(&[]);
    let mut rule = policy.rules.as_slice()[0].clone();
    rule.keep = KeepCriteria {
        pulled_within: Some(Duration::from_secs(10 * DAY)),
        ..KeepCriteria::default()
    };
    policy.rules = RetentionRules::new(vec![rule]);
    registry.image("one", &["x"]).await;
    registry.pass(30 * DAY);
    assert_eq!(registry.planned(&policy, "a").await, [""; 0]);
    let pulls = PullTimes::new(clock(&registry.now));
    pulls.flush(&registry.storage).await.unwrap();
    registry.pass(10 * DAY - 1);
    let repository = name("a");
    let mut plan = registry
        .storage
        .plan_retention(&policy, &repository)
        .await
        .unwrap();
    let page = plan.next().await.unwrap().unwrap();
    let now = i64::try_from(registry.now.load(Ordering::SeqCst)).unwrap();
    let waits = KeepReason::PullTimesTooShort {
        rule: 1,
        usable_from: now + 1,
    };
    assert_eq!(page.tags[0].decision, TagDecision::Keep(waits));
    registry.pass(1);
    assert_eq!(registry.planned(&policy, "a").await, ["x"]);
}
