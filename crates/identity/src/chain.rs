//! Several backends, asked in order.

mod recheck;
mod tokens;

use std::sync::Arc;

pub use self::recheck::{CurrentAccount, EarlierLogin, NamedAccount, SessionStatus};
pub use self::tokens::OwnerStatus;

use crate::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError, Identity,
    LoginSource, OpaqueTokenFault, OpaqueTokens, Proof, Rejection, TokenRefusal,
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
