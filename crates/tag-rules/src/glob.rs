//! Globs over the characters that names have.

use std::fmt;

use crate::pattern_error::{MAX_PATTERN, PatternError, PatternProblem};

/// A pattern. Only ASCII characters are in it and in what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NamePattern {
    text: String,
    items: Vec<PatternItem>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum PatternItem {
    Character(u8),
    /// Any character but `/`.
    AnyCharacter,
    Class {
        negated: bool,
        ranges: Vec<(u8, u8)>,
    },
    /// A run of any characters, with or without `/`.
    Run {
        slashes: bool,
    },
}

/// Which names a pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    Repository,
    Tag,
}

impl NamePattern {
    pub(crate) fn parse(text: &str, kind: NameKind) -> Result<Self, PatternError> {
        let at = |problem, position| Err(PatternError { problem, position });
        if text.is_empty() {
            return at(PatternProblem::Empty, 1);
        }
        if text.len() > MAX_PATTERN {
            return at(PatternProblem::TooLong, MAX_PATTERN + 1);
        }
        let characters: Vec<char> = text.chars().collect();
        let mut items = Vec::new();
        let mut next = 0;
        while let Some(&character) = characters.get(next) {
            let item = match character {
                '*' => {
                    let stars = characters[next..].iter().take_while(|c| **c == '*').count();
                    next += stars - 1;
                    PatternItem::Run { slashes: stars > 1 }
                }
                '?' => PatternItem::AnyCharacter,
                '[' => {
                    let (item, last) = class(&characters, next, kind)?;
                    next = last;
                    item
                }
                other => PatternItem::Character(kind.byte(other, next)?),
            };
            items.push(item);
            next += 1;
        }
        Ok(Self {
            text: text.to_owned(),
            items,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `name` matches. The work is bounded by the product of both lengths: all
    /// places of the pattern that the name may have reached are kept, and nothing is tried twice.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut reached = self.begin();
        for byte in name.bytes() {
            reached = self.step(&reached, byte);
            if !reached.contains(&true) {
                return false;
            }
        }
        self.is_end(&reached)
    }

    /// The places that the empty name may have reached.
    pub(crate) fn begin(&self) -> Vec<bool> {
        let mut reached = vec![false; self.items.len() + 1];
        reached[0] = true;
        self.skip_runs(&mut reached);
        reached
    }

    /// The places after one more byte.
    pub(crate) fn step(&self, reached: &[bool], byte: u8) -> Vec<bool> {
        let mut after = vec![false; reached.len()];
        for (place, item) in self.items.iter().enumerate() {
            if reached[place] && item.takes(byte) {
                let stays = matches!(item, PatternItem::Run { .. });
                after[if stays { place } else { place + 1 }] = true;
            }
        }
        self.skip_runs(&mut after);
        after
    }

    /// Whether a name that has reached these places matches.
    pub(crate) fn is_end(&self, reached: &[bool]) -> bool {
        reached.last() == Some(&true)
    }

    /// For each item, whether it takes a byte.
    pub(crate) fn takers(&self, byte: u8) -> impl Iterator<Item = bool> {
        self.items.iter().map(move |item| item.takes(byte))
    }

    /// A run may be empty.
    fn skip_runs(&self, reached: &mut [bool]) {
        for (place, item) in self.items.iter().enumerate() {
            if reached[place] && matches!(item, PatternItem::Run { .. }) {
                reached[place + 1] = true;
            }
        }
    }

    /// The same as a regular expression that PostgreSQL and the crate `regex` read alike. It matches
    /// whole texts.
    pub(crate) fn regex(&self) -> String {
        let items = self.items.iter().map(PatternItem::regex);
        format!("^{}$", items.collect::<String>())
    }
}

impl PatternItem {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Character(character) => *character == byte,
            Self::AnyCharacter => byte != b'/',
            Self::Class { negated, ranges } => {
                let listed = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&byte));
                byte != b'/' && listed != *negated
            }
            Self::Run { slashes } => *slashes || byte != b'/',
        }
    }

    fn regex(&self) -> String {
        match self {
            Self::Character(b'.') => r"\.".to_owned(),
            Self::Character(character) => char::from(*character).to_string(),
            Self::AnyCharacter => "[^/]".to_owned(),
            Self::Class { negated, ranges } => {
                // One character of those that names have; each is written by itself, so that no
                // locale of a database reads a range in its own way.
                let all = (b'!'..=b'~').filter(|byte| is_of_names(*byte));
                let listed = |byte: &u8| {
                    ranges
                        .iter()
                        .any(|(low, high)| (*low..=*high).contains(byte))
                };
                let taken = all.filter(|byte| listed(byte) != *negated);
                let taken: Vec<String> = taken.map(|byte| Self::Character(byte).regex()).collect();
                match taken.is_empty() {
                    // No tag has it.
                    true => "/".to_owned(),
                    false => format!("({})", taken.join("|")),
                }
            }
            Self::Run { slashes: true } => ".*".to_owned(),
            Self::Run { slashes: false } => "[^/]*".to_owned(),
        }
    }
}

impl NameKind {
    /// A character that names of this kind can have.
    fn byte(self, character: char, index: usize) -> Result<u8, PatternError> {
        let is_valid = match self {
            Self::Repository => {
                is_of_names_char(character) && !character.is_ascii_uppercase() || character == '/'
            }
            Self::Tag => is_of_names_char(character),
        };
        u8::try_from(character)
            .ok()
            .filter(|_| is_valid)
            .ok_or(PatternError {
                problem: PatternProblem::Character {
                    kind: self.word(),
                    character,
                },
                position: index + 1,
            })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Tag => "tag",
        }
    }
}

/// Whether names have this character, apart from `/`.
fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

fn is_of_names_char(character: char) -> bool {
    u8::try_from(character).is_ok_and(is_of_names)
}

/// The class that begins at `start`, and the index of its `]`.
fn class(
    characters: &[char],
    start: usize,
    kind: NameKind,
) -> Result<(PatternItem, usize), PatternError> {
    let at = |problem, index: usize| PatternError {
        problem,
        position: index + 1,
    };
    let unclosed = || at(PatternProblem::UnclosedClass, start);
    let mut next = start + 1;
    let negated = characters.get(next) == Some(&'^');
    next += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        let low = *characters.get(next).ok_or_else(unclosed)?;
        if low == ']' {
            break;
        }
        let begin = kind.byte(low, next)?;
        let mut end = begin;
        // A dash between two characters makes a range. At the end of a class it is a dash.
        let high = characters.get(next + 2).filter(|high| **high != ']');
        if let (Some('-'), Some(&high)) = (characters.get(next + 1), high) {
            end = kind.byte(high, next + 2)?;
            if end < begin {
                return Err(at(PatternProblem::EmptyRange, next));
            }
            next += 2;
        }
        ranges.push((begin, end));
        next += 1;
    }
    if ranges.is_empty() {
        return Err(at(PatternProblem::EmptyClass, start));
    }
    Ok((PatternItem::Class { negated, ranges }, next))
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> NamePattern {
        NamePattern::parse(text, NameKind::Repository).unwrap()
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, name, matches) in [
            ("v1", "v1", true),
            ("v1", "v1.2", false),
            ("v1", "xv1", false),
            ("v*", "v", true),
            ("v*", "v1.2", true),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**/x", "a/b/x", true),
            ("**/x", "x", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("a?c", "ac", false),
            ("[0-9]*", "7", true),
            ("[0-9]*", "a7", false),
            ("[^0-9]", "a", true),
            ("a[^b]c", "a/c", false),
            ("[a-]", "-", true),
            ("a.c", "abc", false),
            ("*a*a*", "banana", true),
        ] {
            assert_eq!(glob(pattern).matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn an_error_says_where() {
        let error = |text: &str, kind| {
            let error = NamePattern::parse(text, kind).unwrap_err();
            (error.to_string(), error.position)
        };
        for (text, position, words) in [
            ("", 1, "empty"),
            ("^v1$", 1, "no tag has '^'"),
            ("v1.{1,2}", 4, "no tag has '{'"),
            ("a/b", 2, "no tag has '/'"),
            ("v1[", 3, "no end"),
            ("v1[a-", 3, "no end"),
            ("v1[]", 3, "empty"),
            ("v1[z-a]", 4, "smaller"),
            ("é", 1, "no tag has 'é'"),
        ] {
            let (message, at) = error(text, NameKind::Tag);
            assert_eq!(at, position, "{text}: {message}");
            assert!(message.contains(words), "{text}: {message}");
        }
        let (message, at) = error("prod/App", NameKind::Repository);
        assert_eq!(at, 6);
        assert!(message.contains("no repository has 'A'"), "{message}");
        assert_eq!(error(&"a".repeat(256), NameKind::Tag).1, 256);
    }

    #[test]
    fn a_pattern_of_stars_takes_no_time() {
        let pattern = glob(&"*a".repeat(127));
        assert!(!pattern.matches(&"a".repeat(126)));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(250))));
        assert!(pattern.matches(&"a".repeat(250)));
    }

    #[test]
    fn fuzz_tag_patterns() {
        let seeds = ["v*", "prod/**", "[a-z]?x", "a-[^0-9_]*"];
        fuzz::target("tag_patterns", &seeds, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let parsed = NamePattern::parse(&text, NameKind::Repository);
            if let Ok(glob) = &parsed {
                glob.matches("prod/a-very-long-name.of_a/repository");
            }
            parsed.is_ok()
        });
    }
}
