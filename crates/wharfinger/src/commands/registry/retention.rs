//! `wharfinger registry retention`: which tags stay and which go, and their removal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, Subcommand};
use common::{SystemClock, escape_json, print_duration, rfc3339};
use immutable_tags::ImmutableTagList;
use oci::RepositoryName;
use retention::{KeepReason, TagDecision, TagState};
use serde_json::{Value, json};
use storage::tag_retention::{
    PlannedRemoval, PlannedTag, RetentionObserver, RetentionPolicy, RetentionPolicySource,
    RetentionReport,
};
use storage::{
    ChangeAuthor, NewOutboxRecord, PageRequest, StorageFuture, TagRemovalOutcome, UntaggedManifests,
};
use tag_rules::ImmutabilityRules;

use super::open::Opened;
use super::{count, interrupted, open, size};
use crate::failure::Failure;
use crate::output::{self, note};
use crate::serve::retention::{RetentionEvents, skipped};

/// Remove tags by the rules of `registry.retention`, or show what would go
///
/// A removed tag can be restored with `wharfinger registry undelete` for as long as
/// `registry.retention.undelete` says.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(Plan),
    Run(Run),
}

/// List every tag, with the rule that keeps it or the reason why it goes
///
/// Nothing is changed.
#[derive(Debug, Args)]
struct Plan {
    #[command(flatten)]
    scope: Scope,
}

/// Remove the tags that the plan says
///
/// A tag that was pushed, pulled or changed since it was planned stays. A server does the same each
/// `registry.retention.schedule`.
#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    scope: Scope,
}

#[derive(Debug, Args)]
struct Scope {
    /// The server's configuration.
    file: PathBuf,
    /// Only this repository.
    repository: Option<RepositoryName>,
    /// Print a JSON object on each line: one for each tag, {repository, tag, digest, action, reason,
    /// pushed_at, pulled_at, size}, and at last {total: {…}}
    #[arg(long)]
    json: bool,
}

/// What a plan says in sum.
#[derive(Default)]
struct PlanTotal {
    /// Of which a rule speaks, as a run counts them.
    repositories: u64,
    /// Their tags.
    tags: u64,
    removed: u64,
    /// Of images that lose their last tag. They may share blobs with others.
    bytes: u64,
    /// When each rule can be used that waits for pull times.
    waiting: BTreeMap<usize, i64>,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        match &self.command {
            Command::Plan(plan) => plan.run().await?,
            Command::Run(run) => run.run().await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Plan {
    async fn run(&self) -> Result<(), Failure> {
        let opened = open::existing(&self.scope.file).await?;
        let total = self.list(&opened).await?;
        self.scope.print(&total.json(), &total.text(&opened))?;
        for (rule, from) in &total.waiting {
            let from = date(*from);
            note(format_args!(
                "note: rule {rule} removes nothing before {from}: pull times are not recorded for long enough"
            ));
        }
        let policy = &opened.places.retention;
        if policy.rules.is_empty() {
            note("note: registry.retention has no rules, so every tag stays");
        } else if total.removed > 0
            && policy.tombstones.untagged == UntaggedManifests::Collection
            && opened.places.sweep.untagged.is_none()
        {
            note(
                "note: this frees no content: manifests without a tag are kept; write `untagged: remove` in \
                 registry.retention, or an age in registry.gc.untagged",
            );
        }
        Ok(())
    }

    async fn list(&self, opened: &Opened) -> Result<PlanTotal, Failure> {
        let failed =
            |error: storage::Error| interrupted("the plan failed before it was complete", &error);
        let policy = PolicyWithStoredRules(opened).current().await;
        let policy = &policy.map_err(failed)?;
        let storage = &opened.storage;
        self.scope.check_repository(opened).await?;
        let (mut total, mut after) = (PlanTotal::default(), None);
        loop {
            let only = self.scope.repository.as_ref();
            let names = storage.planned_repositories(only, after);
            let names = names.await.map_err(failed)?;
            for repository in &names.entries {
                let plan = storage.plan_retention(policy, repository);
                let mut plan = plan.await.map_err(failed)?;
                let is_covered = policy.rules.speak_of(repository);
                total.repositories += u64::from(is_covered);
                while let Some(page) = plan.next().await.map_err(failed)? {
                    let mut lines = String::new();
                    if is_covered {
                        total.tags += page.tags.len() as u64;
                    }
                    for planned in &page.tags {
                        let released = plan.released_size(planned).await.map_err(failed)?;
                        total.add(planned, released);
                        lines += &match self.scope.json {
                            false => planned_text(repository, planned, released),
                            true => planned_json(repository, planned, released),
                        };
                    }
                    output::print(&lines)?;
                }
            }
            after = names.entries.last().map(ToString::to_string);
            if !names.more {
                return Ok(total);
            }
        }
    }
}

impl Run {
    async fn run(&self) -> Result<(), Failure> {
        let opened = open::existing(&self.scope.file).await?;
        let places = &opened.places;
        let printer = RemovalPrinter {
            events: RetentionEvents::of_command(
                places.audit.as_ref(),
                places.has_history,
                &opened.database,
            )
            .await?,
            json: self.scope.json,
            printed: Mutex::new(Ok(())),
        };
        self.scope.check_repository(&opened).await?;
        let only = self.scope.repository.as_ref();
        let policy = PolicyWithStoredRules(&opened);
        let run = opened.storage.run_retention(&policy, only, &printer);
        let report = run
            .await
            .map_err(|error| interrupted("retention failed before it was complete", &error))?;
        let printed = printer.printed.into_inner();
        printed.unwrap_or_else(PoisonError::into_inner)?;
        if places.retention.rules.is_empty() {
            note("note: registry.retention has no rules, so every tag stays");
        }
        self.scope.print(&report_json(report), &report_text(report))
    }
}

impl Scope {
    /// Refuses the name of a repository that is not there.
    async fn check_repository(&self, opened: &Opened) -> Result<(), Failure> {
        let Some(repository) = &self.repository else {
            return Ok(());
        };
        let nothing = PageRequest {
            after: None,
            limit: 0,
        };
        match opened.storage.manifests().tags(repository, nothing).await {
            Ok(_) => Ok(()),
            Err(storage::Error::RepositoryUnknown) => Err(Failure::usage(format!(
                "the registry has no repository {repository}"
            ))
            .hint("without a repository, all are listed")),
            Err(error) => Err(interrupted("the repository cannot be read", &error)),
        }
    }

    fn print(&self, json: &Value, text: &str) -> Result<(), Failure> {
        match self.json {
            false => output::print(text),
            true => output::print(&json_line(json)),
        }
    }
}

/// The policy, with the immutable tags of the database besides those of the configuration.
struct PolicyWithStoredRules<'a>(&'a Opened);

impl RetentionPolicySource for PolicyWithStoredRules<'_> {
    fn current(&self) -> StorageFuture<'_, RetentionPolicy> {
        let policy = &self.0.places.retention;
        let list = ImmutableTagList::new(self.0.database.clone(), Arc::new(SystemClock));
        Box::pin(async move {
            let stored = list.list().await;
            let stored = stored.map_err(|error| storage::Error::Metadata(Arc::new(error)))?;
            let stored: ImmutabilityRules = stored.into_iter().map(Into::into).collect();
            Ok(RetentionPolicy {
                immutable: policy.immutable.and(&stored),
                ..policy.clone()
            })
        })
    }
}

/// Prints each removal, besides what is recorded of it.
struct RemovalPrinter {
    events: RetentionEvents,
    json: bool,
    printed: Mutex<Result<(), Failure>>,
}

impl RetentionObserver for RemovalPrinter {
    fn records(&self, removal: PlannedRemoval<'_>) -> Vec<NewOutboxRecord> {
        self.events.records(removal)
    }

    fn author(&self) -> Option<ChangeAuthor> {
        self.events.author()
    }

    fn observe(&self, removal: PlannedRemoval<'_>, outcome: TagRemovalOutcome) {
        let PlannedRemoval {
            repository,
            state,
            reason,
        } = removal;
        let (action, reason) = match outcome {
            TagRemovalOutcome::Removed => ("removed", reason.to_string()),
            outcome => ("skipped", skipped(outcome).to_owned()),
        };
        let line = match self.json {
            false => format!("{action} {repository}:{}: {reason}\n", state.tag),
            true => json_line(&entry(repository, state, action, &reason)),
        };
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if printed.is_ok() {
            *printed = output::print(&line);
        }
    }
}

impl PlanTotal {
    fn add(&mut self, planned: &PlannedTag, released: Option<u64>) {
        self.bytes += released.unwrap_or_default();
        match &planned.decision {
            TagDecision::Keep(KeepReason::PullTimesTooShort { rule, usable_from }) => {
                self.waiting.insert(*rule, *usable_from);
            }
            TagDecision::Keep(_) => {}
            TagDecision::Remove(_) => self.removed += 1,
        }
    }

    fn text(&self, opened: &Opened) -> String {
        let undelete = print_duration(opened.places.retention.tombstones.undelete);
        format!(
            "would remove {} of {} in {} of which a rule speaks, with at most {} of content, which can be \
             restored for {undelete}; nothing was changed\n",
            self.removed,
            count(self.tags, "tag"),
            count(self.repositories, "repository"),
            size(self.bytes),
        )
    }

    fn json(&self) -> Value {
        let waiting = self.waiting.iter();
        let waiting = waiting.map(|(rule, from)| json!({"rule": rule, "usable_from": date(*from)}));
        json!({"total": {
            "repositories": self.repositories,
            "tags": self.tags,
            "remove": self.removed,
            "size": self.bytes,
            "waiting": Value::from_iter(waiting),
        }})
    }
}

fn planned_text(
    repository: &RepositoryName,
    planned: &PlannedTag,
    released: Option<u64>,
) -> String {
    let tag = &planned.state.tag;
    match &planned.decision {
        TagDecision::Keep(reason) => format!("keep {repository}:{tag}: {reason}\n"),
        TagDecision::Remove(reason) => {
            let released = released.map(|bytes| format!(" ({})", size(bytes)));
            let released = released.unwrap_or_default();
            format!("remove {repository}:{tag}{released}: {reason}\n")
        }
    }
}

fn planned_json(
    repository: &RepositoryName,
    planned: &PlannedTag,
    released: Option<u64>,
) -> String {
    let (action, reason) = match &planned.decision {
        TagDecision::Keep(reason) => ("keep", reason.to_string()),
        TagDecision::Remove(reason) => ("remove", reason.to_string()),
    };
    let mut entry = entry(repository, &planned.state, action, &reason);
    if let Some(bytes) = released {
        entry["size"] = bytes.into();
    }
    json_line(&entry)
}

fn entry(repository: &RepositoryName, state: &TagState, action: &str, reason: &str) -> Value {
    json!({
        "repository": repository.as_str(),
        "tag": state.tag.as_str(),
        "digest": state.digest.to_string(),
        "action": action,
        "reason": reason,
        "pushed_at": date(state.pushed_at),
        "pulled_at": state.pulled_at.map(date),
    })
}

fn report_text(report: RetentionReport) -> String {
    format!(
        "removed {} of {} in {} of which a rule speaks; skipped {}\n",
        report.removed,
        count(report.tags, "tag"),
        count(report.repositories, "repository"),
        report.skipped,
    )
}

fn report_json(report: RetentionReport) -> Value {
    json!({"total": {
        "repositories": report.repositories,
        "tags": report.tags,
        "removed": report.removed,
        "skipped": report.skipped,
    }})
}

fn json_line(value: &Value) -> String {
    escape_json(&format!("{value}\n")).into_owned()
}

/// Seconds since the Unix epoch as a date.
pub(super) fn date(seconds: i64) -> String {
    rfc3339(u64::try_from(seconds).unwrap_or_default())
}
