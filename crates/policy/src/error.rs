//! Rules that cannot be.

use crate::glob::GlobError;
use crate::ip::NetworkError;
use crate::regex::RegexError;
use crate::{Attribute, Field};

/// A rule that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {field}")]
pub struct EntryError {
    /// Which rule, counted from 0.
    pub rule: usize,
    /// Which of its conditions.
    pub field: Field,
    /// What is wrong with that, and what to write instead.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A glob that is malformed. (`docker_auth` takes it and never matches it.)
    #[error("the pattern is malformed: {0}")]
    Glob(GlobError),
    /// A regular expression that Go would refuse, or that is too much for this program.
    #[error("the regular expression is malformed: {0}")]
    Regex(RegexError),
    /// An address that is none.
    #[error(transparent)]
    Ip(NetworkError),
}

/// Something about a rule that is legal and hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which rule, counted from 0.
    pub rule: usize,
    /// Which of its conditions; none where it is the rule as a whole.
    pub field: Option<Field>,
    /// What it is.
    pub kind: WarningKind,
}

/// What is hardly meant; displayed, it says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WarningKind {
    /// A `${…}` before a capture makes one variable of both, which stands for nothing.
    #[error("{capture} is never replaced, so this never matches: write it before {before}")]
    CaptureHidden {
        /// The capture.
        capture: String,
        /// What comes before it.
        before: String,
    },
    /// A capture of a condition that is absent, or not a regular expression.
    #[error("{capture} is never replaced: the rule's `{}` is not a regular expression between slashes", .of.key())]
    CaptureOfNoRegex {
        /// The capture.
        capture: String,
        /// Whose group it names.
        of: Attribute,
    },
    /// A capture of a group that does not exist.
    #[error("{capture} is never replaced: the rule's `{}` has {groups} groups, counted from 1", .of.key())]
    CaptureOutOfRange {
        /// The capture.
        capture: String,
        /// Whose group it names.
        of: Attribute,
        /// How many groups there are.
        groups: usize,
    },
    /// A capture of a condition that has variables itself.
    #[error("{capture} is never replaced: variables in the rule's `{}` stand for themselves when groups are captured", .of.key())]
    CaptureOfVariable {
        /// The capture.
        capture: String,
        /// Whose group it names.
        of: Attribute,
    },
    /// A capture that only a label's pattern names.
    #[error("{0} is not replaced in a label's pattern unless account, type, name or service has it too")]
    CaptureInLabelOnly(String),
    /// A label's value in a label's pattern.
    #[error("{0} is not replaced in a label's pattern")]
    LabelInLabel(String),
    /// A `${…}` that is no variable.
    #[error(
        "{0} is no variable and stands for itself: variables are ${{account}}, ${{type}}, ${{name}}, ${{service}}, ${{labels:NAME}} and captures such as ${{account:1}}"
    )]
    UnknownVariable(String),
    /// A label's value is taken as a pattern.
    #[error(
        "the values of {0} are patterns here, so that a label `*` matches anything: set acl_quote_labels to take them literally"
    )]
    UnquotedLabel(String),
    /// `**`, which is `*`.
    #[error("`**` is `*`, which stops at a `/`: to cross it, write a regular expression, /^team\\/.+$/")]
    DoubleStar,
    /// `*` as a resource's whole name.
    #[error("`*` takes only names without a `/`: leave the condition out to take all")]
    LoneStar,
    /// `[!a]`, which is not negated.
    #[error("`[!` begins a class that has a `!` in it, not one that is negated: write `[^`")]
    NotNegated,
    /// An earlier rule matches everything.
    #[error("no query ever gets here: rule {0} has no conditions, and the first rule that matches decides")]
    Unreachable(usize),
}
