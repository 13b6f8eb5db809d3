//! What rules keep, by examples: most are faults of other registries.

use std::time::Duration;

use oci::{Digest, RepositoryName};
use retention::{
    KeepCriteria, KeepReason, RemovalReason, RetentionRule, RetentionRules, RetentionTerms,
    TagDecision, TagState,
};
use tag_rules::{ImmutabilityRule, RuleOrigin};

const DAY: i64 = 86_400;
const NOW: i64 = 1_000 * DAY;

pub(crate) fn rule(repositories: &str, tags: &[&str], keep: KeepCriteria) -> RetentionRule {
    RetentionRule {
        repositories: vec![repositories.parse().unwrap()],
        tags: tags.iter().map(|text| text.parse().unwrap()).collect(),
        keep,
    }
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

fn digest() -> Digest {
    format!("sha256:{}", "0".repeat(64)).parse().unwrap()
}

/// A tag that was pushed so many days ago, and is not leased.
fn tag(text: &str, pushed: i64) -> TagState {
    TagState {
        tag: text.parse().unwrap(),
        digest: digest(),
        pushed_at: NOW - pushed * DAY,
        leased_at: 0,
        pulled_at: None,
    }
}

fn terms(recorded: Option<i64>) -> RetentionTerms {
    RetentionTerms {
        now: NOW,
        lease: days(1),
        pulls_recorded_since: recorded.map(|days| NOW - days * DAY),
    }
}

fn decide(rules: &RetentionRules, repository: &str, tags: &[TagState]) -> Vec<TagDecision> {
    let repository: RepositoryName = repository.parse().unwrap();
    let mut ranking = rules.ranking(&repository, terms(Some(100)));
    tags.iter().for_each(|tag| ranking.add(tag));
    let ranked = ranking.finish();
    tags.iter().map(|tag| ranked.decide(tag, None)).collect()
}

/// The tags that go.
fn gone<'a>(rules: &[RetentionRule], repository: &str, tags: &'a [TagState]) -> Vec<&'a str> {
    let decisions = decide(&RetentionRules::new(rules.to_vec()), repository, tags);
    let both = tags.iter().zip(decisions);
    both.filter(|(_, decision)| matches!(decision, TagDecision::Remove(_)))
        .map(|(tag, _)| tag.tag.as_str())
        .collect()
}

fn last(count: u32) -> KeepCriteria {
    KeepCriteria {
        last_pushed: Some(count),
        ..KeepCriteria::default()
    }
}

fn versions(count: u32) -> KeepCriteria {
    KeepCriteria {
        newest_versions: Some(count),
        ..KeepCriteria::default()
    }
}

#[test]
fn a_missing_rule_removes_nothing() {
    let tags = [tag("a", 900), tag("b", 900)];
    assert!(gone(&[], "app", &tags).is_empty());
    assert!(gone(&[rule("other", &[], last(1))], "app", &tags).is_empty());
    // Of repositories that have a rule for other tags, too.
    assert!(gone(&[rule("app", &["pr-*"], last(1))], "app", &tags).is_empty());
}

#[test]
fn nested_repositories_match_as_they_are_written() {
    let tags = [tag("a", 900), tag("b", 800)];
    for (pattern, repository, speaks) in [
        ("team/*", "team/app", true),
        ("team/*", "team/app/cache", false),
        ("team/**", "team/app/cache", true),
        ("team", "team/app", false),
        ("team/app", "team/app-2", false),
    ] {
        let found = gone(&[rule(pattern, &[], last(1))], repository, &tags);
        assert_eq!(!found.is_empty(), speaks, "{pattern} {repository}");
    }
}

#[test]
fn a_tag_stays_if_one_rule_keeps_it() {
    let rules = [
        rule("**", &[], last(1)),
        rule(
            "app",
            &[],
            KeepCriteria {
                tags: vec!["keep-*".parse().unwrap()],
                ..KeepCriteria::default()
            },
        ),
    ];
    let tags = [tag("a", 9), tag("b", 2), tag("keep-a", 900)];
    assert_eq!(gone(&rules, "app", &tags), ["a"]);
    let decided = decide(&RetentionRules::new(rules.to_vec()), "app", &tags);
    let removed = TagDecision::Remove(RemovalReason::NotKept { rules: vec![1, 2] });
    assert_eq!(decided[0], removed);
    let kept = KeepReason::LastPushed { rule: 1, count: 1 };
    assert_eq!(decided[1], TagDecision::Keep(kept));
}

#[test]
fn versions_are_counted_and_other_tags_left_alone() {
    let tags = [
        tag("1.0.0", 1),
        tag("v1.1.0", 9),
        tag("1.1.0", 800),
        tag("1.2.0-rc.1", 5),
        tag("latest", 900),
        tag("20240101", 900),
    ];
    let only = [rule("app", &[], versions(2))];
    assert_eq!(gone(&only, "app", &tags), ["1.0.0"]);
    // With another criterion, the rule speaks of every tag.
    let keep = KeepCriteria {
        pushed_within: Some(days(30)),
        ..versions(2)
    };
    let both = [rule("app", &[], keep)];
    assert_eq!(gone(&both, "app", &tags), ["latest", "20240101"]);
}

#[test]
fn a_signature_takes_no_place_and_is_not_removed_by_rules() {
    let signature = format!("sha256-{}.sig", "0".repeat(64));
    let rules = RetentionRules::new(vec![rule("app", &[], last(1))]);
    let tags = [tag("a", 9), tag("b", 20)];
    let repository = "app".parse().unwrap();
    let mut ranking = rules.ranking(&repository, terms(None));
    ranking.add(&tag(&signature, 1));
    tags.iter().for_each(|tag| ranking.add(tag));
    let ranked = ranking.finish();
    let goes = |tag: &TagState| matches!(ranked.decide(tag, None), TagDecision::Remove(_));
    assert_eq!(tags.each_ref().map(goes), [false, true]);
}

#[test]
fn what_protects_a_tag_counts_for_that_tag_only() {
    let rules = RetentionRules::new(vec![rule("app", &[], last(1))]);
    let repository = "app".parse().unwrap();
    let mut tags = [
        tag("new", 2),
        tag("immutable", 9),
        tag("other", 9),
        tag("leased", 9),
    ];
    tags[3].leased_at = NOW - DAY;
    let mut ranking = rules.ranking(&repository, terms(None));
    tags.iter().for_each(|tag| ranking.add(tag));
    let ranked = ranking.finish();
    let immutable = ImmutabilityRule {
        origin: RuleOrigin::Database(3),
        repository: "**".parse().unwrap(),
        tag: "immutable".parse().unwrap(),
        except: Vec::new(),
    };
    // The others point at the same manifest, and go all the same.
    let decided = tags.each_ref().map(|tag| {
        let rule = immutable.covers(&tag.tag).then_some(&immutable);
        ranked.decide(tag, rule)
    });
    let by_rule = KeepReason::Immutable {
        rule: "rule 3 of the database".to_owned(),
    };
    assert_eq!(decided[1], TagDecision::Keep(by_rule));
    assert!(matches!(decided[2], TagDecision::Remove(_)));
    assert_eq!(decided[3], TagDecision::Keep(KeepReason::Leased));
}

#[test]
fn pull_times_count_once_they_are_recorded_for_long_enough() {
    let keep = KeepCriteria {
        pulled_within: Some(days(30)),
        ..KeepCriteria::default()
    };
    let rules = RetentionRules::new(vec![rule("app", &[], keep)]);
    let repository = "app".parse().unwrap();
    let mut tags = [
        tag("used", 900),
        tag("new", 29),
        tag("old", 900),
        tag("barely", 900),
    ];
    tags[0].pulled_at = Some(NOW - 3 * DAY);
    tags[2].pulled_at = Some(NOW - 31 * DAY);
    // A pull is noted once an hour, so it may have been later than that.
    tags[3].pulled_at = Some(NOW - 30 * DAY - 3600);
    let goes = |recorded| {
        let ranked = rules.ranking(&repository, terms(recorded)).finish();
        assert!(ranked.needs_pulls());
        tags.each_ref()
            .map(|tag| matches!(ranked.decide(tag, None), TagDecision::Remove(_)))
    };
    assert_eq!(goes(Some(30)), [false, false, true, false]);
    assert_eq!(goes(Some(29)), [false; 4]);
    assert_eq!(goes(None), [false; 4]);
    let ranked = rules.ranking(&repository, terms(Some(29))).finish();
    let TagDecision::Keep(reason) = ranked.decide(&tags[2], None) else {
        panic!()
    };
    let usable_from = NOW + DAY;
    assert_eq!(
        reason,
        KeepReason::PullTimesTooShort {
            rule: 1,
            usable_from
        }
    );
    assert_eq!(
        reason.to_string(),
        "rule 1 needs pull times, which are recorded for long enough from 1972-09-28T00:00:00Z on"
    );
}
