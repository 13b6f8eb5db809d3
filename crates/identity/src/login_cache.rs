//! Accepted logins, remembered for a short time.
//!
//! A client logs in every few requests, and one verification costs as much as thousands of tokens.
//! So an accepted login is kept under a keyed digest of its proof: the proof cannot be read from
//! memory, and the next login costs one HMAC and one lookup. Rejections are never kept. A reload
//! starts with an empty cache, so a changed password counts at once. A login counts only under the
//! *revision* of the backends under which it was accepted, so a change that they notice counts, too.
//! Only backends whose accounts change unseen, such as `ext_auth`, may be out of date by this much
//! (`login.remember: 0` asks them every time).

use std::mem::size_of;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, Counter, Entropy, EntropyError};
use policy::CeilingEntry;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::keyed_hash::{KeyedDigest, KeyedHash};
use crate::{AcceptedLogin, LoginRetention, Proof};

/// The most memory that the cache takes, in bytes. (Labels come from programs and may be long.)
const CAPACITY: u64 = 8 << 20;

/// The weight of a usual login, in bytes.
const USUAL: u64 = 512;

/// A cache of accepted logins, bounded in bytes.
pub struct LoginCache {
    hash: KeyedHash,
    period: Duration,
    clock: Arc<dyn Clock>,
    logins: Cache<KeyedDigest, CachedLogin, Weigh>,
    hits: Counter,
    misses: Counter,
}

/// How useful the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginCacheStatistics {
    /// How many logins are remembered now.
    pub entries: usize,
    /// How often a login was remembered.
    pub hits: u64,
    /// How often it was not.
    pub misses: u64,
}

#[derive(Clone)]
struct CachedLogin {
    accepted: Arc<AcceptedLogin>,
    since: SystemTime,
    revision: u64,
}

impl LoginCache {
    /// An empty cache that keeps logins for `period`. Zero turns it off.
    ///
    /// # Errors
    /// When the system has no randomness for the cache's key.
    pub fn new(
        period: Duration,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        let hash = KeyedHash::new(entropy)?;
        let items = usize::try_from(CAPACITY / USUAL).unwrap_or(usize::MAX);
        Ok(Self {
            hash,
            period,
            clock,
            logins: Cache::with_weighter(items, CAPACITY, Weigh),
            hits: Counter::default(),
            misses: Counter::default(),
        })
    }

    pub(crate) fn statistics(&self) -> LoginCacheStatistics {
        LoginCacheStatistics {
            entries: self.logins.len(),
            hits: self.hits.value(),
            misses: self.misses.value(),
        }
    }

    /// Counts a login that is looked up first in the cache.
    pub(crate) fn count(&self, is_hit: bool) {
        match is_hit {
            true => self.hits.increment(),
            false => self.misses.increment(),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.period > Duration::ZERO
    }

    pub(crate) fn key(&self, proof: &Proof) -> KeyedDigest {
        let (account, secret) = (proof.account(), proof.secret().expose());
        self.hash
            .digest(&[proof.kind(), account.as_bytes(), secret.as_bytes()])
    }

    pub(crate) fn get(&self, key: &KeyedDigest, revision: u64) -> Option<Arc<AcceptedLogin>> {
        let cached = self.logins.get(key)?;
        // After the clock was set back this is an error, and the login is forgotten: too early is
        // better than too late.
        let now = self.clock.now();
        let age = now.duration_since(cached.since);
        let terms = &cached.accepted.identity.terms;
        let has_ended = matches!(terms.retention, LoginRetention::Until(end) if end <= now);
        let is_kept = cached.revision == revision && !has_ended;
        if is_kept && age.is_ok_and(|age| age < self.period) {
            return Some(cached.accepted);
        }
        self.logins.remove(key);
        None
    }

    pub(crate) fn insert(&self, key: KeyedDigest, accepted: Arc<AcceptedLogin>, revision: u64) {
        let cached = CachedLogin {
            accepted,
            since: self.clock.now(),
            revision,
        };
        self.logins.insert(key, cached);
    }
}

#[derive(Clone)]
struct Weigh;

impl Weighter<KeyedDigest, CachedLogin> for Weigh {
    fn weight(&self, _: &KeyedDigest, cached: &CachedLogin) -> u64 {
        let AcceptedLogin {
            identity,
            asked_before,
            ..
        } = &*cached.accepted;
        let text = |text: &String| text.len() + size_of::<String>();
        let list = |list: &Vec<String>| list.iter().map(text).sum::<usize>();
        let labels: usize = identity
            .subject
            .labels
            .iter()
            .map(|(name, values)| text(name) + list(values) + 64)
            .sum();
        let entries = identity.ceiling.entries().unwrap_or_default();
        let ceiling = entries.iter().map(|entry| {
            size_of::<CeilingEntry>()
                + entry.resource_type.len()
                + entry.name.len()
                + list(&entry.actions)
        });
        let ceiling: usize = ceiling.sum();
        (size_of::<KeyedDigest>()
            + size_of::<CachedLogin>()
            + size_of::<AcceptedLogin>()
            + asked_before.len() * size_of::<&str>()
            + text(&identity.subject.account)
            + text(&identity.terms.origin)
            + labels
            + ceiling) as u64
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;
    use policy::{Labels, Subject};

    use super::*;
    use crate::fixtures::HeldClock;
    use crate::{Credentials, Identity};

    fn accepted(account: &str, labels: Labels) -> Arc<AcceptedLogin> {
        let account = account.into();
        Arc::new(AcceptedLogin {
            identity: Identity::new(Subject { account, labels }),
            backend: "users",
            asked_before: Vec::new(),
        })
    }

    fn ann() -> Arc<AcceptedLogin> {
        accepted("ann", Labels::new())
    }

    fn proof(account: &str, password: &str) -> Proof {
        Proof::Password(Credentials {
            account: account.into(),
            password: password.into(),
        })
    }

    fn cache(seconds: u64) -> (LoginCache, Arc<HeldClock>) {
        let clock = Arc::new(HeldClock::default());
        let period = Duration::from_secs(seconds);
        let cache = LoginCache::new(period, clock.clone(), &SystemEntropy).unwrap();
        (cache, clock)
    }

    #[test]
    fn a_login_is_kept_until_the_period_is_over() {
        let (cache, clock) = cache(60);
        let key = cache.key(&proof("ann", "p"));
        assert_eq!(cache.get(&key, 0), None);
        cache.insert(key, ann(), 0);
        clock.pass(Duration::from_millis(59_999));
        assert_eq!(cache.get(&key, 0), Some(ann()));
        for other in [
            proof("ann", "q"),
            proof("an", "np"),
            proof("", "p"),
            Proof::BearerToken("p".into()),
            Proof::FederatedToken("p".into()),
        ] {
            assert_eq!(cache.get(&cache.key(&other), 0), None);
        }
        clock.pass(Duration::from_millis(1));
        assert_eq!(cache.get(&key, 0), None);
        assert_eq!(cache.logins.len(), 0);
    }

    #[test]
    fn a_login_is_not_kept_beyond_the_end_of_its_proof() {
        let (cache, clock) = cache(60);
        let key = cache.key(&proof("", "token"));
        let mut login = Arc::unwrap_or_clone(ann());
        login.identity.terms.retention =
            LoginRetention::Until(clock.now() + Duration::from_secs(5));
        cache.insert(key, Arc::new(login), 0);
        clock.pass(Duration::from_millis(4_999));
        assert!(cache.get(&key, 0).is_some());
        clock.pass(Duration::from_millis(1));
        assert_eq!(cache.get(&key, 0), None);
    }

    #[test]
    fn a_login_counts_only_under_the_revision_of_its_backends() {
        let (cache, _) = cache(60);
        let key = cache.key(&proof("ann", "p"));
        cache.insert(key, ann(), 7);
        assert_eq!(cache.get(&key, 7), Some(ann()));
        assert_eq!(cache.get(&key, 8), None);
        assert_eq!(cache.get(&key, 7), None, "it is forgotten");
    }

    #[test]
    fn a_clock_set_back_forgets() {
        let (cache, clock) = cache(60);
        let key = cache.key(&proof("ann", "p"));
        cache.insert(key, ann(), 0);
        clock.set_back(Duration::from_secs(1));
        assert_eq!(cache.get(&key, 0), None);
    }

    #[test]
    fn the_cache_is_bounded_in_bytes() {
        let (cache, _) = cache(60);
        let labels = [("group".to_owned(), vec!["x".repeat(60_000)])];
        let long = accepted("ann", labels.into_iter().collect());
        for n in 0..1000 {
            cache.insert(cache.key(&proof("ann", &n.to_string())), long.clone(), 0);
        }
        assert!(cache.logins.weight() <= CAPACITY);
        let kept = cache.logins.len();
        assert!((1..=140).contains(&kept), "{kept}");
    }
}
