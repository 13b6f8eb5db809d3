//! Requests, limited for each account and each address.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use common::{Clock, Entropy, EntropyError};

use super::buckets::{AttemptReservation, Buckets, Claim};
use crate::keyed_hash::KeyedHash;
use crate::{Rate, SourceAddress};

/// Counts requests and turns away sources that have made too many.
pub struct RequestLimiter {
    rate: Rate,
    clock: Arc<dyn Clock>,
    hash: KeyedHash,
    buckets: Mutex<Buckets>,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestSource<'a> {
    /// An account's, which proved itself.
    Account(&'a str),
    /// One that no account has proved to be its own.
    Address(SourceAddress),
}

impl RequestLimiter {
    /// A limiter that has counted nothing yet.
    ///
    /// # Errors
    /// When the system has no randomness for the key under which names and addresses are kept.
    pub fn new(
        rate: Rate,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        Ok(Self {
            rate,
            clock,
            hash: KeyedHash::new(entropy)?,
            buckets: Mutex::default(),
        })
    }

    /// Whether this limiter counts at this rate, and so can go on when the configuration is read
    /// again.
    #[must_use]
    pub fn has_rate(&self, rate: Rate) -> bool {
        self.rate == rate
    }

    /// Counts a request of `source`. An address that many clients share has no limit: one of them
    /// could use it up for all.
    ///
    /// # Errors
    /// After too many requests: how long until the next one is possible.
    pub fn admit(&self, source: RequestSource<'_>) -> Result<(), Duration> {
        let key = match source {
            RequestSource::Account(account) => self.hash.digest(&[b"account", account.as_bytes()]),
            RequestSource::Address(SourceAddress::Client(client)) => {
                let network = client.prefix().to_string();
                self.hash.digest(&[b"client", network.as_bytes()])
            }
            RequestSource::Address(SourceAddress::Shared(_)) => return Ok(()),
        };
        let Some((period, interval)) = self.rate.period_and_interval() else {
            return Ok(());
        };
        let now = self.clock.now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let claims = [Some(Claim {
            key,
            period,
            interval,
        })];
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        match buckets.reserve(now, &claims) {
            AttemptReservation::Later(wait) => return Err(wait),
            // None is in progress here for longer than the lock is held.
            AttemptReservation::Made | AttemptReservation::After(_) => {}
        }
        buckets.settle(now, &claims, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::SystemTime;

    use common::SystemEntropy;

    use super::*;

    struct HeldClock(Mutex<SystemTime>);

    impl Clock for HeldClock {
        fn now(&self) -> SystemTime {
            *self.0.lock().unwrap()
        }
    }

    fn limiter(rate: &str) -> (RequestLimiter, Arc<HeldClock>) {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let clock = Arc::new(HeldClock(Mutex::new(start)));
        let rate = rate.parse().unwrap();
        let limiter = RequestLimiter::new(rate, clock.clone(), &SystemEntropy).unwrap();
        (limiter, clock)
    }

    #[test]
    fn each_account_and_each_address_has_its_own_rate() {
        let (limiter, clock) = limiter("2/min");
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let sources = [
            RequestSource::Account("ann"),
            RequestSource::Account("bob"),
            RequestSource::Address(SourceAddress::client(address)),
        ];
        for source in sources {
            assert_eq!(limiter.admit(source), Ok(()));
            assert_eq!(limiter.admit(source), Ok(()));
            assert_eq!(limiter.admit(source), Err(Duration::from_secs(30)));
        }
        *clock.0.lock().unwrap() += Duration::from_secs(30);
        assert_eq!(limiter.admit(sources[0]), Ok(()));
        assert!(limiter.admit(sources[0]).is_err());
    }

    #[test]
    fn an_address_that_many_share_has_no_limit() {
        let (limiter, _) = limiter("1/min");
        let proxy = RequestSource::Address(SourceAddress::shared(None));
        assert!((0..10).all(|_| limiter.admit(proxy).is_ok()));
    }

    #[test]
    fn a_rate_can_be_off() {
        let (limiter, _) = limiter("off");
        assert!((0..10).all(|_| limiter.admit(RequestSource::Account("ann")).is_ok()));
        assert!(limiter.has_rate(Rate::OFF) && !limiter.has_rate(Rate::per_minute(1)));
    }
}
