//! Failures, limited, so that passwords cannot be guessed by trying.
//!
//! Two things are counted: failures from one origin on *one account* (`login.per_account`), and
//! failures from one origin on *all accounts* (`login.per_address`). An origin is an address, or
//! the first 64 bits of an IPv6 one. The account is counted by origin as well, so that whoever
//! guesses at somebody's password shuts out nobody but himself. Only where the address is unknown,
//! behind a proxy that is not trusted, does the account count alone.
//!
//! An attempt takes its place *before* its password is looked at and gets it back when it succeeds:
//! of a hundred guesses sent at once, no more are tried than of a hundred sent in turn. Attempts
//! that would fit if those under way succeeded wait for them, for a success must never be limited.

mod buckets;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use common::{Clock, Entropy, EntropyError};

use self::buckets::{Buckets, Claim, Reservation};
use crate::keyed_hash::KeyedHash;
use crate::{LoginSource, Rate};

/// Counts failures and says who has had too many.
pub struct LoginLimiter {
    per_address: Rate,
    per_account: Rate,
    clock: Arc<dyn Clock>,
    keyed: KeyedHash,
    buckets: Mutex<Buckets>,
}

/// A place taken for one attempt. Dropped without a word, as when the client leaves in the middle,
/// it counts as a failure: else whoever hangs up early would guess for free.
#[must_use]
pub struct Admission<'a> {
    limiter: &'a LoginLimiter,
    claims: [Option<Claim>; 2],
    failed: bool,
}

impl LoginLimiter {
    /// A limiter that has seen nothing yet.
    ///
    /// # Errors
    /// When there is no randomness for the key under which names and addresses are kept.
    pub fn new(
        per_address: Rate,
        per_account: Rate,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        Ok(Self {
            per_address,
            per_account,
            clock,
            keyed: KeyedHash::new(entropy)?,
            buckets: Mutex::default(),
        })
    }

    /// Whether this limiter counts at these rates, and so may go on when the configuration is read
    /// again.
    #[must_use]
    pub fn has_rates(&self, per_address: Rate, per_account: Rate) -> bool {
        self.per_address == per_address && self.per_account == per_account
    }

    /// Takes a place for an attempt on `account` from `origin`, waiting for attempts under way
    /// where they decide.
    ///
    /// # Errors
    /// When there were too many failures: how long until the next attempt is heard.
    pub async fn admit(
        &self,
        account: &str,
        origin: &LoginSource,
    ) -> Result<Admission<'_>, Duration> {
        let claims = self.claims(account, origin);
        loop {
            let reservation = self.buckets().reserve(self.now(), &claims);
            match reservation {
                Reservation::Made => {
                    return Ok(Admission {
                        limiter: self,
                        claims,
                        failed: true,
                    });
                }
                Reservation::After(others) => others.await,
                Reservation::Later(wait) => return Err(wait),
            }
        }
    }

    fn claims(&self, account: &str, origin: &LoginSource) -> [Option<Claim>; 2] {
        let address = match origin {
            LoginSource::Address(address) => Some(address.to_string()),
            LoginSource::Account(_) => None,
        };
        let from = address.as_deref().unwrap_or_default().as_bytes();
        let claim = |rate: Rate, parts: &[&[u8]]| {
            let (period, interval) = rate.period_and_interval()?;
            Some(Claim {
                key: self.keyed.fingerprint(parts),
                period,
                interval,
            })
        };
        [
            address
                .as_ref()
                .and_then(|_| claim(self.per_address, &[b"address", from])),
            claim(self.per_account, &[b"account", from, account.as_bytes()]),
        ]
    }

    fn now(&self) -> Duration {
        self.clock
            .now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        // Nothing panics while it holds the lock, so what a poisoned lock guards is whole.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission<'_> {
    /// The attempt failed: the place stays taken for a while.
    pub fn failed(self) {
        drop(self);
    }

    /// The attempt did not fail: it succeeded, or could not be made. The place is free again.
    pub fn give_back(mut self) {
        self.failed = false;
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.limiter
            .buckets()
            .settle(self.limiter.now(), &self.claims, self.failed);
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;
    use crate::fixtures::HeldClock;

    fn limiter() -> (Arc<LoginLimiter>, Arc<HeldClock>) {
        let clock = Arc::new(HeldClock::default());
        let limiter = LoginLimiter::new(
            Rate::per_minute(20),
            Rate::per_minute(10),
            clock.clone(),
            &SystemEntropy,
        )
        .unwrap();
        (Arc::new(limiter), clock)
    }

    fn from(address: &str) -> LoginSource {
        LoginSource::new(Some(address.parse().unwrap()), "unused")
    }

    async fn fail(
        limiter: &LoginLimiter,
        account: &str,
        origin: &LoginSource,
    ) -> Result<(), Duration> {
        limiter.admit(account, origin).await.map(Admission::failed)
    }

    /// How many failures get through before one is turned away.
    async fn failures(
        limiter: &LoginLimiter,
        account: impl Fn(u32) -> String,
        origin: &LoginSource,
    ) -> u32 {
        for n in 0.. {
            if fail(limiter, &account(n), origin).await.is_err() {
                return n;
            }
        }
        unreachable!("the loop has no end")
    }

    #[tokio::test]
    async fn ten_failures_on_an_account_twenty_from_an_address() {
        let (limiter, _) = limiter();
        let (one, other) = (from("192.0.2.1"), from("192.0.2.2"));
        assert_eq!(failures(&limiter, |_| "ann".into(), &one).await, 10);
        assert_eq!(failures(&limiter, |n| n.to_string(), &one).await, 10);
        assert_eq!(failures(&limiter, |n| n.to_string(), &other).await, 20);
    }

    #[tokio::test]
    async fn nobody_is_shut_out_by_another() {
        let (limiter, _) = limiter();
        assert_eq!(
            failures(&limiter, |_| "ann".into(), &from("2001:db8::1")).await,
            10
        );
        assert_eq!(
            failures(&limiter, |_| "ann".into(), &from("2001:db8::2")).await,
            0,
            "the same client, near enough"
        );
        limiter
            .admit("ann", &from("192.0.2.2"))
            .await
            .unwrap()
            .give_back();
        limiter
            .admit("ann", &from("2001:db8:0:1::1"))
            .await
            .unwrap()
            .give_back();
        limiter
            .admit("bob", &from("2001:db8::1"))
            .await
            .unwrap()
            .give_back();
    }

    #[tokio::test]
    async fn without_an_address_the_account_counts_alone() {
        let (limiter, _) = limiter();
        assert_eq!(
            failures(&limiter, |_| "ann".into(), &LoginSource::new(None, "ann")).await,
            10
        );
        for n in 0..100 {
            let name = n.to_string();
            fail(&limiter, &name, &LoginSource::new(None, &name))
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn says_when_to_come_back_and_keeps_its_word() {
        let (limiter, clock) = limiter();
        let origin = from("192.0.2.1");
        assert_eq!(failures(&limiter, |_| "ann".into(), &origin).await, 10);
        assert_eq!(
            fail(&limiter, "ann", &origin).await,
            Err(Duration::from_secs(6))
        );
        clock.pass(Duration::from_secs(4));
        assert_eq!(
            fail(&limiter, "ann", &origin).await,
            Err(Duration::from_secs(2))
        );
        clock.pass(Duration::from_secs(2));
        assert_eq!(fail(&limiter, "ann", &origin).await, Ok(()));
        assert_eq!(
            fail(&limiter, "ann", &origin).await,
            Err(Duration::from_secs(6))
        );
        clock.pass(Duration::from_secs(60));
        assert_eq!(failures(&limiter, |_| "ann".into(), &origin).await, 10);
    }

    #[tokio::test]
    async fn a_clock_set_back_shuts_out_no_longer_than_the_period() {
        let (limiter, clock) = limiter();
        let origin = from("192.0.2.1");
        assert_eq!(failures(&limiter, |_| "ann".into(), &origin).await, 10);
        clock.set_back(Duration::from_secs(3600));
        assert_eq!(
            fail(&limiter, "ann", &origin).await,
            Err(Duration::from_secs(6))
        );
    }

    #[tokio::test]
    async fn successes_never_count() {
        let (limiter, _) = limiter();
        let origin = from("192.0.2.1");
        for _ in 0..1000 {
            limiter.admit("ann", &origin).await.unwrap().give_back();
        }
        assert_eq!(failures(&limiter, |_| "ann".into(), &origin).await, 10);
    }

    #[tokio::test]
    async fn attempts_at_once_are_no_more_than_in_turn() {
        let (limiter, _) = limiter();
        let origin = from("192.0.2.1");
        let mut under_way = Vec::new();
        for _ in 0..10 {
            under_way.push(limiter.admit("ann", &origin).await.unwrap());
        }
        let waiting: Vec<_> = (0..54)
            .map(|_| {
                let (limiter, origin) = (limiter.clone(), origin.clone());
                tokio::spawn(async move { fail(&limiter, "ann", &origin).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|attempt| !attempt.is_finished()));
        // Two of the ten were right: two of those that wait may try.
        for (n, admission) in under_way.into_iter().enumerate() {
            if n % 5 == 0 {
                admission.give_back();
            } else {
                admission.failed();
            }
        }
        let mut heard = 0;
        for attempt in waiting {
            heard += usize::from(attempt.await.unwrap().is_ok());
        }
        assert_eq!(heard, 2);
    }

    #[tokio::test]
    async fn who_leaves_in_the_middle_has_failed() {
        let (limiter, _) = limiter();
        let origin = from("192.0.2.1");
        for _ in 0..10 {
            drop(limiter.admit("ann", &origin).await.unwrap());
        }
        assert!(fail(&limiter, "ann", &origin).await.is_err());
    }

    #[tokio::test]
    async fn off_is_off() {
        let limiter = LoginLimiter::new(
            Rate::OFF,
            Rate::OFF,
            Arc::new(HeldClock::default()),
            &SystemEntropy,
        )
        .unwrap();
        for _ in 0..100 {
            fail(&limiter, "ann", &from("192.0.2.1")).await.unwrap();
        }
        assert!(
            limiter.has_rates(Rate::OFF, Rate::OFF)
                && !limiter.has_rates(Rate::OFF, Rate::per_minute(1))
        );
    }
}
