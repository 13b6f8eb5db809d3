//! A condition's text against a value.

use regex::Regex;

use crate::Attribute;
use crate::captures::Capture;
use crate::combinations::Combinations;
use crate::error::ConditionError;
use crate::glob::Glob;
use crate::mismatch::Mismatch;
use crate::regex::{compile, literal_prefix, rules_out};
use crate::syntax::{SIZE_LIMIT, is_regex, regex_in};
use crate::variables::{Bindings, LABEL};

/// How large one may become that is compiled for a query: what its variables stand for comes from
/// outside.
const EXPANDED_SIZE_LIMIT: usize = 4 << 20;

/// A glob or regular expression, with or without variables.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// As it is written.
    pub(crate) text: String,
    kind: PatternKind,
}

#[derive(Clone, Debug)]
enum PatternKind {
    /// It has no variables.
    Fixed(Matcher),
    /// What it matches depends on the query; with labels, it stands for several patterns.
    Variable { labels: bool },
}

/// A pattern without variables.
#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    Glob(Glob),
    Regex(Regex),
}

impl Pattern {
    /// Compiles a pattern of a rule with `captures`; `labels` says whether it may name labels.
    pub(crate) fn compile(
        text: String,
        labels: bool,
        captures: &[Capture],
    ) -> Result<Self, ConditionError> {
        // With variables it has to be well-formed too, as it stands.
        let matcher = Matcher::compile(&text, SIZE_LIMIT)?;
        let attributes = Attribute::ALL
            .iter()
            .any(|attribute| text.contains(&format!("${{{}}}", attribute.key())));
        let captures = captures.iter().any(|capture| text.contains(&capture.token));
        let labels = labels && text.contains(LABEL);
        let variable = attributes || captures || labels;
        Ok(Self {
            text,
            kind: if variable {
                PatternKind::Variable { labels }
            } else {
                PatternKind::Fixed(matcher)
            },
        })
    }

    /// Roughly what it costs to match, to try the cheap ones first.
    pub(crate) fn cost(&self) -> u8 {
        match &self.kind {
            PatternKind::Fixed(Matcher::Glob(_)) => 0,
            PatternKind::Fixed(Matcher::Regex(_)) => 1,
            PatternKind::Variable { labels: false } => 2,
            PatternKind::Variable { labels: true } => 3,
        }
    }

    /// The only text that it matches, whatever the query is.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.kind {
            PatternKind::Fixed(Matcher::Glob(glob)) => glob.literal(),
            PatternKind::Fixed(Matcher::Regex(_)) | PatternKind::Variable { .. } => None,
        }
    }

    /// How each text begins that it matches, whatever the query is; empty if that is not known.
    pub(crate) fn literal_prefix(&self) -> String {
        match &self.kind {
            PatternKind::Fixed(Matcher::Glob(glob)) => glob.literal_prefix().to_owned(),
            PatternKind::Fixed(Matcher::Regex(_)) => {
                let inner = regex_in(&self.text).unwrap_or_default();
                literal_prefix(inner).collect()
            }
            PatternKind::Variable { .. } => String::new(),
        }
    }

    /// Why `value` does not match, if it does not.
    pub(crate) fn check_text(&self, value: &str, bindings: &Bindings<'_>) -> Result<(), Mismatch> {
        let labels = match &self.kind {
            PatternKind::Fixed(matcher) => return matcher.check(&[value]),
            PatternKind::Variable { labels } => *labels,
        };
        // A label stands for itself too, and first.
        let plain = bindings.expand(&self.text, &[]);
        let mut result = Matcher::check_expanded(&plain, &[value]);
        if labels && result.is_err() {
            for combination in Combinations::for_value(&self.text, &plain, value, bindings)? {
                result =
                    Matcher::check_expanded(&bindings.expand(&self.text, &combination), &[value]);
                if result.is_ok() {
                    break;
                }
            }
        }
        result
    }

    /// Why no value of a label matches, if no value does.
    pub(crate) fn check_any(
        &self,
        values: &[String],
        bindings: &Bindings<'_>,
    ) -> Result<(), Mismatch> {
        match &self.kind {
            PatternKind::Fixed(matcher) => matcher.check(values),
            PatternKind::Variable { .. } => {
                Matcher::check_expanded(&bindings.expand(&self.text, &[]), values)
            }
        }
    }

    /// What it stands for, at most `limit` patterns: itself, without variables.
    pub(crate) fn expansions(&self, bindings: &Bindings<'_>, limit: usize) -> Vec<String> {
        match self.kind {
            PatternKind::Fixed(_) => vec![self.text.clone()],
            PatternKind::Variable { labels: false } => vec![bindings.expand(&self.text, &[])],
            PatternKind::Variable { labels: true } => {
                let all = Combinations::all(&self.text, bindings.query.labels);
                let mut expansions: Vec<String> = all
                    .take(limit)
                    .map(|labels| bindings.expand(&self.text, &labels))
                    .collect();
                if expansions.is_empty() {
                    expansions.push(bindings.expand(&self.text, &[]));
                }
                expansions
            }
        }
    }
}

impl Matcher {
    pub(crate) fn compile(text: &str, size_limit: usize) -> Result<Self, ConditionError> {
        match regex_in(text) {
            Some(inner) if is_regex(text) => compile(inner, size_limit)
                .map(Self::Regex)
                .map_err(ConditionError::Regex),
            _ => Glob::parse(text)
                .map(Self::Glob)
                .map_err(ConditionError::Glob),
        }
    }

    /// Compiles `expanded`, and why none of `values` matches it.
    fn check_expanded(expanded: &str, values: &[impl AsRef<str>]) -> Result<(), Mismatch> {
        let hopeless = |regex: &str| values.iter().all(|value| rules_out(regex, value.as_ref()));
        if is_regex(expanded) && regex_in(expanded).is_some_and(hopeless) {
            return Err(Mismatch::Differs);
        }
        Self::compile(expanded, EXPANDED_SIZE_LIMIT)
            .map_err(Mismatch::Malformed)?
            .check(values)
    }

    pub(crate) fn matches(&self, value: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(value),
            Self::Regex(regex) => regex.is_match(value),
        }
    }

    fn check(&self, values: &[impl AsRef<str>]) -> Result<(), Mismatch> {
        if values.iter().any(|value| self.matches(value.as_ref())) {
            Ok(())
        } else {
            Err(Mismatch::Differs)
        }
    }
}
