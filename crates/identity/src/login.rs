//! The front door.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use policy::Subject;

use crate::flights::Flights;
use crate::{
    Accepted, Answer, BackendError, Chain, Credentials, Guard, NoAnswer, Origin, PasswordVerifier,
    Rate, Remembered, Stamp, Standing,
};

/// What the configuration's `login` section says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many verifications run at once.
    pub parallel: NonZeroUsize,
    /// How long a success is remembered; zero turns that off.
    pub remember: Duration,
    /// How many failures are heard from one address.
    pub per_address: Rate,
    /// How many of them may be on one account.
    pub per_account: Rate,
}

impl Default for Settings {
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
    chain: Chain,
    remembered: Remembered,
    guard: Arc<Guard>,
    verifier: Arc<PasswordVerifier>,
    flights: Flights,
}

/// What came of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is who it says it is.
    Accepted(Accepted),
    /// It is not, or nobody is known by that name; from outside there is no difference.
    Refused,
    /// There were too many failures; an attempt after this long is heard.
    TooMany(Duration),
    /// Too many others are waiting; after this long it may look better.
    Busy(Duration),
}

impl Login {
    /// A front door. `remembered` is new with each configuration; `guard` may outlive it.
    #[must_use]
    pub fn new(
        chain: Chain,
        remembered: Remembered,
        guard: Arc<Guard>,
        verifier: Arc<PasswordVerifier>,
    ) -> Self {
        Self {
            chain,
            remembered,
            guard,
            verifier,
            flights: Flights::default(),
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
    ) -> Result<Outcome, BackendError> {
        if let Some(accepted) = self.chain.open(&credentials.account) {
            return Ok(Outcome::Accepted(accepted));
        }
        let origin = Origin::new(address, &credentials.account);
        if !self.remembered.is_on() {
            return self.guarded(credentials, &origin).await;
        }
        let fingerprint = self.remembered.fingerprint(credentials);
        if let Some(accepted) = self.remembered.recall(&fingerprint) {
            return Ok(Outcome::Accepted(Arc::unwrap_or_clone(accepted)));
        }
        // Anonymous requests all look the same, and must not wait for each other.
        let _flight = match credentials.is_anonymous() {
            false => Some(self.flights.enter(fingerprint).await),
            true => None,
        };
        if let Some(accepted) = self.remembered.recall(&fingerprint) {
            return Ok(Outcome::Accepted(Arc::unwrap_or_clone(accepted)));
        }
        let outcome = self.guarded(credentials, &origin).await?;
        if let Outcome::Accepted(accepted) = &outcome {
            self.remembered
                .remember(fingerprint, Arc::new(accepted.clone()));
        }
        Ok(outcome)
    }

    /// Whether a session for `account` that was made under `stamp` may go on.
    ///
    /// # Errors
    /// When a backend is broken.
    pub async fn recheck(
        &self,
        account: &str,
        stamp: Option<&Stamp>,
    ) -> Result<Standing, BackendError> {
        self.chain.recheck(account, stamp).await
    }

    /// The account with the labels it has now, for somebody who need not be it: see
    /// [`Chain::look_up`].
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
        origin: &Origin,
    ) -> Result<Outcome, BackendError> {
        if credentials.is_anonymous() {
            return self.ask(credentials, origin).await;
        }
        let admission = match self.guard.admit(&credentials.account, origin).await {
            Ok(admission) => admission,
            Err(wait) => return Ok(Outcome::TooMany(wait)),
        };
        let outcome = self.ask(credentials, origin).await;
        match outcome {
            Ok(Outcome::Refused) => admission.failed(),
            _ => admission.give_back(),
        }
        outcome
    }

    async fn ask(
        &self,
        credentials: &Credentials,
        origin: &Origin,
    ) -> Result<Outcome, BackendError> {
        let answer = match self.chain.authenticate(credentials, origin).await {
            Ok(Answer::NoMatch) => self
                .verifier
                .refuse(credentials, origin)
                .await
                .map(Answer::Refused),
            answer => answer,
        };
        match answer {
            Ok(Answer::Accepted(accepted)) => Ok(Outcome::Accepted(accepted)),
            Ok(Answer::Refused(_) | Answer::NoMatch) => Ok(Outcome::Refused),
            Err(NoAnswer::Busy(wait)) => Ok(Outcome::Busy(wait)),
            Err(NoAnswer::Failed(error)) => Err(error),
        }
    }
}
