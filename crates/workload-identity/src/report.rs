//! What becomes of a token, step by step, for `wharfinger trust check`.

use identity::Identity;

use crate::TrustAuth;
use crate::condition::ClaimMismatch;
use crate::issuer::VerificationError;
use crate::problem::TokenProblem;
use crate::received::{ReceivedToken, claimed_issuer};

/// What becomes of a token.
#[derive(Debug)]
pub struct TrustReport {
    /// The issuer, by its name in the configuration; `None` if no trusted one made the token.
    pub issuer: Option<String>,
    /// Whether signature, audience and times are right. `Err` says what is not.
    pub verified: Result<(), String>,
    /// The issuer's rules, in their order, up to the one that decides.
    pub rules: Vec<RuleReport>,
    /// The account of the workload, if it may log in.
    pub accepted: Option<Identity>,
}

/// What a rule says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleReport {
    /// Where the rule stands.
    pub place: String,
    /// What it says.
    pub outcome: RuleOutcome,
}

/// Whether a rule takes a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleOutcome {
    /// All conditions hold.
    Matches,
    /// A condition does not.
    Differs(ClaimMismatch),
}

impl TrustAuth {
    /// What becomes of a token. The issuer's keys are fetched if needed, and the rules are shown even
    /// if the token itself is not valid (any more).
    pub async fn report(&self, text: &str) -> TrustReport {
        let parsed = ReceivedToken::parse(text);
        let claimed = match &parsed {
            Ok(received) => received
                .claims
                .get("iss")
                .and_then(|issuer| issuer.as_str())
                .map(str::to_owned),
            Err(_) => claimed_issuer(text),
        };
        let mut issuers = self.issuers().iter();
        let issuer = issuers.find(|issuer| Some(&issuer.settings().issuer) == claimed.as_ref());
        let mut report = TrustReport {
            issuer: issuer.map(|issuer| issuer.settings().name.clone()),
            verified: Ok(()),
            rules: Vec::new(),
            accepted: None,
        };
        let received = match parsed {
            Ok(received) => received,
            Err(problem) => {
                report.verified = Err(problem.to_string());
                return report;
            }
        };
        let Some(issuer) = issuer else {
            report.verified = Err(TokenProblem::Issuer(claimed).to_string());
            return report;
        };
        report.verified = match issuer.verify(&received, self.clock().now()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(words(error)),
        };
        for rule in &issuer.settings().rules {
            let outcome = match rule.check(&received.claims) {
                Ok(()) => RuleOutcome::Matches,
                Err(mismatch) => RuleOutcome::Differs(mismatch),
            };
            let decides = outcome == RuleOutcome::Matches;
            report.rules.push(RuleReport {
                place: rule.place.to_string(),
                outcome,
            });
            if decides {
                break;
            }
        }
        if report.verified.is_ok() {
            match self.identify(text).await {
                Ok(identity) => report.accepted = Some(identity),
                // That no rule takes it is among the rules already.
                Err(VerificationError::Refused(TokenProblem::NoRule(_))) => {}
                Err(error) => report.verified = Err(words(error)),
            }
        }
        report
    }
}

fn words(error: VerificationError) -> String {
    match error {
        VerificationError::Refused(problem) => problem.to_string(),
        VerificationError::NoKeys(error) => {
            let cause = std::error::Error::source(&error);
            let cause = cause.map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        }
    }
}
