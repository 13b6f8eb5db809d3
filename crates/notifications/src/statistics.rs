//! What is counted of each endpoint, by the names that Distribution's metrics have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// What was counted since the start of this server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationStatistics {
    /// Each endpoint, in the order of the configuration.
    pub endpoints: Vec<EndpointStatistics>,
}

/// What was counted of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointStatistics {
    /// Its name.
    pub name: String,
    /// Notifications that were queued (`registry_notifications_events_total{type="Events"}`).
    pub events: u64,
    /// Events in requests that the endpoint accepted (`type="Successes"`).
    pub successes: u64,
    /// Events in requests that it answered with an error (`type="Failures"`).
    pub failures: u64,
    /// Events in requests without an answer (`type="Errors"`).
    pub errors: u64,
    /// Notifications of pulls and blobs that were lost because the queue in memory was full.
    pub dropped: u64,
    /// Notifications that were set aside: the queue in the database was full, or their time was over.
    pub given_up: u64,
    /// How many wait: in the memory of this server, and in the database as far as this server delivers
    /// from there (`registry_notifications_pending`).
    pub pending: u64,
    /// How many events were in requests with which status (`registry_notifications_status_total{code}`):
    /// see [`status_label`].
    pub statuses: BTreeMap<u16, u64>,
}

/// A status with its words, as Distribution labels it: `200 OK`.
///
/// ```
/// assert_eq!(notifications::status_label(503), "503 Service Unavailable");
/// ```
#[must_use]
pub fn status_label(status: u16) -> String {
    let known = http::StatusCode::from_u16(status).ok();
    let words = known.and_then(|status| status.canonical_reason());
    format!("{status} {}", words.unwrap_or_default())
}

#[derive(Debug, Default)]
pub(crate) struct EndpointCounters {
    pub(crate) events: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) given_up: AtomicU64,
    /// How many wait in the database, if this server delivers from there.
    pub(crate) stored: AtomicU64,
    successes: AtomicU64,
    failures: AtomicU64,
    errors: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
}

impl EndpointCounters {
    /// Counts an attempt to tell of so many events that was accepted.
    pub(crate) fn succeeded(&self, status: u16, events: usize) {
        self.successes.fetch_add(events as u64, Relaxed);
        self.count_status(status, events);
    }

    /// Counts an attempt that was not; `status` is that of the answer, if there was one.
    pub(crate) fn failed(&self, status: Option<u16>, events: usize) {
        match status {
            Some(status) => {
                self.failures.fetch_add(events as u64, Relaxed);
                self.count_status(status, events);
            }
            None => {
                self.errors.fetch_add(events as u64, Relaxed);
            }
        }
    }

    fn count_status(&self, status: u16, events: usize) {
        let statuses = self.statuses.lock();
        let mut statuses = statuses.unwrap_or_else(PoisonError::into_inner);
        *statuses.entry(status).or_default() += events as u64;
    }

    /// What was counted, with so many notifications in memory.
    pub(crate) fn read(&self, name: &str, in_memory: usize) -> EndpointStatistics {
        let statuses = self.statuses.lock();
        let statuses = statuses.unwrap_or_else(PoisonError::into_inner).clone();
        EndpointStatistics {
            name: name.to_owned(),
            events: self.events.load(Relaxed),
            successes: self.successes.load(Relaxed),
            failures: self.failures.load(Relaxed),
            errors: self.errors.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            given_up: self.given_up.load(Relaxed),
            pending: self.stored.load(Relaxed) + in_memory as u64,
            statuses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_of_an_attempt_is_a_success_a_failure_or_an_error() {
        let counters = EndpointCounters::default();
        counters.succeeded(200, 1);
        counters.succeeded(200, 2);
        counters.failed(Some(503), 1);
        counters.failed(None, 4);
        counters.events.fetch_add(3, Relaxed);
        counters.stored.store(2, Relaxed);
        let read = counters.read("a", 5);
        let expected = EndpointStatistics {
            name: "a".to_owned(),
            events: 3,
            successes: 3,
            failures: 1,
            errors: 4,
            pending: 7,
            statuses: [(200, 3), (503, 1)].into(),
            ..EndpointStatistics::default()
        };
        assert_eq!(read, expected);
    }
}
