//! What is newest among the tags of a repository, and the decisions that follow.

use oci::{RepositoryName, Tag};
use tag_rules::ImmutabilityRule;

use crate::newest::NewestValues;
use crate::{
    KeepReason, ReferrerTag, RemovalReason, RetentionRule, RetentionRules, RetentionTerms,
    TagDecision, TagState, TagVersion,
};

/// Finds what is newest among the tags of a repository, to which they are added in any order. Memory
/// depends on the rules alone: each has as many tags or versions in it as it keeps.
#[derive(Clone, Debug)]
pub struct TagRanking<'a>(RankedRules<'a>);

/// The rules of a repository, which know what is newest in it.
#[derive(Clone, Debug)]
pub struct RankedRules<'a> {
    rules: Vec<RankedRule<'a>>,
    terms: RetentionTerms,
}

#[derive(Clone, Debug)]
struct RankedRule<'a> {
    number: usize,
    rule: &'a RetentionRule,
    /// By the time of the push, and by name if it is the same.
    pushed: Option<NewestValues<(i64, Tag)>>,
    versions: Option<NewestValues<TagVersion>>,
}

impl RetentionRules {
    /// Begins the ranking of a repository's tags by the rules that speak of it.
    #[must_use]
    pub fn ranking(&self, repository: &RepositoryName, terms: RetentionTerms) -> TagRanking<'_> {
        let numbered = (1..).zip(self.as_slice());
        let rules = numbered.filter(|(_, rule)| rule.is_for(repository));
        TagRanking::new(rules, terms)
    }
}

impl<'a> TagRanking<'a> {
    fn new(rules: impl Iterator<Item = (usize, &'a RetentionRule)>, terms: RetentionTerms) -> Self {
        let rules = rules.map(|(number, rule)| RankedRule {
            number,
            rule,
            pushed: rule.keep.last_pushed.map(NewestValues::new),
            versions: rule.keep.newest_versions.map(NewestValues::new),
        });
        let rules = rules.collect();
        Self(RankedRules { rules, terms })
    }

    /// Whether the decisions do not depend on what is newest, so that no tag has to be added.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let mut rules = self.0.rules.iter();
        rules.all(|rule| rule.pushed.is_none() && rule.versions.is_none())
    }

    /// Adds a tag.
    pub fn add(&mut self, tag: &TagState) {
        // What belongs to another manifest takes no place of a tag that people use.
        if ReferrerTag::of(&tag.tag).is_some() {
            return;
        }
        let mut version = None;
        for ranked in &mut self.0.rules {
            if !ranked.matches(&tag.tag) {
                continue;
            }
            if let Some(pushed) = &mut ranked.pushed {
                pushed.add(&(tag.pushed_at, tag.tag.clone()));
            }
            if let Some(versions) = &mut ranked.versions {
                let version = version.get_or_insert_with(|| TagVersion::of(tag.tag.as_str()));
                if let Some(version) = version {
                    versions.add(version);
                }
            }
        }
    }

    /// All tags were added.
    #[must_use]
    pub fn finish(self) -> RankedRules<'a> {
        self.0
    }
}

impl RankedRules<'_> {
    /// Whether a rule uses pull times.
    #[must_use]
    pub fn needs_pulls(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|ranked| ranked.rule.keep.pulled_within.is_some())
    }

    /// Why a tag stays whatever the rules say, if it does. A tag that [belongs](ReferrerTag) to a
    /// manifest goes only with that manifest, so this and the manifest decide about it.
    #[must_use]
    pub fn protection(
        &self,
        tag: &TagState,
        immutable: Option<&ImmutabilityRule>,
    ) -> Option<KeepReason> {
        if let Some(rule) = immutable {
            let rule = rule.origin.to_string();
            return Some(KeepReason::Immutable { rule });
        }
        let is_leased = self.terms.is_within(tag.leased_at, self.terms.lease);
        is_leased.then_some(KeepReason::Leased)
    }

    /// Whether a tag stays that belongs to no other manifest. `immutable` is the rule that makes it
    /// immutable.
    #[must_use]
    pub fn decide(&self, tag: &TagState, immutable: Option<&ImmutabilityRule>) -> TagDecision {
        if let Some(reason) = self.protection(tag, immutable) {
            return TagDecision::Keep(reason);
        }
        let version = TagVersion::of(tag.tag.as_str());
        let speaking = self
            .rules
            .iter()
            .filter(|ranked| ranked.speaks_of(&tag.tag, version.as_ref()));
        let mut rules = Vec::new();
        for ranked in speaking {
            if let Some(reason) = ranked.keeps(tag, version.as_ref(), self.terms) {
                return TagDecision::Keep(reason);
            }
            rules.push(ranked.number);
        }
        match rules.is_empty() {
            true => TagDecision::Keep(KeepReason::NoRule),
            false => TagDecision::Remove(RemovalReason::NotKept { rules }),
        }
    }
}

impl RankedRule<'_> {
    fn matches(&self, tag: &Tag) -> bool {
        let patterns = &self.rule.tags;
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(tag))
    }

    fn speaks_of(&self, tag: &Tag, version: Option<&TagVersion>) -> bool {
        self.matches(tag) && (version.is_some() || !self.rule.keep.is_of_versions_only())
    }

    fn keeps(
        &self,
        tag: &TagState,
        version: Option<&TagVersion>,
        terms: RetentionTerms,
    ) -> Option<KeepReason> {
        let (rule, keep) = (self.number, &self.rule.keep);
        if let Some(pattern) = keep.tags.iter().find(|pattern| pattern.matches(&tag.tag)) {
            let pattern = pattern.to_string();
            return Some(KeepReason::Pattern { rule, pattern });
        }
        if let (Some(count), Some(versions), Some(version)) =
            (keep.newest_versions, &self.versions, version)
            && versions.contains(version)
        {
            return Some(KeepReason::NewestVersion { rule, count });
        }
        if let (Some(count), Some(pushed)) = (keep.last_pushed, &self.pushed)
            && pushed.contains(&(tag.pushed_at, tag.tag.clone()))
        {
            return Some(KeepReason::LastPushed { rule, count });
        }
        if let Some(within) = keep.pushed_within
            && terms.is_within(tag.pushed_at, within)
        {
            return Some(KeepReason::PushedWithin { rule, within });
        }
        let within = keep.pulled_within?;
        if let Some(usable_from) = terms.pulls_usable_from(within) {
            return Some(KeepReason::PullTimesTooShort { rule, usable_from });
        }
        let precise = within.saturating_add(RetentionTerms::PULL_PRECISION);
        let is_pulled = tag
            .pulled_at
            .is_some_and(|pulled_at| terms.is_within(pulled_at, precise));
        let is_new = terms.is_within(tag.pushed_at, within);
        (is_pulled || is_new).then_some(KeepReason::PulledWithin { rule, within })
    }
}
