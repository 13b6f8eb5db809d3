//! Decisions that a server or a program allows to be remembered.
//!
//! The key is the digest of the whole question, so another account, address, label or action is
//! another question. Who answers says for how long; without that, nothing is remembered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use common::Clock;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// The longest time that a decision is remembered, whatever the answer says.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// The most memory that the cache takes, in bytes.
const CAPACITY: u64 = 4 << 20;

/// The weight of a usual decision, in bytes.
const USUAL: u64 = 256;

/// The SHA-256 of a question.
pub(super) type QuestionDigest = [u8; 32];

/// What was granted; `None` if the server had no decision.
pub(super) type GrantedActions = Option<Vec<String>>;

/// Remembered decisions, bounded in bytes.
pub(super) struct DecisionCache {
    clock: Arc<dyn Clock>,
    decisions: Cache<QuestionDigest, CachedDecision, Weigh>,
}

#[derive(Clone)]
struct CachedDecision {
    granted: Arc<GrantedActions>,
    since: SystemTime,
    period: Duration,
}

impl DecisionCache {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let items = usize::try_from(CAPACITY / USUAL).unwrap_or(usize::MAX);
        Self {
            clock,
            decisions: Cache::with_weighter(items, CAPACITY, Weigh),
        }
    }

    pub(super) fn key(question: &str) -> QuestionDigest {
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, question.as_bytes()).as_ref());
        key
    }

    pub(super) fn get(&self, key: &QuestionDigest) -> Option<GrantedActions> {
        let cached = self.decisions.get(key)?;
        // After the clock was set back this is an error, and the decision is forgotten: too early is
        // better than too late.
        let age = self.clock.now().duration_since(cached.since);
        if age.is_ok_and(|age| age < cached.period) {
            return Some(cached.granted.as_ref().clone());
        }
        self.decisions.remove(key);
        None
    }

    /// Remembers `granted` for `period`, but not for longer than [`LONGEST`].
    pub(super) fn insert(&self, key: QuestionDigest, granted: &GrantedActions, period: Duration) {
        let period = period.min(LONGEST);
        if period.is_zero() {
            return;
        }
        let cached = CachedDecision {
            granted: Arc::new(granted.clone()),
            since: self.clock.now(),
            period,
        };
        self.decisions.insert(key, cached);
    }
}

#[derive(Clone)]
struct Weigh;

impl Weighter<QuestionDigest, CachedDecision> for Weigh {
    fn weight(&self, _: &QuestionDigest, cached: &CachedDecision) -> u64 {
        let actions = cached.granted.iter().flatten();
        let actions: usize = actions
            .map(|action| action.len() + size_of::<String>())
            .sum();
        (size_of::<QuestionDigest>() + size_of::<CachedDecision>() + 64 + actions) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::UNIX_EPOCH;

    use super::*;

    struct HeldClock(Mutex<SystemTime>);

    impl Clock for HeldClock {
        fn now(&self) -> SystemTime {
            *self.0.lock().unwrap()
        }
    }

    fn cache() -> (DecisionCache, Arc<HeldClock>) {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let clock = Arc::new(HeldClock(Mutex::new(start)));
        (DecisionCache::new(clock.clone()), clock)
    }

    fn granted() -> GrantedActions {
        Some(vec!["pull".to_owned()])
    }

    #[test]
    fn a_decision_is_remembered_for_as_long_as_the_answer_says() {
        let (cache, clock) = cache();
        let (one, two) = (DecisionCache::key("one"), DecisionCache::key("two"));
        cache.insert(one, &granted(), Duration::from_secs(5));
        cache.insert(two, &None, Duration::from_secs(5));
        assert_eq!(
            (cache.get(&one), cache.get(&two)),
            (Some(granted()), Some(None))
        );
        assert_eq!(cache.get(&DecisionCache::key("three")), None);
        *clock.0.lock().unwrap() += Duration::from_secs(5);
        assert_eq!((cache.get(&one), cache.get(&two)), (None, None));
        cache.insert(one, &granted(), Duration::ZERO);
        assert_eq!(cache.get(&one), None);
    }

    #[test]
    fn no_answer_is_remembered_for_longer_than_an_hour() {
        let (cache, clock) = cache();
        let key = DecisionCache::key("one");
        cache.insert(key, &granted(), Duration::MAX);
        *clock.0.lock().unwrap() += LONGEST - Duration::from_secs(1);
        assert_eq!(cache.get(&key), Some(granted()));
        *clock.0.lock().unwrap() += Duration::from_secs(1);
        assert_eq!(cache.get(&key), None);
    }

    #[test]
    fn a_clock_set_back_forgets_a_decision() {
        let (cache, clock) = cache();
        let key = DecisionCache::key("one");
        cache.insert(key, &granted(), LONGEST);
        *clock.0.lock().unwrap() -= Duration::from_secs(1);
        assert_eq!(cache.get(&key), None);
    }

    #[test]
    fn the_memory_of_decisions_is_bounded() {
        let (cache, _) = cache();
        let many = Some(vec!["x".repeat(60_000)]);
        for n in 0..1000 {
            cache.insert(DecisionCache::key(&n.to_string()), &many, LONGEST);
        }
        assert!(cache.decisions.weight() <= CAPACITY);
        assert!((1..=70).contains(&cache.decisions.len()));
    }
}
