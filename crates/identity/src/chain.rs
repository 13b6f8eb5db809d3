//! Several backends, asked in order.

mod tokens;

use std::sync::Arc;

use policy::Subject;

pub use self::tokens::OwnerStatus;

use crate::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    CredentialFingerprint, CurrentCredentials, Identity, LifetimeBound, LoginSource,
    OpaqueTokenFault, OpaqueTokens, Proof, Recheck, RecheckedCredential, Rejection, TokenRefusal,
};

/// The configured backends in `docker_auth`'s order (`users`, `users_htpasswd`, `ext_auth`, …). The
/// first that knows an account decides, and an error ends the login.
///
/// A proof that has the form of one of this server's own tokens reaches no backend.
pub struct AuthenticatorChain {
    backends: Vec<Box<dyn Authenticator>>,
    tokens: Option<Arc<dyn OpaqueTokens>>,
}

/// A login that a backend accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedLogin {
    /// The account that was proved.
    pub identity: Identity,
    /// The backend that accepted, by its section in the configuration.
    pub backend: &'static str,
    /// The backends that were asked before and did not know the account.
    pub asked_before: Vec<&'static str>,
}

/// What the chain answers to a proof.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most logins are accepted, and a login costs more than the move"
)]
pub(crate) enum ChainOutcome {
    Accepted(AcceptedLogin),
    Rejected {
        backend: &'static str,
        rejection: Rejection,
    },
    /// A token that this backend recognizes is refused. Its cost was not computed.
    TokenRefused {
        backend: &'static str,
        refusal: TokenRefusal,
    },
    /// No backend knows the account.
    NoMatch,
}

/// What one backend said of a login.
#[derive(Debug)]
pub struct AskedBackend {
    /// Its section in the configuration.
    pub name: &'static str,
    /// Its answer.
    pub answer: BackendAnswer,
}

/// The answer of a backend to a login.
#[derive(Debug)]
pub enum BackendAnswer {
    /// It does not know the account; the next one is asked.
    NoMatch,
    /// It accepts, and no other is asked.
    Accepted(Identity),
    /// It rejects, and no other is asked.
    Rejected,
    /// It is a token of this server, which is rejected for this reason.
    TokenRejected(OpaqueTokenFault),
    /// It has no answer, and the login fails.
    Failed(AuthenticationError),
}

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
    /// A chain that asks `backends` in this order.
    #[must_use]
    pub fn new(backends: Vec<Box<dyn Authenticator>>) -> Self {
        Self {
            backends,
            tokens: None,
        }
    }

    /// The login of an account that takes any password, if `account` is one.
    pub(crate) fn open(&self, account: &str) -> Option<AcceptedLogin> {
        if self.is_reserved(account) {
            return None;
        }
        for (index, backend) in self.backends.iter().enumerate() {
            match backend.hint(account) {
                AccountHint::AnyPassword(identity) => return Some(self.accepted(index, identity)),
                AccountHint::NoMatch => {}
                AccountHint::NeedsProof => return None,
            }
        }
        None
    }

    /// Whether a backend recognizes `proof`, whatever account it names.
    pub(crate) fn recognizes(&self, proof: &Proof) -> bool {
        self.recognizes_token(proof.secret())
            || self
                .backends
                .iter()
                .any(|backend| backend.recognizes(proof))
    }

    /// The backends that are asked about `proof`, each with its number.
    fn asked(&self, proof: &Proof) -> impl Iterator<Item = (usize, &dyn Authenticator)> {
        let only = self
            .backends
            .iter()
            .position(|backend| backend.recognizes(proof));
        let all = self.backends.iter().map(|backend| &**backend).enumerate();
        all.filter(move |(index, _)| only.is_none_or(|only| only == *index))
    }

    /// The answer of the first backend that knows the account.
    ///
    /// # Errors
    /// Of the first backend that has no answer; the ones after it are not asked.
    pub(crate) async fn authenticate(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<ChainOutcome, AuthenticationError> {
        let mut asked_before = Vec::new();
        for (index, backend) in self.asked(proof) {
            match backend.authenticate(proof, source).await? {
                AuthenticationOutcome::NoMatch => {}
                AuthenticationOutcome::Accepted(identity)
                    if self.is_reserved(&identity.subject.account)
                        || self.belongs_to_earlier(index, &identity, proof).await? => {}
                AuthenticationOutcome::Accepted(identity) => {
                    return Ok(ChainOutcome::Accepted(AcceptedLogin {
                        identity,
                        backend: backend.name(),
                        asked_before,
                    }));
                }
                AuthenticationOutcome::Rejected(rejection) => {
                    return Ok(ChainOutcome::Rejected {
                        backend: backend.name(),
                        rejection,
                    });
                }
                AuthenticationOutcome::TokenRefused(refusal) => {
                    return Ok(ChainOutcome::TokenRefused {
                        backend: backend.name(),
                        refusal,
                    });
                }
            }
            asked_before.push(backend.name());
        }
        Ok(ChainOutcome::NoMatch)
    }

    /// What each backend says of a login, up to the one that decides. The limits on failures do not
    /// count: this is for an operator, not for a client.
    pub async fn explain(&self, proof: &Proof, source: &LoginSource) -> Vec<AskedBackend> {
        if let Some(asked) = self.explain_token(proof, source).await {
            return vec![asked];
        }
        let mut asked = Vec::new();
        for (index, backend) in self.asked(proof) {
            let answer = match backend.authenticate(proof, source).await {
                Ok(AuthenticationOutcome::NoMatch) => BackendAnswer::NoMatch,
                Ok(AuthenticationOutcome::Accepted(identity))
                    if self.is_reserved(&identity.subject.account) =>
                {
                    BackendAnswer::NoMatch
                }
                Ok(AuthenticationOutcome::Accepted(identity)) => {
                    match self.belongs_to_earlier(index, &identity, proof).await {
                        Ok(true) => BackendAnswer::NoMatch,
                        Ok(false) => BackendAnswer::Accepted(identity),
                        Err(error) => BackendAnswer::Failed(error.into()),
                    }
                }
                Ok(AuthenticationOutcome::Rejected(_) | AuthenticationOutcome::TokenRefused(_)) => {
                    BackendAnswer::Rejected
                }
                Err(error) => BackendAnswer::Failed(error),
            };
            let decides = !matches!(answer, BackendAnswer::NoMatch);
            let name = backend.name();
            asked.push(AskedBackend { name, answer });
            if decides {
                break;
            }
        }
        asked
    }

    /// A number that changes when that of a backend does. All of them count, because a backend may
    /// get an account that a later one has.
    pub(crate) fn revision(&self) -> u64 {
        let revisions = self.backends.iter().map(|backend| backend.revision());
        revisions.fold(0, u64::wrapping_add)
    }

    /// The backends, in the order in which they are asked.
    pub fn backends(&self) -> impl Iterator<Item = &dyn Authenticator> {
        self.backends.iter().map(|backend| &**backend)
    }

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

    /// Whether a backend before number `index` has the account that was proved. If the client wrote
    /// the name as it is stored, that backend was asked, and did not know it. A backend that ignores
    /// the case of a name may accept another spelling than the one that the others were asked about.
    async fn belongs_to_earlier(
        &self,
        index: usize,
        identity: &Identity,
        proof: &Proof,
    ) -> Result<bool, BackendError> {
        let account = &identity.subject.account;
        let is_respelled = proof
            .password()
            .is_some_and(|credentials| credentials.account != *account);
        if !is_respelled {
            return Ok(false);
        }
        let earlier = self
            .present_before(self.backends[index].name(), account)
            .await?;
        Ok(earlier.is_some())
    }

    /// What a backend before `own` says if it has the account. It would decide a new login, so the
    /// account's name is another account's now.
    async fn present_before(
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
    async fn find(&self, account: &str) -> Result<Option<(&'static str, Recheck)>, BackendError> {
        if self.is_reserved(account) {
            return Ok(None);
        }
        for backend in &self.backends {
            match backend.recheck(account).await? {
                Recheck::NoMatch => {}
                known => return Ok(Some((backend.name(), known))),
            }
        }
        Ok(None)
    }

    /// The same for the owner of a token that is used.
    async fn find_token_owner(
        &self,
        account: &str,
    ) -> Result<Option<(&'static str, Recheck)>, BackendError> {
        if self.is_reserved(account) {
            return Ok(None);
        }
        for backend in &self.backends {
            match backend.recheck_owner(account).await? {
                Recheck::NoMatch => {}
                known => return Ok(Some((backend.name(), known))),
            }
        }
        Ok(None)
    }

    fn accepted(&self, index: usize, identity: Identity) -> AcceptedLogin {
        AcceptedLogin {
            identity,
            backend: self.backends[index].name(),
            asked_before: self.backends[..index]
                .iter()
                .map(|other| other.name())
                .collect(),
        }
    }
}

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
