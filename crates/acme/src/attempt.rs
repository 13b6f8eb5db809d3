//! When the next attempt may be made after one that failed.
//!
//! Authorities limit how often a host may fail: Let's Encrypt to five times an hour. So what failed is
//! in the store. A server that is started again and again, or several servers, count together.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::unix_seconds;
use serde::{Deserialize, Serialize};

/// What is recorded of an attempt before its end.
const INTERRUPTED: &str = "the attempt was interrupted";

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPauses {
    /// After the first failure. Each further one doubles it.
    pub first: Duration,
    /// The longest pause, also if the ACME server asks for a longer one.
    pub longest: Duration,
}

impl Default for RetryPauses {
    /// From a minute to six hours.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(60),
            longest: Duration::from_secs(6 * 3600),
        }
    }
}

/// What the store knows of the attempts for a host since its last certificate, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// How many failed, or were interrupted, in a row.
    pub failures: u32,
    /// When the last one began, in seconds since the Unix epoch.
    pub began: u64,
    /// Before when no other is made, likewise.
    pub not_before: u64,
    /// Why it failed.
    pub error: String,
    /// Tells the settings apart with which it was made.
    pub settings: String,
}

impl AttemptRecord {
    /// The attempt that begins now, as it is recorded in case that the server dies in it.
    pub(crate) fn beginning(
        before: Option<&Self>,
        now: SystemTime,
        settings: String,
        pauses: RetryPauses,
    ) -> Self {
        let before = before.filter(|before| before.settings == settings);
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let pause = pauses.after(failures);
        Self {
            failures,
            began: unix_seconds(now),
            not_before: unix_seconds(now + pause),
            error: INTERRUPTED.to_owned(),
            settings,
        }
    }

    /// The same when it has failed, and the ACME server asked to wait `retry_after`.
    pub(crate) fn failed(
        self,
        error: String,
        now: SystemTime,
        retry_after: Option<Duration>,
        pauses: RetryPauses,
    ) -> Self {
        let pause = pauses.after(self.failures);
        let pause = pause.max(retry_after.unwrap_or_default());
        Self {
            not_before: unix_seconds(now + pause.min(pauses.longest)),
            error,
            ..self
        }
    }

    /// How long to wait from now on. After a clock has been set back, never more than the longest
    /// pause.
    pub(crate) fn wait(&self, now: SystemTime, settings: &str, pauses: RetryPauses) -> Duration {
        if self.settings != settings {
            return Duration::ZERO;
        }
        let wait = self.next_attempt().duration_since(now).unwrap_or_default();
        match wait <= pauses.longest {
            true => wait,
            false => Duration::ZERO,
        }
    }

    /// Whether nothing is known of the end of the last attempt: it goes on, or it was interrupted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.error == INTERRUPTED
    }

    /// When the next attempt is made.
    #[must_use]
    pub fn next_attempt(&self) -> SystemTime {
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(self.not_before));
        time.unwrap_or(UNIX_EPOCH)
    }
}

impl RetryPauses {
    /// The pause after so many failures in a row.
    fn after(self, failures: u32) -> Duration {
        let doubled = failures.saturating_sub(1).min(30);
        self.first.saturating_mul(1 << doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: SystemTime = UNIX_EPOCH;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = RetryPauses::default();
        let minutes: Vec<_> = (1..=12)
            .map(|failures| pauses.after(failures).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]);
        assert_eq!(pauses.after(u32::MAX), pauses.longest);
    }

    #[test]
    fn the_acme_server_may_ask_for_a_longer_pause_within_the_bound() {
        let pauses = RetryPauses::default();
        let now = NOW + 1000 * SECOND;
        let begin = || AttemptRecord::beginning(None, now, "a".to_owned(), pauses);
        let failed = |after| begin().failed("no".to_owned(), now, after, pauses);
        let wait = |record: &AttemptRecord, settings| record.wait(now, settings, pauses).as_secs();
        assert_eq!(wait(&begin(), "a"), 60);
        assert_eq!(wait(&failed(None), "a"), 60);
        assert_eq!(wait(&failed(Some(SECOND)), "a"), 60);
        assert_eq!(wait(&failed(Some(3600 * SECOND)), "a"), 3600);
        assert_eq!(wait(&failed(Some(Duration::MAX / 4)), "a"), 6 * 3600);
        assert_eq!(wait(&failed(None), "b"), 0, "other settings may work");
    }

    #[test]
    fn failures_count_on_for_the_same_settings() {
        let pauses = RetryPauses::default();
        let begin = |before: Option<&AttemptRecord>, settings: &str| {
            AttemptRecord::beginning(before, NOW, settings.to_owned(), pauses)
        };
        let second = begin(Some(&begin(None, "a")), "a");
        assert_eq!((second.failures, second.not_before), (2, 120));
        assert_eq!(begin(Some(&second), "b").failures, 1);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_attempts() {
        let pauses = RetryPauses::default();
        let year = Duration::from_secs(365 * 86_400);
        let record = AttemptRecord::beginning(None, NOW + year, "a".to_owned(), pauses);
        assert_eq!(record.wait(NOW, "a", pauses), Duration::ZERO);
        assert_eq!(
            record.wait(NOW + year + 61 * SECOND, "a", pauses),
            Duration::ZERO
        );
    }
}
