//! Escapes that stand for one character.

use super::RegexError;

/// The code point of the escape at the beginning of `rest`, and what follows it.
///
/// An ASCII character that is not a letter or digit stands for itself. There are C's escapes, octal
/// ones of up to three digits, and hexadecimal ones, `\x7f` and `\x{10ffff}`. Any other digit would
/// be a back-reference, which RE2 does not have.
pub(super) fn escape(rest: &str) -> Result<(u32, &str), RegexError> {
    let mut characters = rest.chars();
    characters.next();
    let first = characters.next().ok_or(RegexError::TrailingBackslash)?;
    let after = characters.as_str();
    let refused = || {
        let end = rest.len() - after.len();
        RegexError::Escape(rest[..end].to_owned())
    };
    let plain = |code: char| Ok((u32::from(code), after));
    match first {
        'a' => plain('\u{7}'),
        'f' => plain('\u{c}'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\u{b}'),
        'x' => hexadecimal(after).ok_or_else(refused),
        '0' => Ok(octal(&rest[1..])),
        '1'..='7' if after.starts_with(is_octal) => Ok(octal(&rest[1..])),
        punctuation if punctuation.is_ascii() && !punctuation.is_ascii_alphanumeric() => {
            plain(punctuation)
        }
        _ => Err(refused()),
    }
}

fn is_octal(digit: char) -> bool {
    ('0'..='7').contains(&digit)
}

/// Up to three octal digits.
fn octal(rest: &str) -> (u32, &str) {
    let len = rest
        .bytes()
        .take(3)
        .take_while(|digit| is_octal(char::from(*digit)))
        .count();
    let (digits, after) = rest.split_at(len);
    (
        digits
            .bytes()
            .fold(0, |code, digit| code * 8 + u32::from(digit - b'0')),
        after,
    )
}

/// Two hexadecimal digits, or any number of them in braces.
fn hexadecimal(rest: &str) -> Option<(u32, &str)> {
    let (digits, after) = match rest.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => rest.split_at_checked(2)?,
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    // Leading zeros are ignored.
    let significant = digits.trim_start_matches('0');
    let code = if significant.is_empty() {
        0
    } else {
        u32::from_str_radix(significant, 16).ok()?
    };
    (code <= u32::from(char::MAX)).then_some((code, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_to_their_end() {
        assert_eq!(escape(r"\0419"), Ok((0o41, "9")));
        assert_eq!(escape(r"\08"), Ok((0, "8")));
        assert_eq!(escape(r"\1011"), Ok((0o101, "1")));
        assert_eq!(escape(r"\x411"), Ok((0x41, "1")));
        assert_eq!(escape(r"\x{000000000041}1"), Ok((0x41, "1")));
        assert_eq!(escape(r"\_-"), Ok((u32::from('_'), "-")));
        assert_eq!(escape(r"\v"), Ok((11, "")));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            r"\1",
            r"\8",
            r"\18",
            r"\x4",
            r"\x",
            r"\x{}",
            r"\x{41",
            r"\x{110000}",
            r"\x{+41}",
            r"\é",
            r"\q",
        ] {
            assert!(escape(text).is_err(), "{text}");
        }
        assert_eq!(escape("\\"), Err(RegexError::TrailingBackslash));
    }
}
