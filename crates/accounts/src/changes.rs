//! Notices in a server what commands have changed.
//!
//! The database counts the changes of accounts and of rules ([`ChangeCounts`]). A server reads the
//! counts a few times a second.

use std::sync::Arc;
use std::time::Duration;

use database::{ChangeCounts, Database};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How often the counts are read. A command that takes a right away waits this long before it reports
/// success.
pub const NOTICED_WITHIN: Duration = Duration::from_millis(250);

/// The changes of accounts and of rules, as they are counted. Clones share one task that reads the
/// counts; the drop of the last one ends it.
#[derive(Clone)]
pub struct ChangeCounter(Arc<CounterTask>);

struct CounterTask {
    counts: watch::Receiver<ChangeCounts>,
    task: AbortHandle,
}

impl ChangeCounter {
    /// Reads the counts of `database` again and again. It must be called in a tokio runtime.
    #[must_use]
    pub fn start(database: Database) -> Self {
        let (sender, counts) = watch::channel(ChangeCounts::default());
        let task = tokio::spawn(follow(database, sender)).abort_handle();
        Self(Arc::new(CounterTask { counts, task }))
    }

    /// How many changes of accounts there were.
    #[must_use]
    pub fn accounts(&self) -> u64 {
        self.0.counts.borrow().accounts
    }

    /// Receives how many changes of rules there were, each time that it is another number.
    pub(crate) fn rules(&self) -> RuleChanges {
        RuleChanges {
            counts: self.0.counts.clone(),
        }
    }
}

impl Drop for CounterTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for changes of rules.
pub(crate) struct RuleChanges {
    counts: watch::Receiver<ChangeCounts>,
}

impl RuleChanges {
    /// The number of changes so far.
    pub(crate) fn count(&mut self) -> u64 {
        self.counts.borrow_and_update().rules
    }

    /// Returns when there was another change than `seen`. `false` if there will be none.
    pub(crate) async fn differ_from(&mut self, seen: u64) -> bool {
        self.counts
            .wait_for(|counts| counts.rules != seen)
            .await
            .is_ok()
    }
}

async fn follow(database: Database, counts: watch::Sender<ChangeCounts>) {
    let mut is_failing = false;
    loop {
        match database.read(ChangeCounts::read).await {
            Ok(now) => {
                is_failing = false;
                counts.send_if_modified(|before| {
                    let is_new = *before != now;
                    *before = now;
                    is_new
                });
            }
            // Once, and not four times a second.
            Err(error) if !is_failing => {
                is_failing = true;
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "cannot see whether commands have changed accounts or rules"
                );
            }
            Err(_) => {}
        }
        tokio::time::sleep(NOTICED_WITHIN).await;
    }
}
