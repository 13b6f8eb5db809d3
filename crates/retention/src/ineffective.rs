//! What rules say without an effect, so that their author can be told.

use tag_rules::{RepositoryPattern, TagPattern};

use crate::{KeepCriteria, RetentionRule, RetentionRules};

/// Something in a rule that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IneffectivePart {
    /// This pattern of `keep.tags`: the rule speaks of no tag that matches it.
    KeptTags(String),
    /// `keep.newest_versions`: the rule speaks of no tag that is a version.
    NewestVersions,
    /// Each criterion besides `keep.tags`, which keeps every tag that the rule speaks of.
    OtherCriteria,
    /// The rule: the one with this number, from 1, speaks of the same tags, and keeps at least as much.
    Rule(usize),
}

/// Every tag that is a version matches one of these.
const VERSIONS: [&str; 2] = ["[0-9]*.*", "[vV][0-9]*"];

impl RetentionRules {
    /// What has no effect in each rule, in the order of the rules.
    #[must_use]
    pub fn ineffective_parts(&self) -> Vec<Vec<IneffectivePart>> {
        let rules = self.as_slice();
        let of_rule = |(index, rule): (usize, &RetentionRule)| {
            let mut parts = rule.ineffective_parts();
            let others = rules.iter().enumerate();
            let mut others = others.filter(|(other, _)| *other != index);
            let stronger = others.find(|(other, stronger)| {
                // Of two that are the same, the later one has no effect.
                stronger.includes(rule) && (*other < index || !rule.includes(stronger))
            });
            parts.extend(stronger.map(|(other, _)| IneffectivePart::Rule(other + 1)));
            parts
        };
        rules.iter().enumerate().map(of_rule).collect()
    }
}

impl RetentionRule {
    fn ineffective_parts(&self) -> Vec<IneffectivePart> {
        let mut parts = Vec::new();
        let kept = self.keep.tags.iter();
        let unmatched = kept.filter(|pattern| pattern.can_match() && !self.can_speak_of(pattern));
        parts.extend(unmatched.map(|pattern| IneffectivePart::KeptTags(pattern.to_string())));
        if self.keep.newest_versions.is_some() {
            let versions = VERSIONS.iter().filter_map(|text| text.parse().ok());
            if !versions
                .into_iter()
                .any(|pattern| self.can_speak_of(&pattern))
            {
                parts.push(IneffectivePart::NewestVersions);
            }
        }
        if self.keeps_everything() && self.keep.has_more_than_tags() {
            parts.push(IneffectivePart::OtherCriteria);
        }
        parts
    }

    fn can_speak_of(&self, pattern: &TagPattern) -> bool {
        self.tags.is_empty() || self.tags.iter().any(|tags| tags.overlaps(pattern))
    }

    /// Whether `keep.tags` keeps every tag of which the rule speaks.
    fn keeps_everything(&self) -> bool {
        !self.keep.tags.is_empty() && covers_tags(&self.keep.tags, &self.tags)
    }

    /// Whether this rule speaks of every tag of which `other` speaks, and keeps each that `other` keeps:
    /// then `other` removes nothing that this one would not remove, and keeps nothing.
    fn includes(&self, other: &Self) -> bool {
        let speaks_of_all = covers_repositories(&self.repositories, &other.repositories)
            && covers_tags(&self.tags, &other.tags)
            && (!self.keep.is_of_versions_only() || other.keep.is_of_versions_only());
        if !speaks_of_all {
            return false;
        }
        if self.keeps_everything() {
            return true;
        }
        // What is kept by its rank depends on the tags among which it is ranked.
        let is_ranked = other.keep.last_pushed.is_some() || other.keep.newest_versions.is_some();
        let has_same_tags = self.tags == other.tags;
        (!is_ranked || has_same_tags) && self.keep.includes(&other.keep)
    }
}

impl KeepCriteria {
    fn has_more_than_tags(&self) -> bool {
        let without_tags = Self {
            tags: Vec::new(),
            ..self.clone()
        };
        !without_tags.is_empty()
    }

    /// Whether each criterion of `other` is here, and as wide.
    fn includes(&self, other: &Self) -> bool {
        // `None` is less than every value: no criterion.
        self.last_pushed >= other.last_pushed
            && self.pushed_within >= other.pushed_within
            && self.pulled_within >= other.pulled_within
            && self.newest_versions >= other.newest_versions
            && (other.tags.is_empty()
                || !self.tags.is_empty() && covers_tags(&self.tags, &other.tags))
    }
}

fn covers_repositories(wide: &[RepositoryPattern], narrow: &[RepositoryPattern]) -> bool {
    narrow.iter().all(|pattern| pattern.is_covered_by(wide))
}

/// Whether each tag that `narrow` selects is selected by `wide`. An empty list selects all tags.
fn covers_tags(wide: &[TagPattern], narrow: &[TagPattern]) -> bool {
    let is_covered = |pattern: &TagPattern| pattern.is_covered_by(wide);
    match (wide, narrow) {
        ([], _) => true,
        (_, []) => "*".parse().is_ok_and(|all: TagPattern| is_covered(&all)),
        (_, narrow) => narrow.iter().all(is_covered),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn patterns<P: std::str::FromStr<Err: std::fmt::Debug>>(texts: &[&str]) -> Vec<P> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn rule(repositories: &str, tags: &[&str], keep: KeepCriteria) -> RetentionRule {
        RetentionRule {
            repositories: patterns(&[repositories]),
            tags: patterns(tags),
            keep,
        }
    }

    fn last(count: u32) -> KeepCriteria {
        KeepCriteria {
            last_pushed: Some(count),
            ..KeepCriteria::default()
        }
    }

    fn pushed(days: u64) -> KeepCriteria {
        KeepCriteria {
            pushed_within: Some(Duration::from_secs(days * 86_400)),
            ..KeepCriteria::default()
        }
    }

    fn tags(texts: &[&str]) -> KeepCriteria {
        KeepCriteria {
            tags: patterns(texts),
            ..KeepCriteria::default()
        }
    }

    fn parts(rules: Vec<RetentionRule>) -> Vec<Vec<IneffectivePart>> {
        RetentionRules::new(rules).ineffective_parts()
    }

    #[test]
    fn criteria_that_keep_nothing_are_found() {
        let versions = KeepCriteria {
            newest_versions: Some(3),
            ..last(1)
        };
        let found = parts(vec![
            rule(
                "a",
                &["pr-*"],
                KeepCriteria {
                    tags: patterns(&["v*", "*-keep"]),
                    ..last(1)
                },
            ),
            rule("b", &["pr-*"], versions.clone()),
            rule("c", &["v*"], versions.clone()),
            rule("d", &["1.*"], versions.clone()),
            rule("e", &[], versions),
        ]);
        assert_eq!(found[0], [IneffectivePart::KeptTags("v*".to_owned())]);
        assert_eq!(found[1], [IneffectivePart::NewestVersions]);
        assert_eq!(found[2..], [[], [], []]);
    }

    #[test]
    fn criteria_beside_one_that_keeps_everything_are_found() {
        let all = KeepCriteria {
            tags: patterns(&["*"]),
            ..last(1)
        };
        let of_rule = KeepCriteria {
            tags: patterns(&["pr-*"]),
            ..last(1)
        };
        let found = parts(vec![
            rule("a", &[], all),
            rule("b", &["pr-1*"], of_rule.clone()),
            rule("c", &[], of_rule),
            rule("d", &[], tags(&["*"])),
        ]);
        assert_eq!(found[0], [IneffectivePart::OtherCriteria]);
        assert_eq!(found[1], [IneffectivePart::OtherCriteria]);
        assert_eq!(found[2..], [[], []]);
    }

    #[test]
    fn a_rule_that_another_one_includes_is_found() {
        let found = parts(vec![
            rule("team/*", &["pr-*"], pushed(7)),
            rule("team/**", &[], pushed(14)),
            rule("other/**", &[], tags(&["*"])),
            rule("other/a", &["x"], last(3)),
            rule("same", &[], last(3)),
            rule("same", &[], last(3)),
        ]);
        let included = |by| [IneffectivePart::Rule(by)];
        assert_eq!(found[0], included(2));
        assert_eq!(found[1], []);
        assert_eq!(found[3], included(3));
        assert_eq!((&found[4][..], &found[5][..]), (&[][..], &included(5)[..]));
    }

    #[test]
    fn rules_that_count_among_other_tags_are_not_the_same() {
        let versions = KeepCriteria {
            newest_versions: Some(9),
            ..KeepCriteria::default()
        };
        let found = parts(vec![
            rule("**", &["pr-*"], last(1)),
            rule("**", &[], last(10)),
            rule("**", &[], versions),
            rule("**", &["x*"], pushed(1)),
        ]);
        assert_eq!(found, [[], [], [], []]);
    }
}
