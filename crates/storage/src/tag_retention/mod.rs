//! Retention: tags go by rules, and can be restored for some time.
//!
//! One function makes a plan, [`Storage::plan_retention`], whether it is only shown or carried out. A
//! plan is read in pages, so it takes the same memory for ten tags as for a million: a page, and what
//! the rules keep by number. [`Storage::carry_out`] removes what a page says, and nothing else. Each
//! removal is checked in its transaction: a tag that was pushed, pulled or leased since stays.
//!
//! A tag that [belongs to a manifest](retention::ReferrerTag), such as a signature of cosign, is not
//! judged by rules. It goes if its manifest loses its last tag, and else it stays.
//!
//! Manifests and blobs are never removed here: [collection](crate::collection) does that, and keeps
//! what a tombstone holds.

mod plan;
mod undelete;

use std::time::Duration;

use oci::RepositoryName;

use crate::{
    ChangeAuthor, Duty, Error, ListPage, NewOutboxRecord, PageRequest, Storage, StorageFuture,
    TagRemoval, TagRemovalOutcome,
};

pub use plan::{PlanPage, PlannedRemoval, PlannedTag, RepositoryPlan, RetentionPolicy};
pub use undelete::{UndeleteOutcome, Undeletion};

/// Names of repositories that are read at once.
const PAGE: u32 = 1000;
/// Tags that are removed in one transaction. Pushes to the repository wait for it.
const REMOVED: usize = 200;
/// How long a server has the duty of retention unless it renews the lease.
const LEASE: Duration = Duration::from_secs(60);

/// What retention goes by at this moment. A run asks again before it removes tags, so that a rule that
/// was added meanwhile counts for all that follows.
pub trait RetentionPolicySource: Send + Sync {
    /// The policy. An error ends the run.
    fn current(&self) -> StorageFuture<'_, RetentionPolicy>;
}

/// A policy that does not change.
impl RetentionPolicySource for RetentionPolicy {
    fn current(&self) -> StorageFuture<'_, Self> {
        let policy = self.clone();
        Box::pin(async move { Ok(policy) })
    }
}

/// What is told of each removal.
pub trait RetentionObserver: Send + Sync {
    /// The records that are stored with a removal that is about to be made. It may still be skipped.
    fn records(&self, removal: PlannedRemoval<'_>) -> Vec<NewOutboxRecord>;

    /// What the history of a removed tag has as its author. Without one, it has nothing of it.
    fn author(&self) -> Option<ChangeAuthor>;

    /// What became of a planned removal.
    fn observe(&self, removal: PlannedRemoval<'_>, outcome: TagRemovalOutcome);
}

/// What a run of retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Repositories of which a rule speaks.
    pub repositories: u64,
    /// Their tags.
    pub tags: u64,
    /// Tags that were removed.
    pub removed: u64,
    /// Tags that were planned to go and stay, because they were changed or used meanwhile.
    pub skipped: u64,
}

impl Storage {
    /// Removes the tags that a page of a plan says, unless they were changed or used since.
    ///
    /// # Errors
    /// If the database fails. Some may have been removed.
    pub async fn carry_out(
        &self,
        policy: &RetentionPolicy,
        page: &PlanPage,
        observer: &dyn RetentionObserver,
    ) -> Result<RetentionReport, Error> {
        let mut report = RetentionReport {
            tags: page.tags.len() as u64,
            ..RetentionReport::default()
        };
        let planned: Vec<PlannedRemoval<'_>> = page.removals().collect();
        for some in planned.chunks(REMOVED) {
            let removals = some.iter().map(|removal| TagRemoval {
                state: removal.state.clone(),
                reason: removal.reason.to_string(),
                outbox: observer.records(*removal),
            });
            let store = &self.shared.metadata.retention;
            let outcomes = store
                .remove_tags(
                    &page.repository,
                    removals.collect(),
                    policy.tombstones,
                    observer.author(),
                )
                .await?;
            for (removal, outcome) in some.iter().zip(outcomes) {
                match outcome {
                    TagRemovalOutcome::Removed => report.removed += 1,
                    _ => report.skipped += 1,
                }
                observer.observe(*removal, outcome);
            }
        }
        Ok(report)
    }

    /// Plans each repository of which a rule speaks, or only one, and carries the plan out. If the policy
    /// changes meanwhile, what is left of the repository is planned again.
    ///
    /// # Errors
    /// If the database fails, or those of `source`. The next run continues.
    pub async fn run_retention(
        &self,
        source: &dyn RetentionPolicySource,
        only: Option<&RepositoryName>,
        observer: &dyn RetentionObserver,
    ) -> Result<RetentionReport, Error> {
        let mut report = RetentionReport::default();
        let mut after = None;
        let rules = source.current().await?.rules;
        loop {
            let names = self.planned_repositories(only, after).await?;
            for repository in &names.entries {
                if !rules.speak_of(repository) {
                    continue;
                }
                let done = self.remove_in(repository, source, observer).await?;
                report.repositories += 1;
                report.tags += done.tags;
                report.removed += done.removed;
                report.skipped += done.skipped;
            }
            after = names.entries.last().map(ToString::to_string);
            if !names.more {
                return Ok(report);
            }
        }
    }

    /// Plans a repository and carries the plan out.
    async fn remove_in(
        &self,
        repository: &RepositoryName,
        source: &dyn RetentionPolicySource,
        observer: &dyn RetentionObserver,
    ) -> Result<RetentionReport, Error> {
        let mut report = RetentionReport::default();
        'planning: loop {
            // Tags that were removed are not read again, and the others are.
            report.tags = report.removed;
            let policy = source.current().await?;
            let mut plan = self.plan_retention(&policy, repository).await?;
            while let Some(page) = plan.next().await? {
                if source.current().await? != policy {
                    continue 'planning;
                }
                let done = self.carry_out(&policy, &page, observer).await?;
                report.tags += done.tags;
                report.removed += done.removed;
                report.skipped += done.skipped;
            }
            return Ok(report);
        }
    }

    /// Runs retention if it is due and this server's turn: of several servers that share the storage, one
    /// does it each `every`. Returns `None` if it is not due, or another server does it.
    ///
    /// # Errors
    /// As [`run_retention`](Self::run_retention).
    pub async fn run_retention_in_turn(
        &self,
        source: &dyn RetentionPolicySource,
        every: Duration,
        observer: &dyn RetentionObserver,
    ) -> Result<Option<RetentionReport>, Error> {
        let duty = Duty {
            name: "retention",
            every,
            lease: LEASE,
        };
        self.in_turn(duty, self.run_retention(source, None, observer))
            .await
    }

    /// A page of the repositories that have something, or only the one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn planned_repositories(
        &self,
        only: Option<&RepositoryName>,
        after: Option<String>,
    ) -> Result<ListPage<RepositoryName>, Error> {
        if let Some(only) = only {
            return Ok(ListPage {
                entries: vec![only.clone()],
                more: false,
            });
        }
        let page = PageRequest { after, limit: PAGE };
        let names = self.manifests().repositories(page).await?;
        let entries = names.entries.iter().filter_map(|name| name.parse().ok());
        Ok(ListPage {
            entries: entries.collect(),
            more: names.more,
        })
    }
}
