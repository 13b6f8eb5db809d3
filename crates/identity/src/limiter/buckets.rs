//! How much of its rate each key has used up.
//!
//! A bucket is one moment: when all that was taken will have been given back (the "generic cell
//! rate algorithm"). A place moves it on by the rate's interval, and no place may move it further
//! than a period ahead of now. A bucket whose moment has passed is as good as none.

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
/// When there are too many, those that owe least go first. So whoever wants his own forgotten must
/// fill as many others as there is room for, each of them as full as his, which takes longer than
/// waiting.
#[derive(Default)]
pub(super) struct Buckets(HashMap<KeyedDigest, Bucket>);

#[derive(Default)]
struct Bucket {
    /// When all is given back, since the Unix epoch.
    clear: Duration,
    /// Places taken by attempts that are not decided yet.
    under_way: u32,
    /// Tells those who wait that something was decided.
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
pub(super) enum Reservation {
    /// All were granted.
    Made,
    /// It depends on attempts that are under way: ask again when one of them is decided.
    After(OwnedNotified),
    /// At least one was not, and will not be before so much time has passed.
    Later(Duration),
}

impl Buckets {
    /// Takes a place in every bucket that is claimed, or in none.
    pub(super) fn reserve(&mut self, now: Duration, claims: &[Option<Claim>]) -> Reservation {
        let mut later = Duration::ZERO;
        let mut after = None;
        for claim in claims.iter().flatten() {
            let Some(bucket) = self.0.get(&claim.key) else {
                continue;
            };
            let wait =
                (bucket.clear(now, claim) + claim.interval).saturating_sub(now + claim.period);
            match bucket.under_way {
                _ if wait.is_zero() => {}
                0 => later = later.max(wait),
                _ => after = Some(bucket.decided.clone()),
            }
        }
        if !later.is_zero() {
            return Reservation::Later(later);
        }
        if let Some(decided) = after {
            return Reservation::After(decided.notified_owned());
        }
        self.make_room(now);
        for claim in claims.iter().flatten() {
            let bucket = self.0.entry(claim.key).or_default();
            bucket.clear = bucket.clear(now, claim) + claim.interval;
            bucket.under_way += 1;
        }
        Reservation::Made
    }

    /// Decides an attempt: a failure's places stay taken, a success's are given back.
    pub(super) fn settle(&mut self, now: Duration, claims: &[Option<Claim>], failed: bool) {
        for claim in claims.iter().flatten() {
            let Some(bucket) = self.0.get_mut(&claim.key) else {
                continue;
            };
            bucket.under_way = bucket.under_way.saturating_sub(1);
            if !failed {
                bucket.clear = bucket.clear.saturating_sub(claim.interval);
            }
            if !failed || bucket.under_way == 0 {
                bucket.decided.notify_waiters();
            }
            if bucket.is_idle(now) {
                self.0.remove(&claim.key);
            }
        }
    }

    /// Drops what owes nothing, and if that is too little, the eighth that owes least; never what
    /// is under way.
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
            .retain(|_, bucket| bucket.under_way > 0 || bucket.clear > least);
    }
}

impl Bucket {
    /// The bucket's moment, at least `now`; and at most a period ahead, lest a clock that was set
    /// back shut out for long.
    fn clear(&self, now: Duration, claim: &Claim) -> Duration {
        self.clear.clamp(now, now + claim.period)
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.under_way == 0 && self.clear <= now
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
        let made = matches!(buckets.reserve(now, &claim(n)), Reservation::Made);
        if made {
            buckets.settle(now, &claim(n), true);
        }
        made
    }

    #[test]
    fn flooding_does_not_free_who_owes_most() {
        let mut buckets = Buckets::default();
        while fail(&mut buckets, NOW, 0) {}
        for n in 1..=(2 * CAPACITY as u64) {
            assert!(fail(&mut buckets, NOW, n));
        }
        assert!(buckets.0.len() <= CAPACITY);
        assert!(!fail(&mut buckets, NOW, 0));
    }

    #[test]
    fn what_owes_nothing_takes_no_room() {
        let mut buckets = Buckets::default();
        assert!(matches!(buckets.reserve(NOW, &claim(1)), Reservation::Made));
        buckets.settle(NOW, &claim(1), false);
        assert!(buckets.0.is_empty());
        for n in 0..CAPACITY as u64 {
            assert!(fail(&mut buckets, NOW, n));
        }
        assert!(fail(&mut buckets, NOW + INTERVAL, u64::MAX));
        assert_eq!(buckets.0.len(), 1);
    }

    #[test]
    fn a_refused_claim_takes_no_place_elsewhere() {
        let mut buckets = Buckets::default();
        while fail(&mut buckets, NOW, 1) {}
        let [one] = claim(1);
        let [two] = claim(2);
        assert!(
            matches!(buckets.reserve(NOW, &[two, one]), Reservation::Later(wait) if wait == INTERVAL)
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
            let mut heard = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                if fail(&mut buckets, now, 7) {
                    heard.push(now);
                }
            }
            for (n, &start) in heard.iter().enumerate() {
                let within = heard[n..].iter().filter(|&&at| at < start + PERIOD).count();
                prop_assert!(within <= 20);
            }
            let total = (now - NOW).as_secs() / INTERVAL.as_secs() + 10;
            prop_assert!(heard.len() as u64 <= total);
        }
    }
}
