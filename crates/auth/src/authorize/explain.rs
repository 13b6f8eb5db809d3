//! Why a query is decided as it is, by the same policies as in the server.

use std::sync::Arc;

use identity::LoginSource;
use policy::{AclQuery, ScopeCeiling, SkippedRule};

use super::own_rights::{COMMENT, joined, other_actions, own_rights};
use super::{AuthorizeError, Authorizer, DecidedBy, Decision, asked};

/// How the policies decide a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizeExplanation {
    /// The rules that do not match, of every policy up to the one that decides, in their order.
    pub passed: Vec<PassedRule>,
    /// The policies without rules that were asked and had no answer.
    pub unanswered: Vec<&'static str>,
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

/// How `authorizers`, in their order, decide `query`. A policy that is not a list of rules is not
/// asked: it may be a program or a server.
#[must_use]
pub fn explain(authorizers: &[Box<dyn Authorizer>], query: &AclQuery<'_>) -> AuthorizeExplanation {
    match RightsSplit::of(query) {
        RightsSplit::AllOwn(explanation) => explanation,
        RightsSplit::Others { own, actions } => {
            let others = AclQuery {
                actions: &actions,
                ..*query
            };
            with_own(explain_rules(authorizers, &others), own)
        }
    }
}

fn explain_rules(
    authorizers: &[Box<dyn Authorizer>],
    query: &AclQuery<'_>,
) -> AuthorizeExplanation {
    let mut passed = Vec::new();
    let ends = |passed, end| AuthorizeExplanation {
        passed,
        unanswered: Vec::new(),
        end,
    };
    for authorizer in asked(authorizers, query) {
        let Some(rules) = authorizer.rules() else {
            return ends(passed, ExplanationEnd::Unasked(authorizer.name()));
        };
        let explanation = rules.explain(query);
        passed.extend(explanation.passed);
        if let Some(decision) = explanation.decided {
            return ends(passed, ExplanationEnd::Decided(decision));
        }
    }
    ends(passed, ExplanationEnd::Denied)
}

/// How `authorizers`, asked in order, decide `query`. Programs and servers are asked, too.
///
/// # Errors
/// Of the first policy that has no answer because it is broken.
pub async fn explain_by_asking(
    authorizers: &[Box<dyn Authorizer>],
    query: &AclQuery<'_>,
    source: &LoginSource,
) -> Result<AuthorizeExplanation, AuthorizeError> {
    match RightsSplit::of(query) {
        RightsSplit::AllOwn(explanation) => Ok(explanation),
        RightsSplit::Others { own, actions } => {
            let others = AclQuery {
                actions: &actions,
                ..*query
            };
            let explanation = explain_asked(authorizers, &others, source).await?;
            Ok(with_own(explanation, own))
        }
    }
}

async fn explain_asked(
    authorizers: &[Box<dyn Authorizer>],
    query: &AclQuery<'_>,
    source: &LoginSource,
) -> Result<AuthorizeExplanation, AuthorizeError> {
    let (mut passed, mut unanswered) = (Vec::new(), Vec::new());
    for authorizer in asked(authorizers, query) {
        let decided = match authorizer.rules() {
            Some(rules) => {
                let explanation = rules.explain(query);
                passed.extend(explanation.passed);
                explanation.decided
            }
            None => {
                let decision = authorizer.decide(query, source).await?;
                if decision.is_none() {
                    unanswered.push(authorizer.name());
                }
                decision.map(|decision| ExplainedDecision::of(decision, query))
            }
        };
        if let Some(decision) = decided {
            return Ok(AuthorizeExplanation {
                passed,
                unanswered,
                end: ExplanationEnd::Decided(decision),
            });
        }
    }
    Ok(AuthorizeExplanation {
        passed,
        unanswered,
        end: ExplanationEnd::Denied,
    })
}

/// What the ceiling of a robot of the system allows of `query`, for which no policy is asked.
#[must_use]
pub fn explain_ceiling(ceiling: &ScopeCeiling, query: &AclQuery<'_>) -> AuthorizeExplanation {
    let decision = ExplainedDecision::of(Decision::of_ceiling(ceiling, query), query);
    AuthorizeExplanation {
        passed: Vec::new(),
        unanswered: Vec::new(),
        end: ExplanationEnd::Decided(decision),
    }
}

/// A query, divided into what every account may do and what the policies decide.
enum RightsSplit {
    /// No policy is asked.
    AllOwn(AuthorizeExplanation),
    /// The policies are asked about these actions.
    Others {
        own: Option<ExplainedDecision>,
        actions: Vec<String>,
    },
}

impl RightsSplit {
    fn of(query: &AclQuery<'_>) -> Self {
        let Some(decision) = own_rights(query) else {
            return Self::Others {
                own: None,
                actions: query.actions.to_vec(),
            };
        };
        let actions = other_actions(query, &decision);
        let own = ExplainedDecision {
            comment: Some(COMMENT.to_owned()),
            ..ExplainedDecision::of(decision, query)
        };
        match actions.is_empty() {
            true => Self::AllOwn(AuthorizeExplanation {
                passed: Vec::new(),
                unanswered: Vec::new(),
                end: ExplanationEnd::Decided(own),
            }),
            false => Self::Others {
                own: Some(own),
                actions,
            },
        }
    }
}

/// `explanation` of the other actions, with what is granted in any case.
fn with_own(
    explanation: AuthorizeExplanation,
    own: Option<ExplainedDecision>,
) -> AuthorizeExplanation {
    let Some(own) = own else { return explanation };
    let decision = match explanation.end {
        ExplanationEnd::Decided(decision) => ExplainedDecision {
            granted: joined(own.granted, decision.granted),
            ..decision
        },
        ExplanationEnd::Unasked(_) | ExplanationEnd::Denied => own,
    };
    AuthorizeExplanation {
        end: ExplanationEnd::Decided(decision),
        ..explanation
    }
}

impl ExplainedDecision {
    /// The decision of a policy that has no rules to name.
    fn of(decision: Decision, query: &AclQuery<'_>) -> Self {
        let Decision { granted, by } = decision;
        let asked = query.actions.iter();
        let refused = asked.filter(|action| !granted.contains(action));
        Self {
            by,
            refused: refused.cloned().collect(),
            granted,
            comment: None,
            actions: Vec::new(),
        }
    }
}
