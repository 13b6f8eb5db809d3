//! The trait that every backend of logins implements. `tests/it/conformance.rs` tests its contract.

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
/// - `hint` and `authenticate` agree: an account that takes any password is accepted with any, and
///   an account that `hint` does not know is unknown to `authenticate`, too.
/// - A name that is present for `recheck` is this backend's: a session that a later backend opened
///   for the same name ends.
/// - An error ends the login. No client is accepted or rejected because a backend is broken.
/// - A future may be dropped at any await, when its client disconnects.
pub trait Authenticator: Send + Sync {
    /// The backend's section in the configuration, for logs and errors.
    fn name(&self) -> &'static str;

    /// What is known of `account` without a proof, without waiting and at no cost.
    fn hint(&self, account: &str) -> AccountHint;

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
    /// What went wrong.
    pub source: Box<dyn Error + Send + Sync>,
}
