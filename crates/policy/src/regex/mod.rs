//! Go's regular expressions on the `regex` crate.
//!
//! Both descend from RE2 and match in the same way, but their syntax differs:
//! - A plain character of one is an operator of the other: `[a&&b]`, `[[a]`, `\<`, `{`.
//! - Go's `\w`, `\d`, `\s` and `\b` know ASCII only.
//! - Go rejects `x*+`, `(?x)` and `\u`. The crate rejects `\Q…\E`, octal escapes, and groups that
//!   share a name.
//!
//! So a parser for Go's syntax reads a pattern and writes it in a form that has one meaning: the only
//! flag is a scoped `i`, classes are code points, and every repetition is around a group.
//!
//! - [`parser`] reads a pattern and keeps its groups.
//! - [`class`] reads classes of characters, with the names in [`unicode`].
//! - [`escape`] reads single characters.
//! - [`atom`] writes the result, and counts for Go's limits.
//! - [`prefix`] finds out from the beginning of a pattern that it cannot match.

mod atom;
mod class;
mod escape;
mod parser;
mod prefix;
#[cfg(test)]
mod recorded;
mod unicode;

pub(crate) use prefix::{literal_prefix, rules_out};
use regex::{Regex, RegexBuilder};

/// Why a regular expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// A group has no end.
    #[error("a `(` is not closed: add the `)`, or write `\\(` for the character itself")]
    UnclosedGroup,
    /// A group has no beginning.
    #[error("a `)` closes nothing: add the `(`, or write `\\)` for the character itself")]
    UnopenedGroup,
    /// A class has no end.
    #[error("a `[` is not closed: add the `]`, or write `\\[` for the character itself")]
    UnclosedClass,
    /// A repetition stands at the beginning of a pattern, a group or an alternative.
    #[error("`{0}` has nothing to repeat: write `\\{0}` for the character itself")]
    NothingToRepeat(String),
    /// A repetition follows a repetition.
    #[error("`{0}` repeats a repetition: put what comes before it into a group, `(?:…)`")]
    StackedRepetition(String),
    /// A repetition counts too far or backwards.
    #[error(
        "`{0}` is no count: at most 1000, repetitions within repetitions multiplied, the smaller number first"
    )]
    RepetitionCount(String),
    /// A backslash before a letter or digit with which it has no meaning.
    #[error(
        "`{0}` means nothing in Go's regular expressions: leave out the backslash, or double it"
    )]
    Escape(String),
    /// The pattern ends with a backslash.
    #[error("it ends with a lone backslash: write `\\\\` for the character itself")]
    TrailingBackslash,
    /// A range whose last character comes before its first.
    #[error(
        "`{0}` in a class is a range that ends before it begins: put a `-` that is none first or last"
    )]
    ClassRange(String),
    /// A class with an unknown name.
    #[error("`{0}` names no class that Go knows: see https://pkg.go.dev/regexp/syntax")]
    ClassName(String),
    /// An extension of groups that RE2 does not have, or unknown flags.
    #[error(
        "`{0}` begins no group of Go's: the flags are i, m, s and U, and there is no look-around"
    )]
    Group(String),
    /// A group's name has more than letters, digits and `_`.
    #[error("`{0}` names no group: a name is letters, digits and `_`, between `<` and `>`")]
    GroupName(String),
    /// Groups or repetitions are nested too deep.
    #[error("it nests more than {} deep", atom::MAX_HEIGHT)]
    TooDeep,
    /// The compiled form would be too large.
    #[error("it needs too much memory: shorten its repetitions and alternatives")]
    TooLarge,
}

/// Compiles `pattern`, in Go's syntax, into at most about `size_limit` bytes. Its groups have the
/// numbers that Go gives them, and no names.
pub(crate) fn compile(pattern: &str, size_limit: usize) -> Result<Regex, RegexError> {
    let translated = parser::translate(pattern)?;
    RegexBuilder::new(&translated)
        .size_limit(size_limit)
        .dfa_size_limit(size_limit)
        .nest_limit(NEST_LIMIT)
        .build()
        // The parser's output is well-formed, so only its size can be wrong.
        .map_err(|_| RegexError::TooLarge)
}

/// How deep the `regex` crate may nest. One level of ours is up to four of its own: a repetition
/// around a group around an alternation around a concatenation.
const NEST_LIMIT: u32 = 4 * atom::MAX_HEIGHT + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern, 1 << 20).unwrap().is_match(text)
    }

    #[track_caller]
    fn refused(pattern: &str) -> RegexError {
        compile(pattern, 1 << 20).unwrap_err()
    }

    #[test]
    fn letters_and_digits_are_ascii() {
        assert!(matches(r"^\w\d\s\b", "a1 b") && !matches(r"\w", "é") && !matches(r"\d", "٣"));
        assert!(!matches(r"\s", "\u{b}") && matches(r"[[:space:]]", "\u{b}"));
        assert!(
            matches(r"é\bx", "éx"),
            "between a letter that is not ASCII and one that is, a word begins"
        );
        assert!(
            matches("(?i)STRASSE|straẞe", "straße"),
            "but case folding is Unicode's"
        );
        assert!(
            matches(r"(?i)^\w$", "\u{212a}"),
            "even of \\w: the Kelvin sign is a k"
        );
        assert!(matches(r"(?i)^[[:^word:]]$", "é") && !matches(r"(?i)^\W$", "\u{17f}"));
    }

    #[test]
    fn plain_characters_of_go_s_are_plain() {
        assert!(matches(r"^\Q.*\E+$", ".***") && matches(r"^\Qa{", "a{"));
        assert!(matches("^{,2}a{,2}$", "{,2}a{,2}") && matches("^a{$", "a{"));
        assert!(
            matches("^[[a]+$", "[a") && matches("^[a&&b]+$", "&ab") && matches("^[a~~b]+$", "~")
        );
        assert!(matches(r"^[\d-z]+$", "3-z") && !matches(r"^[\d-z]+$", "a"));
        assert!(matches(r"^\<b\>$", "<b>") && matches(r"^\101\x{62}\x63$", "Abc"));
        assert!(matches("^[]a]+$", "]") && matches("^[^]a]+$", "b") && matches("^[a-]+$", "-"));
        assert!(matches("a # b", "a # b") && matches("^*a", "a"));
    }

    #[test]
    fn groups_may_share_a_name_and_begin_with_a_digit() {
        let compiled = compile(r"^(?P<n>a)(?<n>b)(?P<1a>c)$", 1 << 20).unwrap();
        assert_eq!(
            compiled.captures("abc").unwrap().get(3).unwrap().as_str(),
            "c"
        );
    }

    #[test]
    fn flags_last_to_the_end_of_their_group() {
        assert!(matches("^(?:(?i)a|b)c$", "Bc") && !matches("^(?:(?i)a|b)c$", "BC"));
        assert!(matches("(?s)^.$", "\n") && !matches("(?s-s)^.$", "\n"));
        assert!(matches("(?m)^b$", "a\nb") && !matches("^b$", "a\nb"));
        let lazy = compile("(?U)(a+)(a+?)", 1 << 20).unwrap();
        assert_eq!(lazy.captures("aaa").unwrap().get(1).unwrap().as_str(), "a");
    }

    #[test]
    fn unicode_classes_are_known_by_go_s_names() {
        assert!(matches(r"^\pL\p{Greek}\P{Lu}\p{^Lu}$", "éλab"));
        assert!(matches(r"^\p{letter}[\pN]$", "a1"));
        assert_eq!(
            refused(r"\p{Grek}"),
            RegexError::ClassName(r"\p{Grek}".to_owned())
        );
        assert_eq!(
            refused(r"\p{Alphabetic}"),
            RegexError::ClassName(r"\p{Alphabetic}".to_owned())
        );
        assert_eq!(
            refused(r"[[:letter:]]"),
            RegexError::ClassName("[:letter:]".to_owned())
        );
    }

    #[test]
    fn what_go_refuses_is_refused_and_said() {
        assert_eq!(
            refused("a**"),
            RegexError::StackedRepetition("*".to_owned())
        );
        assert_eq!(
            refused("x*+"),
            RegexError::StackedRepetition("+".to_owned())
        );
        assert_eq!(
            refused("a{2}{3}"),
            RegexError::StackedRepetition("{3}".to_owned())
        );
        assert_eq!(refused("a|*"), RegexError::NothingToRepeat("*".to_owned()));
        assert_eq!(
            refused("a{1001}"),
            RegexError::RepetitionCount("{1001}".to_owned())
        );
        assert_eq!(
            refused("(?:a{32}){32}"),
            RegexError::RepetitionCount("{32}".to_owned())
        );
        assert_eq!(
            refused("a{3,2}"),
            RegexError::RepetitionCount("{3,2}".to_owned())
        );
        assert_eq!(refused("(?x)a"), RegexError::Group("(?x".to_owned()));
        assert_eq!(refused("(?=a)"), RegexError::Group("(?=".to_owned()));
        assert_eq!(
            refused("(?P<a b>c)"),
            RegexError::GroupName("(?P<a b>".to_owned())
        );
        assert_eq!(refused(r"\u0041"), RegexError::Escape(r"\u".to_owned()));
        assert_eq!(refused(r"a\Z"), RegexError::Escape(r"\Z".to_owned()));
        assert_eq!(refused(r"\C"), RegexError::Escape(r"\C".to_owned()));
        assert_eq!(refused("[a--b]"), RegexError::ClassRange("a--".to_owned()));
        assert_eq!(refused("a)"), RegexError::UnopenedGroup);
        assert_eq!(refused("(a"), RegexError::UnclosedGroup);
        assert_eq!(refused("[a"), RegexError::UnclosedClass);
        assert_eq!(refused("a\\"), RegexError::TrailingBackslash);
    }

    #[test]
    fn size_and_depth_have_bounds() {
        assert_eq!(refused(r"(?:\pL{30}){30}"), RegexError::TooLarge);
        assert_eq!(refused(&"(".repeat(10_000)), RegexError::TooDeep);
        assert_eq!(
            refused(&format!("a{}", "*(?i)".repeat(10_000))),
            RegexError::TooDeep
        );
        // As deep as is allowed, on the stack of a test's thread.
        let levels = atom::MAX_HEIGHT as usize - 1;
        assert!(matches(
            &format!("{}a{}", "(".repeat(levels), ")".repeat(levels)),
            "a"
        ));
        assert!(matches(
            &format!("{}a{}", "(?:".repeat(levels), ")+".repeat(levels)),
            "a"
        ));
        assert!(matches(
            &format!(
                "{}a{}",
                "(b*|".repeat(levels / 4),
                "x?)+".repeat(levels / 4)
            ),
            "a"
        ));
        assert!(compile(r"^\pL{1000}$", crate::syntax::SIZE_LIMIT).is_ok());
    }
}
