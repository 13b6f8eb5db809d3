//! The trait that every backend of logins implements. `tests/conformance` tests its contract.

use std::error::Error;
use std::time::Duration;

use common::BoxFuture;

use crate::{AccountHint, AuthenticationOutcome, LoginSource, Proof, Recheck};

/// A backend that knows accounts: a list in the configuration, a program, a directory.
///
/// # Contract
/// - An account that the backend does not have is [`NoMatch`](AuthenticationOutcome::NoMatch), and
///   so is a kind of proof that it cannot handle. Neither is a rejection.
/// - A rejection holds a [`Rejection`](crate::Rejection), which only the
///   [`PasswordVerifier`](crate::PasswordVerifier) makes. So no rejection is cheaper, and therefore
///   faster, than another.
/// - A refused token of its own form is [`TokenRefused`](AuthenticationOutcome::TokenRefused), and
///   nothing else is. It costs the backend no more than to verify a valid one.
/// - `hint` and `authenticate` agree: an account that takes any password is accepted with any, and
///   an account that `hint` does not know is unknown to `authenticate`, too, unless the backend
///   recognizes the proof.
/// - A name that is present for `recheck` is this backend's: a session that a later backend opened
///   for the same name ends.
/// - An error ends the login. No client is accepted or rejected because a backend is broken.
/// - A future may be dropped at any await, when its client disconnects.
pub trait Authenticator: Send + Sync {
    /// The backend's section in the configuration, for logs and errors.
    fn name(&self) -> &'static str;

    /// What is known of `account` without a proof, without waiting and at no cost.
    fn hint(&self, account: &str) -> AccountHint;

    /// Whether `proof` has a form that only this backend checks, whatever account it names: a token
    /// in place of a password. Then no other backend is asked, and no open account is looked up. It
    /// costs next to nothing and says nothing of whether the proof is good.
    fn recognizes(&self, _proof: &Proof) -> bool {
        false
    }

    /// Checks `proof`. Slow checks are queued, in turn by `source`.
    ///
    /// # Errors
    /// [`AuthenticationError::Busy`] when too many logins are waiting,
    /// [`AuthenticationError::Backend`] when the backend is broken.
    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>>;

    /// Whether `account`, which logged in earlier, is still there.
    ///
    /// # Errors
    /// When the backend is broken.
    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>>;

    /// The same for the owner of a token of this server, which is asked about at each use of the token. The
    /// answer may be kept until [`revision`](Self::revision) changes.
    ///
    /// # Errors
    /// When the backend is broken.
    fn recheck_owner<'a>(
        &'a self,
        account: &'a str,
    ) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        self.recheck(account)
    }

    /// A number that changes after each change of the backend's accounts that it can notice. A login
    /// that was accepted under another number is checked again, although it is remembered.
    fn revision(&self) -> u64 {
        0
    }

    /// Connects to what the backend needs, as a login would, and says in a few words what it found:
    /// `TLS 1.3, 214 entries below ou=people`. `None` if there is nothing to connect to. For
    /// `check --connect`; no login waits for it.
    ///
    /// # Errors
    /// When a login would fail.
    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, BackendError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// Why a backend has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// Too many logins are waiting. Another attempt may succeed after this long.
    #[error("too many logins are waiting")]
    Busy(Duration),
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// A backend failed. The cause is for the log and never for the client.
#[derive(Debug, thiserror::Error)]
#[error("{backend} failed")]
pub struct BackendError {
    /// The backend's section in the configuration.
    pub backend: &'static str,
    /// What the client is told.
    pub fault: BackendFault,
    /// What went wrong.
    pub source: Box<dyn Error + Send + Sync>,
}

/// Whether another attempt may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendFault {
    /// The backend answers, and its answer makes no sense: the operator must act. The client gets
    /// 500.
    Broken,
    /// The backend cannot be reached, or does not answer in time. The client gets 503 with
    /// `Retry-After`.
    Unavailable,
}

impl BackendError {
    /// A failure that the operator must correct.
    pub fn broken(backend: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            backend,
            fault: BackendFault::Broken,
            source: source.into(),
        }
    }

    /// A failure that may pass.
    pub fn unavailable(
        backend: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            backend,
            fault: BackendFault::Unavailable,
            source: source.into(),
        }
    }
}
