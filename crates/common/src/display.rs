//! Text from others, made safe to show: for a terminal, a log, or a JSON document.
//!
//! Control characters (C0, DEL and C1) are commands to a terminal. Bidirectional controls make a text
//! look like another one. Both are escaped where text is written, not where it comes from.

use std::borrow::Cow;
use std::fmt::Write;

/// One line for people: every unsafe character is escaped, line ends too.
///
/// ```
/// assert_eq!(common::escape_line("a\u{1b}[2J\nb\u{202e}"), r"a\u{1b}[2J\nb\u{202e}");
/// ```
#[must_use]
pub fn escape_line(text: &str) -> Cow<'_, str> {
    escape(text, is_unsafe, |escaped, c| {
        let _ = match c {
            '\n' | '\r' | '\t' => write!(escaped, "{}", c.escape_default()),
            _ => write!(escaped, "{}", c.escape_unicode()),
        };
    })
}

/// Several lines for people: as [`escape_line`], but line feeds and tabs stay.
#[must_use]
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    let is_unsafe = |c| !matches!(c, '\n' | '\t') && is_unsafe(c);
    escape(text, is_unsafe, |escaped, c| {
        let _ = write!(escaped, "{}", c.escape_unicode());
    })
}

/// A JSON document: unsafe characters stand only in its strings, and get JSON's own escapes (RFC 8259
/// §7). Line feeds and tabs, which lay the document out, stay.
///
/// ```
/// assert_eq!(common::escape_json("[\n \"\u{9b}\"]"), "[\n \"\\u009b\"]");
/// ```
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let is_unsafe = |c| !matches!(c, '\n' | '\t' | '\r') && is_unsafe(c);
    escape(json, is_unsafe, |escaped, c| {
        let _ = write!(escaped, "\\u{:04x}", u32::from(c));
    })
}

/// Whether a character is a command to a terminal, ends a line, or changes the direction of a text
/// (Unicode Standard Annex #9, "Explicit Directional Formatting Characters").
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

fn escape(
    text: &str,
    is_unsafe: impl Fn(char) -> bool,
    write: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    // Most texts are printable ASCII. Without an early end, many bytes are compared at once.
    let (mut is_printable, mut has_line_feed) = (true, false);
    for byte in text.bytes() {
        is_printable &= matches!(byte, b' '..=b'~') | (byte == b'\n');
        has_line_feed |= byte == b'\n';
    }
    let is_plain = is_printable && !(has_line_feed && is_unsafe('\n'));
    if is_plain || !text.chars().any(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            write(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every control character, and every bidirectional one.
    fn unsafe_characters() -> impl Iterator<Item = char> {
        let controls = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
        let bidirectional = ['\u{61c}', '\u{200e}', '\u{200f}'].into_iter();
        controls
            .chain(bidirectional)
            .chain('\u{202a}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
    }

    #[test]
    fn no_unsafe_character_is_left() {
        for c in unsafe_characters() {
            let text = format!("a{c}b");
            for escaped in [escape_line(&text), escape_lines(&text), escape_json(&text)] {
                assert!(
                    !escaped.contains(c) || matches!(c, '\n' | '\t' | '\r'),
                    "{c:?} {escaped:?}"
                );
            }
            assert!(!escape_line(&text).contains(c), "{c:?}");
        }
        assert!(!escape_lines("a\rb").contains('\r'));
    }

    #[test]
    fn other_text_stays() {
        for text in ["", "plain", "日本語 é ✓ עברית", r"\u{1b}"] {
            assert!(matches!(escape_line(text), Cow::Borrowed(same) if same == text));
        }
        assert_eq!(escape_lines("a\n\tb"), "a\n\tb");
    }
}
