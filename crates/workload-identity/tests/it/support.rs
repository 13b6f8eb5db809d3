//! A backend to test, and a clock that stands still.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::Clock;
use identity::tls::ClientTls;
use identity::{
    AuthenticationError, AuthenticationOutcome, Authenticator, Credentials, Identity,
    LifetimeBound, LoginSource, PasswordVerifier, Proof, SessionAllowance, WorkerPool,
};
use policy::ScopeCeiling;
use token::SignatureAlgorithm;
use workload_identity::{
    AccountTemplate, ClaimCondition, ClaimPath, IssuerKeySource, IssuerSettings, Preset, TrustAuth,
    TrustRule, TrustedIssuer,
};

use crate::platform::{AUDIENCE, Platform};

/// When every test begins, in seconds since 1970.
pub(crate) const START: u64 = 1_800_000_000;

/// A clock that moves only in [`pass`](Self::pass).
pub(crate) struct HeldClock(Mutex<SystemTime>);

impl HeldClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(UNIX_EPOCH + Duration::from_secs(START))))
    }

    pub(crate) fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// A rule with these conditions, which makes the account of its preset's claims.
pub(crate) fn rule(name: &str, preset: Preset, conditions: &[(&str, &str)]) -> TrustRule {
    let conditions = conditions.iter().map(|(claim, pattern)| ClaimCondition {
        claim: ClaimPath::new(claim, preset),
        patterns: vec![pattern.parse().unwrap()],
    });
    let account = format!("{name}:{}", preset.account());
    let labels = preset.labels().iter();
    TrustRule {
        place: "auth.yml:7".into(),
        conditions: conditions.collect(),
        account: AccountTemplate::parse(&account, preset).unwrap(),
        labels: labels
            .map(|label| ((*label).to_owned(), ClaimPath::new(label, preset)))
            .collect(),
        ceiling: ScopeCeiling::Unlimited,
        token_lifetime: LifetimeBound::Configured,
        session: SessionAllowance::Refused,
    }
}

/// What the configuration says of a platform.
pub(crate) fn settings(name: &str, preset: Preset, issuer: String) -> IssuerSettings {
    IssuerSettings {
        name: name.to_owned(),
        preset,
        issuer,
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: SignatureAlgorithm::ALL.to_vec(),
        keys: IssuerKeySource::Fetched {
            address: None,
            tls: ClientTls::default(),
            bearer: None,
            timeout: Duration::from_secs(30),
        },
        rules: vec![rule(name, preset, &[])],
    }
}

/// A backend, and the parts of it that a test looks at.
pub(crate) struct Bench {
    pub(crate) backend: TrustAuth,
    pub(crate) verifier: Arc<PasswordVerifier>,
    pub(crate) clock: Arc<HeldClock>,
}

impl Bench {
    /// A backend that trusts these.
    pub(crate) fn new(all: Vec<IssuerSettings>) -> Self {
        let clock = HeldClock::new();
        let issuer = |settings| Arc::new(TrustedIssuer::new(settings, clock.clone()).unwrap());
        let issuers = all.into_iter().map(issuer).collect();
        Self::with_clock(issuers, clock)
    }

    /// A backend that trusts these, which are made already.
    pub(crate) fn of(issuers: Vec<Arc<TrustedIssuer>>) -> Self {
        Self::with_clock(issuers, HeldClock::new())
    }

    fn with_clock(issuers: Vec<Arc<TrustedIssuer>>, clock: Arc<HeldClock>) -> Self {
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
        let cost = identity::password::HashCost::bcrypt(16);
        let verifier = Arc::new(PasswordVerifier::new(workers, []).expecting(&cost));
        Self {
            backend: TrustAuth::new(issuers, Arc::clone(&verifier), clock.clone()),
            verifier,
            clock,
        }
    }

    /// A backend that trusts one platform, whose workloads are like GitHub's.
    pub(crate) fn github(platform: &Platform) -> Self {
        Self::new(vec![settings("github", Preset::Github, platform.issuer())])
    }

    /// What becomes of a password.
    pub(crate) async fn ask(
        &self,
        account: &str,
        password: &str,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let proof = Proof::Password(Credentials {
            account: account.into(),
            password: password.into(),
        });
        let source = LoginSource::new(None, account);
        self.backend.authenticate(&proof, &source).await
    }

    /// What becomes of a token in a token exchange.
    pub(crate) async fn exchange(
        &self,
        token: &str,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let proof = Proof::FederatedToken(token.into());
        let source = LoginSource::new(None, "");
        self.backend.authenticate(&proof, &source).await
    }

    /// The workload of a token that must be good.
    pub(crate) async fn accepted(&self, token: &str) -> Identity {
        match self.exchange(token).await {
            Ok(AuthenticationOutcome::Accepted(identity)) => identity,
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Checks that a token is refused.
    pub(crate) async fn refused_only(&self, token: &str) {
        let outcome = self.exchange(token).await;
        assert!(
            matches!(outcome, Ok(AuthenticationOutcome::TokenRefused(_))),
            "{outcome:?}"
        );
    }

    /// Why a token is refused: the words for the operator.
    pub(crate) async fn refused(&self, token: &str) -> String {
        self.refused_only(token).await;
        let report = self.backend.report(token).await;
        assert_eq!(report.accepted, None);
        match report.verified {
            Err(problem) => problem,
            Ok(()) => format!("{:?}", report.rules),
        }
    }
}
