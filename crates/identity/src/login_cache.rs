//! Successes, remembered for a short time.
//!
//! A client logs in for every few requests, and a verification costs as much as thousands of
//! tokens. So a success is kept under a fingerprint of name and password: neither can be read from
//! memory, and the second login costs one HMAC and one lookup. Refusals are never kept. A reload
//! makes a new memory, so a changed password counts at once; only `ext_auth`, whose accounts change
//! unseen, may be this much out of date (`login.remember: 0` asks it every time).

use std::mem::size_of;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, Entropy, EntropyError};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::keyed_hash::{KeyedDigest, KeyedHash};
use crate::{Credentials, Identity};

/// The most memory that remembered successes take, in bytes (their labels come from programs and
/// may be long).
const CAPACITY: u64 = 8 << 20;

/// What most of them weigh.
const USUAL: u64 = 512;

/// A memory of successes.
pub struct LoginCache {
    keyed: KeyedHash,
    period: Duration,
    clock: Arc<dyn Clock>,
    cache: Cache<KeyedDigest, CachedLogin, Weigh>,
}

#[derive(Clone)]
struct CachedLogin {
    accepted: Arc<Identity>,
    since: SystemTime,
}

impl LoginCache {
    /// An empty memory that keeps successes for `period`; for none when it is zero.
    ///
    /// # Errors
    /// When there is no randomness for its key.
    pub fn new(
        period: Duration,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        let keyed = KeyedHash::new(entropy)?;
        let items = usize::try_from(CAPACITY / USUAL).unwrap_or(usize::MAX);
        Ok(Self {
            keyed,
            period,
            clock,
            cache: Cache::with_weighter(items, CAPACITY, Weigh),
        })
    }

    /// Whether anything is remembered at all.
    pub(crate) fn is_on(&self) -> bool {
        self.period > Duration::ZERO
    }

    pub(crate) fn fingerprint(&self, credentials: &Credentials) -> KeyedDigest {
        self.keyed.fingerprint(&[
            credentials.account.as_bytes(),
            credentials.password.expose().as_bytes(),
        ])
    }

    pub(crate) fn recall(&self, fingerprint: &KeyedDigest) -> Option<Arc<Identity>> {
        let CachedLogin { accepted, since } = self.cache.get(fingerprint)?;
        // A clock that was set back makes this an error: better forgotten than kept too long.
        let fresh = self
            .clock
            .now()
            .duration_since(since)
            .is_ok_and(|age| age < self.period);
        if !fresh {
            self.cache.remove(fingerprint);
        }
        fresh.then_some(accepted)
    }

    pub(crate) fn remember(&self, fingerprint: KeyedDigest, accepted: Arc<Identity>) {
        self.cache.insert(
            fingerprint,
            CachedLogin {
                accepted,
                since: self.clock.now(),
            },
        );
    }
}

#[derive(Clone)]
struct Weigh;

impl Weighter<KeyedDigest, CachedLogin> for Weigh {
    fn weight(&self, _: &KeyedDigest, cached: &CachedLogin) -> u64 {
        let subject = &cached.accepted.subject;
        let text = |text: &String| text.len() + size_of::<String>();
        let labels: usize = subject
            .labels
            .iter()
            .map(|(name, values)| text(name) + values.iter().map(text).sum::<usize>() + 64)
            .sum();
        (size_of::<KeyedDigest>()
            + size_of::<CachedLogin>()
            + size_of::<Identity>()
            + text(&subject.account)
            + labels) as u64
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;
    use policy::Subject;

    use super::*;
    use crate::fixtures::HeldClock;

    fn accepted(account: &str) -> Arc<Identity> {
        Arc::new(Identity {
            subject: Subject {
                account: account.into(),
                ..Subject::default()
            },
            credential: None,
        })
    }

    fn credentials(account: &str, password: &str) -> Credentials {
        Credentials {
            account: account.into(),
            password: password.into(),
        }
    }

    fn memory(seconds: u64) -> (LoginCache, Arc<HeldClock>) {
        let clock = Arc::new(HeldClock::default());
        (
            LoginCache::new(Duration::from_secs(seconds), clock.clone(), &SystemEntropy).unwrap(),
            clock,
        )
    }

    #[test]
    fn remembers_until_the_period_is_over() {
        let (memory, clock) = memory(60);
        let key = memory.fingerprint(&credentials("ann", "p"));
        assert_eq!(memory.recall(&key), None);
        memory.remember(key, accepted("ann"));
        clock.pass(Duration::from_millis(59_999));
        assert_eq!(memory.recall(&key), Some(accepted("ann")));
        assert_eq!(
            memory.recall(&memory.fingerprint(&credentials("ann", "q"))),
            None
        );
        assert_eq!(
            memory.recall(&memory.fingerprint(&credentials("an", "np"))),
            None
        );
        clock.pass(Duration::from_millis(1));
        assert_eq!(memory.recall(&key), None);
        assert_eq!(memory.cache.len(), 0);
    }

    #[test]
    fn a_clock_set_back_forgets() {
        let (memory, clock) = memory(60);
        let key = memory.fingerprint(&credentials("ann", "p"));
        memory.remember(key, accepted("ann"));
        clock.set_back(Duration::from_secs(1));
        assert_eq!(memory.recall(&key), None);
    }

    #[test]
    fn is_bounded_by_weight() {
        let (memory, _) = memory(60);
        let long = Arc::new(Identity {
            subject: Subject {
                account: "ann".into(),
                labels: [("group".to_owned(), vec!["x".repeat(60_000)])]
                    .into_iter()
                    .collect(),
            },
            credential: None,
        });
        for n in 0..1000 {
            memory.remember(
                memory.fingerprint(&credentials("ann", &n.to_string())),
                long.clone(),
            );
        }
        assert!(memory.cache.weight() <= CAPACITY);
        assert!(
            (1..=140).contains(&memory.cache.len()),
            "{}",
            memory.cache.len()
        );
    }
}
