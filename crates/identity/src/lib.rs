//! Who are you?
//!
//! A client shows a name and a password, or nothing. This crate says which of three it is, and
//! never takes one for another: *not asked* (the anonymous account, where it is open), *this
//! subject*, or *refused*.
//!
//! - A place that knows accounts is an [`Authenticator`]; several make a [`AuthenticatorChain`], and the first
//!   that knows decides.
//! - A [`PasswordVerifier`] verifies passwords, slowly and apart from everything else, at one price
//!   for every refusal.
//! - A [`LoginLimiter`] turns away who failed too often, and [`LoginCache`] spares who succeeded a moment
//!   ago.
//! - A [`Login`] is the front door before all of them, and the only thing that a server needs to
//!   hold.
//!
//! ```
//! use std::{num::NonZeroUsize, sync::Arc, time::Duration};
//! use identity::*;
//! use common::{SystemClock, SystemEntropy};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut accounts = Accounts::default();
//! let sesame = "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW".parse()?;
//! accounts.add("ann".into(), Account { passwords: vec![sesame], ..Account::default() })?;
//!
//! let clock = Arc::new(SystemClock);
//! let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
//! let verifier = Arc::new(PasswordVerifier::new(workers, accounts.iter().map(|(_, account)| account)));
//! let limiter = LoginLimiter::new(Rate::per_minute(20), Rate::per_minute(10), clock.clone(), &SystemEntropy)?;
//! let cache = LoginCache::new(Duration::from_secs(60), clock, &SystemEntropy)?;
//! let chain = AuthenticatorChain::new(vec![Box::new(StaticUsers::new(accounts, verifier.clone()))]);
//! let login = Login::new(chain, cache, Arc::new(limiter), verifier);
//!
//! let address = "192.0.2.7".parse().ok();
//! let right = Credentials { account: "ann".into(), password: "sesame".into() };
//! assert!(matches!(login.login(&right, address).await?, LoginOutcome::Accepted(_)));
//! let wrong = Credentials { account: "ann".into(), password: "open".into() };
//! assert_eq!(login.login(&wrong, address).await?, LoginOutcome::Rejected);
//! assert_eq!(login.login(&Credentials::anonymous(), address).await?, LoginOutcome::Rejected);
//! # Ok(())
//! # }
//! ```

mod accounts;
mod authenticator;
mod chain;
pub mod ext_auth;
#[cfg(test)]
mod fixtures;
pub mod htpasswd;
mod in_flight;
mod keyed_hash;
mod limiter;
mod login;
mod login_cache;
mod outcome;
pub mod password;
pub mod process;
mod rate;
mod static_users;
mod verifier;

pub use accounts::{Account, Accounts, DuplicateAccount};
pub use authenticator::{
    AuthFuture, AuthenticationError, Authenticator, BackendError, LoginSource,
};
pub use chain::{AuthenticatorChain, SessionStatus};
pub use ext_auth::ExtAuth;
pub use limiter::{Admission, LoginLimiter};
pub use login::{Login, LoginOutcome, LoginSettings};
pub use login_cache::LoginCache;
pub use outcome::{
    AccountHint, AuthenticationOutcome, CredentialFingerprint, Credentials, Identity, Recheck,
};
pub use password::{HashError, PasswordHash};
pub use rate::{Rate, RateError};
pub use static_users::StaticUsers;
pub use verifier::{PasswordCheck, PasswordVerifier, Rejection, WorkerPool};
