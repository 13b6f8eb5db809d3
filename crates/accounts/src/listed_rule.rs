//! A rule of the list, and why an operation on it fails.

use std::fmt;
use std::time::SystemTime;

use auth::RuleDocumentError;
use database::{ObjectVersion, PreconditionFailed};
use policy::{AclEntry, AclEntryError};

use crate::rule_document::MAX_RULE;

/// The most rules that a database holds.
pub const MAX_RULES: usize = 10_000;

/// A rule of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRule {
    /// Its number, which no other rule ever gets. It says nothing of the order.
    pub number: i64,
    /// The rule.
    pub entry: AclEntry,
    /// When it was added, to the second.
    pub created_at: SystemTime,
    /// The version of the rule alone: its place is of the list, which has a version of its own
    /// ([`RuleList::version_of`](crate::RuleList::version_of)).
    pub version: ObjectVersion,
}

/// A place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulePlace {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Before the rule with this number.
    Before(i64),
    /// After the rule with this number.
    After(i64),
}

/// Why an operation on rules failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum RuleListError {
    /// A pattern or an address is malformed.
    #[error("{}", list(.0))]
    Invalid(Vec<AclEntryError>),
    /// The rule is too long.
    #[error("the rule takes {0} bytes as JSON, and at most {MAX_RULE} are allowed")]
    TooLong(usize),
    /// There are too many.
    #[error("there are {MAX_RULES} rules, and no more are allowed")]
    TooMany,
    /// The rule or the list is no longer what the change was made for.
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    /// There is no such rule.
    #[error("there is no rule with the number {0} in the database")]
    Unknown(i64),
    /// A rule in the database cannot be read.
    #[error("rule {number} in the database cannot be read")]
    Unreadable {
        /// Its number.
        number: i64,
        /// What is wrong with it.
        source: RuleDocumentError,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl fmt::Display for RulePlace {
    /// In the words of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::Last => f.write_str("last"),
            Self::Before(number) => write!(f, "before {number}"),
            Self::After(number) => write!(f, "after {number}"),
        }
    }
}

/// All that is wrong with one rule.
fn list(errors: &[AclEntryError]) -> String {
    let texts = errors.iter();
    let texts: Vec<_> = texts
        .map(|error| format!("match.{}: {}", error.field, error.problem))
        .collect();
    texts.join("; ")
}
