//! `registry.immutable_tags` and `registry.tag_history`.

use std::time::Duration;

use tag_rules::{ImmutabilityRule, ImmutabilityRules, RepositoryPattern, RuleOrigin, TagPattern};

use crate::config::diagnostics::Problem;
use crate::config::effective::Effective;
use crate::config::schema::{Kind, key};
use crate::config::section::Section;

const DAY: Duration = Duration::from_secs(86_400);
const SHORTEST: Duration = Duration::from_secs(3600);

/// What becomes of tags.
#[derive(Clone, Debug)]
pub(crate) struct TagsConfig {
    /// The rules of the file that make tags immutable.
    pub(crate) immutable: ImmutabilityRules,
    /// How long the history of tags is kept; `None` if no history is recorded.
    pub(crate) history: Option<Duration>,
}

impl TagsConfig {
    /// How long a change is kept, unless it is configured.
    pub(crate) const KEEP: Duration = Duration::from_secs(365 * 86_400);

    /// Declares `registry.immutable_tags` and `registry.tag_history`.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            immutable: read_rules(section),
            history: section.always(
                key::mapping("tag_history")
                    .means("the history of tags: who made, moved and removed them, and when"),
                read_history,
            ),
        }
    }
}

fn read_rules(section: &mut Section<'_>) -> ImmutabilityRules {
    let list = section.structured(
        key::custom(
            "immutable_tags",
            Kind::List(Box::new(Kind::Mapping(Vec::new()))),
        )
        .means(
            "rules that make tags immutable, beside those in the database: such a tag neither moves \
             nor goes, and nothing that it needs can be deleted",
        ),
        |rule| drop(read_rule(rule)),
    );
    let items = list.and_then(|list| list.items()).unwrap_or_default();
    let read: Vec<_> = items.iter().map(|item| item.section(read_rule)).collect();
    let (mut rules, mut shown) = (Vec::new(), Vec::new());
    for (rule, effective) in read.into_iter().flatten() {
        shown.push(effective);
        rules.extend(rule);
    }
    section.show("immutable_tags", Effective::List(shown));
    rules.into_iter().collect()
}

fn read_rule(rule: &mut Section<'_>) -> Option<ImmutabilityRule> {
    let repository = rule.locate(
        key::parsed::<RepositoryPattern>(
            "repository",
            "pattern of repositories",
            key::from_str::<RepositoryPattern>,
        )
        .required("write repository: \"**\" for every repository")
        .not(&["name", "repo", "repositories"])
        .means(
            "the repositories that it is for: `*` stops at a slash, `**` does not, `?` is one \
             character, `[a-z]` one of a class; whole names match",
        ),
    );
    let tag = rule.locate(
        key::parsed::<TagPattern>("tag", "pattern of tags", key::from_str::<TagPattern>)
            .required("write tag: \"*\" for every tag")
            .not(&["tags", "pattern"])
            .means("the tags that are immutable; whole tags match"),
    );
    let except = rule.setting(
        key::custom(
            "except",
            Kind::List(Box::new(Kind::Form("pattern of tags"))),
        )
        .means("patterns of tags that this rule leaves alone"),
    );
    if let Some(pattern) = repository.as_ref().filter(|it| !it.value.can_match()) {
        let message = "no effect: no repository has such a name";
        pattern.setting.warn(Problem::NoEffect, message);
    }
    if let Some(pattern) = tag.as_ref().filter(|it| !it.value.can_match()) {
        pattern
            .setting
            .warn(Problem::NoEffect, "no effect: no tag has such a name");
    }
    let mut patterns = Vec::new();
    for item in except
        .and_then(|list| list.one_or_many())
        .unwrap_or_default()
    {
        let pattern = item.parse(key::from_str::<TagPattern>);
        let tags = tag.as_ref().filter(|it| it.value.can_match());
        if let (Some(except), Some(tags)) = (&pattern, tags)
            && !tags.value.overlaps(except)
        {
            let message = format!("no effect: no tag matches it and {:?}", tags.value.as_str());
            item.warn(Problem::NoEffect, message);
        }
        patterns.push(pattern);
    }
    let except: Option<Vec<TagPattern>> = patterns.into_iter().collect();
    let except = except?;
    if let Some(tags) = tag.as_ref().filter(|it| it.value.can_match())
        && !except.is_empty()
        && tags.value.is_covered_by(&except)
    {
        let message = "no effect: `except` leaves every tag alone that `tag` matches";
        tags.setting.warn(Problem::NoEffect, message);
    }
    if !except.is_empty() {
        let shown = except.iter().map(Effective::quoted);
        rule.show("except", Effective::List(shown.collect()));
    }
    Some(ImmutabilityRule {
        origin: RuleOrigin::Configuration(rule.context.location(rule.position).short()),
        repository: repository?.value,
        tag: tag?.value,
        except,
    })
}

fn read_history(history: &mut Section<'_>) -> Option<Duration> {
    let is_enabled = history.get(
        key::switch("enabled")
            .means("whether changes of tags are recorded")
            .default(true),
    );
    let keep = history.get(
        key::duration("keep", SHORTEST..=10 * 365 * DAY)
            .restart()
            .means("how long a change is kept")
            .default(TagsConfig::KEEP),
    );
    if !is_enabled && history.has("keep") {
        let message = "no effect: no history is recorded, and what was recorded stays";
        history.warn_about("keep", Problem::NoEffect, message);
    }
    is_enabled.then_some(keep)
}
