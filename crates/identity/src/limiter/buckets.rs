//! How much of its rate each key has used.
//!
//! A bucket is one moment: when everything that was taken is given back (the "generic cell rate
//! algorithm"). A place moves this moment on by the rate's interval, and no place can move it further
//! than a period ahead of now. A bucket whose moment has passed is the same as no bucket.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::keyed_hash::KeyedDigest;

/// How many buckets there may be, at some 100 bytes each.
const CAPACITY: usize = 1 << 16;

/// Buckets by key, bounded in number.
///
/// When there are too many, those that owe least go first. An attacker who wants its own forgotten
/// must fill all the others as much, which takes longer than waiting.
#[derive(Default)]
pub(super) struct Buckets(HashMap<KeyedDigest, Bucket>);

#[derive(Default)]
struct Bucket {
    /// When everything is given back, since the Unix epoch.
    clear: Duration,
    /// Places taken by attempts in progress.
    in_progress: u32,
    /// Wakes the attempts that wait when one in progress ends.
    decided: Arc<Notify>,
}

/// A place asked for in one bucket.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) key: KeyedDigest,
    pub(super) period: Duration,
    pub(super) interval: Duration,
}

/// What became of claims.
pub(super) enum AttemptReservation {
    /// Every place is taken.
    Made,
    /// It depends on attempts in progress: ask again when one of them ends.
    After(OwnedNotified),
    /// A bucket is full, for this long.
    Later(Duration),
}

impl Buckets {
    /// Takes a place in every bucket that is claimed, or in none.
    pub(super) fn reserve(
        &mut self,
        now: Duration,
        claims: &[Option<Claim>],
    ) -> AttemptReservation {
        let mut later = Duration::ZERO;
        let mut after = None;
        for claim in claims.iter().flatten() {
            let Some(bucket) = self.0.get(&claim.key) else {
                continue;
            };
            let wait =
                (bucket.clear(now, claim) + claim.interval).saturating_sub(now + claim.period);
            match bucket.in_progress {
                _ if wait.is_zero() => {}
                0 => later = later.max(wait),
                _ => after = Some(bucket.decided.clone()),
            }
        }
        if !later.is_zero() {
            return AttemptReservation::Later(later);
        }
        if let Some(decided) = after {
            return AttemptReservation::After(decided.notified_owned());
        }
        self.make_room(now);
        for claim in claims.iter().flatten() {
            let bucket = self.0.entry(claim.key).or_default();
            bucket.clear = bucket.clear(now, claim) + claim.interval;
            bucket.in_progress += 1;
        }
        AttemptReservation::Made
    }

    /// Ends an attempt: a failure's places stay taken, a success's are given back.
    pub(super) fn settle(&mut self, now: Duration, claims: &[Option<Claim>], failed: bool) {
        for claim in claims.iter().flatten() {
            let Some(bucket) = self.0.get_mut(&claim.key) else {
                continue;
            };
            bucket.in_progress = bucket.in_progress.saturating_sub(1);
            if !failed {
                bucket.clear = bucket.clear.saturating_sub(claim.interval);
            }
            if !failed || bucket.in_progress == 0 {
                bucket.decided.notify_waiters();
            }
            if bucket.is_idle(now) {
                self.0.remove(&claim.key);
            }
        }
    }

    /// Drops the buckets that owe nothing and, if those are too few, the eighth that owes least. Never
    /// drops one with an attempt in progress.
    fn make_room(&mut self, now: Duration) {
        if self.0.len() < CAPACITY {
            return;
        }
        self.0.retain(|_, bucket| !bucket.is_idle(now));
        if self.0.len() < CAPACITY {
            return;
        }
        let mut moments: Vec<Duration> = self.0.values().map(|bucket| bucket.clear).collect();
        let (_, &mut least, _) = moments.select_nth_unstable(CAPACITY / 8);
        self.0
            .retain(|_, bucket| bucket.in_progress > 0 || bucket.clear > least);
    }
}

impl Bucket {
    /// The bucket's moment, at least `now`. It is at most a period ahead, so that a clock that was set
    /// back locks no client out for long.
    fn clear(&self, now: Duration, claim: &Claim) -> Duration {
        self.clear.clamp(now, now + claim.period)
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.in_progress == 0 && self.clear <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(60);
    const INTERVAL: Duration = Duration::from_secs(6);
    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn claim(n: u64) -> [Option<Claim>; 1] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        [Some(Claim {
            key,
            period: PERIOD,
            interval: INTERVAL,
        })]
    }

    fn fail(buckets: &mut Buckets, now: Duration, n: u64) -> bool {
        let made = matches!(buckets.reserve(now, &claim(n)), AttemptReservation::Made);
        if made {
            buckets.settle(now, &claim(n), true);
        }
        made
    }

    #[test]
    fn flooding_does_not_free_the_fullest_bucket() {
        let mut buckets = Buckets::default();
        while fail(&mut buckets, NOW, 0) {}
        for n in 1..=(2 * CAPACITY as u64) {
            assert!(fail(&mut buckets, NOW, n));
        }
        assert!(buckets.0.len() <= CAPACITY);
        assert!(!fail(&mut buckets, NOW, 0));
    }

    #[test]
    fn a_bucket_that_owes_nothing_takes_no_room() {
        let mut buckets = Buckets::default();
        assert!(matches!(
            buckets.reserve(NOW, &claim(1)),
            AttemptReservation::Made
        ));
        buckets.settle(NOW, &claim(1), false);
        assert!(buckets.0.is_empty());
        for n in 0..CAPACITY as u64 {
            assert!(fail(&mut buckets, NOW, n));
        }
        assert!(fail(&mut buckets, NOW + INTERVAL, u64::MAX));
        assert_eq!(buckets.0.len(), 1);
    }

    #[test]
    fn a_claim_that_fails_takes_no_place_elsewhere() {
        let mut buckets = Buckets::default();
        while fail(&mut buckets, NOW, 1) {}
        let [one] = claim(1);
        let [two] = claim(2);
        assert!(
            matches!(buckets.reserve(NOW, &[two, one]), AttemptReservation::Later(wait) if wait == INTERVAL)
        );
        assert_eq!(buckets.0.len(), 1);
    }

    proptest! {
        /// Whatever the times: in no period are there more failures than ten, and the ten that
        /// refill.
        #[test]
        fn never_more_than_the_rate(steps in proptest::collection::vec(0_u64..20_000, 1..200)) {
            let mut buckets = Buckets::default();
            let mut now = NOW;
            let mut admitted = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                if fail(&mut buckets, now, 7) {
                    admitted.push(now);
                }
            }
            for (n, &start) in admitted.iter().enumerate() {
                let within = admitted[n..].iter().filter(|&&at| at < start + PERIOD).count();
                prop_assert!(within <= 20);
            }
            let total = (now - NOW).as_secs() / INTERVAL.as_secs() + 10;
            prop_assert!(admitted.len() as u64 <= total);
        }
    }
}
