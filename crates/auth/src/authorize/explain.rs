//! Why a query is decided as it is, by the same policies as in the server.

use std::sync::Arc;

use policy::{AclQuery, SkippedRule};

use super::{Authorizer, DecidedBy};

/// How the policies decide a query. A policy that is not a list of rules is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizeExplanation {
    /// The rules that do not match, of every policy up to the one that decides, in their order.
    pub passed: Vec<PassedRule>,
    /// How it ends.
    pub end: ExplanationEnd,
}

/// What an explanation comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExplanationEnd {
    /// A rule decides.
    Decided(ExplainedDecision),
    /// No rule matches, and the server would ask this policy: its section in the configuration.
    Unasked(&'static str),
    /// No policy has an answer, so access is denied.
    Denied,
}

/// What a list of rules says of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSetExplanation {
    /// The rules before the one that decides, in their order; all of them if no rule does.
    pub passed: Vec<PassedRule>,
    /// The decision of the first rule that matches.
    pub decided: Option<ExplainedDecision>,
}

/// A rule that does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedRule {
    /// Where it stands.
    pub place: Arc<str>,
    /// Which of its conditions does not hold, and why.
    pub skipped: SkippedRule,
}

/// The decision of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedDecision {
    /// What decides.
    pub by: DecidedBy,
    /// The actions that are granted, sorted.
    pub granted: Vec<String>,
    /// The actions that were asked for and are not granted, sorted.
    pub refused: Vec<String>,
    /// The rule's comment.
    pub comment: Option<String>,
    /// How each action was decided, if the policy decides each by itself.
    pub actions: Vec<ExplainedAction>,
}

/// How one action was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedAction {
    /// The action.
    pub action: String,
    /// Whether it is granted.
    pub granted: bool,
    /// Where the rule stands that decided, or that could not be evaluated.
    pub rule: Option<String>,
    /// Why it could not be evaluated.
    pub error: Option<String>,
}

/// How `authorizers`, asked in order, decide `query`.
#[must_use]
pub fn explain(authorizers: &[Box<dyn Authorizer>], query: &AclQuery<'_>) -> AuthorizeExplanation {
    let mut passed = Vec::new();
    for authorizer in authorizers {
        let Some(rules) = authorizer.rules() else {
            let end = ExplanationEnd::Unasked(authorizer.name());
            return AuthorizeExplanation { passed, end };
        };
        let explanation = rules.explain(query);
        passed.extend(explanation.passed);
        if let Some(decision) = explanation.decided {
            let end = ExplanationEnd::Decided(decision);
            return AuthorizeExplanation { passed, end };
        }
    }
    let end = ExplanationEnd::Denied;
    AuthorizeExplanation { passed, end }
}
