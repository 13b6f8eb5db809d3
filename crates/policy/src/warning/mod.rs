//! What is valid in rules but probably not intended.

mod patterns;
mod requests;

use self::patterns::{captures, captures_of_label, glob, labels, unknown_variables};
use self::requests::{actions, unknown_type};
use crate::entry::{AclEntry, AclOptions, Conditions};
use crate::query::API_TYPE;
use crate::{Attribute, Field};

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
    #[error("no client asks for the action {action:?}{}: actions are {known}, or a lone *", hint(*.nearest))]
    UnknownAction {
        /// The action.
        action: String,
        /// The actions that there are for its type.
        known: String,
        /// What it was most likely meant to be.
        nearest: Option<&'static str>,
    },
    /// `*` beside other actions: there it is an action like any other.
    #[error("`*` means every action only if it stands alone: write actions: [\"*\"]")]
    StarBesideOthers,
    /// A pattern that takes no type of resource that a client asks for.
    #[error("no client asks for the type {pattern:?}{}: types are repository, registry and {API_TYPE}", hint(*.nearest))]
    UnknownType {
        /// The pattern.
        pattern: String,
        /// What it was most likely meant to be.
        nearest: Option<&'static str>,
    },
    /// A pattern that the API's type is meant to match, and does not.
    #[error(
        "the API needs a rule whose type is exactly {API_TYPE}, and {0:?} is not: write a rule of its own"
    )]
    ApiTypeInPattern(String),
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
        add(Field::Actions, actions(entry));
    }
    let everything = entries
        .iter()
        .position(|entry| entry.conditions == Conditions::default());
    // A rule for the API is reached: those without conditions do not count there.
    if let Some(everything) = everything
        && let Some(unreachable) =
            (everything + 1..entries.len()).find(|rule| !entries[*rule].conditions.is_for_api())
    {
        warnings.push(Warning {
            rule: unreachable,
            field: None,
            kind: WarningKind::Unreachable(everything),
        });
    }
    warnings
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!("; did you mean {nearest:?}?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn entry(pairs: &[(&str, &str)]) -> AclEntry {
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
        let entries = [AclEntry::default(), entry(&[("type", "wharfinger")])];
        assert_eq!(warnings(&entries, AclOptions::default()), []);
    }
}
