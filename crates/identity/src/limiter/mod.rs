//! Failed logins, limited, so that passwords cannot be guessed by trying.
//!
//! Two things are counted: failures from one address for *one account* (`login.per_account`), and
//! failures from one address for *all accounts* (`login.per_address`). The account is counted by
//! address as well, so a client that guesses an account's password locks out only itself. At an
//! address that many clients share, such as a proxy's, only accounts are counted.
//!
//! An attempt takes its place *before* its password is verified and gives it back when it succeeds.
//! So a hundred guesses at once get no further than a hundred in turn. Attempts that would fit if
//! those in progress succeeded wait for them, because a success must never be limited.
//!
//! Several servers of one installation count failures together, too ([`SharedFailures`]). What is in
//! progress on another server is not known, so many guesses at once get as far as each server alone
//! allows.

mod buckets;
mod requests;
mod shared;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use common::{Clock, Entropy, EntropyError};

pub use self::requests::{RequestLimiter, RequestSource};
pub use self::shared::{SharedFailureCount, SharedFailures};

use self::buckets::{AttemptReservation, Buckets, Claim};
use crate::keyed_hash::KeyedHash;
use crate::{LoginSource, Rate, SourceAddress};

/// Counts failed logins and turns away sources that have had too many.
pub struct LoginLimiter {
    per_address: Rate,
    per_account: Rate,
    clock: Arc<dyn Clock>,
    hash: KeyedHash,
    buckets: Mutex<Buckets>,
    shared: Option<Arc<dyn SharedFailures>>,
}

/// A place taken for one attempt. If it is only dropped, because the client disconnects, it counts
/// as a failure: else a client that hangs up early could guess for free.
#[must_use]
pub struct Admission<'a> {
    limiter: &'a LoginLimiter,
    claims: [Option<Claim>; 2],
    failed: bool,
    /// Whether the other servers know of a failure, or need not.
    is_shared: bool,
}

impl LoginLimiter {
    /// A limiter that has counted nothing yet.
    ///
    /// # Errors
    /// When the system has no randomness for the key under which names and addresses are kept.
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
            hash: KeyedHash::new(entropy)?,
            buckets: Mutex::default(),
            shared: None,
        })
    }

    /// The same, counting together with other servers that have this key.
    #[must_use]
    pub fn counting_together(self, key: &[u8; 32], failures: Arc<dyn SharedFailures>) -> Self {
        Self {
            hash: KeyedHash::from_key(key),
            shared: Some(failures),
            ..self
        }
    }

    /// Whether this limiter counts at these rates, and so can go on when the configuration is read
    /// again.
    #[must_use]
    pub fn has_rates(&self, per_address: Rate, per_account: Rate) -> bool {
        self.per_address == per_address && self.per_account == per_account
    }

    /// Takes a place for an attempt from `source`. It may have to wait for attempts in progress.
    ///
    /// # Errors
    /// After too many failures: how long until the next attempt is possible.
    pub async fn admit(&self, source: &LoginSource) -> Result<Admission<'_>, Duration> {
        let claims = self.claims(source);
        loop {
            let reservation = self.buckets().reserve(self.now(), &claims);
            match reservation {
                AttemptReservation::Made => break,
                AttemptReservation::After(others) => others.await,
                AttemptReservation::Later(wait) => return Err(wait),
            }
        }
        let mut admission = Admission {
            limiter: self,
            claims,
            failed: false,
            is_shared: self.shared.is_none(),
        };
        if let Some(shared) = &self.shared {
            let wait = shared.wait(&admission.counts()).await;
            if !wait.is_zero() {
                return Err(wait);
            }
        }
        admission.failed = true;
        Ok(admission)
    }

    /// The places that an attempt takes: one of its address, one of its account at that address.
    fn claims(&self, source: &LoginSource) -> [Option<Claim>; 2] {
        let (kind, address) = match source.address {
            SourceAddress::Client(client) => (&b"client"[..], Some(client.prefix())),
            SourceAddress::Shared(proxy) => (&b"shared"[..], proxy),
        };
        let address = address.map(|address| address.to_string());
        let address = address.as_deref().unwrap_or_default().as_bytes();
        let claim = |rate: Rate, parts: &[&[u8]]| {
            let (period, interval) = rate.period_and_interval()?;
            Some(Claim {
                key: self.hash.digest(parts),
                period,
                interval,
            })
        };
        let account = folded(&source.account);
        [
            matches!(source.address, SourceAddress::Client(_))
                .then(|| claim(self.per_address, &[b"address", address]))
                .flatten(),
            claim(
                self.per_account,
                &[b"account", kind, address, account.as_bytes()],
            ),
        ]
    }

    fn now(&self) -> Duration {
        self.clock
            .now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        // No code panics while it holds the lock, so the buckets are whole even if it is poisoned.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission<'_> {
    /// The attempt failed. Its place stays taken for a while. When this returns, other servers know of
    /// it.
    pub async fn failed(mut self) {
        if let Some(shared) = &self.limiter.shared {
            let counts = self.counts();
            shared.record(&counts).await;
            self.is_shared = true;
        }
    }

    /// The attempt succeeded, or it could not be made. Its place is free again.
    pub fn give_back(mut self) {
        self.failed = false;
    }
}

impl Admission<'_> {
    fn counts(&self) -> Vec<SharedFailureCount> {
        let count = |claim: &Claim| SharedFailureCount {
            key: claim.key,
            period: claim.period,
            interval: claim.interval,
        };
        self.claims.iter().flatten().map(count).collect()
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        // The client has gone, and no one waits for the other servers.
        if let (true, false, Some(shared)) = (self.failed, self.is_shared, &self.limiter.shared)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (shared, counts) = (Arc::clone(shared), self.counts());
            runtime.spawn(async move { shared.record(&counts).await });
        }
        self.limiter
            .buckets()
            .settle(self.limiter.now(), &self.claims, self.failed);
    }
}

/// An account's name without what a directory or a database may ignore: case, and blanks at its ends
/// or more than one in a row. Else each spelling of a name would have guesses of its own.
fn folded(account: &str) -> String {
    let words = account.split_whitespace().map(str::to_lowercase);
    words.collect::<Vec<_>>().join(" ")
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

    fn from(address: &str) -> SourceAddress {
        SourceAddress::client(address.parse().unwrap())
    }

    async fn fail(
        limiter: &LoginLimiter,
        account: &str,
        address: SourceAddress,
    ) -> Result<(), Duration> {
        let admission = limiter.admit(&LoginSource::new(address, account)).await?;
        admission.failed().await;
        Ok(())
    }

    /// How many failures get through before one is turned away.
    async fn failures(
        limiter: &LoginLimiter,
        account: impl Fn(u32) -> String,
        address: SourceAddress,
    ) -> u32 {
        for n in 0.. {
            if fail(limiter, &account(n), address).await.is_err() {
                return n;
            }
        }
        unreachable!("the loop has no end")
    }

    #[tokio::test]
    async fn ten_failures_on_an_account_twenty_from_an_address() {
        let (limiter, _) = limiter();
        let (one, other) = (from("192.0.2.1"), from("192.0.2.2"));
        assert_eq!(failures(&limiter, |_| "ann".into(), one).await, 10);
        assert_eq!(failures(&limiter, |n| n.to_string(), one).await, 10);
        assert_eq!(failures(&limiter, |n| n.to_string(), other).await, 20);
    }

    #[tokio::test]
    async fn all_spellings_of_a_name_are_one_account() {
        let (limiter, _) = limiter();
        let address = from("192.0.2.1");
        let spellings = [
            "ann lee",
            "Ann Lee",
            " ANN LEE",
            "ann  lee ",
            "ann\u{a0}Lee",
        ];
        let spelling = |n: u32| spellings[n as usize % spellings.len()].to_owned();
        assert_eq!(failures(&limiter, spelling, address).await, 10);
        assert_eq!(failures(&limiter, |_| "annlee".into(), address).await, 10);
    }

    #[tokio::test]
    async fn no_client_locks_out_another() {
        let (limiter, _) = limiter();
        assert_eq!(
            failures(&limiter, |_| "ann".into(), from("2001:db8::1")).await,
            10
        );
        assert_eq!(
            failures(&limiter, |_| "ann".into(), from("2001:db8::2")).await,
            0,
            "the same client, near enough"
        );
        limiter
            .admit(&LoginSource::new(from("192.0.2.2"), "ann"))
            .await
            .unwrap()
            .give_back();
        limiter
            .admit(&LoginSource::new(from("2001:db8:0:1::1"), "ann"))
            .await
            .unwrap()
            .give_back();
        limiter
            .admit(&LoginSource::new(from("2001:db8::1"), "bob"))
            .await
            .unwrap()
            .give_back();
    }

    #[tokio::test]
    async fn without_an_address_the_account_counts_alone() {
        let (limiter, _) = limiter();
        assert_eq!(
            failures(&limiter, |_| "ann".into(), SourceAddress::shared(None)).await,
            10
        );
        for n in 0..100 {
            let name = n.to_string();
            fail(&limiter, &name, SourceAddress::shared(None))
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn the_wait_that_is_told_is_enough() {
        let (limiter, clock) = limiter();
        let address = from("192.0.2.1");
        assert_eq!(failures(&limiter, |_| "ann".into(), address).await, 10);
        assert_eq!(
            fail(&limiter, "ann", address).await,
            Err(Duration::from_secs(6))
        );
        clock.pass(Duration::from_secs(4));
        assert_eq!(
            fail(&limiter, "ann", address).await,
            Err(Duration::from_secs(2))
        );
        clock.pass(Duration::from_secs(2));
        assert_eq!(fail(&limiter, "ann", address).await, Ok(()));
        assert_eq!(
            fail(&limiter, "ann", address).await,
            Err(Duration::from_secs(6))
        );
        clock.pass(Duration::from_secs(60));
        assert_eq!(failures(&limiter, |_| "ann".into(), address).await, 10);
    }

    #[tokio::test]
    async fn a_clock_set_back_locks_out_no_longer_than_the_period() {
        let (limiter, clock) = limiter();
        let address = from("192.0.2.1");
        assert_eq!(failures(&limiter, |_| "ann".into(), address).await, 10);
        clock.set_back(Duration::from_secs(3600));
        assert_eq!(
            fail(&limiter, "ann", address).await,
            Err(Duration::from_secs(6))
        );
    }

    #[tokio::test]
    async fn successes_never_count() {
        let (limiter, _) = limiter();
        let address = from("192.0.2.1");
        for _ in 0..1000 {
            limiter
                .admit(&LoginSource::new(address, "ann"))
                .await
                .unwrap()
                .give_back();
        }
        assert_eq!(failures(&limiter, |_| "ann".into(), address).await, 10);
    }

    #[tokio::test]
    async fn attempts_at_once_are_no_more_than_in_turn() {
        let (limiter, _) = limiter();
        let address = from("192.0.2.1");
        let mut under_way = Vec::new();
        for _ in 0..10 {
            under_way.push(
                limiter
                    .admit(&LoginSource::new(address, "ann"))
                    .await
                    .unwrap(),
            );
        }
        let waiting: Vec<_> = (0..54)
            .map(|_| {
                let (limiter, address) = (limiter.clone(), address);
                tokio::spawn(async move { fail(&limiter, "ann", address).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|attempt| !attempt.is_finished()));
        // Two of the ten were right: two of those that wait may try.
        for (n, admission) in under_way.into_iter().enumerate() {
            if n % 5 == 0 {
                admission.give_back();
            } else {
                admission.failed().await;
            }
        }
        let mut admitted = 0;
        for attempt in waiting {
            admitted += usize::from(attempt.await.unwrap().is_ok());
        }
        assert_eq!(admitted, 2);
    }

    #[tokio::test]
    async fn a_client_that_disconnects_has_failed() {
        let (limiter, _) = limiter();
        let address = from("192.0.2.1");
        for _ in 0..10 {
            drop(
                limiter
                    .admit(&LoginSource::new(address, "ann"))
                    .await
                    .unwrap(),
            );
        }
        assert!(fail(&limiter, "ann", address).await.is_err());
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
            fail(&limiter, "ann", from("192.0.2.1")).await.unwrap();
        }
        assert!(
            limiter.has_rates(Rate::OFF, Rate::OFF)
                && !limiter.has_rates(Rate::OFF, Rate::per_minute(1))
        );
    }
}
