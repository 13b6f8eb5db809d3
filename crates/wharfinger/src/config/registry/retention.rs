//! `registry.retention`: which tags stay, and which may go.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use retention::{IneffectivePart, KeepCriteria, RetentionRule, RetentionRules};
use storage::UntaggedManifests;
use tag_rules::{RepositoryPattern, TagPattern};

use super::collection::schedule;
use crate::config::diagnostics::Problem;
use crate::config::effective::Effective;
use crate::config::schema::key::Words;
use crate::config::schema::{Kind, key};
use crate::config::section::Section;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
/// The most tags or versions that a rule keeps by number. They are in memory while it is applied.
const MOST_KEPT: i64 = 10_000;

/// What a rule can keep. One of these must be there.
const CRITERIA: [&str; 5] = [
    "last_pushed",
    "pushed_within",
    "pulled_within",
    "newest_versions",
    "tags",
];

/// Which tags stay, and which may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetentionConfig {
    /// How often it runs; `None` leaves it to the command.
    pub(crate) every: Option<Duration>,
    /// How long a removed tag can be restored.
    pub(crate) undelete: Duration,
    /// What then becomes of a manifest without a tag.
    pub(crate) untagged: UntaggedManifests,
    /// What is kept. Without rules, everything is.
    pub(crate) rules: RetentionRules,
}

impl Words for UntaggedManifests {
    const WORDS: &'static [(&'static str, Self)] =
        &[("gc", Self::Collection), ("remove", Self::Remove)];
}

impl RetentionConfig {
    /// Declares `registry.retention.*`.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let every = section.get(
            schedule("schedule")
                .means("how often tags are removed by the rules, if there are rules; what was missed follows soon after a start")
                .default(Some(DAY)),
        );
        let undelete = section.get(
            key::duration("undelete", Duration::ZERO..=YEAR)
                .restart()
                .means(
                    "how long a removed tag can be restored with `wharfinger registry undelete`; its content \
                     stays as long",
                )
                .default(7 * DAY),
        );
        let untagged = section.get(
            key::word::<UntaggedManifests>("untagged")
                .restart()
                .means(
                    "what becomes of a manifest whose last tag was removed, when it cannot be restored any \
                     more: `gc` leaves it to `registry.gc.untagged`, `remove` removes it, with what only it \
                     needs",
                )
                .default(UntaggedManifests::Collection),
        );
        let rules = read_rules(section);
        if section
            .present("rules")
            .is_none_or(|list| list.is_empty_list())
        {
            for name in ["schedule", "undelete", "untagged"] {
                if section.has(name) {
                    let message = "no effect without rules: every tag stays";
                    section.warn_about(name, Problem::NoEffect, message);
                }
            }
        }
        Self {
            every,
            undelete,
            untagged,
            rules,
        }
    }
}

/// All rules are read before one can be wrong.
fn read_rules(section: &mut Section<'_>) -> RetentionRules {
    let list = section.structured(
        key::custom("rules", Kind::List(Box::new(Kind::Mapping(Vec::new()))))
            .restart()
            .means(
                "of which tags a rule speaks and what it keeps of them, below; a tag goes if a rule speaks of \
                 it and no such rule keeps it",
            )
            .otherwise("everything stays"),
        |rule| drop(read_rule(rule)),
    );
    let (mut rules, mut places, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    for item in list.and_then(|list| list.items()).unwrap_or_default() {
        if let Some((rule, effective)) = item.section(read_rule) {
            shown.push(effective);
            if let Some(rule) = rule {
                rules.push(rule);
                places.push(item);
            }
        }
    }
    section.show("rules", Effective::List(shown));
    let rules = RetentionRules::new(rules);
    for (place, parts) in places.iter().zip(rules.ineffective_parts()) {
        for part in parts {
            let line = |number: usize| places[number - 1].position().line;
            place.warn(Problem::NoEffect, ineffective(&part, line));
        }
    }
    rules
}

/// What a warning says of a part of a rule that changes nothing.
fn ineffective(part: &IneffectivePart, line: impl Fn(usize) -> usize) -> String {
    match part {
        IneffectivePart::KeptTags(pattern) => {
            format!(
                "keep.tags: {pattern:?} has no effect: the rule speaks of no tag that matches it"
            )
        }
        IneffectivePart::NewestVersions => {
            "keep.newest_versions has no effect: the rule speaks of no tag that is a version"
                .to_owned()
        }
        IneffectivePart::OtherCriteria => {
            "only keep.tags has an effect: it keeps every tag that the rule speaks of".to_owned()
        }
        IneffectivePart::Rule(number) => format!(
            "no effect: the rule in line {} speaks of the same tags, and keeps what this rule keeps or more",
            line(*number)
        ),
    }
}

fn read_rule(rule: &mut Section<'_>) -> Option<RetentionRule> {
    let repositories = patterns::<RepositoryPattern>(
        rule,
        key::custom("repositories", pattern_kind())
            .not(&["repository"])
            .restart()
            .required("write of which repositories the rule speaks, such as [\"team/**\"]")
            .means("patterns of the repositories that it speaks of: `*` within a part, `**` across parts"),
    );
    let tags = patterns::<TagPattern>(
        rule,
        key::custom("tags", pattern_kind())
            .not(&["tag"])
            .restart()
            .means("patterns of the tags that it speaks of; all others stay")
            .otherwise("all tags"),
    );
    let keep = rule.optional(
        key::mapping("keep")
            .restart()
            .required("write what the rule keeps, such as {last_pushed: 10}")
            .means("what it keeps; a tag stays if one of these keeps it"),
        read_keep,
    );
    Some(RetentionRule {
        repositories: repositories?,
        tags: tags.unwrap_or_default(),
        keep: keep?,
    })
}

fn read_keep(keep: &mut Section<'_>) -> Option<KeepCriteria> {
    let criteria = KeepCriteria {
        last_pushed: keep.find(
            key::number("last_pushed", 1..=MOST_KEPT)
                .restart()
                .means("this many tags, those that were pushed last"),
        ),
        pushed_within: keep.find(
            key::duration("pushed_within", HOUR..=LONGEST)
                .restart()
                .means("tags that were pushed within this time"),
        ),
        pulled_within: keep.find(
            key::duration("pulled_within", HOUR..=LONGEST)
                .restart()
                .means(
                    "tags that were pulled within this time, or pushed and not pulled yet; until pull times are \
                     recorded for so long, the rule removes nothing",
                ),
        ),
        newest_versions: keep.find(
            key::number("newest_versions", 1..=MOST_KEPT)
                .restart()
                .means(
                    "the tags of this many versions, the highest; alone, the rule does not speak of tags that \
                     are no version",
                ),
        ),
        tags: patterns::<TagPattern>(
            keep,
            key::custom("tags", pattern_kind())
                .restart()
                .means("tags that match one of these patterns"),
        )
        .unwrap_or_default(),
    };
    let is_said = CRITERIA.iter().any(|name| keep.has(name));
    if !is_said && !keep.context.is_describing() {
        let message = "a rule that keeps nothing would remove every tag that it speaks of; write what it \
                       keeps, such as last_pushed: 10";
        keep.error(Problem::Invalid, message);
    }
    (!criteria.is_empty()).then_some(criteria)
}

/// A pattern that may match no name at all.
trait RetentionPattern: FromStr<Err: Display> + Display {
    /// What it is for.
    const WHAT: &'static str;

    fn can_match(&self) -> bool;
}

impl RetentionPattern for RepositoryPattern {
    const WHAT: &'static str = "repository";

    fn can_match(&self) -> bool {
        Self::can_match(self)
    }
}

impl RetentionPattern for TagPattern {
    const WHAT: &'static str = "tag";

    fn can_match(&self) -> bool {
        Self::can_match(self)
    }
}

fn pattern_kind() -> Kind {
    Kind::OneOrMany(Box::new(Kind::Form("pattern")))
}

/// A pattern, or a list of some.
fn patterns<P: RetentionPattern>(section: &mut Section<'_>, key: key::Key<()>) -> Option<Vec<P>> {
    let name = key.declaration.name;
    let setting = section.setting(key)?;
    if setting.is_empty_list() {
        setting.error(match P::WHAT {
            "repository" => "empty: write a pattern, such as \"**\" for every repository",
            _ => "empty: write a pattern, or leave the key out",
        });
        return None;
    }
    let items = setting.one_or_many()?;
    let parsed = items.iter().map(|item| {
        let pattern = item.parse(str::parse::<P>)?;
        if !pattern.can_match() {
            let message = format!("no effect: no {} has such a name", P::WHAT);
            item.warn(Problem::NoEffect, message);
        }
        Some(pattern)
    });
    let parsed: Vec<Option<P>> = parsed.collect();
    let parsed = parsed.into_iter().collect::<Option<Vec<P>>>()?;
    let shown = parsed.iter().map(Effective::quoted);
    section.show(name, Effective::List(shown.collect()));
    Some(parsed)
}
