//! What became of accounts that have logged in before.

use common::BoxFuture;
use policy::Subject;

use super::AuthenticatorChain;
use crate::{
    Authenticator, BackendError, CredentialFingerprint, CurrentCredentials, Identity,
    LifetimeBound, Recheck, RecheckedCredential,
};

/// What a session keeps of the login that opened it.
#[derive(Clone, Copy, Debug)]
pub struct EarlierLogin<'a> {
    /// The account.
    pub account: &'a str,
    /// The credential that proved it, if the backend could tell.
    pub credential: Option<&'a CredentialFingerprint>,
    /// The backend that accepted, by its section in the configuration. `None` if that is not known.
    pub backend: Option<&'a str>,
}

/// The account of an access token, for a server that does not rely on the token alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedAccount<'a> {
    /// The account's name.
    pub account: &'a str,
    /// The personal token or robot's token that proved it, by its id; empty for another login.
    pub personal_token: &'a str,
}

impl<'a> From<&'a str> for NamedAccount<'a> {
    /// The account, with all that it may do.
    fn from(account: &'a str) -> Self {
        Self {
            account,
            personal_token: "",
        }
    }
}

/// What became of the account of an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CurrentAccount {
    /// It is there, with the labels and the ceiling of this moment.
    Present(Box<Identity>),
    /// Only its proof would tell.
    Unverifiable,
    /// It was removed or disabled, or the token that proved it is no longer valid.
    Gone,
}

impl CurrentAccount {
    fn present(identity: Identity) -> Self {
        Self::Present(Box::new(identity))
    }
}

/// What became of an account that has a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// The account is there, and the session's credential is still valid. The labels are today's.
    Valid(Subject),
    /// The backend keeps no accounts, and still accepts what opened the session. The labels are those
    /// of the login.
    Unchanged {
        /// How long an access token may live.
        token_lifetime: LifetimeBound,
    },
    /// The account or the credential is gone.
    Ended,
    /// The backend cannot tell without a proof.
    Unknown,
}

impl AuthenticatorChain {
    /// Whether the session that `login` opened goes on.
    ///
    /// The backend that accepted the login is asked first. If it no longer has the account, the
    /// others are asked in order, because an account may move from one list to another.
    ///
    /// A session with a credential needs a backend that lists this very credential: an account that
    /// was removed from `users` is gone, even if `ext_auth` behind it cannot tell.
    ///
    /// # Errors
    /// Of the first backend that has no answer.
    pub async fn recheck(&self, login: &EarlierLogin<'_>) -> Result<SessionStatus, BackendError> {
        if let Some(token) = self.recheck_token(login, None).await? {
            return Ok(token.map_or(SessionStatus::Ended, |identity| {
                SessionStatus::Valid(identity.subject)
            }));
        }
        let mut backends = self.backends.iter();
        if let Some(own) = backends.find(|backend| login.backend == Some(backend.name())) {
            let known = own.recheck(login.account).await?;
            if known != Recheck::NoMatch {
                return Ok(
                    match self.present_before(own.name(), login.account).await? {
                        Some(other) => status(other, login.credential, Asked::Other),
                        None => status(known, login.credential, Asked::Own),
                    },
                );
            }
        }
        let asked = match login.backend {
            Some(_) => Asked::Other,
            None => Asked::Own,
        };
        let known = self.find(login.account).await?;
        let known = known.map_or(Recheck::NoMatch, |(_, known)| known);
        Ok(status(known, login.credential, asked))
    }

    /// The account with its labels of today, for a caller that need not be it. `None` if no backend
    /// knows the account, if it is disabled, or if only its proof would tell.
    ///
    /// # Errors
    /// Of the first backend that has no answer.
    pub async fn look_up(&self, account: &str) -> Result<Option<Identity>, BackendError> {
        if let Some(robot) = self.look_up_robot(account).await? {
            return Ok(Some(robot));
        }
        Ok(match self.find(account).await? {
            Some((_, Recheck::Present { subject, .. })) => Some(Identity::new(subject)),
            Some((
                _,
                Recheck::NoMatch | Recheck::Disabled | Recheck::ByCredential(_) | Recheck::Unknown,
            ))
            | None => None,
        })
    }

    /// What became of an account that an access token names.
    ///
    /// # Errors
    /// Of the first backend that has no answer.
    pub async fn current(&self, named: NamedAccount<'_>) -> Result<CurrentAccount, BackendError> {
        let by_token = match named.personal_token {
            "" if self.is_reserved(named.account) => Some(self.look_up_robot(named.account).await?),
            "" => None,
            id => Some(self.look_up_token(named.account, id).await?),
        };
        if let Some(found) = by_token {
            return Ok(found.map_or(CurrentAccount::Gone, CurrentAccount::present));
        }
        Ok(match self.find(named.account).await? {
            Some((_, Recheck::Present { subject, .. })) => {
                CurrentAccount::present(Identity::new(subject))
            }
            Some((_, Recheck::ByCredential(_) | Recheck::Unknown)) => CurrentAccount::Unverifiable,
            Some((_, Recheck::NoMatch | Recheck::Disabled)) | None => CurrentAccount::Gone,
        })
    }

    /// What the first backend says that knows the account, and which one it is.
    pub(super) async fn find(
        &self,
        account: &str,
    ) -> Result<Option<(&'static str, Recheck)>, BackendError> {
        let ask: RecheckMethod = |backend, account| backend.recheck(account);
        self.first_that_knows(account, ask).await
    }

    /// The same for the owner of a token that is used.
    pub(super) async fn find_token_owner(
        &self,
        account: &str,
    ) -> Result<Option<(&'static str, Recheck)>, BackendError> {
        let ask: RecheckMethod = |backend, account| backend.recheck_owner(account);
        self.first_that_knows(account, ask).await
    }

    async fn first_that_knows(
        &self,
        account: &str,
        ask: RecheckMethod,
    ) -> Result<Option<(&'static str, Recheck)>, BackendError> {
        if self.is_reserved(account) {
            return Ok(None);
        }
        for backend in &self.backends {
            match ask(backend.as_ref(), account).await? {
                Recheck::NoMatch => {}
                known => return Ok(Some((backend.name(), known))),
            }
        }
        Ok(None)
    }

    /// What a backend before `own` says if it has the account. It would decide a new login, so the
    /// account's name is another account's now.
    pub(super) async fn present_before(
        &self,
        own: &str,
        account: &str,
    ) -> Result<Option<Recheck>, BackendError> {
        for backend in self
            .backends
            .iter()
            .take_while(|backend| backend.name() != own)
        {
            let known = backend.recheck(account).await?;
            if matches!(
                known,
                Recheck::Present { .. } | Recheck::Disabled | Recheck::ByCredential(_)
            ) {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }
}

/// A method of a backend that says whether an account is still there.
type RecheckMethod =
    for<'a> fn(&'a dyn Authenticator, &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>>;

/// Which backend spoke of a session's account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The one that accepted the login, or any if that is not known.
    Own,
    /// Another one.
    Other,
}

/// A session with a credential goes on only while that credential is listed. A session without one
/// goes on only by the word of its own backend, and only while that does not list credentials: else
/// the account's name is another account's now.
fn status(
    known: Recheck,
    credential: Option<&CredentialFingerprint>,
    asked: Asked,
) -> SessionStatus {
    match (known, credential) {
        (
            Recheck::Present {
                subject,
                credentials: CurrentCredentials::Known(listed),
            },
            Some(credential),
        ) if listed.contains(credential) => SessionStatus::Valid(subject),
        (
            Recheck::Present {
                subject,
                credentials: CurrentCredentials::Unknown,
            },
            None,
        ) if asked == Asked::Own => SessionStatus::Valid(subject),
        (Recheck::Unknown, None) if asked == Asked::Own => SessionStatus::Unknown,
        (Recheck::ByCredential(accepted), Some(credential)) if asked == Asked::Own => {
            by_credential(&accepted, credential)
        }
        (
            Recheck::Present { .. }
            | Recheck::Disabled
            | Recheck::ByCredential(_)
            | Recheck::Unknown
            | Recheck::NoMatch,
            _,
        ) => SessionStatus::Ended,
    }
}

fn by_credential(
    accepted: &[RecheckedCredential],
    credential: &CredentialFingerprint,
) -> SessionStatus {
    let found = accepted
        .iter()
        .find(|known| known.credential == *credential);
    found.map_or(SessionStatus::Ended, |known| SessionStatus::Unchanged {
        token_lifetime: known.token_lifetime,
    })
}
