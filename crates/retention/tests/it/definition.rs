//! Random tags and rules: what passes by twice in any order is decided as the definition says, which
//! sorts all tags.

use std::time::Duration;

use proptest::prelude::*;
use retention::{
    KeepCriteria, ReferrerTag, RetentionRule, RetentionRules, RetentionTerms, TagDecision,
    TagState, TagVersion,
};

use crate::decisions::rule;

const NOW: i64 = 100_000;

fn tags() -> impl Strategy<Value = Vec<TagState>> {
    let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let text = prop_oneof![
        "v?[0-3](\\.[0-3]){1,2}(-rc)?",
        "pr-[0-9]",
        "[a-c]",
        Just(format!("sha256-{}.sig", "0".repeat(64))),
    ];
    let one = (text, 0..NOW, 0..NOW, proptest::option::of(0..NOW));
    let one = one.prop_map(move |(text, pushed_at, leased_at, pulled_at)| TagState {
        tag: text.parse().unwrap(),
        digest,
        pushed_at,
        leased_at,
        pulled_at,
    });
    let all = proptest::collection::vec(one, 0..30);
    // A repository has no tag twice.
    all.prop_map(|mut all| {
        all.sort_by(|one, two| one.tag.cmp(&two.tag));
        all.dedup_by(|one, two| one.tag == two.tag);
        all
    })
    .prop_shuffle()
}

fn keep() -> impl Strategy<Value = KeepCriteria> {
    let count = || proptest::option::of(0..6_u32);
    let seconds =
        || proptest::option::weighted(0.3, (0..100_000_u64).prop_map(Duration::from_secs));
    (count(), count(), seconds(), seconds(), any::<bool>()).prop_map(
        |(last_pushed, newest_versions, pushed_within, pulled_within, keeps_a)| KeepCriteria {
            last_pushed,
            pushed_within,
            pulled_within,
            newest_versions,
            tags: keeps_a.then(|| "a".parse().unwrap()).into_iter().collect(),
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<RetentionRule>> {
    let tags = prop::sample::select(vec!["*", "pr-*", "v*", "[0-9]*"]);
    let repositories = prop::sample::select(vec!["app", "*", "other"]);
    let one = (repositories, tags, keep());
    let one = one.prop_map(|(repositories, tags, keep)| rule(repositories, &[tags], keep));
    proptest::collection::vec(one, 0..4)
}

/// Whether a tag goes, as the documentation says it.
fn goes(rules: &[RetentionRule], all: &[TagState], tag: &TagState, terms: RetentionTerms) -> bool {
    if tag.leased_at >= NOW - terms.lease.as_secs() as i64 {
        return false;
    }
    let speaking: Vec<_> = rules.iter().filter(|rule| speaks_of(rule, tag)).collect();
    !speaking.is_empty() && !speaking.iter().any(|rule| keeps(rule, all, tag, terms))
}

fn is_in_scope(rule: &RetentionRule, tag: &TagState) -> bool {
    let app = "app".parse().unwrap();
    rule.repositories[0].matches(&app) && rule.tags[0].matches(&tag.tag)
}

fn speaks_of(rule: &RetentionRule, tag: &TagState) -> bool {
    let versions_only = KeepCriteria {
        newest_versions: rule.keep.newest_versions,
        ..KeepCriteria::default()
    };
    let is_of_versions = rule.keep.newest_versions.is_some() && rule.keep == versions_only;
    is_in_scope(rule, tag) && (!is_of_versions || TagVersion::of(tag.tag.as_str()).is_some())
}

fn keeps(rule: &RetentionRule, all: &[TagState], tag: &TagState, terms: RetentionTerms) -> bool {
    let counted: Vec<_> = all
        .iter()
        .filter(|other| is_in_scope(rule, other) && ReferrerTag::of(&other.tag).is_none())
        .collect();
    let key = |tag: &TagState| (tag.pushed_at, tag.tag.clone());
    let later = counted.iter().filter(|other| key(other) > key(tag)).count();
    let version = |tag: &TagState| TagVersion::of(tag.tag.as_str());
    let mut higher: Vec<_> = counted.iter().filter_map(|other| version(other)).collect();
    higher.retain(|other| Some(other) > version(tag).as_ref());
    higher.sort();
    higher.dedup();
    let since = |within: Duration| NOW - within.as_secs() as i64;
    let KeepCriteria {
        last_pushed,
        pushed_within,
        pulled_within,
        newest_versions,
        tags,
    } = &rule.keep;
    tags.iter().any(|pattern| pattern.matches(&tag.tag))
        || last_pushed.is_some_and(|count| later < count as usize)
        || version(tag).is_some()
            && newest_versions.is_some_and(|count| higher.len() < count as usize)
        || pushed_within.is_some_and(|within| tag.pushed_at >= since(within))
        || pulled_within.is_some_and(|within| {
            let recorded = terms
                .pulls_recorded_since
                .is_some_and(|from| from <= since(within));
            let precise = since(within + RetentionTerms::PULL_PRECISION);
            !recorded
                || tag.pushed_at >= since(within)
                || tag.pulled_at.is_some_and(|pulled_at| pulled_at >= precise)
        })
}

proptest! {
    #[test]
    fn decisions_are_what_the_definition_says(
        all in tags(),
        rules in rules(),
        lease in 0..1000_u64,
        recorded in proptest::option::of(0..NOW),
    ) {
        let terms = RetentionTerms {
            now: NOW,
            lease: Duration::from_secs(lease),
            pulls_recorded_since: recorded,
        };
        let (app, both) = ("app".parse().unwrap(), RetentionRules::new(rules.clone()));
        let mut ranking = both.ranking(&app, terms);
        all.iter().for_each(|tag| ranking.add(tag));
        let ranked = ranking.finish();
        let ordinary = all.iter().filter(|tag| ReferrerTag::of(&tag.tag).is_none());
        for tag in ordinary {
            let decision = ranked.decide(tag, None);
            let removed = matches!(decision, TagDecision::Remove(_));
            prop_assert_eq!(removed, goes(&rules, &all, tag, terms), "{:?} {:?}", tag, decision);
        }
    }
}
