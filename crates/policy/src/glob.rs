//! Shell patterns as Go's [`path.Match`] reads them.
//!
//! `*` is any run without a `/`, `?` any one character but `/`, `[a-z]` and `[^a-z]` one character
//! in or out of a class (a `/` too), `\` takes the next character as it is. There is no `**`, no
//! `{a,b}`, and `!` in a class is a plain character. What the usual glob crates read differently,
//! rules of `docker_auth` rely on; so this is written here.
//!
//! [`path.Match`]: https://pkg.go.dev/path#Match

use std::iter::Peekable;
use std::str::Chars;

/// A well-formed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    chunks: Vec<Chunk>,
}

/// What stands between two stars.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    after_star: bool,
    items: Vec<GlobItem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum GlobItem {
    Text(String),
    AnyCharacter,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Why a pattern can never match anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// A class has no end.
    #[error("a `[` is not closed: add the `]`, or write `\\[` for the character itself")]
    UnclosedClass,
    /// A class that is empty, or a range that lacks an end.
    #[error(
        "a `]` or `-` in a class stands in place of a character: write `\\]` or `\\-` for the character itself"
    )]
    ClassMember,
    /// Nothing comes after the last backslash.
    #[error("it ends with a lone backslash: write `\\\\` for the character itself")]
    TrailingBackslash,
}

impl Glob {
    /// Reads `pattern`, all of it: Go reports what is malformed only if a match gets that far,
    /// or fails before.
    pub(crate) fn parse(pattern: &str) -> Result<Self, GlobError> {
        let mut chunks = Vec::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            let after_stars = rest.trim_start_matches('*');
            let (chunk, after) = after_stars.split_at(chunk_len(after_stars));
            chunks.push(Chunk {
                after_star: after_stars.len() < rest.len(),
                items: items(chunk)?,
            });
            rest = after;
        }
        Ok(Self { chunks })
    }

    /// The only text that it matches, if there is only one.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.chunks[..] {
            [] => Some(""),
            [chunk] if !chunk.after_star => match &chunk.items[..] {
                [GlobItem::Text(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The text with which each name begins that it matches.
    pub(crate) fn literal_prefix(&self) -> &str {
        let first = self.chunks.first().filter(|chunk| !chunk.after_star);
        match first.and_then(|chunk| chunk.items.first()) {
            Some(GlobItem::Text(text)) => text,
            Some(GlobItem::AnyCharacter | GlobItem::Class { .. }) | None => "",
        }
    }

    /// Whether the whole of `name` matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut rest = name.as_bytes();
        for (index, chunk) in self.chunks.iter().enumerate() {
            let last = index + 1 == self.chunks.len();
            if chunk.items.is_empty() {
                // Only the last chunk can be empty: the pattern ends with a star.
                return !rest.contains(&b'/');
            }
            // The first place where a chunk fits is as good as any later one, because a star cannot
            // cross a `/`: no backtracking. The last chunk has to reach the end of the name.
            let fits = |from: &'_ [u8]| {
                chunk
                    .strip(from)
                    .map(<[u8]>::len)
                    .filter(|left| !last || *left == 0)
            };
            let skippable = if chunk.after_star {
                rest.iter().take_while(|byte| **byte != b'/').count()
            } else {
                0
            };
            let Some(left) = (0..=skippable).find_map(|skipped| fits(&rest[skipped..])) else {
                return false;
            };
            rest = &rest[rest.len() - left..];
        }
        rest.is_empty()
    }
}

impl Chunk {
    /// What is left of `name` after this chunk, where `name` begins with it.
    ///
    /// Go skips byte by byte under a star, so `name` may begin inside a character; its bytes then
    /// count as one (replacement) character each.
    fn strip<'a>(&self, mut name: &'a [u8]) -> Option<&'a [u8]> {
        for item in &self.items {
            name = match item {
                GlobItem::Text(text) => name.strip_prefix(text.as_bytes())?,
                GlobItem::AnyCharacter => {
                    first_character(name).filter(|(first, _)| *first != '/')?.1
                }
                GlobItem::Class { negated, ranges } => {
                    let (first, rest) = first_character(name)?;
                    let listed = ranges
                        .iter()
                        .any(|(low, high)| (*low..=*high).contains(&first));
                    (listed != *negated).then_some(rest)?
                }
            }
        }
        Some(name)
    }
}

/// How much of `pattern` comes before the next star that is one.
fn chunk_len(pattern: &str) -> usize {
    let mut in_class = false;
    let mut bytes = pattern.bytes().enumerate();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => return index,
            _ => {}
        }
    }
    pattern.len()
}

fn items(chunk: &str) -> Result<Vec<GlobItem>, GlobError> {
    let mut items = Vec::new();
    let mut rest = chunk.chars().peekable();
    while let Some(first) = rest.next() {
        let literal = match first {
            '?' => {
                items.push(GlobItem::AnyCharacter);
                continue;
            }
            '[' => {
                items.push(class(&mut rest)?);
                continue;
            }
            '\\' => rest.next().ok_or(GlobError::TrailingBackslash)?,
            other => other,
        };
        match items.last_mut() {
            Some(GlobItem::Text(text)) => text.push(literal),
            _ => items.push(GlobItem::Text(literal.into())),
        }
    }
    Ok(items)
}

fn class(rest: &mut Peekable<Chars<'_>>) -> Result<GlobItem, GlobError> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
        let low = class_character(rest)?;
        let high = if rest.next_if_eq(&'-').is_some() {
            class_character(rest)?
        } else {
            low
        };
        ranges.push((low, high));
    }
    Ok(GlobItem::Class { negated, ranges })
}

fn class_character(rest: &mut Peekable<Chars<'_>>) -> Result<char, GlobError> {
    let character = match rest.next().ok_or(GlobError::UnclosedClass)? {
        '-' | ']' => return Err(GlobError::ClassMember),
        '\\' => rest.next().ok_or(GlobError::UnclosedClass)?,
        other => other,
    };
    // At least the `]` has to follow.
    if rest.peek().is_some() {
        Ok(character)
    } else {
        Err(GlobError::UnclosedClass)
    }
}

/// The first character and what follows it; each byte that is not part of a character counts as
/// one.
fn first_character(bytes: &[u8]) -> Option<(char, &[u8])> {
    let width = match *bytes.first()? {
        ..0x80 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0.. => 4,
        // A continuation byte: what comes before it was skipped.
        _ => return Some((char::REPLACEMENT_CHARACTER, &bytes[1..])),
    };
    let (first, rest) = bytes.split_at_checked(width)?;
    let first = str::from_utf8(first).ok()?.chars().next()?;
    Some((first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn stars_stay_between_slashes() {
        assert!(matches("library/*", "library/ubuntu"));
        assert!(!matches("library/*", "library/team/ubuntu"));
        assert!(!matches("*", "library/ubuntu"));
        assert!(matches("*/*", "library/ubuntu"));
        assert!(
            !matches("library/**", "library/team/ubuntu"),
            "two stars are one"
        );
        assert!(!matches("library/?", "library//"));
        assert!(matches("", "") && !matches("", "x") && matches("*", ""));
        assert!(matches("test-*-x", "test-a-x-x"));
    }

    #[test]
    fn classes_are_go_s() {
        assert!(matches("[^a]", "/"), "a negated class takes a slash");
        assert!(matches("[!a]", "!") && matches("[!a]", "a") && !matches("[!a]", "b"));
        assert!(matches("[\\]a]", "]"));
        assert!(matches("[é-ü]", "ö") && !matches("[é-ü]", "a"));
        assert!(!matches("{a,b}", "a") && matches("{a,b}", "{a,b}"));
    }

    #[test]
    fn bytes_under_a_star_count_as_go_counts_them() {
        assert!(
            matches("*[^x][^x]b", "€b"),
            "two of the euro sign's three bytes"
        );
        assert!(!matches("*[^x][^x]b", "éb"));
    }

    #[test]
    fn malformed_patterns_are_told_apart() {
        for pattern in ["[", "[^", "[a", "[a-", "a[", "[\\", "[\\a", "x*[a"] {
            assert_eq!(
                Glob::parse(pattern),
                Err(GlobError::UnclosedClass),
                "{pattern}"
            );
        }
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[]", "*[^]"] {
            assert_eq!(
                Glob::parse(pattern),
                Err(GlobError::ClassMember),
                "{pattern}"
            );
        }
        assert_eq!(Glob::parse("a*b\\"), Err(GlobError::TrailingBackslash));
    }
}
