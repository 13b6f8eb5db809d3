//! Why a text is not a pattern.

/// The longest pattern, in bytes. No name is longer.
pub const MAX_PATTERN: usize = 255;

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (character {position} of the pattern)")]
pub struct PatternError {
    /// What is wrong.
    pub problem: PatternProblem,
    /// Where: the number of the character, from 1.
    pub position: usize,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    /// It has no character.
    #[error("the pattern is empty: write `*` or `**` for every name")]
    Empty,
    /// It is longer than every name.
    #[error("the pattern is longer than {MAX_PATTERN} bytes")]
    TooLong,
    /// No name has this character.
    #[error("no {kind} has {character:?}: patterns are globs with `*`, `**`, `?` and `[a-z]`")]
    Character {
        /// What is named: `repository` or `tag`.
        kind: &'static str,
        /// The character.
        character: char,
    },
    /// A class has no end.
    #[error("the class has no end: add the `]`")]
    UnclosedClass,
    /// A class has no character.
    #[error("the class is empty: write the characters between `[` and `]`")]
    EmptyClass,
    /// A range ends before it begins.
    #[error("the range is empty: write the smaller character first")]
    EmptyRange,
}
