//! Retention beside the requests.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy, SystemClock, SystemEntropy};
use database::Database;
use event::{Actor, Event, EventKind, Observer, Observers};
use immutable_tags::StoredImmutableTags;
use oci::{RepositoryName, Tag};
use registry::{ImmutableTagSource, OutboxWriter};
use storage::tag_retention::{
    PlannedRemoval, RetentionObserver, RetentionPolicy, RetentionPolicySource, RetentionReport,
};
use storage::{
    ChangeAuthor, NewOutboxRecord, Storage, StorageFuture, TagRemovalOutcome, Tombstone,
    TombstoneTerms,
};

use super::audit::AuditLog;
use super::tags::all_immutable;
use super::work_schedule::WorkSchedule;
use crate::config::{AuditConfig, RegistryServerConfig};
use crate::failure::Failure;

/// What retention must follow when the configuration is reloaded.
#[derive(Clone)]
pub(super) struct RetentionConditions {
    /// A registry under maintenance changes nothing.
    pub(super) is_read_only: bool,
    /// Whether the history of tags has what is done to them.
    has_history: bool,
    /// Which tags are immutable, by the configuration and by the database.
    immutable: Arc<dyn ImmutableTagSource>,
}

/// The conditions of the configuration that is in force; `None` if it has no registry.
pub(super) type CurrentConditions = Arc<dyn Fn() -> Option<RetentionConditions> + Send + Sync>;

/// The policy with what a reload, or a command, has changed since the start.
struct PolicyInForce {
    policy: RetentionPolicy,
    current: CurrentConditions,
}

/// No rule for immutable tags was read from the database since the start.
#[derive(Debug, thiserror::Error)]
#[error("the rules for immutable tags are not known")]
struct UnknownRules;

/// What a server or a command tells of the tags that it removes and restores.
#[derive(Clone)]
pub(crate) struct RetentionEvents {
    observers: Observers,
    outbox: Option<Arc<dyn OutboxWriter>>,
    /// Whether the history of tags has what is done to them.
    has_history: bool,
    clock: Arc<dyn Clock>,
}

/// What retention goes by, as `registry` says it. The immutable tags of the database are to be added.
pub(crate) fn policy(registry: &RegistryServerConfig) -> RetentionPolicy {
    RetentionPolicy {
        rules: registry.retention.rules.clone(),
        immutable: registry.tags.immutable.clone(),
        lease: registry.collection.grace,
        tombstones: TombstoneTerms {
            undelete: registry.retention.undelete,
            untagged: registry.retention.untagged,
        },
    }
}

/// Removes tags by the rules again and again, if there are rules and that is configured.
pub(super) async fn remove_by_rules(
    storage: Storage,
    policy: RetentionPolicy,
    current: CurrentConditions,
    every: Option<Duration>,
    events: RetentionEvents,
    entropy: Arc<dyn Entropy>,
) {
    let Some(every) = every.filter(|_| !policy.rules.is_empty()) else {
        return;
    };
    let policy = PolicyInForce { policy, current };
    let mut schedule = WorkSchedule::new(every);
    let mut pause = schedule.first(entropy.as_ref());
    loop {
        tokio::time::sleep(pause).await;
        let conditions = (policy.current)().filter(|conditions| !conditions.is_read_only);
        let is_failing = match conditions {
            None => false,
            Some(RetentionConditions { has_history, .. }) => {
                let events = RetentionEvents {
                    has_history,
                    ..events.clone()
                };
                run(&storage, &policy, every, &events).await.is_err()
            }
        };
        pause = schedule.next(is_failing);
    }
}

/// One run, if it is due and this server's turn. A failure is logged.
async fn run(
    storage: &Storage,
    policy: &dyn RetentionPolicySource,
    every: Duration,
    events: &RetentionEvents,
) -> Result<(), storage::Error> {
    match storage.run_retention_in_turn(policy, every, events).await {
        Ok(None) => tracing::trace!("no run of retention is due here"),
        Ok(Some(report)) => events.ended(report),
        Err(storage::Error::ReadOnly) => {
            tracing::debug!("the registry takes no changes, so no tag is removed now");
        }
        Err(failure) => {
            let error = &failure as &dyn Error;
            tracing::error!(error, "retention failed; the next run continues");
            return Err(failure);
        }
    }
    Ok(())
}

impl RetentionPolicySource for PolicyInForce {
    fn current(&self) -> StorageFuture<'_, RetentionPolicy> {
        let conditions = (self.current)().filter(|conditions| !conditions.is_read_only);
        let policy = conditions
            .ok_or(storage::Error::ReadOnly)
            .and_then(|conditions| {
                let immutable = conditions.immutable.current();
                let unknown = || storage::Error::Metadata(Arc::new(UnknownRules));
                Ok(RetentionPolicy {
                    immutable: immutable.ok_or_else(unknown)?,
                    ..self.policy.clone()
                })
            });
        Box::pin(async move { policy })
    }
}

impl RetentionConditions {
    /// Those of `registry`, with the immutable tags of the database.
    pub(super) fn new(registry: &RegistryServerConfig, stored: &StoredImmutableTags) -> Self {
        Self {
            is_read_only: registry.read_only,
            has_history: registry.tags.history.is_some(),
            immutable: all_immutable(&registry.tags, stored),
        }
    }
}

impl RetentionEvents {
    /// Those of a server.
    pub(super) fn new(
        observers: Observers,
        outbox: Option<Arc<dyn OutboxWriter>>,
        has_history: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            observers,
            outbox,
            has_history,
            clock,
        }
    }

    /// Those of a command: they are in the audit table, if there is one, and not in a log.
    pub(crate) async fn of_command(
        audit: Option<&AuditConfig>,
        has_history: bool,
        database: &Database,
    ) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut outbox = None;
        if let Some(config) = audit {
            let log = AuditLog::open(config, database.clone(), &clock, &SystemEntropy).await?;
            outbox = Some(log.outbox());
        }
        Ok(Self::new(Observers::default(), outbox, has_history, clock))
    }

    /// The records that are stored with a restored tag.
    pub(crate) fn restored(&self, tombstone: &Tombstone, tag: &Tag) -> Vec<NewOutboxRecord> {
        self.records_of(EventKind::TagRestored {
            repository: &tombstone.repository,
            tag,
            digest: &tombstone.digest,
        })
    }

    /// What the history of a restored tag has as its author.
    pub(crate) fn restored_by(&self) -> Option<ChangeAuthor> {
        self.author_of("registry undelete")
    }

    /// A command, in place of an account. No account has a space in its name.
    fn author_of(&self, command: &str) -> Option<ChangeAuthor> {
        self.has_history.then(|| ChangeAuthor {
            account: command.to_owned(),
            request_id: String::new(),
        })
    }

    fn ended(&self, report: RetentionReport) {
        let RetentionReport {
            repositories,
            tags,
            removed,
            skipped,
        } = report;
        self.observers.observe(&self.event(EventKind::RetentionRun {
            repositories,
            tags,
            removed,
            skipped,
        }));
    }

    fn records_of(&self, kind: EventKind<'_>) -> Vec<NewOutboxRecord> {
        let outbox = self.outbox.as_ref();
        outbox.map_or_else(Vec::new, |outbox| outbox.records(&[self.event(kind)]))
    }

    fn event<'a>(&self, kind: EventKind<'a>) -> Event<'a> {
        Event {
            time: self.clock.now(),
            actor: Actor::default(),
            kind,
        }
    }
}

impl RetentionObserver for RetentionEvents {
    fn records(&self, removal: PlannedRemoval<'_>) -> Vec<NewOutboxRecord> {
        let reason = removal.reason.to_string();
        self.records_of(removed(removal.repository, &removal, &reason))
    }

    fn author(&self) -> Option<ChangeAuthor> {
        self.author_of("registry retention")
    }

    fn observe(&self, removal: PlannedRemoval<'_>, outcome: TagRemovalOutcome) {
        let PlannedRemoval {
            repository, state, ..
        } = removal;
        if outcome == TagRemovalOutcome::Removed {
            let reason = removal.reason.to_string();
            let kind = removed(repository, &removal, &reason);
            self.observers.observe(&self.event(kind));
        } else {
            let (tag, why) = (state.tag.as_str(), skipped(outcome));
            tracing::info!(%repository, tag, why, "a tag that was planned to go stays");
        }
    }
}

/// Why a tag that was planned to go was not removed.
pub(crate) fn skipped(outcome: TagRemovalOutcome) -> &'static str {
    match outcome {
        TagRemovalOutcome::Removed => "it was removed",
        TagRemovalOutcome::Gone => "it was removed by a client meanwhile",
        TagRemovalOutcome::Moved => "it was moved meanwhile",
        TagRemovalOutcome::Pushed => "it was pushed meanwhile",
        TagRemovalOutcome::Leased => "a client that may push asked for it meanwhile",
        TagRemovalOutcome::Pulled => "it was pulled meanwhile",
    }
}

fn removed<'a>(
    repository: &'a RepositoryName,
    removal: &PlannedRemoval<'a>,
    reason: &'a str,
) -> EventKind<'a> {
    EventKind::TagRemovedByRetention {
        repository,
        tag: &removal.state.tag,
        digest: &removal.state.digest,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use event::MemoryObserver;
    use retention::{KeepCriteria, RetentionRule, RetentionRules};
    use storage::{NewManifest, UntaggedManifests};
    use tag_rules::{ImmutabilityRule, ImmutabilityRules, RuleOrigin};

    use super::super::test_storage;
    use super::*;

    /// A storage with an image that has the tags `a` and `b`.
    async fn storage(folder: &tempfile::TempDir) -> Storage {
        let storage = test_storage::storage(folder).await;
        let repository: RepositoryName = "app".parse().unwrap();
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
            oci::media_type::OCI_INDEX
        );
        let manifest = NewManifest::parse(None, index.into(), None).unwrap();
        let tags = ["a", "b"].map(|text| text.parse().unwrap());
        let pushed = storage.manifests().push(&repository, manifest, tags.into());
        pushed.await.unwrap();
        storage
    }

    /// Keeps the last tag. A lease of no length lasts for the second in which it began.
    fn last_pushed() -> RetentionPolicy {
        RetentionPolicy {
            rules: RetentionRules::new(vec![RetentionRule {
                repositories: vec!["**".parse().unwrap()],
                tags: Vec::new(),
                keep: KeepCriteria {
                    last_pushed: Some(1),
                    ..KeepCriteria::default()
                },
            }]),
            immutable: ImmutabilityRules::default(),
            lease: Duration::ZERO,
            tombstones: TombstoneTerms {
                undelete: Duration::from_secs(60),
                untagged: UntaggedManifests::Collection,
            },
        }
    }

    fn events(memory: &Arc<MemoryObserver>) -> RetentionEvents {
        let observers = Observers::new([Arc::clone(memory) as Arc<dyn Observer>]);
        RetentionEvents::new(observers, None, true, Arc::new(SystemClock))
    }

    #[tokio::test]
    async fn each_removed_tag_and_each_run_is_an_event() {
        let folder = tempfile::tempdir().unwrap();
        let (storage, policy) = (storage(&folder).await, last_pushed());
        let memory = Arc::new(MemoryObserver::new(10));
        let events = events(&memory);
        while memory.events().iter().all(|event| event["removed"] != 1) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let ran = run(&storage, &policy, Duration::ZERO, &events).await;
            ran.unwrap();
        }
        let told = memory.events();
        let removed = told
            .iter()
            .find(|event| event["event"] == "tag_removed_by_retention");
        let removed = removed.unwrap();
        assert_eq!(
            (&removed["repository"], &removed["tag"]),
            (&"app".into(), &"a".into())
        );
        assert_eq!(removed["reason"], "rule 1 does not keep it");
        let last = told.last().unwrap();
        assert_eq!(
            (&last["event"], &last["tags"]),
            (&"retention_run".into(), &2.into())
        );
    }

    #[tokio::test]
    async fn it_follows_a_reloaded_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(&folder).await;
        let conditions = |is_read_only, immutable: &[&str]| {
            let rules = immutable.iter().map(|tag| ImmutabilityRule {
                origin: RuleOrigin::Database(1),
                repository: "**".parse().unwrap(),
                tag: tag.parse().unwrap(),
                except: Vec::new(),
            });
            RetentionConditions {
                is_read_only,
                has_history: true,
                immutable: Arc::new(rules.collect::<ImmutabilityRules>()),
            }
        };
        let in_force = Arc::new(Mutex::new(conditions(true, &[])));
        let asked = Arc::new(AtomicUsize::new(0));
        let memory = Arc::new(MemoryObserver::new(10_000));
        let current: CurrentConditions = {
            let (in_force, asked) = (Arc::clone(&in_force), Arc::clone(&asked));
            Arc::new(move || {
                asked.fetch_add(1, Ordering::SeqCst);
                Some(in_force.lock().unwrap().clone())
            })
        };
        let every = Some(Duration::from_millis(20));
        let (policy, events) = (last_pushed(), events(&memory));
        let entropy = Arc::new(SystemEntropy);
        let running = remove_by_rules(storage, policy, current, every, events, entropy);
        let running = tokio::spawn(running);
        // The lease of the push has ended when tags could be removed.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(asked.load(Ordering::SeqCst) > 1 && memory.events().is_empty());
        *in_force.lock().unwrap() = conditions(false, &["*"]);
        while memory.events().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(memory.events().iter().all(|event| event["removed"] == 0));
        *in_force.lock().unwrap() = conditions(false, &[]);
        while memory.events().iter().all(|event| event["removed"] != 1) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.abort();
    }
}
