//! What is valid in rules but probably not intended.

use crate::captures::{CaptureReference, capture_at_end, find};
use crate::entry::{AclEntry, AclOptions, Conditions};
use crate::pattern::Matcher;
use crate::syntax::{SIZE_LIMIT, is_regex};
use crate::variables::LABEL;
use crate::{Attribute, Field};
use common::nearest;

/// Something about a rule that is valid but probably not intended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which rule, counted from 0.
    pub rule: usize,
    /// Which part of it; `None` if it is the rule as a whole.
    pub field: Option<Field>,
    /// What it is.
    pub kind: WarningKind,
}

/// What is probably not intended; its text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WarningKind {
    /// A `${…}` before a capture makes one variable of both, which stands for nothing.
    #[error("{capture} is never replaced, so this never matches: write it before {before}")]
    CaptureHidden {
        /// The capture.
        capture: String,
        /// What comes before it.
        before: String,
    },
    /// A capture of a condition that is absent, or not a regular expression.
    #[error("{capture} is never replaced: the rule's `{}` is not a regular expression between slashes", .of.key())]
    CaptureOfNoRegex {
        /// The capture.
        capture: String,
        /// Whose group it names.
        of: Attribute,
    },
    /// A capture of a group that does not exist.
    #[error("{capture} is never replaced: the rule's `{}` has {groups} groups, counted from 1", .of.key())]
    CaptureOutOfRange {
        /// The capture.
        capture: String,
        /// Whose group it names.
        of: Attribute,
        /// How many groups there are.
        groups: usize,
    },
    /// A capture of a condition that has variables itself.
    #[error("{capture} is never replaced: variables in the rule's `{}` stand for themselves when groups are captured", .of.key())]
    CaptureOfVariable {
        /// The capture.
        capture: String,
        /// Whose group it names.
        of: Attribute,
    },
    /// A capture that only a label's pattern names.
    #[error(
        "{0} is not replaced in a label's pattern unless account, type, name or service has it too"
    )]
    CaptureInLabelOnly(String),
    /// A label's value in a label's pattern.
    #[error("{0} is not replaced in a label's pattern")]
    LabelInLabel(String),
    /// A `${…}` that is not a variable.
    #[error(
        "{0} is not a variable and stands for itself: variables are ${{account}}, ${{type}}, ${{name}}, ${{service}}, ${{labels:NAME}} and captures such as ${{account:1}}"
    )]
    UnknownVariable(String),
    /// A label's value is taken as a pattern.
    #[error(
        "the values of {0} are patterns here, so that a label `*` matches anything: set acl_quote_labels to take them literally"
    )]
    UnquotedLabel(String),
    /// `**`, which is `*`.
    #[error(
        "`**` is `*`, which stops at a `/`: to cross it, write a regular expression, /^team\\/.+$/"
    )]
    DoubleStar,
    /// `*` as a resource's whole name.
    #[error("`*` takes only names without a `/`: leave the condition out to take all")]
    LoneStar,
    /// `[!a]`, which is not negated.
    #[error("`[!` begins a class that has a `!` in it, not one that is negated: write `[^`")]
    NotNegated,
    /// An action that no client asks for.
    #[error("no client asks for the action {action:?}{}: actions are pull, push and delete, or a lone *", hint(*.nearest))]
    UnknownAction {
        /// The action.
        action: String,
        /// What it was most likely meant to be.
        nearest: Option<&'static str>,
    },
    /// `*` beside other actions: there it is an action like any other.
    #[error("`*` means every action only if it stands alone: write actions: [\"*\"]")]
    StarBesideOthers,
    /// A pattern that takes no type of resource that a client asks for.
    #[error("no client asks for the type {pattern:?}{}: types are repository and registry", hint(*.nearest))]
    UnknownType {
        /// The pattern.
        pattern: String,
        /// What it was most likely meant to be.
        nearest: Option<&'static str>,
    },
    /// An earlier rule matches everything.
    #[error(
        "no query reaches this rule: acl[{0}] has no conditions, and the first rule that matches decides"
    )]
    Unreachable(usize),
}

/// All there is to say about `entries`, in their order.
pub(crate) fn warnings(entries: &[AclEntry], options: AclOptions) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (rule, entry) in entries.iter().enumerate() {
        let conditions = &entry.conditions;
        let mut add = |field: Field, kinds: Vec<WarningKind>| {
            warnings.extend(kinds.into_iter().map(|kind| Warning {
                rule,
                field: Some(field.clone()),
                kind,
            }));
        };
        for attribute in Attribute::ALL {
            let Some(pattern) = conditions.on(attribute) else {
                continue;
            };
            let mut kinds = captures(pattern, conditions);
            if !options.quote_labels {
                kinds.extend(labels(pattern).map(WarningKind::UnquotedLabel));
            }
            kinds.extend(unknown_variables(pattern));
            kinds.extend(glob(pattern, attribute == Attribute::Name));
            if attribute == Attribute::ResourceType {
                kinds.extend(unknown_type(pattern));
            }
            add(Field::Text(attribute), kinds);
        }
        for (label, pattern) in &conditions.labels {
            let mut kinds = captures_of_label(pattern, conditions);
            kinds.extend(labels(pattern).map(WarningKind::LabelInLabel));
            kinds.extend(unknown_variables(pattern));
            kinds.extend(glob(pattern, false));
            add(Field::Label(label.clone()), kinds);
        }
        add(Field::Actions, actions(&entry.actions));
    }
    let everything = entries
        .iter()
        .position(|entry| entry.conditions == Conditions::default());
    if let Some(everything) = everything.filter(|everything| everything + 1 < entries.len()) {
        let kind = WarningKind::Unreachable(everything);
        warnings.push(Warning {
            rule: everything + 1,
            field: None,
            kind,
        });
    }
    warnings
}

/// The actions that registries ask clients to ask for.
const ACTIONS: [&str; 3] = ["pull", "push", "delete"];

/// The types of resource that registries ask clients to ask for.
const TYPES: [&str; 2] = ["repository", "registry"];

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!("; did you mean {nearest:?}?")
    })
}

fn actions(actions: &[String]) -> Vec<WarningKind> {
    let unknown = |action: &&String| *action != "*" && !ACTIONS.contains(&action.as_str());
    let unknown = actions
        .iter()
        .filter(unknown)
        .map(|action| WarningKind::UnknownAction {
            action: action.clone(),
            nearest: nearest(action, ACTIONS),
        });
    let star = actions.len() > 1 && actions.iter().any(|action| action == "*");
    unknown
        .chain(star.then_some(WarningKind::StarBesideOthers))
        .collect()
}

/// With variables the pattern may become anything; one that is malformed is an error elsewhere.
fn unknown_type(pattern: &str) -> Option<WarningKind> {
    let matcher = Matcher::compile(pattern, SIZE_LIMIT).ok()?;
    let unknown = !pattern.contains("${") && !TYPES.iter().any(|known| matcher.matches(known));
    unknown.then(|| WarningKind::UnknownType {
        pattern: pattern.to_owned(),
        nearest: nearest(pattern, TYPES),
    })
}

/// Captures that are never replaced in `pattern`.
fn captures(pattern: &str, conditions: &Conditions) -> Vec<WarningKind> {
    let kind = |found| match found {
        CaptureReference::Capture(capture) => {
            let of = capture.attribute;
            let variable = conditions
                .on(of)
                .is_some_and(|written| written.contains("${"));
            variable.then_some(WarningKind::CaptureOfVariable {
                capture: capture.token,
                of,
            })
        }
        CaptureReference::NoAttribute { text } => {
            let (before, capture) = capture_at_end(text)?;
            // What another of the rule's patterns makes known is replaced here too.
            let hidden = !known(capture, conditions);
            let before = before
                .split_inclusive('}')
                .next()
                .unwrap_or_default()
                .to_owned();
            hidden.then(|| WarningKind::CaptureHidden {
                capture: capture.to_owned(),
                before,
            })
        }
        CaptureReference::NoRegex { text, of } => Some(WarningKind::CaptureOfNoRegex {
            capture: text.to_owned(),
            of,
        }),
        CaptureReference::OutOfRange { text, of, groups } => Some(WarningKind::CaptureOutOfRange {
            capture: text.to_owned(),
            of,
            groups,
        }),
    };
    find(pattern, conditions)
        .into_iter()
        .filter_map(kind)
        .collect()
}

/// Captures that are never replaced in `pattern`, a label's.
fn captures_of_label(pattern: &str, conditions: &Conditions) -> Vec<WarningKind> {
    let captures = variables(pattern).filter(|variable| capture_at_end(variable).is_some());
    let unknown = captures.filter(|variable| !known(variable, conditions));
    unknown
        .map(|capture| WarningKind::CaptureInLabelOnly(capture.to_owned()))
        .collect()
}

/// Whether `capture` is found in one of the patterns in which captures are looked for.
fn known(capture: &str, conditions: &Conditions) -> bool {
    let patterns = Attribute::ALL
        .into_iter()
        .filter_map(|attribute| conditions.on(attribute));
    let mut found = patterns.flat_map(|pattern| find(pattern, conditions));
    found.any(|found| matches!(found, CaptureReference::Capture(found) if found.token == capture))
}

/// Every `${…}` in `pattern`.
fn variables(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.match_indices("${").filter_map(|(start, _)| {
        let rest = &pattern[start..];
        rest.find('}').map(|end| &rest[..=end])
    })
}

/// Every label that `pattern` names.
fn labels(pattern: &str) -> impl Iterator<Item = String> {
    variables(pattern)
        .filter(|variable| variable.starts_with(LABEL))
        .map(str::to_owned)
}

/// What looks like a variable and is none.
fn unknown_variables(pattern: &str) -> impl Iterator<Item = WarningKind> {
    let attribute = |variable: &str| {
        Attribute::ALL
            .iter()
            .any(|known| variable[2..variable.len() - 1] == *known.key())
    };
    let label = |variable: &str| variable.starts_with(LABEL);
    let known = move |variable: &&str| {
        attribute(variable) || label(variable) || capture_at_end(variable).is_some()
    };
    // A label without its dollar sign is easily overlooked.
    let bare = pattern
        .match_indices("{labels:")
        .filter(|(at, _)| !pattern[..*at].ends_with('$'));
    let bare = bare.filter_map(|(start, _)| pattern[start..].split_inclusive('}').next());
    let unknown = variables(pattern)
        .filter(move |variable| !known(variable))
        .chain(bare);
    unknown.map(|variable| WarningKind::UnknownVariable(variable.to_owned()))
}

/// What looks like another tool's glob.
fn glob(pattern: &str, names_resource: bool) -> impl Iterator<Item = WarningKind> {
    let glob = !is_regex(pattern);
    let surprises = [
        (pattern.contains("**"), WarningKind::DoubleStar),
        (names_resource && pattern == "*", WarningKind::LoneStar),
        (pattern.contains("[!"), WarningKind::NotNegated),
    ];
    surprises
        .into_iter()
        .filter_map(move |(there, kind)| (there && glob).then_some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pairs: &[(&str, &str)]) -> AclEntry {
        let mut conditions = Conditions::default();
        for (key, pattern) in pairs {
            let pattern = (*pattern).to_owned();
            match *key {
                "account" => conditions.account = Some(pattern),
                "type" => conditions.resource_type = Some(pattern),
                "name" => conditions.name = Some(pattern),
                "service" => conditions.service = Some(pattern),
                label => drop(conditions.labels.insert(label.to_owned(), pattern)),
            }
        }
        AclEntry {
            conditions,
            ..AclEntry::default()
        }
    }

    #[track_caller]
    fn warned(pairs: &[(&str, &str)], expected: &[&str]) {
        let quoted = AclOptions { quote_labels: true };
        let warnings = warnings(&[entry(pairs)], quoted);
        let kinds: Vec<String> = warnings
            .iter()
            .map(|warning| warning.kind.to_string())
            .collect();
        let starts = kinds
            .iter()
            .zip(expected)
            .all(|(kind, start)| kind.starts_with(start));
        assert!(starts && kinds.len() == expected.len(), "{kinds:#?}");
    }

    #[test]
    fn captures_that_never_match_are_named() {
        let account = ("account", "/^(.+)@(.+)$/");
        warned(&[account, ("name", "${account:1}/${account}")], &[]);
        warned(
            &[account, ("name", "${account}/${account:1}")],
            &["${account:1} is never replaced, so this never"],
        );
        warned(
            &[account, ("name", "${labels:g}/${account:2}")],
            &["${account:2} is never replaced, so this never"],
        );
        warned(
            &[
                account,
                ("name", "${account}/${account:1}"),
                ("type", "${account:1}"),
            ],
            &[],
        );
        warned(
            &[account, ("name", "${account:3}")],
            &["${account:3} is never replaced: the rule's `account` has 2"],
        );
        warned(&[account, ("name", "${Account:01}")], &[]);
        warned(
            &[account, ("name", "${account:who}")],
            &["${account:who} is not a variable"],
        );
        warned(
            &[("account", "a*"), ("name", "${account:1}")],
            &["${account:1} is never replaced: the rule's `account` is"],
        );
        warned(
            &[("name", "${service:1}")],
            &["${service:1} is never replaced: the rule's `service` is not"],
        );
        warned(
            &[("account", "/^(.+)${type}$/"), ("name", "${account:1}")],
            &["${account:1} is never replaced: variables"],
        );
    }

    #[test]
    fn captures_and_labels_in_a_label_s_pattern_are_named() {
        let account = ("account", "/^(.+)@(.+)$/");
        warned(
            &[account, ("group", "${account:1}")],
            &["${account:1} is not replaced in a label's pattern unless"],
        );
        warned(
            &[
                account,
                ("group", "${account:1}"),
                ("name", "${account:1}/*"),
            ],
            &[],
        );
        warned(
            &[("group", "${labels:team}")],
            &["${labels:team} is not replaced"],
        );
    }

    #[test]
    fn what_looks_like_another_tool_s_pattern_is_named() {
        warned(&[("name", "team/**")], &["`**` is `*`"]);
        warned(&[("name", "*")], &["`*` takes only names without"]);
        warned(&[("account", "*")], &[]);
        warned(&[("name", "[!a]*")], &["`[!` begins a class"]);
        warned(&[("name", "/^[!a]**$/")], &[]);
        warned(
            &[("name", "${labels:project}-{labels:tier}/*")],
            &["{labels:tier} is not a variable"],
        );
        warned(&[("name", "${user}/*")], &["${user} is not a variable"]);
    }

    #[test]
    fn labels_are_patterns_unless_quoted() {
        let entries = [entry(&[("name", "${labels:group}/*")])];
        let kinds: Vec<WarningKind> = warnings(&entries, AclOptions::default())
            .into_iter()
            .map(|warning| warning.kind)
            .collect();
        assert_eq!(
            kinds,
            [WarningKind::UnquotedLabel("${labels:group}".to_owned())]
        );
        assert_eq!(warnings(&entries, AclOptions { quote_labels: true }), []);
    }

    #[test]
    fn rules_after_one_that_takes_all_are_out_of_reach() {
        let entries = [
            entry(&[("name", "a")]),
            AclEntry::default(),
            entry(&[("name", "b")]),
            AclEntry::default(),
        ];
        let expected = Warning {
            rule: 2,
            field: None,
            kind: WarningKind::Unreachable(1),
        };
        assert_eq!(warnings(&entries, AclOptions::default()), [expected]);
        assert_eq!(warnings(&entries[..2], AclOptions::default()), []);
    }

    #[test]
    fn what_no_client_asks_for_is_named() {
        let told = |resource_type: Option<&str>, actions: &[&str]| -> Vec<String> {
            let entry = AclEntry {
                conditions: Conditions {
                    resource_type: resource_type.map(str::to_owned),
                    ..Conditions::default()
                },
                actions: actions.iter().map(ToString::to_string).collect(),
                comment: None,
            };
            warnings(&[entry], AclOptions::default())
                .into_iter()
                .map(|warning| warning.kind.to_string())
                .collect()
        };
        for (resource_type, actions) in [
            (None, &["pull", "push", "delete"][..]),
            (None, &["*"]),
            (None, &[]),
            (Some("repository"), &["pull"]),
            (Some("registry"), &["*"]),
            (Some("re*"), &["*"]),
            (Some("/^(repository|registry)$/"), &["*"]),
            (Some("${labels:type}"), &["*"]),
        ] {
            let told = told(resource_type, actions);
            let about = |line: &&String| line.starts_with("no client");
            assert_eq!(told.iter().find(about), None);
        }
        for (resource_type, actions, expected) in [
            (
                None,
                &["psh"][..],
                "no client asks for the action \"psh\"; did you mean \"push\"?",
            ),
            (
                None,
                &["Pull"],
                "no client asks for the action \"Pull\"; did you mean \"pull\"?",
            ),
            (
                None,
                &["write"],
                "no client asks for the action \"write\": actions are",
            ),
            (
                None,
                &["*", "pull"],
                "`*` means every action only if it stands alone",
            ),
            (
                Some("repositry"),
                &["*"],
                "no client asks for the type \"repositry\"; did you mean \"repository\"?",
            ),
            (
                Some("Repository"),
                &["*"],
                "no client asks for the type \"Repository\"; did you",
            ),
            (
                Some("/^repo$/"),
                &["*"],
                "no client asks for the type \"/^repo$/\": types are",
            ),
            (
                Some(""),
                &["*"],
                "no client asks for the type \"\": types are",
            ),
        ] {
            let told = told(resource_type, actions);
            assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        }
    }
}
