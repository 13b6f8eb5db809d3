//! The section `acl`: the rules, compiled, each with its place in the file.

use std::collections::BTreeMap;

use policy::{Acl, AclEntry, AclEntryError, AclOptions, Conditions, Field, WarningKind};

use super::diagnostics::Location;
use super::section::Section;
use super::setting::Setting;
use super::yaml::Position;

/// The rules of the file.
#[derive(Clone, Debug)]
pub(crate) struct AccessRules {
    pub(crate) acl: Acl,
    /// Where each rule stands, in their order.
    pub(crate) locations: Vec<Location>,
    /// The rules as they were written.
    pub(crate) entries: Vec<AclEntry>,
    pub(super) quote_labels: bool,
}

/// Where a rule and its conditions stand.
struct Places {
    rule: Position,
    conditions: BTreeMap<String, Position>,
}

impl Places {
    fn of_unread(rule: Position) -> Self {
        Self {
            rule,
            conditions: BTreeMap::new(),
        }
    }
}

/// Reads `acl` and `acl_quote_labels`.
pub(super) fn read(root: &mut Section<'_>) -> Option<AccessRules> {
    let quote_labels = root.flag("acl_quote_labels").unwrap_or(false);
    let list = root.setting("acl")?;
    let rules = list.items()?;
    let errors = list.context.errors();
    let read: Vec<_> = rules.iter().map(|rule| rule.section(read_rule)).collect();
    let (places, entries): (Vec<_>, Vec<_>) = rules
        .iter()
        .zip(read)
        .map(|(rule, read)| match read {
            Some((entry, places)) => (places, Some(entry)),
            None => (Places::of_unread(rule.position()), None),
        })
        .unzip();
    let complete: Option<Vec<_>> = entries.iter().cloned().collect();
    let Some(entries) = complete else {
        // What was read is compiled too, so that all mistakes are told at once.
        for (entry, places) in entries.into_iter().zip(places) {
            let entry = Vec::from_iter(entry);
            compile(
                &list,
                std::slice::from_ref(&places),
                entry,
                AclOptions { quote_labels },
            );
        }
        return None;
    };
    let locations = places
        .iter()
        .map(|places: &Places| list.context.location(places.rule))
        .collect();
    let acl = compile(&list, &places, entries.clone(), AclOptions { quote_labels })?;
    // A rule that was misread is not one that was written and hardly meant.
    if list.context.errors() == errors {
        warn(&list, &places, &acl);
    }
    Some(AccessRules {
        acl,
        locations,
        entries,
        quote_labels,
    })
}

fn compile(
    list: &Setting<'_>,
    places: &[Places],
    entries: Vec<AclEntry>,
    options: AclOptions,
) -> Option<Acl> {
    let tell = |error: AclEntryError| {
        let message = format!("{}: {}", key(&error.field), error.problem);
        list.context
            .error(place(list, places, error.rule, Some(&error.field)), message);
    };
    Acl::compile(entries, options)
        .map_err(|errors| errors.into_iter().for_each(tell))
        .ok()
}

fn warn(list: &Setting<'_>, places: &[Places], acl: &Acl) {
    for warning in acl.warnings() {
        let name = warning.field.as_ref().map_or_else(|| "acl".to_owned(), key);
        let message = match &warning.kind {
            WarningKind::Unreachable(by) => {
                let line = place(list, places, *by, None).line;
                format!(
                    "no request ever gets here: the rule on line {line} has no conditions, and the first that matches decides"
                )
            }
            other => other.to_string(),
        };
        list.context.warn(
            place(list, places, warning.rule, warning.field.as_ref()),
            format!("{name}: {message}"),
        );
    }
}

/// The key that a part of a rule has in the file.
fn key(field: &Field) -> String {
    match field {
        Field::Actions => "acl.actions".to_owned(),
        Field::Text(_) | Field::Ip | Field::Label(_) => format!("acl.match.{field}"),
    }
}

/// Where a rule's condition stands, or the rule itself.
fn place(list: &Setting<'_>, places: &[Places], rule: usize, field: Option<&Field>) -> Position {
    let Some(places) = places.get(rule) else {
        return list.position();
    };
    let condition = field.and_then(|field| places.conditions.get(&field.to_string()));
    condition.copied().unwrap_or(places.rule)
}

fn read_rule(rule: &mut Section<'_>) -> Option<(AclEntry, Places)> {
    rule.require("match", "match: {} is for everything");
    rule.require("actions", "actions: [\"*\"] allows, actions: [] denies");
    let mut places = Places {
        rule: rule.position,
        conditions: BTreeMap::new(),
    };
    let conditions = rule.section("match", |section| {
        Some(read_conditions(section, &mut places.conditions))
    });
    let actions = rule.setting("actions").and_then(|actions| {
        places
            .conditions
            .insert(Field::Actions.to_string(), actions.position());
        actions.texts()
    });
    let comment = rule.text("comment");
    Some((
        AclEntry {
            conditions: conditions?,
            actions: actions?,
            comment,
        },
        places,
    ))
}

fn read_conditions(
    section: &mut Section<'_>,
    places: &mut BTreeMap<String, Position>,
) -> Conditions {
    let mut text = |key: &'static str| {
        let setting = section.setting(key)?;
        places.insert(key.to_owned(), setting.position());
        setting.text()
    };
    let (account, resource_type) = (text("account"), text("type"));
    let (name, service, ip) = (text("name"), text("service"), text("ip"));
    let labels = section
        .setting("labels")
        .and_then(|labels| labels.entries())
        .unwrap_or_default();
    let mut label = |(entry, pattern): &(&super::yaml::Entry, Setting<'_>)| {
        places.insert(
            Field::Label(entry.key.clone()).to_string(),
            pattern.position(),
        );
        Some((entry.key.clone(), pattern.text()?))
    };
    let labels = labels.iter().filter_map(&mut label).collect();
    Conditions {
        account,
        resource_type,
        name,
        service,
        ip,
        labels,
    }
}
