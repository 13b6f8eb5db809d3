//! The seam between "who are you" and the places where that is known.

use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use crate::{AccountHint, AuthenticationOutcome, Credentials, Recheck};

/// An answer that may take a while: a process to run, a password to verify.
pub type AuthFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One place that knows accounts: a list in the configuration, a program, a directory.
///
/// # Contract
/// - An account that is not the backend's is [`NoMatch`](AuthenticationOutcome::NoMatch), never a refusal.
/// - A refusal holds a [`Rejection`](crate::Rejection), which only the
///   [`PasswordVerifier`](crate::PasswordVerifier) makes, so that no refusal is cheaper, and
///   therefore faster, than another.
/// - `glance` and `authenticate` agree: an account that a glance calls open is accepted with any
///   password, and one that a glance does not know is not known to `authenticate` either.
/// - An error stops the chain. Nobody is let in or turned away on the word of a backend that is
///   broken.
/// - Futures may be dropped at any point, when the client has gone.
pub trait Authenticator: Send + Sync {
    /// What is known of `account` without a password, without waiting and at no cost.
    fn hint(&self, account: &str) -> AccountHint;

    /// Whether `credentials` are good. `origin` is whose turn a slow check takes.
    ///
    /// # Errors
    /// [`AuthenticationError::Busy`] when too many wait already, [`AuthenticationError::Backend`] when the backend is
    /// broken.
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        origin: &'a LoginSource,
    ) -> AuthFuture<'a, Result<AuthenticationOutcome, AuthenticationError>>;

    /// Whether `account`, which proved itself earlier, is still there.
    ///
    /// # Errors
    /// When the backend is broken.
    fn recheck<'a>(&'a self, account: &'a str) -> AuthFuture<'a, Result<Recheck, BackendError>>;
}

/// Where a request comes from, as far as fairness goes: those who share an origin share its turns
/// and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LoginSource {
    /// A client's address; of an IPv6 address the first 64 bits, for a single client has all the
    /// rest to itself.
    Address(IpAddr),
    /// The account asked for, where the address is a proxy's and says nothing.
    Account(String),
}

impl LoginSource {
    /// The origin of a request for `account` from `address`, which is none where it cannot be
    /// trusted.
    #[must_use]
    pub fn new(address: Option<IpAddr>, account: &str) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::Address(address.into()),
            Some(IpAddr::V6(address)) => {
                Self::Address(IpAddr::from((address.to_bits() >> 64 << 64).to_be_bytes()))
            }
            None => Self::Account(account.to_owned()),
        }
    }
}

/// Why a backend gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// Too many are waiting already; after this long it may look better.
    #[error("too many logins are waiting already")]
    Busy(Duration),
    /// The backend did not do its part.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// A backend did not do its part. The cause is for the log, never for the client.
#[derive(Debug, thiserror::Error)]
#[error("{backend} could not answer")]
pub struct BackendError {
    /// The backend's section in the configuration.
    pub backend: &'static str,
    /// What went wrong.
    pub source: Box<dyn Error + Send + Sync>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> LoginSource {
        LoginSource::new(Some(address.parse().unwrap()), "ann")
    }

    #[test]
    fn one_client_is_one_origin() {
        assert_eq!(origin("192.0.2.7"), origin("::ffff:192.0.2.7"));
        assert_ne!(origin("192.0.2.7"), origin("192.0.2.8"));
        assert_eq!(origin("2001:db8:0:1::1"), origin("2001:db8:0:1:ffff::2"));
        assert_ne!(origin("2001:db8:0:1::1"), origin("2001:db8:0:2::1"));
    }

    #[test]
    fn without_an_address_the_account_counts() {
        assert_eq!(
            LoginSource::new(None, "ann"),
            LoginSource::Account("ann".into())
        );
        assert_ne!(LoginSource::new(None, "ann"), LoginSource::new(None, "bob"));
    }
}
