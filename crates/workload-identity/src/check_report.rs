//! What becomes of a token, as programs read it: by `trust check --json`, and by the API.

use common::print_duration;
use identity::{Identity, LifetimeBound, SessionAllowance};
use policy::Labels;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::{RuleOutcome, RuleReport, TrustReport};

/// A [`TrustReport`] without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustCheckReport {
    /// The issuer, by its name in the configuration; `None` if no trusted one made the token.
    pub issuer: Option<String>,
    /// Whether signature, audience and times are right.
    pub verified: bool,
    /// What of these is not right.
    pub problem: Option<String>,
    /// The issuer's rules, in their order, up to the one that decides.
    pub rules: Vec<CheckedRule>,
    /// The account, if the workload may log in.
    pub account: Option<String>,
    /// Its labels.
    pub labels: Option<Labels>,
    /// What the log says of the workload: the rule, the repository, the run.
    pub origin: Option<String>,
    /// How long its access tokens live at most, if the rule bounds that.
    pub max_ttl: Option<String>,
    /// How long its refresh token lives, if it may have one.
    pub refresh_token: Option<String>,
}

/// What a rule says of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckedRule {
    /// Where the rule stands.
    pub rule: String,
    /// Whether all of its conditions hold.
    pub matches: bool,
    /// The condition that does not.
    pub difference: Option<String>,
}

impl TrustCheckReport {
    /// Whether the token logs a workload in.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.account.is_some()
    }
}

impl From<TrustReport> for TrustCheckReport {
    fn from(report: TrustReport) -> Self {
        let accepted = report.accepted.as_ref();
        Self {
            issuer: report.issuer,
            verified: report.verified.is_ok(),
            problem: report.verified.err(),
            rules: report.rules.into_iter().map(CheckedRule::from).collect(),
            account: accepted.map(|identity| identity.subject.account.clone()),
            labels: accepted.map(|identity| identity.subject.labels.clone()),
            origin: accepted.map(|identity| identity.terms.origin.clone()),
            max_ttl: accepted.and_then(max_ttl),
            refresh_token: accepted.and_then(refresh_token),
        }
    }
}

impl From<RuleReport> for CheckedRule {
    fn from(report: RuleReport) -> Self {
        let difference = match report.outcome {
            RuleOutcome::Matches => None,
            RuleOutcome::Differs(mismatch) => Some(mismatch.to_string()),
        };
        Self {
            rule: report.place,
            matches: difference.is_none(),
            difference,
        }
    }
}

fn max_ttl(identity: &Identity) -> Option<String> {
    match identity.terms.token_lifetime {
        LifetimeBound::Configured => None,
        LifetimeBound::AtMost(lifetime) => Some(print_duration(lifetime)),
    }
}

fn refresh_token(identity: &Identity) -> Option<String> {
    match identity.terms.session {
        SessionAllowance::Allowed(LifetimeBound::AtMost(lifetime)) => {
            Some(print_duration(lifetime))
        }
        SessionAllowance::Allowed(LifetimeBound::Configured) | SessionAllowance::Refused => None,
    }
}
