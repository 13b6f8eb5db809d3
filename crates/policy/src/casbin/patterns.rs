//! Patterns of functions, compiled. Those that a policy names are compiled once.

use std::collections::{BTreeMap, HashMap};

use regex::Regex;
use serde_json::from_str;

use super::error::EvaluationError;
use super::function::MatcherFunction;
use super::key_pattern::{with_braces, with_colons, with_short_braces};
use super::operand::Operand;
use crate::Labels;
use crate::glob::Glob;
use crate::regex::compile;
use common::{IpNetwork, parse_ip};

/// How large a regular expression may become, in bytes.
const SIZE_LIMIT: usize = 4 << 20;

/// Compiled patterns, by the function that they are for and their text.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(BTreeMap<MatcherFunction, HashMap<String, CompiledPattern>>);

/// A pattern that is ready to be matched.
#[derive(Clone, Debug)]
pub(super) enum CompiledPattern {
    Regex(Regex),
    /// The names of its groups, in their order.
    Named(Regex, Vec<String>),
    Glob(Glob),
    Network(IpNetwork),
    Labels(Labels),
}

impl Patterns {
    pub(super) fn find(
        &self,
        function: MatcherFunction,
        pattern: &str,
    ) -> Option<&CompiledPattern> {
        self.0.get(&function)?.get(pattern)
    }

    pub(super) fn keep(
        &mut self,
        function: MatcherFunction,
        pattern: &str,
        compiled: CompiledPattern,
    ) {
        let of_function = self.0.entry(function).or_default();
        of_function.insert(pattern.to_owned(), compiled);
    }
}

impl CompiledPattern {
    /// Compiles `pattern` for `function`, which is not one with a [plain](MatcherFunction::plain) result.
    pub(super) fn of(function: MatcherFunction, pattern: &str) -> Result<Self, EvaluationError> {
        let regex = |text: &str| {
            compile(text, SIZE_LIMIT).map_err(|error| EvaluationError::Regex {
                used_by: function.name(),
                pattern: pattern.to_owned(),
                error,
            })
        };
        let key_pattern = match function {
            MatcherFunction::KeyMatch2 => with_colons(pattern, "[^/]+"),
            MatcherFunction::KeyMatch3 => with_braces(pattern, "[^/]+"),
            MatcherFunction::KeyMatch4 => with_braces(pattern, "([^/]+)"),
            MatcherFunction::KeyGet2 => with_colons(pattern, "([^/]+)"),
            MatcherFunction::KeyGet3 => with_short_braces(pattern, "([^/]+?)"),
            MatcherFunction::GlobMatch => {
                let glob = Glob::parse(pattern).map_err(|error| EvaluationError::Glob {
                    pattern: pattern.to_owned(),
                    error,
                })?;
                return Ok(Self::Glob(glob));
            }
            MatcherFunction::IpMatch => {
                let network = pattern.parse().map_err(EvaluationError::Network)?;
                return Ok(Self::Network(network));
            }
            // No labels are wanted, so every account has them.
            MatcherFunction::LabelMatch if pattern.is_empty() => {
                return Ok(Self::Labels(Labels::new()));
            }
            MatcherFunction::LabelMatch => {
                let labels = labels(pattern);
                let labels = labels.ok_or_else(|| EvaluationError::Labels(pattern.to_owned()))?;
                return Ok(Self::Labels(labels));
            }
            MatcherFunction::RegexMatch
            | MatcherFunction::KeyMatch
            | MatcherFunction::KeyGet
            | MatcherFunction::KeyMatch5 => {
                return Ok(Self::Regex(regex(pattern)?));
            }
        };
        let regex = regex(&key_pattern.regex)?;
        let names = key_pattern.names;
        match function {
            MatcherFunction::KeyMatch2 | MatcherFunction::KeyMatch3 => Ok(Self::Regex(regex)),
            MatcherFunction::KeyMatch4 if regex.captures_len() != names.len() + 1 => {
                Err(EvaluationError::Groups(pattern.to_owned()))
            }
            _ => Ok(Self::Named(regex, names)),
        }
    }

    /// The result of `function` for `value`, and for the part `name` of the pattern.
    pub(super) fn result<'a>(
        &self,
        function: MatcherFunction,
        value: &str,
        name: &str,
    ) -> Result<Operand<'a>, EvaluationError> {
        match self {
            Self::Regex(regex) => Ok(Operand::Bool(regex.is_match(value))),
            Self::Named(regex, names) if function == MatcherFunction::KeyMatch4 => {
                Ok(Operand::Bool(repeats_alike(regex, names, value)))
            }
            Self::Named(regex, names) => {
                let group = names.iter().position(|known| known == name);
                let captures = group.and_then(|group| regex.captures(value)?.get(group + 1));
                let part = captures.map_or("", |found| found.as_str());
                Ok(Operand::Text(part.to_owned().into()))
            }
            Self::Glob(glob) => Ok(Operand::Bool(glob.matches(value))),
            Self::Network(network) => match parse_ip(value) {
                Some(address) => Ok(Operand::Bool(network.contains(address))),
                None => Err(EvaluationError::Address(value.to_owned())),
            },
            Self::Labels(wanted) => {
                let has = labels(value).unwrap_or_default();
                Ok(Operand::Bool(has_all(&has, wanted)))
            }
        }
    }
}

/// Whether `value` matches, with the same text for each name that is repeated.
fn repeats_alike(regex: &Regex, names: &[String], value: &str) -> bool {
    let Some(captures) = regex.captures(value) else {
        return false;
    };
    let mut known = BTreeMap::new();
    names.iter().enumerate().all(|(group, name)| {
        let text = captures.get(group + 1).map_or("", |found| found.as_str());
        *known.entry(name).or_insert(text) == text
    })
}

/// Whether every value of every label of `wanted` is among those of `has`.
fn has_all(has: &Labels, wanted: &Labels) -> bool {
    let has_values = |(label, values): (&String, &Vec<String>)| {
        let has = has.get(label).map_or(&[][..], Vec::as_slice);
        values.iter().all(|value| has.contains(value))
    };
    wanted.iter().all(has_values)
}

/// Labels as JSON. As in Go, `null` is an object without labels, a list without values, and an empty
/// text.
fn labels(json: &str) -> Option<Labels> {
    type Json = Option<BTreeMap<String, Option<Vec<Option<String>>>>>;
    let labels: Json = from_str(json).ok()?;
    let values = |values: Option<Vec<Option<String>>>| {
        let values = values.unwrap_or_default().into_iter();
        values.map(Option::unwrap_or_default).collect()
    };
    let labels = labels.unwrap_or_default().into_iter();
    Some(labels.map(|(label, list)| (label, values(list))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_a_bound() {
        let large = CompiledPattern::of(MatcherFunction::RegexMatch, r"(?:\pL{30}){30}");
        assert!(
            matches!(large, Err(EvaluationError::Regex { .. })),
            "{large:?}"
        );
    }

    #[test]
    fn labels_are_read_as_go_reads_them() {
        let read = |json| labels(json).map(|labels| format!("{labels:?}"));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("null"), some("{}"));
        assert_eq!(
            read(r#"{"a":null,"b":[null,"c"]} "#),
            some(r#"{"a": [], "b": ["", "c"]}"#)
        );
        assert_eq!(read(r#"{"a":["b"],"a":["c"]}"#), some(r#"{"a": ["c"]}"#));
        for json in ["", "*", "[]", r#"{"a":"b"}"#, r#"{"a":[1]}"#, "{} {}"] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
