//! The rules in the memory of a server.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use database::{ChangeCounts, Database};
use tag_rules::ImmutabilityRules;
use tokio::task::AbortHandle;

use crate::{ImmutableTagError, ImmutableTagList};

/// How often a server looks for changes. A command that adds a rule waits this long before it reports
/// success.
pub const NOTICED_WITHIN: Duration = Duration::from_millis(250);

/// The rules of the database in the memory of a server. They are replaced as a whole: a request has
/// one set. A load that fails changes nothing. Clones share one task that loads them; the drop of the
/// last one ends it.
#[derive(Clone)]
pub struct StoredImmutableTags(Arc<FollowedRules>);

struct FollowedRules {
    rules: Arc<ArcSwapOption<ImmutabilityRules>>,
    task: AbortHandle,
}

impl StoredImmutableTags {
    /// Loads the rules of `list`, which is in `database`, now and after each change. It must be called
    /// in a tokio runtime.
    pub async fn start(list: ImmutableTagList, database: Database) -> Self {
        let rules = Arc::new(ArcSwapOption::empty());
        let mut follower = Follower {
            list,
            database,
            rules: Arc::clone(&rules),
            loaded: None,
            is_failing: false,
        };
        follower.look().await;
        let task = tokio::spawn(follower.follow()).abort_handle();
        Self(Arc::new(FollowedRules { rules, task }))
    }

    /// The rules as they are now. `None` if they could not be loaded since the start.
    #[must_use]
    pub fn current(&self) -> Option<ImmutabilityRules> {
        let rules = self.0.rules.load();
        rules.as_deref().cloned()
    }
}

impl Drop for FollowedRules {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Follower {
    list: ImmutableTagList,
    database: Database,
    rules: Arc<ArcSwapOption<ImmutabilityRules>>,
    /// The count of changes before the last load.
    loaded: Option<u64>,
    is_failing: bool,
}

impl Follower {
    async fn follow(mut self) {
        loop {
            tokio::time::sleep(NOTICED_WITHIN).await;
            self.look().await;
        }
    }

    /// Loads the rules if they were changed.
    async fn look(&mut self) {
        let outcome = self.load_changed().await;
        if let Err(error) = &outcome
            && !self.is_failing
        {
            let error = error as &dyn std::error::Error;
            tracing::error!(
                error,
                "the rules for immutable tags cannot be loaded: those from before count"
            );
        }
        self.is_failing = outcome.is_err();
    }

    async fn load_changed(&mut self) -> Result<(), ImmutableTagError> {
        // The count is read first: a change after it is seen by the next look.
        let count = self.database.read(ChangeCounts::read).await?.immutable_tags;
        if self.loaded == Some(count) {
            return Ok(());
        }
        let listed = self.list.list().await?.into_iter();
        let rules: ImmutabilityRules = listed.map(Into::into).collect();
        self.rules.store(Some(Arc::new(rules)));
        self.loaded = Some(count);
        Ok(())
    }
}
