//! Random registries and random rules. After a plan, its run and collection, every tag that stays pulls
//! whole, every tag that went was in the plan, and each comes back byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oci::{Digest, ManifestContent};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use retention::{KeepCriteria, RetentionRule, RetentionRules, TagDecision};
use storage::collection::CollectionPolicy;
use storage::tag_retention::{
    PlannedRemoval, RetentionObserver, RetentionPolicy, UndeleteOutcome, Undeletion,
};
use storage::{
    ChangeAuthor, Files, NewManifest, NewOutboxRecord, Storage, TagRemovalOutcome, TombstoneTerms,
    UntaggedManifests, UploadLimits,
};
use tag_rules::{ImmutabilityRule, ImmutabilityRules, RuleOrigin};

use super::bench::{Bench, COLLECT, DAY, HOUR, MakeStores, SECOND};
use crate::world::{image, index, name, tag};

const REPOSITORIES: [&str; 3] = ["a", "team/app", "team/app/cache"];
const TAGS: [&str; 8] = [
    "latest",
    "1.0",
    "1.1.0",
    "v2.0.0-rc.1",
    "v2",
    "pr-1",
    "pr-2",
    "main",
];
const CONTENTS: [&str; 5] = ["1", "2", "3", "4", "5"];
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What happens before the plan. A number stands for one of what there is, and wraps around.
#[derive(Clone, Debug)]
enum Step {
    Pass(u32),
    Push(usize, usize, usize),
    /// An index of an image and the one after it.
    Index(usize, usize, usize),
    /// A signature of an image, whose tag names it, and which names the image if it is new.
    Sign(usize, usize, bool),
    Pull(usize, usize),
}

/// The registry, the rules, and what happens afterwards.
#[derive(Clone, Debug)]
struct Scenario {
    steps: Vec<Step>,
    rules: Vec<RetentionRule>,
    immutable: Option<usize>,
    lease: Duration,
    untagged: Option<Duration>,
    releases: bool,
    restored: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..24_usize;
    prop_oneof![
        4 => (1..48_u32).prop_map(Step::Pass),
        8 => (at(), at(), at()).prop_map(|(of, what, tag)| Step::Push(of, what, tag)),
        3 => (at(), at(), at()).prop_map(|(of, what, tag)| Step::Index(of, what, tag)),
        3 => (at(), at(), any::<bool>()).prop_map(|(of, what, new)| Step::Sign(of, what, new)),
        3 => (at(), at()).prop_map(|(of, what)| Step::Pull(of, what)),
    ]
}

fn rule() -> impl Strategy<Value = RetentionRule> {
    let hours = || {
        proptest::option::weighted(
            0.3,
            (1..200_u64).prop_map(|count| Duration::from_secs(count * 3600)),
        )
    };
    let count = || proptest::option::weighted(0.4, 1..4_u32);
    let repositories = prop::sample::select(vec!["a", "**", "team/*", "team/**", "other"]);
    let tags = prop::sample::select(vec!["*", "pr-*", "v*", "[0-9]*", "*.sig"]);
    let kept = proptest::option::weighted(0.2, prop::sample::select(vec!["latest", "1.*", "m*"]));
    (repositories, tags, kept, count(), count(), hours(), hours()).prop_map(
        |(repositories, tags, kept, pushed, versions, pushed_within, pulled_within)| {
            RetentionRule {
                repositories: vec![repositories.parse().unwrap()],
                tags: vec![tags.parse().unwrap()],
                keep: KeepCriteria {
                    last_pushed: pushed,
                    pushed_within,
                    pulled_within,
                    newest_versions: versions,
                    tags: kept
                        .map(|pattern| pattern.parse().unwrap())
                        .into_iter()
                        .collect(),
                },
            }
        },
    )
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let steps = proptest::collection::vec(step(), 1..40);
    let rules = proptest::collection::vec(rule(), 0..4);
    let immutable = proptest::option::weighted(0.4, 0..TAGS.len());
    let lease = prop::sample::select(vec![SECOND, HOUR, DAY]);
    let untagged = proptest::option::of(prop::sample::select(vec![HOUR, 3 * DAY]));
    (
        steps,
        rules,
        immutable,
        lease,
        untagged,
        any::<bool>(),
        1..4_usize,
    )
        .prop_map(
            |(steps, rules, immutable, lease, untagged, releases, restored)| Scenario {
                steps,
                rules,
                immutable,
                lease,
                untagged,
                releases,
                restored,
            },
        )
}

/// What the run has told.
#[derive(Default)]
struct Outcomes(Mutex<Vec<(String, Digest, TagRemovalOutcome)>>);

impl RetentionObserver for Outcomes {
    fn records(&self, removal: PlannedRemoval<'_>) -> Vec<NewOutboxRecord> {
        vec![NewOutboxRecord {
            kind: removal.state.tag.to_string(),
            payload: removal.reason.to_string().into_bytes(),
        }]
    }

    fn author(&self) -> Option<ChangeAuthor> {
        None
    }

    fn observe(&self, removal: PlannedRemoval<'_>, outcome: TagRemovalOutcome) {
        let name = format!("{}:{}", removal.repository, removal.state.tag);
        let mut all = self.0.lock().unwrap();
        all.push((name, removal.state.digest, outcome));
    }
}

/// The registry, and what can be pulled from it by tag: `a:latest` and its manifest.
struct Registry {
    bench: Bench,
    storage: Storage,
    manifests: BTreeMap<Digest, NewManifest>,
    tags: BTreeMap<String, Digest>,
}

impl Registry {
    async fn new(make: MakeStores, content: &std::path::Path) -> Self {
        let bench = Bench::new(make).await;
        let metadata = bench.stores.handles[0].clone();
        let content = Files::open_exclusive(content).unwrap();
        let storage = Storage::new(metadata, Arc::new(content), UploadLimits::default());
        Self {
            bench,
            storage,
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    async fn push(&mut self, repository: &str, manifest: NewManifest, tags: &[&str]) {
        let digest = manifest.digest();
        self.manifests.insert(digest, manifest.clone());
        self.bench.push(repository, manifest, tags).await.unwrap();
        for text in tags {
            self.tags.insert(format!("{repository}:{text}"), digest);
        }
    }

    async fn image(&mut self, repository: &str, content: &str, tags: &[&str]) -> Digest {
        self.bench.blob(repository, b"{}").await;
        self.bench.blob(repository, content.as_bytes()).await;
        let image = image(&[content.as_bytes()], None);
        let digest = image.digest();
        self.push(repository, image, tags).await;
        digest
    }

    async fn perform(&mut self, step: &Step) {
        let of = |at: &usize| REPOSITORIES[at % REPOSITORIES.len()];
        let content = |at: usize| CONTENTS[at % CONTENTS.len()];
        match step {
            Step::Pass(hours) => self.bench.pass(*hours * HOUR),
            Step::Push(at, what, text) => {
                self.image(of(at), content(*what), &[TAGS[text % TAGS.len()]])
                    .await;
            }
            Step::Index(at, what, text) => {
                let one = self.image(of(at), content(*what), &[]).await;
                let two = self.image(of(at), content(what + 1), &[]).await;
                let list = index(&[one, two]);
                self.push(of(at), list, &[TAGS[text % TAGS.len()]]).await;
            }
            Step::Sign(at, what, is_new) => {
                let subject = image(&[content(*what).as_bytes()], None).digest();
                let text = format!("sha256-{}.sig", subject.encoded());
                self.bench.blob(of(at), b"{}").await;
                self.bench.blob(of(at), b"signature").await;
                let signature = image(&[b"signature"], is_new.then_some(subject));
                self.push(of(at), signature, &[&text]).await;
            }
            Step::Pull(at, what) => {
                let digest = image(&[content(*what).as_bytes()], None).digest();
                self.bench.pulled(of(at), digest, false).await;
            }
        }
    }

    /// The tags that go by the plan, and those that stay.
    async fn plan(&self, policy: &RetentionPolicy) -> [BTreeMap<String, Digest>; 2] {
        let mut planned = [BTreeMap::new(), BTreeMap::new()];
        for repository in REPOSITORIES {
            let of = name(repository);
            let mut plan = self.storage.plan_retention(policy, &of).await.unwrap();
            while let Some(page) = plan.next().await.unwrap() {
                for it in &page.tags {
                    let goes = matches!(it.decision, TagDecision::Remove(_));
                    let at = usize::from(!goes);
                    planned[at].insert(format!("{repository}:{}", it.state.tag), it.state.digest);
                    plan.released_size(it).await.unwrap();
                }
            }
        }
        planned
    }

    /// A manifest can be pulled with all that it needs.
    async fn pulls_whole(&self, repository: &str, reference: &str, expected: Digest) {
        let manifests = self.bench.manifests();
        let mut next = vec![(reference.to_owned(), expected)];
        while let Some((reference, expected)) = next.pop() {
            let parsed = reference.parse().unwrap();
            let found = manifests.find(&name(repository), &parsed).await;
            let found = found.unwrap_or_else(|error| panic!("{repository} {reference}: {error}"));
            let pushed = &self.manifests[&expected];
            assert_eq!((found.digest, &found.bytes), (expected, pushed.bytes()));
            match &pushed.manifest().content {
                ManifestContent::Index { manifests } => {
                    let digests = manifests.iter().map(|it| it.digest);
                    next.extend(digests.map(|digest| (digest.to_string(), digest)));
                }
                ManifestContent::Image { .. } => {
                    for blob in pushed.manifest().blobs() {
                        let found = self
                            .bench
                            .blobs()
                            .find(&name(repository), &blob.digest)
                            .await;
                        assert!(found.is_ok(), "{repository} {reference}: {}", blob.digest);
                    }
                }
            }
        }
    }

    async fn all_pull_whole(&self, tags: &BTreeMap<String, Digest>) {
        for (text, digest) in tags {
            let (repository, tag) = text.split_once(':').unwrap();
            self.pulls_whole(repository, tag, *digest).await;
        }
    }

    async fn listed(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for repository in REPOSITORIES {
            let page = super::bench::first(1000);
            if let Ok(page) = self.bench.manifests().tags(&name(repository), page).await {
                all.extend(page.entries.iter().map(|tag| format!("{repository}:{tag}")));
            }
        }
        all
    }

    /// Restores a tag of those that have gone. What comes back, stays.
    async fn restore(
        &self,
        text: &str,
        gone: &BTreeMap<String, Digest>,
        stays: &mut BTreeMap<String, Digest>,
    ) {
        let digest = gone[text];
        let (repository, reference) = text.split_once(':').unwrap();
        let undeletion = Undeletion::of(tag(reference));
        let of = name(repository);
        let undelete = self.storage.undelete(&of, &undeletion, |_, _| Vec::new());
        match undelete.await.unwrap() {
            UndeleteOutcome::Restored {
                tombstone, along, ..
            } => {
                assert_eq!(tombstone.digest, digest);
                for tag in along {
                    let text = format!("{repository}:{tag}");
                    stays.insert(text.clone(), gone[&text]);
                }
            }
            UndeleteOutcome::TagExists(found) => assert_eq!(found, digest),
            // A signature came back with its image.
            UndeleteOutcome::Unknown => {
                assert!(stays.contains_key(text), "{text} cannot be restored");
            }
        }
        self.pulls_whole(repository, reference, digest).await;
        stays.insert(text.to_owned(), digest);
    }
}

async fn check(make: MakeStores, scenario: Scenario) {
    let content = tempfile::tempdir().unwrap();
    let mut registry = Registry::new(make, content.path()).await;
    let nothing = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    registry.bench.pulled("a", nothing, false).await;
    for step in &scenario.steps {
        registry.perform(step).await;
    }
    registry.bench.pass(2 * HOUR);
    let immutable = scenario.immutable.map(|at| ImmutabilityRule {
        origin: RuleOrigin::Database(1),
        repository: "**".parse().unwrap(),
        tag: TAGS[at].parse().unwrap(),
        except: Vec::new(),
    });
    let policy = RetentionPolicy {
        rules: RetentionRules::new(scenario.rules),
        immutable: immutable.into_iter().collect::<ImmutabilityRules>(),
        lease: scenario.lease,
        tombstones: TombstoneTerms {
            undelete: WEEK,
            untagged: match scenario.releases {
                true => UntaggedManifests::Remove,
                false => UntaggedManifests::Collection,
            },
        },
    };
    let collection = CollectionPolicy {
        untagged: scenario.untagged,
        ..COLLECT
    };

    let [gone, kept] = registry.plan(&policy).await;
    let mut all = gone.clone();
    all.extend(kept.clone());
    assert_eq!(all, registry.tags, "the plan has every tag");
    if let Some(at) = scenario.immutable {
        let is_immutable = |text: &String| text.ends_with(&format!(":{}", TAGS[at]));
        assert!(!gone.keys().any(is_immutable));
    }
    let outcomes = Outcomes::default();
    let report = registry
        .storage
        .run_retention(&policy, None, &outcomes)
        .await
        .unwrap();
    assert_eq!((report.removed, report.skipped), (gone.len() as u64, 0));
    let done = outcomes.0.into_inner().unwrap();
    assert!(
        done.iter()
            .all(|(_, _, outcome)| *outcome == TagRemovalOutcome::Removed)
    );
    let done: BTreeMap<_, _> = done
        .into_iter()
        .map(|(text, digest, _)| (text, digest))
        .collect();
    assert_eq!(done, gone, "the run does what was planned");
    assert_eq!(registry.listed().await, kept.keys().cloned().collect());

    registry.bench.pass(2 * DAY);
    registry.bench.collect(collection).await;
    registry.all_pull_whole(&kept).await;
    let mut stays = kept;
    for text in gone.keys().step_by(scenario.restored) {
        registry.restore(text, &gone, &mut stays).await;
    }
    registry.bench.pass(WEEK + DAY);
    for _ in 0..2 {
        registry.bench.collect(collection).await;
        registry.bench.pass(2 * DAY);
    }
    registry.all_pull_whole(&stays).await;
    assert_eq!(registry.listed().await, stays.keys().cloned().collect());
    assert_eq!(registry.bench.tombstones().await, []);
}

/// What the runner has shrunk is the shortest scenario that fails.
pub(crate) fn what_is_planned_is_done(make: MakeStores) {
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(24)
    });
    let outcome = runner.run(&scenario(), |scenario| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(check(make, scenario));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
