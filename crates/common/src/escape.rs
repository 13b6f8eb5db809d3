//! Foreign text where a person sees it: in a terminal, a log line, an error message.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` as it may be shown in one line: control characters (C0, DEL, C1), line separators and
/// characters that change the direction of writing are written out, as `\u{1b}`.
///
/// ```
/// assert_eq!(common::escape("a\u{1b}[31m\n\u{202e}b"), r"a\u{1b}[31m\u{a}\u{202e}b");
/// assert_eq!(common::escape("größer"), "größer");
/// ```
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_but(text, &[])
}

/// The same for text of several lines: line feeds and tabs stay.
#[must_use]
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_but(text, &['\n', '\t'])
}

fn escape_but<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let is_unsafe = |c: char| !is_safe(c) && !kept.contains(&c);
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "{}", c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal shows `c` and does nothing else. The exceptions are Unicode's controls, line
/// and paragraph separators, and the bidirectional controls (UAX #9 §2).
fn is_safe(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_acts_on_a_terminal_is_written_out() {
        let acting = ('\0'..=char::MAX).filter(|c| {
            c.is_control()
                || "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}".contains(*c)
                || ('\u{202a}'..='\u{202e}').contains(c)
                || ('\u{2066}'..='\u{2069}').contains(c)
        });
        let mut count = 0;
        for c in acting {
            let text = format!("a{c}b");
            assert_eq!(escape(&text), format!("a{}b", c.escape_unicode()));
            count += 1;
        }
        assert_eq!(count, 65 + 5 + 5 + 4);
    }

    #[test]
    fn lines_stay_where_there_are_several() {
        assert_eq!(escape_lines("a\n\tb\r"), "a\n\tb\\u{d}");
        assert!(matches!(escape("a b"), Cow::Borrowed("a b")));
    }
}
