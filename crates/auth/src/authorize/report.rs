//! The explanation of one scope as programs read it: by `explain --json`, and by the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use token::Scope;

use super::{AuthorizeExplanation, ExplainedAction, ExplanationEnd, PassedRule};

/// What became of one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeReport {
    /// The scope, as it was asked for.
    pub scope: String,
    /// The actions that are granted, sorted.
    pub granted: Vec<String>,
    /// Those that are not.
    pub refused: Vec<String>,
    /// Where the rule stands that decided, or the policy that did, if one did.
    pub rule: Option<String>,
    /// The comment of that rule.
    pub comment: Option<String>,
    /// How each action was decided, if it was decided by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionReport>,
    /// Whether `ext_authz` would be asked, because no rule decided.
    pub ext_authz: bool,
    /// The policy that would be asked, because no rule decided.
    pub unasked: Option<String>,
    /// The rules that did not decide, in their order.
    pub passed: Vec<PassedRuleReport>,
    /// The policies without rules that were asked and had no answer.
    pub unanswered: Vec<String>,
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionReport {
    /// The action.
    pub action: String,
    /// Whether it is granted.
    pub granted: bool,
    /// The rule that decided, or that could not be evaluated.
    pub rule: Option<String>,
    /// Why it could not be evaluated.
    pub error: Option<String>,
}

/// A rule that did not decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PassedRuleReport {
    /// Where it stands, written as that of the rule that decided.
    pub rule: String,
    /// Its comment.
    pub comment: Option<String>,
    /// What its first condition that did not hold is on.
    pub field: String,
    /// The condition, as it is written.
    pub pattern: String,
    /// What it stands for in this request.
    pub expanded: Vec<String>,
    /// What it was held against.
    pub values: Vec<String>,
    /// Why it did not hold.
    pub reason: String,
}

impl ScopeReport {
    /// The report on `scope` that `explanation` makes.
    #[must_use]
    pub fn of(scope: &Scope, explanation: AuthorizeExplanation) -> Self {
        let AuthorizeExplanation {
            passed,
            unanswered,
            end,
        } = explanation;
        let (decided, unasked) = match end {
            ExplanationEnd::Decided(decision) => (Some(decision), None),
            ExplanationEnd::Unasked(policy) => (None, Some(policy)),
            ExplanationEnd::Denied => (None, None),
        };
        let rule = decided.as_ref().map(|decided| decided.by.to_string());
        let (granted, refused, comment, actions) = match decided {
            Some(decided) => (
                decided.granted,
                decided.refused,
                decided.comment,
                decided.actions,
            ),
            None => (Vec::new(), scope.actions.clone(), None, Vec::new()),
        };
        Self {
            scope: scope.to_string(),
            granted,
            refused,
            rule,
            comment,
            actions: actions.into_iter().map(ActionReport::from).collect(),
            ext_authz: unasked == Some("ext_authz"),
            unasked: unasked.map(str::to_owned),
            passed: passed.into_iter().map(PassedRuleReport::from).collect(),
            unanswered: unanswered.into_iter().map(str::to_owned).collect(),
        }
    }
}

impl From<ExplainedAction> for ActionReport {
    fn from(explained: ExplainedAction) -> Self {
        let ExplainedAction {
            action,
            granted,
            rule,
            error,
        } = explained;
        Self {
            action,
            granted,
            rule,
            error,
        }
    }
}

impl From<PassedRule> for PassedRuleReport {
    fn from(PassedRule { place, skipped }: PassedRule) -> Self {
        Self {
            rule: place.to_string(),
            comment: skipped.comment,
            field: skipped.field.to_string(),
            pattern: skipped.pattern,
            expanded: skipped.expanded,
            values: skipped.values,
            reason: skipped.reason.to_string(),
        }
    }
}
