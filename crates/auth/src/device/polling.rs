//! The times of polls (RFC 8628 §3.5, `slow_down`). They are kept in memory: a poll writes nothing,
//! and after a restart each device may poll once more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::SecretHash;

/// By how much a device that polls too often must slow down.
const SLOWER: Duration = Duration::from_secs(5);

/// How much too early a poll may be: networks do not keep intervals.
const TOLERANCE: Duration = Duration::from_secs(1);

/// When each device polled last.
#[derive(Default)]
pub(super) struct PollPacing(Mutex<HashMap<SecretHash, Pace>>);

struct Pace {
    last: SystemTime,
    interval: Duration,
}

impl PollPacing {
    /// Notes a poll of a login that exists. It is too early if it does not keep the interval, which
    /// is then longer for all that follow. There are at most as many entries as logins within `ttl`.
    pub(super) fn is_too_early(
        &self,
        hash: SecretHash,
        now: SystemTime,
        interval: Duration,
        ttl: Duration,
    ) -> bool {
        // No code panics while it holds the lock.
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !paces.contains_key(&hash) {
            let is_recent = |pace: &Pace| now.duration_since(pace.last).is_ok_and(|it| it < ttl);
            paces.retain(|_, pace| is_recent(pace));
            paces.insert(
                hash,
                Pace {
                    last: now,
                    interval,
                },
            );
            return false;
        }
        let Some(pace) = paces.get_mut(&hash) else {
            return false;
        };
        let since = now.duration_since(pace.last).unwrap_or(Duration::MAX);
        pace.last = now;
        let is_early = since.saturating_add(TOLERANCE) < pace.interval;
        if is_early {
            pace.interval = pace.interval.saturating_add(SLOWER);
        }
        is_early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_device_that_polls_too_often_must_slow_down_for_good() {
        let pacing = PollPacing::default();
        let mut now = SystemTime::UNIX_EPOCH;
        let mut poll = |after: u32, code: u8| {
            now += after * SECOND;
            pacing.is_too_early(SecretHash([code; 32]), now, 5 * SECOND, 600 * SECOND)
        };
        let polls = [(0, false), (5, false), (4, false), (3, true), (6, true)];
        for (after, is_early) in polls {
            assert_eq!(poll(after, 1), is_early, "{after}");
        }
        assert!(!poll(0, 2), "another device");
        // Twice too early: 15 seconds.
        assert!(!poll(15, 1) && poll(13, 1));
    }

    #[test]
    fn paces_of_logins_that_are_over_are_forgotten() {
        let pacing = PollPacing::default();
        let now = SystemTime::UNIX_EPOCH;
        for code in 0..10 {
            let at = now + u32::from(code) * 100 * SECOND;
            pacing.is_too_early(SecretHash([code; 32]), at, SECOND, 150 * SECOND);
        }
        assert_eq!(pacing.0.lock().unwrap().len(), 2);
    }
}
