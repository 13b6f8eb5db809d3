//! A rule of the list, and why an operation on it fails.

use std::time::SystemTime;

use database::{ObjectVersion, PreconditionFailed};
use tag_rules::{ImmutabilityRule, PatternError, RepositoryPattern, RuleOrigin, TagPattern};

/// The most rules that a database holds. Each push compares its tags with all of them.
pub const MAX_TAG_RULES: usize = 1000;

/// The most exceptions of one rule.
pub const MAX_EXCEPTIONS: usize = 100;

/// A rule that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImmutableTagRule {
    /// The repositories that it is for.
    pub repository: RepositoryPattern,
    /// The tags that it makes immutable.
    pub tag: TagPattern,
    /// Tags that it leaves alone.
    pub except: Vec<TagPattern>,
}

/// A rule of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImmutableTagRule {
    /// Its number, which no other rule ever gets.
    pub number: i64,
    /// The rule.
    pub rule: NewImmutableTagRule,
    /// When it was added, to the second.
    pub created_at: SystemTime,
    /// The version of the rule. The list has its own ([`ImmutableTagList::version_of`](crate::ImmutableTagList::version_of)).
    pub version: ObjectVersion,
}

/// Why an operation on rules failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ImmutableTagError {
    /// The rule has too many exceptions.
    #[error("the rule has {0} exceptions, and at most {MAX_EXCEPTIONS} are allowed")]
    TooManyExceptions(usize),
    /// There are too many rules.
    #[error("there are {MAX_TAG_RULES} rules, and no more are allowed")]
    TooMany,
    /// The rule or the list is no longer what the change was made for.
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    /// There is no such rule.
    #[error("there is no rule for immutable tags with the number {0} in the database")]
    Unknown(i64),
    /// A rule in the database cannot be read.
    #[error("rule {number} for immutable tags in the database cannot be read")]
    Unreadable {
        /// Its number.
        number: i64,
        /// What is wrong with it. Without it, the exceptions are not a list of texts.
        source: Option<PatternError>,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl From<ListedImmutableTagRule> for ImmutabilityRule {
    fn from(listed: ListedImmutableTagRule) -> Self {
        let NewImmutableTagRule {
            repository,
            tag,
            except,
        } = listed.rule;
        Self {
            origin: RuleOrigin::Database(listed.number),
            repository,
            tag,
            except,
        }
    }
}
