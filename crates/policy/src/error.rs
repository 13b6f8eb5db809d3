//! Rules that cannot be.

use crate::Field;
use crate::glob::GlobError;
use crate::regex::RegexError;
use common::IpNetworkError;

/// A rule that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acl[{rule}]: {field}")]
pub struct AclEntryError {
    /// Which rule, counted from 0.
    pub rule: usize,
    /// Which of its conditions.
    pub field: Field,
    /// What is wrong with that, and what to write instead.
    #[source]
    pub problem: ConditionError,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// A glob that is malformed. (`docker_auth` takes it and never matches it.)
    #[error("the pattern is malformed: {0}")]
    Glob(GlobError),
    /// A regular expression that Go would refuse, or that is too much for this program.
    #[error("the regular expression is malformed: {0}")]
    Regex(RegexError),
    /// Not an address.
    #[error(transparent)]
    Ip(IpNetworkError),
}
