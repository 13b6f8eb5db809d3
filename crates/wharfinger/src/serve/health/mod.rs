//! Checks beside the requests, as Distribution has them: while one fails, the registry responds 503,
//! and `/debug/health` says which.
//!
//! Each check runs by itself, the first time after one interval. So a server that starts is healthy
//! until the first check. A check with a threshold fails only after so many failures in a row, and is
//! good again with the first success. (Distribution: `health/health.go`, `registry/handlers/app.go`.)

mod checks;
mod service;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::Storage;
use tokio::task::JoinSet;

use self::checks::Check;
pub(super) use self::service::{DebugHealth, unhealthy};
use crate::config::{Config, PollSettings, StorageDriver};
use crate::failure::Failure;

/// The checks of this server, and what they have found.
#[derive(Default)]
pub(super) struct HealthChecks {
    checks: Vec<HealthCheck>,
    /// Whether one of them fails now.
    is_failing: AtomicBool,
}

struct HealthCheck {
    /// What `/debug/health` calls it, as Distribution does.
    name: String,
    poll: PollSettings,
    check: Check,
    outcome: Mutex<CheckOutcomes>,
}

/// What a check has found.
#[derive(Debug, Default)]
struct CheckOutcomes {
    /// How many times in a row it has failed.
    failures: u32,
    /// Why it failed last.
    reason: Option<String>,
}

/// Why a check fails, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailedCheck {
    pub(super) name: String,
    pub(super) reason: String,
}

impl HealthChecks {
    /// The checks that `config` names. Nothing is checked yet.
    pub(super) fn new(config: &Config, storage: Option<&Storage>) -> Result<Self, Failure> {
        let health = &config.server.health;
        let mut checks = Vec::new();
        let mut add = |name: String, poll, check| {
            checks.push(HealthCheck {
                name,
                poll,
                check,
                outcome: Mutex::default(),
            });
        };
        if let (Some(poll), Some(storage), Some(registry)) =
            (health.storage, storage, &config.registry)
        {
            let driver = driver_name(&registry.storage);
            let check = Check::Storage(storage.clone());
            add(format!("storagedriver_{driver}"), poll, check);
        }
        for file in &health.files {
            let path = file.file.clone();
            add(path.display().to_string(), file.poll, Check::File(path));
        }
        for server in &health.http {
            add(server.uri.to_string(), server.poll, Check::http(server)?);
        }
        for server in &health.tcp {
            let check = Check::Tcp(server.address.clone(), server.timeout);
            add(server.address.clone(), server.poll, check);
        }
        Ok(Self {
            checks,
            is_failing: AtomicBool::new(false),
        })
    }

    /// Whether requests to the registry are to be refused now.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Whether there is any check.
    pub(super) fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// The checks that fail now, sorted by their names.
    pub(super) fn failed(&self) -> Vec<FailedCheck> {
        let failed = self.checks.iter().filter_map(|check| {
            let reason = check.failure()?;
            let name = check.name.clone();
            Some(FailedCheck { name, reason })
        });
        let mut failed: Vec<_> = failed.collect();
        failed.sort_by(|a, b| a.name.cmp(&b.name));
        failed
    }

    /// Checks again and again, until it is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        for place in 0..self.checks.len() {
            let health = Arc::clone(&self);
            tasks.spawn(async move { health.poll(place).await });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn poll(&self, place: usize) {
        let Some(check) = self.checks.get(place) else {
            return;
        };
        loop {
            tokio::time::sleep(check.poll.interval).await;
            check.note(check.check.run().await);
            let is_failing = self.checks.iter().any(|check| check.failure().is_some());
            self.is_failing.store(is_failing, Ordering::Relaxed);
        }
    }
}

impl HealthCheck {
    /// Why it counts as failed now.
    fn failure(&self) -> Option<String> {
        let outcome = self.outcome();
        let is_failed = outcome.failures >= self.poll.threshold.max(1);
        outcome.reason.clone().filter(|_| is_failed)
    }

    fn note(&self, result: Result<(), String>) {
        let was_failed = self.failure().is_some();
        let mut outcome = self.outcome();
        match result {
            Ok(()) => *outcome = CheckOutcomes::default(),
            Err(reason) => {
                outcome.failures = outcome.failures.saturating_add(1);
                outcome.reason = Some(reason);
            }
        }
        drop(outcome);
        let check = self.name.as_str();
        match (was_failed, self.failure()) {
            (false, Some(reason)) => {
                tracing::error!(
                    check,
                    reason,
                    "a health check fails: the registry responds 503"
                );
            }
            (true, None) => tracing::info!(check, "a health check succeeds again"),
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn outcome(&self) -> MutexGuard<'_, CheckOutcomes> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What Distribution calls the driver of this storage.
pub(super) fn driver_name(storage: &StorageDriver) -> &'static str {
    match storage {
        StorageDriver::Filesystem(_) => "filesystem",
        StorageDriver::S3(_) => "s3aws",
        StorageDriver::InMemory => "inmemory",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(threshold: u32) -> HealthCheck {
        HealthCheck {
            name: "x".to_owned(),
            poll: PollSettings {
                interval: Duration::from_secs(1),
                threshold,
            },
            check: Check::File("/nowhere".into()),
            outcome: Mutex::default(),
        }
    }

    #[test]
    fn a_threshold_is_a_number_of_failures_in_a_row() {
        for (threshold, needed) in [(0, 1), (1, 1), (3, 3)] {
            let check = check(threshold);
            for _ in 1..needed {
                check.note(Err("away".to_owned()));
                assert_eq!(check.failure(), None);
            }
            check.note(Err("away".to_owned()));
            assert_eq!(check.failure().as_deref(), Some("away"));
            check.note(Ok(()));
            assert_eq!(check.failure(), None);
        }
    }

    #[test]
    fn a_success_begins_the_row_again() {
        let check = check(2);
        for result in [Err("a".to_owned()), Ok(()), Err("b".to_owned())] {
            check.note(result);
        }
        assert_eq!(check.failure(), None);
    }
}
