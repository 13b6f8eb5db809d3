//! Everything between a proof and the account that it proves.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use common::Secret;

use crate::chain::ChainOutcome;
use crate::in_flight::InFlight;
use crate::{
    AcceptedLogin, AuthenticationError, AuthenticatorChain, BackendError, EarlierLogin, Identity,
    LoginCache, LoginCacheStatistics, LoginLimiter, LoginRetention, LoginSource, OpaqueTokenFault,
    PasswordVerifier, Proof, Rate, SessionStatus, SourceAddress, TokenRefusal, TokenUse,
    is_unambiguous_name,
};

/// What the configuration's `login` section says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSettings {
    /// How many verifications run at once.
    pub parallel: NonZeroUsize,
    /// How long an accepted login is remembered; zero turns that off.
    pub remember: Duration,
    /// How often one address may fail.
    pub per_address: Rate,
    /// How often one address may fail for one account.
    pub per_account: Rate,
}

impl Default for LoginSettings {
    fn default() -> Self {
        Self {
            parallel: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            remember: Duration::from_secs(60),
            per_address: Rate::per_minute(20),
            per_account: Rate::per_minute(10),
        }
    }
}

/// Logs clients in, the cheapest check first: a token of this server is looked up; an account that
/// takes any password needs none; a remembered login is looked up; a source with too many failures
/// is turned away; and only then is a proof verified.
pub struct Login {
    chain: AuthenticatorChain,
    cache: LoginCache,
    limiter: Arc<LoginLimiter>,
    verifier: Arc<PasswordVerifier>,
    in_flight: InFlight,
}

/// What came of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most logins are accepted, and a login costs more than the move"
)]
pub enum LoginOutcome {
    /// The client is the account that it claims to be.
    Accepted(AcceptedLogin),
    /// The proof is wrong, or no backend knows the account. A client cannot tell which.
    Rejected {
        /// The backend that rejected; `None` if no backend knows the account.
        backend: Option<&'static str>,
    },
    /// The proof is a token of this server, which is rejected. The client may be told why.
    TokenRejected(OpaqueTokenFault),
    /// There were too many failures. The next attempt is possible after this long.
    TooManyFailures(Duration),
    /// Too many logins are waiting. Another attempt may succeed after this long.
    Busy(Duration),
}

impl Login {
    /// `cache` is new with each configuration; `limiter` may outlive it.
    #[must_use]
    pub fn new(
        chain: AuthenticatorChain,
        cache: LoginCache,
        limiter: Arc<LoginLimiter>,
        verifier: Arc<PasswordVerifier>,
    ) -> Self {
        Self {
            chain,
            cache,
            limiter,
            verifier,
            in_flight: InFlight::default(),
        }
    }

    /// How useful it is to remember logins.
    #[must_use]
    pub fn remembered(&self) -> LoginCacheStatistics {
        self.cache.statistics()
    }

    /// The account that `proof`, which came from `address`, proves.
    ///
    /// # Errors
    /// When a backend is broken.
    pub async fn login(
        &self,
        proof: &Proof,
        address: impl Into<SourceAddress>,
    ) -> Result<LoginOutcome, BackendError> {
        let address = address.into();
        // Before all others: a valid token must not wait for those that failed at its address.
        if let Some(token) = self
            .chain
            .authenticate_token(proof, address.of_client())
            .await?
        {
            return match token {
                Ok(accepted) => Ok(LoginOutcome::Accepted(accepted)),
                Err(fault) => {
                    let source = LoginSource::new(address, proof.account());
                    self.limited(self.reject_token(proof, &source, fault), &source)
                        .await
                }
            };
        }
        let by_password = proof.password().filter(|_| !self.recognizes(proof));
        if let Some(open) = by_password.and_then(|password| self.chain.open(&password.account)) {
            return Ok(LoginOutcome::Accepted(open));
        }
        let source = LoginSource::new(address, proof.account());
        if !self.cache.is_on() {
            return self.ask(proof, &source).await;
        }
        // Before a backend is asked: a change of its accounts in the meantime counts.
        let revision = self.chain.revision();
        let key = self.cache.key(proof);
        let remembered = self.cache.get(&key, revision);
        self.cache.count(remembered.is_some());
        if let Some(accepted) = remembered {
            return Ok(LoginOutcome::Accepted(Arc::unwrap_or_clone(accepted)));
        }
        // Anonymous requests all look the same and must not wait for each other.
        let _turn = match proof.is_anonymous() {
            false => Some(self.in_flight.enter(key).await),
            true => None,
        };
        if let Some(accepted) = self.cache.get(&key, revision) {
            return Ok(LoginOutcome::Accepted(Arc::unwrap_or_clone(accepted)));
        }
        let outcome = self.ask(proof, &source).await?;
        if let LoginOutcome::Accepted(accepted) = &outcome
            && accepted.identity.terms.retention != LoginRetention::Never
        {
            self.cache.insert(key, Arc::new(accepted.clone()), revision);
        }
        Ok(outcome)
    }

    /// The backends that know the accounts. What is asked of them is neither limited nor remembered.
    #[must_use]
    pub fn chain(&self) -> &AuthenticatorChain {
        &self.chain
    }

    /// Whether a backend recognizes the form of `proof`, so that the account that it names does not
    /// matter: see [`Authenticator::recognizes`](crate::Authenticator::recognizes).
    #[must_use]
    pub fn recognizes(&self, proof: &Proof) -> bool {
        self.chain.recognizes(proof)
    }

    /// Whether the session that `login` opened goes on: see [`AuthenticatorChain::recheck`].
    ///
    /// # Errors
    /// When a backend is broken.
    pub async fn recheck(&self, login: &EarlierLogin<'_>) -> Result<SessionStatus, BackendError> {
        self.chain.recheck(login).await
    }

    /// The account of a session that a token of this server opened, for a client at `address`; `None`
    /// if another login opened it.
    ///
    /// # Errors
    /// When the tokens cannot be read, or a backend is broken.
    pub async fn recheck_token(
        &self,
        login: &EarlierLogin<'_>,
        address: SourceAddress,
    ) -> Result<Option<Result<Identity, OpaqueTokenFault>>, BackendError> {
        self.chain.recheck_token(login, Some(address)).await
    }

    /// Whether `secret` has the form of a token of this server, valid or not.
    #[must_use]
    pub fn recognizes_token(&self, secret: &Secret) -> bool {
        self.chain.recognizes_token(secret)
    }

    /// Notes that the token which proved `identity` was used, if a token did.
    pub fn note_token_use(&self, identity: &Identity, token_use: TokenUse) {
        self.chain.note_token_use(identity, token_use);
    }

    /// The account with its labels of today, for a caller that need not be it: see
    /// [`AuthenticatorChain::look_up`].
    ///
    /// # Errors
    /// When a backend is broken.
    pub async fn look_up(&self, account: &str) -> Result<Option<Identity>, BackendError> {
        self.chain.look_up(account).await
    }

    /// Asks the backends, unless there were too many failures. Anonymous requests have no limit.
    async fn ask(&self, proof: &Proof, source: &LoginSource) -> Result<LoginOutcome, BackendError> {
        if proof.is_anonymous() {
            return answer(self.ask_in_order(proof, source).await);
        }
        if self.recognizes(proof) && is_unambiguous_name(proof.account()) {
            return self.ask_about_token(proof, source).await;
        }
        self.limited(self.ask_in_order(proof, source), source).await
    }

    /// Asks the backend that recognizes `proof`, a token of another issuer. As with a token of this
    /// server, a valid one does not wait for those that failed at its address: a signature cannot be
    /// guessed, and many jobs of a CI system share an address. For the same reason, a token that its
    /// issuer made is never a failure, so a job without a rule ends no other job's logins.
    async fn ask_about_token(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<LoginOutcome, BackendError> {
        let outcome = match self.chain.authenticate(proof, source).await {
            Ok(outcome) => outcome,
            Err(error) => return answer(Err(error)),
        };
        if let ChainOutcome::TokenRefused {
            backend,
            refusal: TokenRefusal::Verified,
        } = outcome
        {
            let backend = Some(backend);
            return Ok(LoginOutcome::Rejected { backend });
        }
        if let ChainOutcome::Accepted(accepted) = outcome {
            return Ok(LoginOutcome::Accepted(accepted));
        }
        self.limited(self.conclude(outcome, proof, source), source)
            .await
    }

    /// The outcome of `login`, which is not awaited if there were too many failures.
    async fn limited(
        &self,
        login: impl Future<Output = Result<LoginOutcome, AuthenticationError>>,
        source: &LoginSource,
    ) -> Result<LoginOutcome, BackendError> {
        let admission = match self.limiter.admit(source).await {
            Ok(admission) => admission,
            Err(wait) => return Ok(LoginOutcome::TooManyFailures(wait)),
        };
        let outcome = answer(login.await);
        match outcome {
            Ok(LoginOutcome::Rejected { .. } | LoginOutcome::TokenRejected(_)) => {
                admission.failed().await;
            }
            Ok(
                LoginOutcome::Accepted(_)
                | LoginOutcome::TooManyFailures(_)
                | LoginOutcome::Busy(_),
            )
            | Err(_) => admission.give_back(),
        }
        outcome
    }

    /// Rejects a token of this server, at the cost of every rejection.
    async fn reject_token(
        &self,
        proof: &Proof,
        source: &LoginSource,
        fault: OpaqueTokenFault,
    ) -> Result<LoginOutcome, AuthenticationError> {
        let _rejection = self.verifier.reject(proof, source).await?;
        Ok(LoginOutcome::TokenRejected(fault))
    }

    async fn ask_in_order(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<LoginOutcome, AuthenticationError> {
        // No backend sees a name that a program, a log or a terminal could read as another name.
        if !is_unambiguous_name(proof.account()) {
            let _rejection = self.verifier.reject(proof, source).await?;
            return Ok(LoginOutcome::Rejected { backend: None });
        }
        let outcome = self.chain.authenticate(proof, source).await?;
        self.conclude(outcome, proof, source).await
    }

    /// What comes of `outcome`; a rejection whose cost was not computed yet is computed now.
    async fn conclude(
        &self,
        outcome: ChainOutcome,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<LoginOutcome, AuthenticationError> {
        let (backend, _rejection) = match outcome {
            ChainOutcome::Accepted(accepted) => return Ok(LoginOutcome::Accepted(accepted)),
            ChainOutcome::Rejected { backend, rejection } => (Some(backend), rejection),
            ChainOutcome::TokenRefused { backend, .. } => {
                (Some(backend), self.verifier.reject(proof, source).await?)
            }
            ChainOutcome::NoMatch => (None, self.verifier.reject(proof, source).await?),
        };
        Ok(LoginOutcome::Rejected { backend })
    }
}

/// A queue that is full is an outcome.
fn answer(
    outcome: Result<LoginOutcome, AuthenticationError>,
) -> Result<LoginOutcome, BackendError> {
    match outcome {
        Ok(outcome) => Ok(outcome),
        Err(AuthenticationError::Busy(wait)) => Ok(LoginOutcome::Busy(wait)),
        Err(AuthenticationError::Backend(error)) => Err(error),
    }
}
