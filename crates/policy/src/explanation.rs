//! Why a query was decided as it was.

use serde::Serialize;

use crate::mismatch::Mismatch;
use crate::{AclDecision, Field};

/// How a query was decided: the rules before the deciding one, and that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The rules before the one that decided, in their order; all of them if no rule did.
    pub skipped: Vec<SkippedRule>,
    /// The rule that decided.
    pub decided: Option<DecidingRule>,
}

/// A rule that does not match, and the first of its conditions that did not hold.
///
/// Cheap conditions are tried first: the address, then patterns without variables, then those with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedRule {
    /// Which rule, counted from 0.
    pub rule: usize,
    /// Its comment.
    pub comment: Option<String>,
    /// What the condition is on.
    pub field: Field,
    /// The condition as it is written.
    pub pattern: String,
    /// What it stands for in this query, when its variables are replaced: several patterns if it
    /// names labels with several values, of which the first few are here.
    pub expanded: Vec<String>,
    /// What it was held against: one value, or all of a label's.
    pub values: Vec<String>,
    /// Why it did not hold.
    pub reason: Mismatch,
}

/// The rule that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecidingRule {
    /// Its answer.
    #[serde(flatten)]
    pub decision: AclDecision,
    /// Its comment.
    pub comment: Option<String>,
    /// The actions that were asked for and not granted, sorted.
    pub refused: Vec<String>,
}
