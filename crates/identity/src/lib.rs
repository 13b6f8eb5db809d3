//! Authentication: which account a client is.
//!
//! A client presents a [`Proof`], such as a name and a password, or nothing. The answer is one of
//! three and never mistaken for another: *anonymous*, if that account is open; *this account*; or
//! *rejected*.
//!
//! - An [`Authenticator`] is a backend that knows accounts. Several make an
//!   [`AuthenticatorChain`], in which the first that knows an account decides.
//! - [`OpaqueTokens`] are this server's own tokens, such as robots'. They are recognised by their form
//!   before any backend is asked.
//! - A [`PasswordVerifier`] verifies passwords on threads of its own, at one cost for every
//!   rejection.
//! - A [`LoginLimiter`] turns away sources that failed too often, and a [`LoginCache`] remembers
//!   accepted logins for a short time.
//! - A [`Login`] puts all of them in order. It is the only part that a server needs to hold.
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
//! let proof = |password: &str| {
//!     Proof::Password(Credentials { account: "ann".into(), password: password.into() })
//! };
//! let right = login.login(&proof("sesame"), address).await?;
//! assert!(matches!(right, LoginOutcome::Accepted(login) if login.backend == "users"));
//! let wrong = login.login(&proof("open"), address).await?;
//! assert!(matches!(wrong, LoginOutcome::Rejected { .. }));
//! let anonymous = login.login(&Credentials::anonymous().into(), address).await?;
//! assert_eq!(anonymous, LoginOutcome::Rejected { backend: None });
//! # Ok(())
//! # }
//! ```

mod accounts;
mod authenticator;
mod chain;
mod circuit_breaker;
pub mod ext_auth;
mod external_backend;
mod fair_queue;
mod fair_semaphore;
mod fingerprint;
#[cfg(test)]
mod fixtures;
pub mod htpasswd;
pub mod http;
mod http_auth;
mod in_flight;
mod keyed_hash;
mod limiter;
mod login;
mod login_cache;
mod login_question;
mod opaque_token;
mod outcome;
pub mod password;
pub mod process;
mod proof;
mod rate;
mod source;
mod static_users;
mod stored_hash;
mod terms;
mod verifier;

pub use client_tls as tls;

pub use accounts::{Account, Accounts, DuplicateAccount};
pub use authenticator::{AuthenticationError, Authenticator, BackendError, BackendFault};
pub use chain::{
    AcceptedLogin, AskedBackend, AuthenticatorChain, BackendAnswer, CurrentAccount, EarlierLogin,
    NamedAccount, OwnerStatus, SessionStatus,
};
pub use circuit_breaker::{CircuitAttempt, CircuitBreaker, CircuitOpen};
pub use ext_auth::ExtAuth;
pub use external_backend::ExternalBackend;
pub use fair_semaphore::{FairSemaphore, Permit, RETRY_AFTER, TooManyWaiting};
pub use fingerprint::CredentialFingerprint;
pub use limiter::{
    Admission, LoginLimiter, RequestLimiter, RequestSource, SharedFailureCount, SharedFailures,
};
pub use login::{Login, LoginOutcome, LoginSettings};
pub use login_cache::{LoginCache, LoginCacheStatistics};
pub use opaque_token::{
    FoundToken, OpaqueToken, OpaqueTokenFault, OpaqueTokens, ROBOT_PREFIX, TOKEN_USER, TokenHolder,
    TokenOwner, TokenUse,
};
pub use outcome::{
    AccountHint, AuthenticationOutcome, CurrentCredentials, Identity, PermissionSource, Recheck,
    RecheckedCredential, TokenRefusal,
};
pub use password::{HashError, PasswordHash};
pub use proof::{Credentials, Proof, can_be_looked_up, is_unambiguous_name};
pub use rate::{Rate, RateError};
pub use source::{ClientNetwork, LoginSource, SourceAddress};
pub use static_users::StaticUsers;
pub use stored_hash::{StoredHash, UserWithHash, costly_hashes};
pub use terms::{LifetimeBound, LoginRetention, LoginTerms, SessionAllowance};
pub use verifier::{PasswordCheck, PasswordVerifier, Rejection, WorkerPool, WorkerStatistics};
