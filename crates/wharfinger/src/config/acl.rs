//! The section `acl`: the rules, compiled, each with its place in the file.

use std::collections::BTreeMap;

use policy::{Acl, AclEntry, AclEntryError, AclOptions, Conditions, Field, WarningKind};

use super::diagnostics::{Location, Problem};
use super::effective::Effective;
use super::schema::{Kind, key};
use super::section::Section;
use super::setting::Setting;
use super::yaml::Position;

/// The rules of the file.
#[derive(Clone, Debug)]
pub(crate) struct AccessRules {
    pub(crate) acl: Acl,
    /// The place of each rule, in their order.
    pub(crate) locations: Vec<Location>,
}

/// The places of a rule and of its conditions.
struct RulePlaces {
    rule: Position,
    conditions: BTreeMap<String, Position>,
}

/// Reads `acl` and `acl_quote_labels`, which counts for rules from elsewhere, too.
pub(super) fn read(root: &mut Section<'_>) -> (Option<AccessRules>, AclOptions) {
    let list = root.structured(
        key::custom("acl", Kind::List(Box::new(Kind::Mapping(Vec::new()))))
            .docker_auth()
            .means(
                "the rules; the first whose conditions all hold decides. If none does, access is \
                 denied",
            ),
        read_rule,
    );
    let quote_labels = root.get(
        key::switch("acl_quote_labels")
            .means("take the values of `${labels:NAME}` literally, not as patterns")
            .default(false),
    );
    let options = AclOptions { quote_labels };
    (
        list.and_then(|list| read_list(root, &list, options)),
        options,
    )
}

fn read_list(
    root: &mut Section<'_>,
    list: &Setting<'_>,
    options: AclOptions,
) -> Option<AccessRules> {
    let rules = list.items()?;
    let errors = list.context.errors();
    let read: Vec<_> = rules.iter().map(|rule| rule.section(read_rule)).collect();
    let is_whole = read.iter().all(|rule| matches!(rule, Some((Some(_), _))));
    let (mut entries, mut places, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    // Patterns are checked even if another rule is malformed, so that all errors are reported.
    for (rule, effective) in read.into_iter().flatten() {
        let Some((entry, of_rule)) = rule else {
            continue;
        };
        entries.push(entry);
        places.push(of_rule);
        shown.push(effective);
    }
    root.show("acl", Effective::List(shown));
    let acl = compile(list, &places, entries, options)?;
    if !is_whole {
        return None;
    }
    // A misread rule is no rule to warn of.
    if list.context.errors() == errors {
        warn(list, &places, &acl);
    }
    let location = |places: &RulePlaces| list.context.location(places.rule);
    Some(AccessRules {
        acl,
        locations: places.iter().map(location).collect(),
    })
}

fn compile(
    list: &Setting<'_>,
    places: &[RulePlaces],
    entries: Vec<AclEntry>,
    options: AclOptions,
) -> Option<Acl> {
    let report = |error: AclEntryError| {
        let place = place(list, places, error.rule, Some(&error.field));
        let key = key_of(&error.field);
        let message = error.problem.to_string();
        list.context.error(place, &key, Problem::Invalid, message);
    };
    Acl::compile(entries, options)
        .map_err(|errors| errors.into_iter().for_each(report))
        .ok()
}

fn warn(list: &Setting<'_>, places: &[RulePlaces], acl: &Acl) {
    for warning in acl.warnings() {
        let key = warning
            .field
            .as_ref()
            .map_or_else(|| "acl".to_owned(), key_of);
        let message = match &warning.kind {
            WarningKind::Unreachable(by) => {
                let line = place(list, places, *by, None).line;
                format!(
                    "no request reaches this rule: the rule on line {line} has no conditions, and \
                     the first that matches decides"
                )
            }
            other => other.to_string(),
        };
        let place = place(list, places, warning.rule, warning.field.as_ref());
        list.context.warn(place, &key, Problem::Doubtful, message);
    }
}

/// The key of a part of a rule.
fn key_of(field: &Field) -> String {
    match field {
        Field::Actions => "acl.actions".to_owned(),
        Field::Text(_) | Field::Ip | Field::Label(_) => format!("acl.match.{field}"),
    }
}

/// The place of a rule's condition, or of the rule itself.
fn place(
    list: &Setting<'_>,
    places: &[RulePlaces],
    rule: usize,
    field: Option<&Field>,
) -> Position {
    let Some(places) = places.get(rule) else {
        return list.position();
    };
    let condition = field.and_then(|field| places.conditions.get(&field.to_string()));
    condition.copied().unwrap_or(places.rule)
}

fn read_rule(rule: &mut Section<'_>) -> Option<(AclEntry, RulePlaces)> {
    let mut places = RulePlaces {
        rule: rule.position,
        conditions: BTreeMap::new(),
    };
    let conditions = rule.optional(
        key::mapping("match")
            .docker_auth()
            .required("write match: {} for everything")
            .means("a rule's conditions, below; `{}` holds always"),
        |section| Some(read_conditions(section, &mut places.conditions)),
    );
    let actions = rule.find(
        key::texts("actions")
            .docker_auth()
            .required("actions: [\"*\"] allows, actions: [] denies")
            .means(
                "what is granted of what was asked; `[\"*\"]` alone grants all of it, `[]` nothing",
            ),
    );
    let comment = rule.find(
        key::text("comment")
            .docker_auth()
            .means("for people; `explain` shows it"),
    );
    let entry = AclEntry {
        conditions: conditions?,
        actions: actions?,
        comment,
    };
    Some((entry, places))
}

/// The conditions that are texts, and what each is a pattern of.
const CONDITIONS: [(&str, &str, &str); 5] = [
    ("account", "pattern", "the account, empty for the anonymous"),
    (
        "type",
        "pattern",
        "the resource's type: `repository`, `registry`, …",
    ),
    ("name", "pattern", "the resource's name"),
    ("service", "pattern", "the service that the token is for"),
    (
        "ip",
        "address or network",
        "the client's address is this, or in this network",
    ),
];

fn read_conditions(
    section: &mut Section<'_>,
    places: &mut BTreeMap<String, Position>,
) -> Conditions {
    let [account, resource_type, name, service, ip] = CONDITIONS.map(|(key, form, means)| {
        let key = key::custom(key, Kind::Form(form))
            .docker_auth()
            .means(means);
        let key = match key.declaration.name {
            "ip" => key.not(&["address", "client", "remote_addr"]),
            "account" => key.not(&["user", "username"]),
            "name" => key.not(&["repository", "image", "repo"]),
            _ => key,
        };
        let name = key.declaration.name;
        let setting = section.setting(key)?;
        places.insert(name.to_owned(), setting.position());
        let text = setting.text()?;
        section.show(name, Effective::quoted(&text));
        Some(text)
    });
    let labels = section.setting(
        key::custom("labels", Kind::Names(Box::new(Kind::Form("pattern"))))
            .docker_auth()
            .means("`LABEL: PATTERN`: one of the account's values of that label matches"),
    );
    let labels = labels
        .and_then(|labels| labels.entries())
        .unwrap_or_default();
    let mut label = |(entry, pattern): &(&super::yaml::Entry, Setting<'_>)| {
        let field = Field::Label(entry.key.clone()).to_string();
        places.insert(field, pattern.position());
        Some((entry.key.clone(), pattern.text()?))
    };
    let labels: BTreeMap<_, _> = labels.iter().filter_map(&mut label).collect();
    if !labels.is_empty() {
        let shown = labels.iter();
        let shown = shown.map(|(name, pattern)| (name.clone(), Effective::quoted(pattern)));
        section.show("labels", Effective::names(shown));
    }
    Conditions {
        account,
        resource_type,
        name,
        service,
        ip,
        labels,
    }
}
