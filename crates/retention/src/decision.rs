//! Decisions, and their reasons in words.

use std::fmt;
use std::time::Duration;

use common::{print_duration, rfc3339};
use oci::Digest;

/// Whether a tag stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagDecision {
    /// It stays.
    Keep(KeepReason),
    /// It goes.
    Remove(RemovalReason),
}

/// Why a tag stays. A rule is named by its number, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepReason {
    /// No rule speaks of it.
    NoRule,
    /// It is immutable.
    Immutable {
        /// Where the rule is that says so.
        rule: String,
    },
    /// Its manifest was pushed, or asked for by a client that may push, a short time ago.
    Leased,
    /// It is one of the tags that were pushed last.
    LastPushed {
        /// The rule.
        rule: usize,
        /// How many tags it keeps.
        count: u32,
    },
    /// It was pushed a short time ago.
    PushedWithin {
        /// The rule.
        rule: usize,
        /// For how long it keeps a tag.
        within: Duration,
    },
    /// It was pulled a short time ago, or pushed and not pulled yet.
    PulledWithin {
        /// The rule.
        rule: usize,
        /// For how long it keeps a tag.
        within: Duration,
    },
    /// It is one of the highest versions.
    NewestVersion {
        /// The rule.
        rule: usize,
        /// How many versions it keeps.
        count: u32,
    },
    /// It matches a pattern that is kept.
    Pattern {
        /// The rule.
        rule: usize,
        /// The pattern.
        pattern: String,
    },
    /// Pull times are not recorded for long enough, so the rule removes nothing yet.
    PullTimesTooShort {
        /// The rule.
        rule: usize,
        /// When it can be used, in seconds since the Unix epoch.
        usable_from: i64,
    },
    /// It belongs to a manifest that stays, or that is not in this repository.
    BelongsTo {
        /// The manifest, if the tag says which.
        subject: Option<Digest>,
    },
}

/// Why a tag goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemovalReason {
    /// Rules speak of it, and none keeps it.
    NotKept {
        /// The rules.
        rules: Vec<usize>,
    },
    /// It belongs to a manifest that loses its last tag.
    BelongsTo {
        /// The manifest.
        subject: Digest,
    },
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule speaks of it"),
            Self::Immutable { rule } => write!(f, "it is immutable by {rule}"),
            Self::Leased => f.write_str(
                "it was pushed within registry.gc.grace, or asked for by a client that may push",
            ),
            Self::LastPushed { rule, count } => {
                write!(f, "rule {rule} keeps the last {count} pushed")
            }
            Self::PushedWithin { rule, within } => {
                write!(
                    f,
                    "rule {rule} keeps what was pushed within {}",
                    print_duration(*within)
                )
            }
            Self::PulledWithin { rule, within } => {
                write!(
                    f,
                    "rule {rule} keeps what was pulled within {}",
                    print_duration(*within)
                )
            }
            Self::NewestVersion { rule, count } => {
                write!(f, "rule {rule} keeps the newest {count} versions")
            }
            Self::Pattern { rule, pattern } => write!(f, "rule {rule} keeps {pattern}"),
            Self::PullTimesTooShort { rule, usable_from } => write!(
                f,
                "rule {rule} needs pull times, which are recorded for long enough from {} on",
                rfc3339(u64::try_from(*usable_from).unwrap_or_default())
            ),
            Self::BelongsTo {
                subject: Some(subject),
            } => {
                write!(f, "it belongs to {subject}, which does not go")
            }
            Self::BelongsTo { subject: None } => {
                f.write_str("it belongs to a manifest that its name does not tell whole")
            }
        }
    }
}

impl fmt::Display for RemovalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotKept { rules } => match rules.as_slice() {
                [rule] => write!(f, "rule {rule} does not keep it"),
                rules => {
                    let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
                    write!(f, "none of the rules {} keeps it", rules.join(", "))
                }
            },
            Self::BelongsTo { subject } => {
                write!(f, "it belongs to {subject}, which loses its last tag")
            }
        }
    }
}
