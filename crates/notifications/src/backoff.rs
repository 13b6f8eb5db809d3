//! When an endpoint that fails is tried again.

use std::time::{Duration, SystemTime};

/// Counts failures in a row, as Distribution's breaker does: fewer than `threshold` are followed by the
/// next attempt at once, more by a pause of `backoff` after each.
#[derive(Debug)]
pub(crate) struct FailureBackoff {
    threshold: u32,
    backoff: Duration,
    failures: u32,
    failed_at: SystemTime,
}

impl FailureBackoff {
    pub(crate) fn new(threshold: u32, backoff: Duration) -> Self {
        Self {
            threshold,
            backoff,
            failures: 0,
            failed_at: SystemTime::UNIX_EPOCH,
        }
    }

    /// How long to wait before the next attempt.
    pub(crate) fn pause(&self, now: SystemTime) -> Duration {
        if self.failures < self.threshold {
            return Duration::ZERO;
        }
        // If the clock was set back, the failure may seem to lie ahead.
        let age = now.duration_since(self.failed_at).unwrap_or_default();
        self.backoff.saturating_sub(age)
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Returns whether this failure is the first after which attempts are delayed.
    pub(crate) fn failed(&mut self, now: SystemTime) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
        self.failures == self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_pauses_after_as_many_failures_as_the_threshold_says() {
        let start = SystemTime::UNIX_EPOCH + SECOND * 1000;
        let mut backoff = FailureBackoff::new(3, SECOND);
        assert!(!backoff.failed(start) && !backoff.failed(start));
        assert_eq!(backoff.pause(start), Duration::ZERO);
        assert!(backoff.failed(start));
        assert_eq!(backoff.pause(start), SECOND);
        assert_eq!(backoff.pause(start + SECOND / 4), SECOND * 3 / 4);
        assert_eq!(backoff.pause(start + SECOND), Duration::ZERO);
        // A later failure begins another pause, and a success ends them.
        assert!(!backoff.failed(start + SECOND));
        assert_eq!(backoff.pause(start + SECOND), SECOND);
        backoff.succeeded();
        assert_eq!(backoff.pause(start + SECOND), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_is_set_back_delays_by_one_pause_at_most() {
        let start = SystemTime::UNIX_EPOCH + SECOND * 1000;
        let mut backoff = FailureBackoff::new(1, SECOND);
        backoff.failed(start);
        assert_eq!(backoff.pause(start - SECOND * 500), SECOND);
    }
}
