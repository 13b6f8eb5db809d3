//! The backend of logins: the section `trust`.

use std::sync::Arc;

use common::{BoxFuture, Clock, with_causes};
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError, Identity,
    LoginRetention, LoginSource, LoginTerms, PasswordVerifier, Proof, Recheck, RecheckedCredential,
};
use openid::ProviderRequestError;
use policy::Subject;

use crate::condition::shown;
use crate::issuer::{TrustedIssuer, VerificationError};
use crate::problem::TokenProblem;
use crate::received::{ReceivedToken, claimed_issuer};
use crate::rule::{self, TrustRule};

/// The section in the configuration.
const SECTION: &str = "trust";

/// Logs workloads in with the tokens of trusted issuers.
///
/// A token comes as a [`Proof::FederatedToken`], or as the password of any user name. A password that
/// is a token of a trusted issuer is checked here and nowhere else; any other password is none of this
/// backend's, whatever it looks like. Accounts that begin with an issuer's name and a colon are this
/// backend's alone: another password for one is wrong.
pub struct TrustAuth {
    issuers: Vec<Arc<TrustedIssuer>>,
    verifier: Arc<PasswordVerifier>,
    clock: Arc<dyn Clock>,
}

impl TrustAuth {
    /// A backend that trusts `issuers`. `verifier` makes a wrong password cost as much as any other.
    #[must_use]
    pub fn new(
        issuers: Vec<Arc<TrustedIssuer>>,
        verifier: Arc<PasswordVerifier>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            issuers,
            verifier,
            clock,
        }
    }

    fn issuer(&self, name: &str) -> Option<&TrustedIssuer> {
        let mut issuers = self.issuers.iter();
        let found = issuers.find(|issuer| issuer.settings().issuer == name);
        found.map(|issuer| &**issuer)
    }

    fn owner(&self, account: &str) -> Option<&TrustedIssuer> {
        let mut issuers = self.issuers.iter();
        let found = issuers.find(|issuer| issuer.owns(account));
        found.map(|issuer| &**issuer)
    }

    /// Whether the proof is for this backend to decide.
    fn decides(&self, proof: &Proof) -> bool {
        match proof {
            Proof::FederatedToken(_) => true,
            Proof::Password(_) => self.recognizes(proof) || self.owner(proof.account()).is_some(),
            Proof::BearerToken(_) => false,
        }
    }

    /// The workload that a token stands for.
    pub(crate) async fn identify(&self, text: &str) -> Result<Identity, VerificationError> {
        let refused = VerificationError::Refused;
        let received = ReceivedToken::parse(text).map_err(refused)?;
        let issuer = received
            .claims
            .get("iss")
            .and_then(|issuer| issuer.as_str());
        let found = issuer.and_then(|issuer| self.issuer(issuer));
        let issuer =
            found.ok_or_else(|| refused(TokenProblem::Issuer(issuer.map(str::to_owned))))?;
        let ends = issuer.verify(&received, self.clock.now()).await?;
        let rule = matching(issuer, &received).map_err(refused)?;
        let settings = issuer.settings();
        let account = rule.account.expand(&received.claims);
        let account = account.map_err(|error| {
            refused(TokenProblem::Account {
                place: rule.place.to_string(),
                error,
            })
        })?;
        let terms = LoginTerms {
            retention: LoginRetention::Until(ends),
            token_lifetime: rule.token_lifetime,
            session: rule.session,
            origin: rule::origin(&rule.place, settings.preset, &received.claims),
        };
        let subject = Subject {
            account,
            labels: rule.labels_of(&received.claims),
        };
        Ok(Identity {
            ceiling: rule.ceiling.clone(),
            terms,
            ..Identity::new(subject).with_credential(rule.fingerprint(&settings.issuer))
        })
    }

    async fn check(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        if !self.decides(proof) {
            return Ok(AuthenticationOutcome::NoMatch);
        }
        match self.identify(proof.secret().expose()).await {
            Ok(identity) => Ok(AuthenticationOutcome::Accepted(identity)),
            Err(VerificationError::NoKeys(error)) => Err(unanswered(error).into()),
            Err(VerificationError::Refused(problem)) => {
                let reason = shown(&problem.to_string());
                tracing::info!(reason, "the token of a workload is refused");
                if self.recognizes(proof) {
                    return Ok(AuthenticationOutcome::TokenRefused(problem.refusal()));
                }
                // The password of an account that has none.
                let rejection = self.verifier.reject(proof, source).await?;
                Ok(AuthenticationOutcome::Rejected(rejection))
            }
        }
    }

    /// The rules by which sessions of the issuer that owns `account` go on.
    fn rules_of(&self, account: &str) -> Recheck {
        let Some(owner) = self.owner(account) else {
            return Recheck::NoMatch;
        };
        let settings = owner.settings();
        let known = settings.rules.iter().map(|rule| RecheckedCredential {
            credential: rule.fingerprint(&settings.issuer),
            token_lifetime: rule.token_lifetime,
        });
        Recheck::ByCredential(known.collect())
    }

    /// Asks every issuer, also after one that fails.
    async fn connect(&self) -> Result<Option<String>, BackendError> {
        let (mut answers, mut failure) = (Vec::new(), None);
        for issuer in &self.issuers {
            let answer = match issuer.count_keys().await {
                Ok(1) => "1 key".to_owned(),
                Ok(keys) => format!("{keys} keys"),
                Err(error) => {
                    let answer = format!("error: {}", with_causes(&error));
                    failure = Some(unanswered(error));
                    answer
                }
            };
            answers.push(format!("{}: {answer}", issuer.settings().name));
        }
        match failure {
            None => Ok(Some(answers.join("; "))),
            Some(failure) => Err(BackendError {
                source: answers.join("; ").into(),
                ..failure
            }),
        }
    }

    pub(crate) fn issuers(&self) -> &[Arc<TrustedIssuer>] {
        &self.issuers
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }
}

impl Authenticator for TrustAuth {
    fn name(&self) -> &'static str {
        SECTION
    }

    fn hint(&self, account: &str) -> AccountHint {
        match self.owner(account) {
            Some(_) => AccountHint::NeedsProof,
            None => AccountHint::NoMatch,
        }
    }

    fn recognizes(&self, proof: &Proof) -> bool {
        match proof {
            Proof::FederatedToken(_) => true,
            Proof::Password(credentials) => claimed_issuer(credentials.password.expose())
                .is_some_and(|issuer| self.issuer(&issuer).is_some()),
            Proof::BearerToken(_) => false,
        }
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(self.check(proof, source))
    }

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(std::future::ready(Ok(self.rules_of(account))))
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, BackendError>> {
        Box::pin(self.connect())
    }
}

/// The first rule that takes the token.
fn matching<'a>(
    issuer: &'a TrustedIssuer,
    received: &ReceivedToken,
) -> Result<&'a TrustRule, TokenProblem> {
    let mut passed = Vec::new();
    for rule in &issuer.settings().rules {
        match rule.check(&received.claims) {
            Ok(()) => return Ok(rule),
            Err(mismatch) => passed.push((rule.place.to_string(), mismatch)),
        }
    }
    Err(TokenProblem::NoRule(passed))
}

fn unanswered(error: ProviderRequestError) -> BackendError {
    match error {
        ProviderRequestError::Unavailable { .. } => BackendError::unavailable(SECTION, error),
        ProviderRequestError::Broken(_) => BackendError::broken(SECTION, error),
    }
}
