//! Rules, and what is known of a tag.

use std::time::Duration;

use oci::{Digest, RepositoryName, Tag};
use tag_rules::{RepositoryPattern, TagPattern};

/// A rule: of which tags it speaks, and which of them it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// It speaks of repositories that match one of these.
    pub repositories: Vec<RepositoryPattern>,
    /// It speaks of tags that match one of these. An empty list is all tags.
    pub tags: Vec<TagPattern>,
    /// What it keeps of them.
    pub keep: KeepCriteria,
}

/// What a rule keeps. A tag stays if one criterion keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeepCriteria {
    /// This many tags, those that were pushed last.
    pub last_pushed: Option<u32>,
    /// Tags that were pushed within this time.
    pub pushed_within: Option<Duration>,
    /// Tags that were pulled within this time. A tag that was never pulled counts as pulled when it was
    /// pushed.
    pub pulled_within: Option<Duration>,
    /// The tags of this many versions, the highest. A rule that has only this criterion does not speak
    /// of tags that are no [version](crate::TagVersion).
    pub newest_versions: Option<u32>,
    /// Tags that match one of these.
    pub tags: Vec<TagPattern>,
}

/// All rules. Their order does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionRules(Vec<RetentionRule>);

/// What decisions depend on besides rules and tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionTerms {
    /// The time of the decisions, in seconds since the Unix epoch.
    pub now: i64,
    /// A tag stays this long after its manifest was last pushed, or asked for by a client that may
    /// push.
    pub lease: Duration,
    /// Since when pull times are recorded without a gap, in seconds since the Unix epoch. Without it,
    /// they are not.
    pub pulls_recorded_since: Option<i64>,
}

/// What is known of a tag. Times are seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagState {
    /// The tag.
    pub tag: Tag,
    /// What it points at.
    pub digest: Digest,
    /// When it was last pushed.
    pub pushed_at: i64,
    /// When its manifest was last pushed, or asked for by a client that may push.
    pub leased_at: i64,
    /// When its manifest, or one that its manifest lists, was last pulled by any name. Up to
    /// [`PULL_PRECISION`](RetentionTerms::PULL_PRECISION) too early.
    pub pulled_at: Option<i64>,
}

impl KeepCriteria {
    /// Whether nothing is kept by it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it says something of versions only.
    pub(crate) fn is_of_versions_only(&self) -> bool {
        let Self {
            last_pushed,
            pushed_within,
            pulled_within,
            newest_versions,
            tags,
        } = self;
        newest_versions.is_some()
            && last_pushed.is_none()
            && pushed_within.is_none()
            && pulled_within.is_none()
            && tags.is_empty()
    }
}

impl RetentionRules {
    /// These rules. The first is called rule 1.
    #[must_use]
    pub fn new(rules: Vec<RetentionRule>) -> Self {
        Self(rules)
    }

    /// The rules in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[RetentionRule] {
        &self.0
    }

    /// Whether there is no rule, so that everything stays.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a rule speaks of a repository. If none does, everything in it stays.
    #[must_use]
    pub fn speak_of(&self, repository: &RepositoryName) -> bool {
        self.0.iter().any(|rule| rule.is_for(repository))
    }
}

impl RetentionRule {
    pub(crate) fn is_for(&self, repository: &RepositoryName) -> bool {
        let mut patterns = self.repositories.iter();
        patterns.any(|pattern| pattern.matches(repository))
    }
}

impl RetentionTerms {
    /// By how much a recorded pull time may be too early: a pull is recorded once an hour, and written
    /// within a minute.
    pub const PULL_PRECISION: Duration = Duration::from_secs(3600 + 60);

    /// When a rule can use pull times of the last `within`, if it cannot yet, in seconds since the Unix
    /// epoch.
    #[must_use]
    pub fn pulls_usable_from(&self, within: Duration) -> Option<i64> {
        let since = self.pulls_recorded_since.unwrap_or(self.now);
        let from = since.saturating_add(seconds(within));
        (from > self.now).then_some(from)
    }

    /// Whether `time` is at most `within` ago.
    pub(crate) fn is_within(&self, time: i64, within: Duration) -> bool {
        time >= self.now.saturating_sub(seconds(within))
    }
}

pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
