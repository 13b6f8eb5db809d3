//! A part of a pattern in the syntax of the `regex` crate, with the counts that Go limits.

use super::RegexError;

/// How deep expressions may nest. Go allows 1000, but every level costs stack.
pub(super) const MAX_HEIGHT: u32 = 250;

/// How often a part may be repeated in all (Go's `repeatIsValid`).
const MAX_REPEATS: u64 = 1000;

/// How many instructions Go allows a program (its `maxSize`).
const MAX_SIZE: u64 = (128 << 20) / 40;

/// A piece of a pattern that a repetition would apply to as a whole.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    /// In the syntax of the `regex` crate.
    text: String,
    /// Levels of the tree.
    height: u32,
    /// Capturing groups.
    groups: usize,
    /// About how many instructions it has in Go's program.
    size: u64,
    /// The product of the counts around the part that is repeated most.
    repeats: u64,
}

/// `{min,max}`, `*`, `+` and `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repetition {
    pub(super) min: u32,
    /// The most repetitions; `None` if there is no upper bound.
    pub(super) max: Option<u32>,
}

impl Atom {
    /// One character, or a position such as `^`.
    pub(super) fn single(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            height: 1,
            groups: 0,
            size: 1,
            repeats: 1,
        }
    }

    /// The character with the code point `code`; with `fold`, in either case.
    pub(super) fn literal(code: u32, fold: bool) -> Self {
        match char::from_u32(code) {
            Some(character) => {
                Self::single(regex::escape(character.encode_utf8(&mut [0; 4]))).fold(fold)
            }
            // A surrogate is not a character. Go accepts it, and it never matches.
            None => Self::single(NOTHING),
        }
    }

    /// With `fold`, this in either case.
    pub(super) fn fold(mut self, fold: bool) -> Self {
        if fold {
            self.text = format!("(?i:{})", self.text);
        }
        self
    }

    /// `atoms`, one after the other.
    pub(super) fn sequence(atoms: Vec<Self>) -> Self {
        Self::join(atoms, "")
    }

    /// One of `atoms`, the first that fits.
    pub(super) fn alternatives(atoms: Vec<Self>) -> Self {
        Self::join(atoms, "|")
    }

    fn join(mut atoms: Vec<Self>, separator: &str) -> Self {
        match atoms.len() {
            0 => return Self::single(""),
            1 => return atoms.remove(0),
            _ => {}
        }
        let texts: Vec<&str> = atoms.iter().map(|atom| atom.text.as_str()).collect();
        Self {
            text: texts.join(separator),
            height: 1 + atoms.iter().map(|atom| atom.height).max().unwrap_or(0),
            groups: atoms.iter().map(|atom| atom.groups).sum(),
            size: atoms
                .iter()
                .map(|atom| atom.size)
                .fold(0, u64::saturating_add),
            repeats: atoms.iter().map(|atom| atom.repeats).max().unwrap_or(1),
        }
    }

    /// This as one piece.
    pub(super) fn group(mut self, capturing: bool) -> Self {
        self.text = format!("({}{})", if capturing { "" } else { "?:" }, self.text);
        if capturing {
            self.height += 1;
            self.groups += 1;
            self.size = self.size.saturating_add(2);
        }
        self
    }

    /// This, `repetition` times; `None` if Go does not allow so many.
    pub(super) fn repeat(self, repetition: Repetition, greedy: bool) -> Option<Self> {
        let Repetition { min, max } = repetition;
        let copies = max.unwrap_or(min);
        // Go does not count inside of a part that is repeated 0 times, and never counts stars and
        // pluses.
        let repeats = if max == Some(0) {
            1
        } else {
            self.repeats.saturating_mul(u64::from(copies.max(1)))
        };
        if copies >= 2 && repeats > MAX_REPEATS {
            return None;
        }
        let size = self
            .size
            .saturating_mul(u64::from(copies.max(1)))
            .saturating_add(2 + u64::from(copies - min.min(copies)));
        let text = match max {
            // The regex crate does not count groups that are repeated 0 times. So they are written
            // where they never match.
            Some(0) => format!("(?:{NOTHING}{}|)", "()".repeat(self.groups)),
            _ => {
                let max = max.map(|max| max.to_string()).unwrap_or_default();
                let lazy = if greedy { "" } else { "?" };
                format!("(?:{}){{{min},{max}}}{lazy}", self.text)
            }
        };
        Some(Self {
            text,
            height: self.height + 1,
            size,
            repeats,
            ..self
        })
    }

    /// This, unless it exceeds Go's limits or ours.
    pub(super) fn within_limits(self) -> Result<Self, RegexError> {
        match () {
            () if self.height > MAX_HEIGHT => Err(RegexError::TooDeep),
            () if self.size > MAX_SIZE => Err(RegexError::TooLarge),
            () => Ok(self),
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// The class without members.
pub(super) const NOTHING: &str = "[a&&b]";
