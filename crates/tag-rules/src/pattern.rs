//! Patterns of names, by what they name.

use std::fmt;
use std::str::FromStr;

use oci::{RepositoryName, Tag};

use crate::glob::{NameKind, NamePattern};
use crate::name_search::{NameSearchOutcome, search};
use crate::pattern_error::PatternError;

/// A pattern of names of repositories.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryPattern(NamePattern);

/// A pattern of tags. `**` is the same as `*`, because no tag has a `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TagPattern(NamePattern);

impl RepositoryPattern {
    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the whole name matches.
    #[must_use]
    pub fn matches(&self, name: &RepositoryName) -> bool {
        self.0.matches(name.as_str())
    }

    /// Whether there is a name that matches.
    #[must_use]
    pub fn can_match(&self) -> bool {
        search(NameKind::Repository, &[&self.0], &[]) != NameSearchOutcome::Nothing
    }

    /// Whether each name that matches also matches one of `others`. `false` if that is hard to say.
    #[must_use]
    pub fn is_covered_by(&self, others: &[Self]) -> bool {
        let others: Vec<&NamePattern> = others.iter().map(|other| &other.0).collect();
        search(NameKind::Repository, &[&self.0], &others) == NameSearchOutcome::Nothing
    }
}

impl TagPattern {
    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the whole tag matches.
    #[must_use]
    pub fn matches(&self, tag: &Tag) -> bool {
        self.0.matches(tag.as_str())
    }

    /// Whether there is a tag that matches.
    #[must_use]
    pub fn can_match(&self) -> bool {
        search(NameKind::Tag, &[&self.0], &[]) != NameSearchOutcome::Nothing
    }

    /// Whether a tag can match both patterns. `true` if that is hard to say.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        search(NameKind::Tag, &[&self.0, &other.0], &[]) != NameSearchOutcome::Nothing
    }

    /// Whether each tag that matches also matches one of `others`. `false` if that is hard to say.
    #[must_use]
    pub fn is_covered_by(&self, others: &[Self]) -> bool {
        let others: Vec<&NamePattern> = others.iter().map(|other| &other.0).collect();
        search(NameKind::Tag, &[&self.0], &others) == NameSearchOutcome::Nothing
    }

    /// A regular expression that matches the same tags, for a database: `^` and `$` are around it, and
    /// it has nothing that needs backtracking.
    #[must_use]
    pub fn regex(&self) -> String {
        self.0.regex()
    }
}

impl FromStr for RepositoryPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        NamePattern::parse(text, NameKind::Repository).map(Self)
    }
}

impl FromStr for TagPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        NamePattern::parse(text, NameKind::Tag).map(Self)
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What backtracking would say, for short patterns and names.
        #[test]
        fn matching_is_what_the_definition_says(pattern in "[ab*?/]{1,6}", name in "[ab/]{0,6}") {
            let glob = NamePattern::parse(&pattern, NameKind::Repository).unwrap();
            prop_assert_eq!(glob.matches(&name), defined(pattern.as_bytes(), name.as_bytes()));
        }
    }

    fn defined(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => {
                let after = rest.iter().take_while(|byte| **byte == b'*').count();
                let run = match after {
                    0 => name.iter().take_while(|byte| **byte != b'/').count(),
                    _ => name.len(),
                };
                (0..=run).any(|skipped| defined(&rest[after..], &name[skipped..]))
            }
            [first, rest @ ..] => match name {
                [begin, end @ ..] if first == begin || (*first == b'?' && *begin != b'/') => {
                    defined(rest, end)
                }
                _ => false,
            },
        }
    }
}
