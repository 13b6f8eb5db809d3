//! Failed logins and wrong codes, counted by all servers of a database together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::BoxFuture;
use database::{AttemptBucket, AttemptCounts, Database, Error};
use identity::{SharedFailureCount, SharedFailures};

/// A login does not wait longer for the database: it is counted by this server in any case.
const PATIENCE: Duration = Duration::from_millis(250);

/// The counts in the database.
struct DatabaseFailures {
    counts: AttemptCounts,
    is_failing: AtomicBool,
}

/// Counts in `database`, if several servers can have it.
pub(super) fn shared_failures(database: Option<&Database>) -> Option<Arc<dyn SharedFailures>> {
    let pool = database?.postgres()?.clone();
    Some(Arc::new(DatabaseFailures {
        counts: AttemptCounts::new(pool),
        is_failing: AtomicBool::new(false),
    }))
}

impl DatabaseFailures {
    /// What `asking` answers in time. Failures are logged once, and not for each login.
    async fn within<T: Default>(&self, asking: impl Future<Output = Result<T, Error>>) -> T {
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        let error: Option<Error> = match answer {
            Ok(Ok(value)) => {
                self.is_failing.store(false, Ordering::Relaxed);
                return value;
            }
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let error = error.as_ref();
            let error = error.map(|error| error as &(dyn std::error::Error + 'static));
            tracing::warn!(
                error,
                "failed logins cannot be counted for all servers; each counts its own"
            );
        }
        T::default()
    }
}

impl SharedFailures for DatabaseFailures {
    fn wait<'a>(&'a self, counts: &'a [SharedFailureCount]) -> BoxFuture<'a, Duration> {
        Box::pin(async move {
            let buckets = buckets(counts);
            self.within(self.counts.wait(&buckets)).await
        })
    }

    fn record<'a>(&'a self, counts: &'a [SharedFailureCount]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let buckets = buckets(counts);
            self.within(self.counts.record(&buckets)).await;
        })
    }
}

fn buckets(counts: &[SharedFailureCount]) -> Vec<AttemptBucket> {
    let bucket = |count: &SharedFailureCount| AttemptBucket {
        key: count.key,
        period: count.period,
        interval: count.interval,
    };
    counts.iter().map(bucket).collect()
}
