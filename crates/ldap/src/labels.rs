//! How the values of attributes become labels.

use std::fmt;
use std::str::FromStr;

use common::escape_line;
use policy::Labels;
use regex::{Regex, RegexBuilder};

use crate::distinguished_name::common_name;
use crate::entry::DirectoryEntry;

/// The most values that the labels of one login have together.
const MOST_VALUES: usize = 2000;

/// The most bytes that they have together.
const MOST_BYTES: usize = 256 * 1024;

/// The largest pattern, compiled, in bytes.
const MOST_PATTERN: usize = 1 << 20;

/// A label whose values are those of an attribute.
#[derive(Clone, Debug)]
pub struct LabelRule {
    /// The label's name.
    pub label: String,
    /// The attribute's name, in any case.
    pub attribute: String,
    /// What is made of each value.
    pub change: ValueChange,
}

/// What is made of a value, step by step.
#[derive(Clone, Debug, Default)]
pub struct ValueChange {
    /// A distinguished name becomes the first common name in it (`cn=dev,ou=groups` → `dev`).
    pub parse_cn: bool,
    /// Letters become lower case.
    pub lower_case: bool,
    /// A value becomes what the first group of the expression matches, or all that the expression
    /// matches if it has no group. Without a match the value is left out.
    pub pattern: Option<LabelPattern>,
}

/// A regular expression for the values of a label.
///
/// ```
/// let pattern: ldap::LabelPattern = "^registry-(.*)$".parse()?;
/// assert_eq!(pattern.to_string(), "^registry-(.*)$");
/// assert!("(".parse::<ldap::LabelPattern>().is_err());
/// # Ok::<(), ldap::LabelPatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LabelPattern(Regex);

/// Why a text is not a regular expression, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LabelPatternError(String);

/// The labels of a login are more than one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its labels have more than {MOST_VALUES} values or {MOST_BYTES} bytes")]
pub(crate) struct TooManyLabels;

impl LabelPattern {
    /// What the first group matches, or the whole expression if it has no group.
    fn part<'v>(&self, value: &'v str) -> Option<&'v str> {
        let captures = self.0.captures(value)?;
        let group = usize::from(captures.len() > 1);
        captures.get(group).map(|part| part.as_str())
    }
}

impl FromStr for LabelPattern {
    type Err = LabelPatternError;

    fn from_str(text: &str) -> Result<Self, LabelPatternError> {
        let built = RegexBuilder::new(text).size_limit(MOST_PATTERN).build();
        built.map(Self).map_err(|error| {
            // The library draws the place of an error over several lines.
            let text = error.to_string();
            let line = text.lines().last().unwrap_or_default();
            LabelPatternError(line.trim_start_matches("error: ").to_owned())
        })
    }
}

impl fmt::Display for LabelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl ValueChange {
    /// The value of a label, unless the pattern leaves it out.
    fn apply(&self, value: &str, label: &str) -> Option<String> {
        let mut value = value.to_owned();
        if self.parse_cn {
            match common_name(&value) {
                Ok(Some(name)) => value = name,
                Ok(None) => {}
                Err(_) => {
                    let label = escape_line(label);
                    tracing::warn!(%label, "parse_cn: a value is no distinguished name and stays as it is");
                }
            }
        }
        if self.lower_case {
            value = value.to_lowercase();
        }
        if let Some(pattern) = &self.pattern {
            value = pattern.part(&value)?.to_owned();
        }
        Some(value)
    }
}

/// The labels of an entry. Each rule makes a label, with no values if the entry lacks the attribute.
pub(crate) fn of_entry(rules: &[LabelRule], entry: &DirectoryEntry) -> Labels {
    let mut labels = Labels::new();
    for rule in rules {
        let values = entry.texts(&rule.attribute);
        let values = values.filter_map(|value| rule.change.apply(value, &rule.label));
        labels.insert(rule.label.clone(), values.collect());
    }
    labels
}

/// The label of the groups that a search found, each value once.
pub(crate) fn of_groups(label: &str, change: &ValueChange, values: &[String]) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for value in values {
        if let Some(value) = change.apply(value, label)
            && !groups.contains(&value)
        {
            groups.push(value);
        }
    }
    groups
}

/// The labels, if they are within the bounds.
pub(crate) fn bounded(labels: Labels) -> Result<Labels, TooManyLabels> {
    let values: usize = labels.values().map(Vec::len).sum();
    let bytes: usize = labels.values().flatten().map(String::len).sum();
    if values > MOST_VALUES || bytes > MOST_BYTES {
        return Err(TooManyLabels);
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(label: &str, attribute: &str, change: ValueChange) -> LabelRule {
        LabelRule {
            label: label.to_owned(),
            attribute: attribute.to_owned(),
            change,
        }
    }

    /// Two labels on one attribute have each their own values.
    #[test]
    fn each_label_has_its_own_values() {
        let entry = DirectoryEntry::of(
            "uid=ann",
            &[
                ("memberOf", &["cn=Dev,ou=g", "ou=none", "plain"]),
                ("mail", &["A@x"]),
            ],
        );
        let plain = ValueChange::default();
        let names = ValueChange {
            parse_cn: true,
            ..ValueChange::default()
        };
        let lower = ValueChange {
            lower_case: true,
            ..names.clone()
        };
        let rules = [
            rule("raw", "memberof", plain.clone()),
            rule("names", "MEMBEROF", names),
            rule("lower", "memberOf", lower),
            rule("mail", "mail", plain.clone()),
            rule("absent", "title", plain),
        ];
        let labels = of_entry(&rules, &entry);
        assert_eq!(labels["raw"], ["cn=Dev,ou=g", "ou=none", "plain"]);
        assert_eq!(labels["names"], ["Dev", "ou=none", "plain"]);
        assert_eq!(labels["lower"], ["dev", "ou=none", "plain"]);
        assert_eq!(labels["mail"], ["A@x"]);
        assert_eq!(labels["absent"], [""; 0]);
    }

    #[test]
    fn a_pattern_takes_a_part_or_leaves_out() {
        let change = |pattern: &str| ValueChange {
            parse_cn: true,
            pattern: Some(pattern.parse().unwrap()),
            lower_case: true,
        };
        let apply = |pattern, value| change(pattern).apply(value, "l");
        let group = "cn=Registry-Dev,ou=groups";
        assert_eq!(apply("^registry-(.*)$", group).as_deref(), Some("dev"));
        assert_eq!(
            apply("^registry-.*$", group).as_deref(),
            Some("registry-dev")
        );
        assert_eq!(apply("^Registry-(.*)$", group), None);
        assert_eq!(apply("^registry-(x)?", group), None);
    }

    #[test]
    fn labels_have_bounds() {
        let of = |count: usize, length: usize| {
            Labels::from([("l".to_owned(), vec!["x".repeat(length); count])])
        };
        assert!(bounded(of(MOST_VALUES, 100)).is_ok());
        assert_eq!(bounded(of(MOST_VALUES + 1, 1)), Err(TooManyLabels));
        assert!(bounded(of(1, MOST_BYTES)).is_ok());
        assert_eq!(bounded(of(1, MOST_BYTES + 1)), Err(TooManyLabels));
    }

    #[test]
    fn a_group_counts_once() {
        let values = ["cn=A,dc=x".to_owned(), "cn=a,dc=y".to_owned()];
        let change = ValueChange {
            parse_cn: true,
            lower_case: true,
            pattern: None,
        };
        assert_eq!(of_groups("l", &change, &values), ["a"]);
    }
}
