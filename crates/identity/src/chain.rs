//! Several backends, asked in order.

use policy::Subject;

use crate::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    CredentialFingerprint, Credentials, Identity, LoginSource, Recheck,
};

/// The configured backends in `docker_auth`'s order (`users`, `users_htpasswd`, `ext_auth`, …): the
/// first that knows an account decides, and an error stops the asking.
pub struct AuthenticatorChain(Vec<Box<dyn Authenticator>>);

/// What became of an account that a session was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// Still there, and the session's credential is still good.
    Valid(Subject),
    /// The account is gone, or it has another credential now.
    Ended,
    /// Nobody can tell without a password.
    Unknown,
}

impl AuthenticatorChain {
    /// A chain of `backends`, the first to be asked first.
    #[must_use]
    pub fn new(backends: Vec<Box<dyn Authenticator>>) -> Self {
        Self(backends)
    }

    /// The account that anybody may be, if `account` is one: told at once, without a password.
    #[must_use]
    pub fn open(&self, account: &str) -> Option<Identity> {
        for backend in &self.0 {
            match backend.hint(account) {
                AccountHint::AnyPassword(accepted) => return Some(accepted),
                AccountHint::NoMatch => {}
                AccountHint::NeedsProof => return None,
            }
        }
        None
    }

    /// The answer of the first backend that knows the account; [`AuthenticationOutcome::NoMatch`] when none does.
    ///
    /// # Errors
    /// Of the first backend that cannot answer; the ones after it are not asked.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        origin: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        for backend in &self.0 {
            match backend.authenticate(credentials, origin).await? {
                AuthenticationOutcome::NoMatch => {}
                decided => return Ok(decided),
            }
        }
        Ok(AuthenticationOutcome::NoMatch)
    }

    /// Whether a session for `account` that was made under `credential` may go on.
    ///
    /// A session with a credential needs a backend that vouches for that very credential: an account
    /// that has left `users` is gone, even where `ext_auth` behind it "cannot say".
    ///
    /// # Errors
    /// Of the first backend that cannot answer.
    pub async fn recheck(
        &self,
        account: &str,
        credential: Option<&CredentialFingerprint>,
    ) -> Result<SessionStatus, BackendError> {
        for backend in &self.0 {
            match backend.recheck(account).await? {
                Recheck::NoMatch => {}
                known => return Ok(standing(known, credential)),
            }
        }
        Ok(SessionStatus::Ended)
    }

    /// The account with the labels it has now, whoever asks. None where nobody knows it, or can
    /// tell only who has its password.
    ///
    /// # Errors
    /// Of the first backend that cannot answer.
    pub async fn look_up(&self, account: &str) -> Result<Option<Subject>, BackendError> {
        for backend in &self.0 {
            match backend.recheck(account).await? {
                Recheck::NoMatch => {}
                Recheck::Valid { subject, .. } => return Ok(Some(subject)),
                Recheck::Unknown => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn standing(known: Recheck, credential: Option<&CredentialFingerprint>) -> SessionStatus {
    match (known, credential) {
        (
            Recheck::Valid {
                subject,
                fingerprints,
            },
            Some(credential),
        ) if fingerprints.contains(credential) => SessionStatus::Valid(subject),
        (Recheck::Unknown, None) => SessionStatus::Unknown,
        (Recheck::Valid { .. } | Recheck::Unknown | Recheck::NoMatch, _) => SessionStatus::Ended,
    }
}
