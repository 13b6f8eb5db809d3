//! Several backends, asked in order.

use policy::Subject;

use crate::{
    Accepted, Answer, Authenticator, BackendError, Credentials, Glance, NoAnswer, Origin, Recheck,
    Stamp,
};

/// The configured backends in `docker_auth`'s order (`users`, `users_htpasswd`, `ext_auth`, …): the
/// first that knows an account decides, and an error stops the asking.
pub struct Chain(Vec<Box<dyn Authenticator>>);

/// What became of an account that a session was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Still there, and the session's credential is still good.
    Good(Subject),
    /// The account is gone, or it has another credential now.
    Gone,
    /// Nobody can tell without a password.
    CannotSay,
}

impl Chain {
    /// A chain of `backends`, the first to be asked first.
    #[must_use]
    pub fn new(backends: Vec<Box<dyn Authenticator>>) -> Self {
        Self(backends)
    }

    /// The account that anybody may be, if `account` is one: told at once, without a password.
    #[must_use]
    pub fn open(&self, account: &str) -> Option<Accepted> {
        for backend in &self.0 {
            match backend.glance(account) {
                Glance::Open(accepted) => return Some(accepted),
                Glance::NoMatch => {}
                Glance::Ask => return None,
            }
        }
        None
    }

    /// The answer of the first backend that knows the account; [`Answer::NoMatch`] when none does.
    ///
    /// # Errors
    /// Of the first backend that cannot answer; the ones after it are not asked.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        origin: &Origin,
    ) -> Result<Answer, NoAnswer> {
        for backend in &self.0 {
            match backend.authenticate(credentials, origin).await? {
                Answer::NoMatch => {}
                decided => return Ok(decided),
            }
        }
        Ok(Answer::NoMatch)
    }

    /// Whether a session for `account` that was made under `stamp` may go on.
    ///
    /// A session with a stamp needs a backend that vouches for that very credential: an account
    /// that has left `users` is gone, even where `ext_auth` behind it "cannot say".
    ///
    /// # Errors
    /// Of the first backend that cannot answer.
    pub async fn recheck(
        &self,
        account: &str,
        stamp: Option<&Stamp>,
    ) -> Result<Standing, BackendError> {
        for backend in &self.0 {
            match backend.recheck(account).await? {
                Recheck::NoMatch => {}
                known => return Ok(standing(known, stamp)),
            }
        }
        Ok(Standing::Gone)
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
                Recheck::CannotSay => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn standing(known: Recheck, stamp: Option<&Stamp>) -> Standing {
    match (known, stamp) {
        (Recheck::Valid { subject, stamps }, Some(stamp)) if stamps.contains(stamp) => {
            Standing::Good(subject)
        }
        (Recheck::CannotSay, None) => Standing::CannotSay,
        (Recheck::Valid { .. } | Recheck::CannotSay | Recheck::NoMatch, _) => Standing::Gone,
    }
}
