//! Whether there is a name that some patterns match and others do not.
//!
//! All names are searched at once, the shortest first: what counts of a name is how far it may have come
//! in each pattern, and in the grammar of names.

use std::collections::HashSet;

use crate::glob::{NameKind, NamePattern};

/// After so many states the search is given up. Patterns that people write need a few dozen.
const MOST_STATES: usize = 5000;

/// What a search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameSearchOutcome {
    /// There is such a name.
    Found,
    /// There is no such name.
    Nothing,
    /// It took too long to say.
    TooLarge,
}

/// How far a beginning of a name has come in the grammar of names (OCI distribution-spec, "Pulling
/// manifests").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum GrammarState {
    /// At the beginning of a component of a repository.
    ComponentBegin,
    /// After a letter or a digit of a repository.
    Letter,
    /// After `.`, or the second `_`: a letter must follow.
    Separator,
    /// After the first `_`.
    Underscore,
    /// After a dash.
    Dash,
    TagBegin,
    InTag,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct SearchState {
    grammar: GrammarState,
    /// The places in each pattern.
    places: Vec<Vec<bool>>,
}

/// Looks for a name of this kind that all of `matching` match, and none of `not_matching`.
pub(crate) fn search(
    kind: NameKind,
    matching: &[&NamePattern],
    not_matching: &[&NamePattern],
) -> NameSearchOutcome {
    let patterns: Vec<&NamePattern> = matching.iter().chain(not_matching).copied().collect();
    let is_wanted = |state: &SearchState| {
        let ends = patterns.iter().zip(&state.places);
        let mut ends = ends.map(|(pattern, places)| pattern.is_end(places));
        state.grammar.is_end()
            && ends.by_ref().take(matching.len()).all(|matches| matches)
            && !ends.any(|matches| matches)
    };
    let (begin, longest) = match kind {
        NameKind::Repository => (GrammarState::ComponentBegin, 255),
        NameKind::Tag => (GrammarState::TagBegin, 128),
    };
    let bytes = distinct_bytes(&patterns);
    let first = SearchState {
        grammar: begin,
        places: patterns.iter().map(|pattern| pattern.begin()).collect(),
    };
    let mut seen = HashSet::from([first.clone()]);
    let mut reached = vec![first];
    for _ in 0..longest {
        let mut next = Vec::new();
        for state in reached {
            for &byte in &bytes {
                let Some(grammar) = state.grammar.after(byte) else {
                    continue;
                };
                let steps = patterns.iter().zip(&state.places);
                let places: Vec<_> = steps
                    .map(|(pattern, places)| pattern.step(places, byte))
                    .collect();
                let mut must_match = places.iter().take(matching.len());
                if !must_match.all(|places| places.contains(&true)) {
                    continue;
                }
                let after = SearchState { grammar, places };
                if is_wanted(&after) {
                    return NameSearchOutcome::Found;
                }
                if seen.insert(after.clone()) {
                    next.push(after);
                }
            }
        }
        if seen.len() > MOST_STATES {
            return NameSearchOutcome::TooLarge;
        }
        reached = next;
    }
    NameSearchOutcome::Nothing
}

/// One byte of each set that no pattern and no grammar tells apart.
fn distinct_bytes(patterns: &[&NamePattern]) -> Vec<u8> {
    const STATES: [GrammarState; 7] = [
        GrammarState::ComponentBegin,
        GrammarState::Letter,
        GrammarState::Separator,
        GrammarState::Underscore,
        GrammarState::Dash,
        GrammarState::TagBegin,
        GrammarState::InTag,
    ];
    let mut seen = HashSet::new();
    let mut bytes: Vec<u8> = (b'!'..=b'~').collect();
    bytes.retain(|&byte| {
        let grammar = STATES.map(|state| state.after(byte));
        let taken: Vec<bool> = patterns
            .iter()
            .flat_map(|pattern| pattern.takers(byte))
            .collect();
        grammar.iter().any(Option::is_some) && seen.insert((grammar, taken))
    });
    bytes
}

impl GrammarState {
    /// Whether a name can end here.
    fn is_end(self) -> bool {
        matches!(self, Self::Letter | Self::InTag)
    }

    /// The state after one more byte. `None`: no name goes on so.
    fn after(self, byte: u8) -> Option<Self> {
        let is_letter = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_in_tag = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        match (self, byte) {
            (Self::TagBegin, b'.' | b'-') => None,
            (Self::TagBegin | Self::InTag, _) => is_in_tag.then_some(Self::InTag),
            (Self::Letter, b'/') => Some(Self::ComponentBegin),
            (Self::Letter, b'.') | (Self::Underscore, b'_') => Some(Self::Separator),
            (Self::Letter, b'_') => Some(Self::Underscore),
            (Self::Letter | Self::Dash, b'-') => Some(Self::Dash),
            _ => is_letter.then_some(Self::Letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use oci::{RepositoryName, Tag};
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str, kind: NameKind) -> NamePattern {
        NamePattern::parse(text, kind).unwrap()
    }

    fn matches_some(text: &str, kind: NameKind) -> bool {
        search(kind, &[&glob(text, kind)], &[]) == NameSearchOutcome::Found
    }

    #[test]
    fn a_pattern_matches_a_name_or_none() {
        for (pattern, expected) in [
            ("**", true),
            ("team/**", true),
            ("a__b", true),
            ("a---b", true),
            ("/team", false),
            ("team/", false),
            ("team//app", false),
            ("team/*/", false),
            ("-app", false),
            ("a._b", false),
            ("a___b", false),
            ("team/[._-]", false),
            ("?/?", true),
            ("[^a-z0-9]*", false),
        ] {
            assert_eq!(
                matches_some(pattern, NameKind::Repository),
                expected,
                "{pattern}"
            );
        }
        for (pattern, expected) in [
            ("*", true),
            ("v*", true),
            ("_x", true),
            (".*", false),
            ("-rc", false),
            ("[.-]*", false),
            ("V1.2", true),
        ] {
            assert_eq!(matches_some(pattern, NameKind::Tag), expected, "{pattern}");
        }
        assert!(matches_some(&"a".repeat(128), NameKind::Tag));
        assert!(!matches_some(&"a".repeat(129), NameKind::Tag));
        assert!(!matches_some(
            &format!("{}*", "?".repeat(129)),
            NameKind::Tag
        ));
        assert!(matches_some(&"a".repeat(255), NameKind::Repository));
    }

    #[test]
    fn one_pattern_has_what_another_does_not() {
        let without = |pattern: &str, other: &str| {
            let (pattern, other) = (glob(pattern, NameKind::Tag), glob(other, NameKind::Tag));
            search(NameKind::Tag, &[&pattern], &[&other])
        };
        assert_eq!(without("v*", "*"), NameSearchOutcome::Nothing);
        assert_eq!(without("v[0-9]", "v?"), NameSearchOutcome::Nothing);
        assert_eq!(without("*", "v*"), NameSearchOutcome::Found);
        assert_eq!(without("v*", "v?*"), NameSearchOutcome::Found);
    }

    #[test]
    fn patterns_made_for_it_end_the_search() {
        let many = glob(&format!("*a{}", "?".repeat(60)), NameKind::Tag);
        let all = glob("*", NameKind::Tag);
        assert_eq!(
            search(NameKind::Tag, &[&all], &[&many]),
            NameSearchOutcome::Found
        );
        let other = glob(&format!("*b{}", "?".repeat(60)), NameKind::Tag);
        let found = search(NameKind::Tag, &[&many, &other], &[]);
        assert_ne!(found, NameSearchOutcome::Found);
    }

    proptest! {
        /// What is found is what a name shows; short names are tried one by one.
        #[test]
        fn a_name_that_matches_is_found(pattern in "[a1._*?/-]{1,5}", name in "[a1._/-]{1,5}") {
            let glob = NamePattern::parse(&pattern, NameKind::Repository).unwrap();
            if name.parse::<RepositoryName>().is_ok() && glob.matches(&name) {
                prop_assert!(search(NameKind::Repository, &[&glob], &[]) == NameSearchOutcome::Found);
            }
        }

        #[test]
        fn the_grammar_is_that_of_names(name in "[aB1._/-]{1,6}") {
            let state = |begin| name.bytes().try_fold(begin, GrammarState::after);
            let is_name = |begin| state(begin).is_some_and(GrammarState::is_end);
            prop_assert_eq!(is_name(GrammarState::ComponentBegin), name.parse::<RepositoryName>().is_ok());
            prop_assert_eq!(is_name(GrammarState::TagBegin), name.parse::<Tag>().is_ok());
        }
    }
}
