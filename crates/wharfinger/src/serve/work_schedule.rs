//! When a server looks whether scheduled work is due: garbage collection, and retention.
//!
//! The database knows when such work was last done, so a restart neither delays nor repeats it.

use std::time::Duration;

use common::Entropy;

/// How often a server looks. Another server may have stopped doing the work meanwhile.
const TURN: Duration = Duration::from_secs(10);
/// A start waits up to so much longer, in milliseconds, so that servers on one disk or database that
/// start together do not begin together.
const JITTER: u64 = 30_000;
/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(3600);

/// When a server looks whether work is due.
pub(super) struct WorkSchedule {
    every: Duration,
    /// In a row.
    failures: u32,
}

impl WorkSchedule {
    /// Of work that is done each `every`.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, failures: 0 }
    }

    /// How long after the start.
    pub(super) fn first(&self, entropy: &dyn Entropy) -> Duration {
        let mut random = [0; 8];
        // Without randomness, servers that start together also begin together.
        let jitter = match entropy.fill(&mut random) {
            Ok(()) => u64::from_le_bytes(random) % JITTER,
            Err(_) => 0,
        };
        self.every.min(TURN + Duration::from_millis(jitter))
    }

    /// How long after the last look. Work that keeps failing is tried again later and later.
    pub(super) fn next(&mut self, has_failed: bool) -> Duration {
        self.failures = match has_failed {
            true => self.failures.saturating_add(1),
            false => 0,
        };
        let factor = 2_u32.saturating_pow(self.failures);
        self.every.min(TURN.saturating_mul(factor).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_first_look_is_soon_and_not_at_the_same_time_everywhere() {
        let schedule = WorkSchedule::new(DAY);
        let firsts: Vec<_> = (0..20).map(|_| schedule.first(&SystemEntropy)).collect();
        let range = TURN..TURN + Duration::from_millis(JITTER);
        assert!(firsts.iter().all(|first| range.contains(first)));
        assert!(firsts.iter().any(|first| *first != firsts[0]));
        let often = WorkSchedule::new(Duration::from_secs(1));
        assert_eq!(often.first(&SystemEntropy), Duration::from_secs(1));
    }

    #[test]
    fn failures_make_the_pause_longer_and_a_success_ends_that() {
        let mut schedule = WorkSchedule::new(DAY);
        assert_eq!(schedule.next(false), TURN);
        assert_eq!(schedule.next(true), TURN * 2);
        assert_eq!(schedule.next(true), TURN * 4);
        for _ in 0..100 {
            schedule.next(true);
        }
        assert_eq!(schedule.next(true), LONGEST);
        assert_eq!(schedule.next(false), TURN);
    }
}
