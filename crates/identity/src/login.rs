//! The front door.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use policy::Subject;

use crate::in_flight::InFlight;
use crate::{
    AuthenticationError, AuthenticationOutcome, AuthenticatorChain, BackendError,
    CredentialFingerprint, Credentials, Identity, LoginCache, LoginLimiter, LoginSource,
    PasswordVerifier, Rate, SessionStatus,
};

/// What the configuration's `login` section says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSettings {
    /// How many verifications run at once.
    pub parallel: NonZeroUsize,
    /// How long a success is cache; zero turns that off.
    pub remember: Duration,
    /// How many failures are heard from one address.
    pub per_address: Rate,
    /// How many of them may be on one account.
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

/// Everything between somebody's credentials and who they are, cheapest first: an open account is
/// told at once, a remembered success is looked up, whoever failed too often is turned away, and
/// only then is a password verified.
pub struct Login {
    chain: AuthenticatorChain,
    cache: LoginCache,
    limiter: Arc<LoginLimiter>,
    verifier: Arc<PasswordVerifier>,
    in_flight: InFlight,
}

/// What came of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// It is who it says it is.
    Accepted(Identity),
    /// It is not, or nobody is known by that name; from outside there is no difference.
    Rejected,
    /// There were too many failures; an attempt after this long is heard.
    TooManyFailures(Duration),
    /// Too many others are waiting; after this long it may look better.
    Busy(Duration),
}

impl Login {
    /// A front door. `remembered` is new with each configuration; `limiter` may outlive it.
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

    /// Who shows `credentials`. `address` is where they come from, none when that is a proxy's word
    /// not to be trusted.
    ///
    /// # Errors
    /// When a backend is broken.
    pub async fn login(
        &self,
        credentials: &Credentials,
        address: Option<IpAddr>,
    ) -> Result<LoginOutcome, BackendError> {
        if let Some(accepted) = self.chain.open(&credentials.account) {
            return Ok(LoginOutcome::Accepted(accepted));
        }
        let origin = LoginSource::new(address, &credentials.account);
        if !self.cache.is_on() {
            return self.guarded(credentials, &origin).await;
        }
        let fingerprint = self.cache.fingerprint(credentials);
        if let Some(accepted) = self.cache.recall(&fingerprint) {
            return Ok(LoginOutcome::Accepted(Arc::unwrap_or_clone(accepted)));
        }
        // Anonymous requests all look the same, and must not wait for each other.
        let _login = match credentials.is_anonymous() {
            false => Some(self.in_flight.enter(fingerprint).await),
            true => None,
        };
        if let Some(accepted) = self.cache.recall(&fingerprint) {
            return Ok(LoginOutcome::Accepted(Arc::unwrap_or_clone(accepted)));
        }
        let outcome = self.guarded(credentials, &origin).await?;
        if let LoginOutcome::Accepted(accepted) = &outcome {
            self.cache.remember(fingerprint, Arc::new(accepted.clone()));
        }
        Ok(outcome)
    }

    /// Whether a session for `account` that was made under `credential` may go on.
    ///
    /// # Errors
    /// When a backend is broken.
    pub async fn recheck(
        &self,
        account: &str,
        credential: Option<&CredentialFingerprint>,
    ) -> Result<SessionStatus, BackendError> {
        self.chain.recheck(account, credential).await
    }

    /// The account with the labels it has now, for somebody who need not be it: see
    /// [`AuthenticatorChain::look_up`].
    ///
    /// # Errors
    /// When a backend is broken.
    pub async fn look_up(&self, account: &str) -> Result<Option<Subject>, BackendError> {
        self.chain.look_up(account).await
    }

    /// Asks the chain, unless there were too many failures. Anonymous requests are never limited.
    async fn guarded(
        &self,
        credentials: &Credentials,
        origin: &LoginSource,
    ) -> Result<LoginOutcome, BackendError> {
        if credentials.is_anonymous() {
            return self.ask(credentials, origin).await;
        }
        let admission = match self.limiter.admit(&credentials.account, origin).await {
            Ok(admission) => admission,
            Err(wait) => return Ok(LoginOutcome::TooManyFailures(wait)),
        };
        let outcome = self.ask(credentials, origin).await;
        match outcome {
            Ok(LoginOutcome::Rejected) => admission.failed(),
            _ => admission.give_back(),
        }
        outcome
    }

    async fn ask(
        &self,
        credentials: &Credentials,
        origin: &LoginSource,
    ) -> Result<LoginOutcome, BackendError> {
        let answer = match self.chain.authenticate(credentials, origin).await {
            Ok(AuthenticationOutcome::NoMatch) => self
                .verifier
                .refuse(credentials, origin)
                .await
                .map(AuthenticationOutcome::Rejected),
            answer => answer,
        };
        match answer {
            Ok(AuthenticationOutcome::Accepted(accepted)) => Ok(LoginOutcome::Accepted(accepted)),
            Ok(AuthenticationOutcome::Rejected(_) | AuthenticationOutcome::NoMatch) => {
                Ok(LoginOutcome::Rejected)
            }
            Err(AuthenticationError::Busy(wait)) => Ok(LoginOutcome::Busy(wait)),
            Err(AuthenticationError::Backend(error)) => Err(error),
        }
    }
}
