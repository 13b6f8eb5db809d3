//! Scalars: a text that may also be a number or a boolean.

/// A scalar as it was written.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::config) struct Scalar {
    text: String,
    /// Whether it was written without quotes, which is what makes it more than a text.
    plain: bool,
}

/// What yaml.v2 takes a plain scalar for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum Plain {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text,
}

impl Scalar {
    pub(in crate::config) fn new(text: String, plain: bool) -> Self {
        Self { text, plain }
    }

    /// The text, which every scalar has: `yes`, `0x1F` and `2024-01-02` are texts where a text is
    /// asked for.
    pub(in crate::config) fn text(&self) -> &str {
        &self.text
    }

    /// What it is besides a text; `None` for a quoted one.
    pub(in crate::config) fn plain(&self) -> Option<Plain> {
        self.plain.then(|| Plain::of(&self.text))
    }
}

/// Without the text, which may be a password.
impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scalar")
            .field("plain", &self.plain)
            .finish_non_exhaustive()
    }
}

impl Plain {
    /// What a plain scalar of this text is.
    pub(in crate::config) fn of(text: &str) -> Self {
        match text {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Self::Bool(true)
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => Self::Bool(false),
            _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
                number(text)
            }
            _ => Self::Text,
        }
    }
}

/// The number that `text` is: `900`, `1_000`, `0x1F`, `017`, `0b1`, `1e3`, `900.7`.
fn number(text: &str) -> Plain {
    let digits = text.replace('_', "");
    if let Some(integer) = integer(&digits) {
        return Plain::Integer(integer);
    }
    // Rust's numbers know `inf` and `nan`, too; yaml.v2 writes those `.inf` and `.nan`, and no
    // setting has a use for them.
    let numeric = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    match digits.parse() {
        Ok(float) if digits.chars().all(numeric) => Plain::Float(float),
        _ => Plain::Text,
    }
}

/// Go's `strconv.ParseInt` with base 0: a prefix says the base, and a leading zero is octal.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), base).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_go_s() {
        for (text, expected) in [
            ("900", Plain::Integer(900)),
            ("1_000", Plain::Integer(1000)),
            ("0x10", Plain::Integer(16)),
            ("0X1f", Plain::Integer(31)),
            ("017", Plain::Integer(15)),
            ("0o17", Plain::Integer(15)),
            ("0b1", Plain::Integer(1)),
            ("-2", Plain::Integer(-2)),
            ("+5", Plain::Integer(5)),
            ("-0x10", Plain::Integer(-16)),
            ("0", Plain::Integer(0)),
            ("1e3", Plain::Float(1000.0)),
            ("900.7", Plain::Float(900.7)),
            ("08", Plain::Float(8.0)),
            (".5", Plain::Float(0.5)),
            ("1.", Plain::Float(1.0)),
            ("99999999999999999999", Plain::Float(1e20)),
            ("-", Plain::Text),
            ("0x", Plain::Text),
            ("--1", Plain::Text),
            ("1.2.3", Plain::Text),
            ("2024-01-02", Plain::Text),
            ("5m", Plain::Text),
            ("+inf", Plain::Text),
            ("1e", Plain::Text),
        ] {
            assert_eq!(Plain::of(text), expected, "{text}");
        }
    }

    #[test]
    fn booleans_are_yaml_1_1_s() {
        for text in ["y", "Yes", "on", "TRUE"] {
            assert_eq!(Plain::of(text), Plain::Bool(true), "{text}");
        }
        for text in ["n", "No", "off", "False"] {
            assert_eq!(Plain::of(text), Plain::Bool(false), "{text}");
        }
        for text in ["yEs", "oN", "t", "f", "tRUE"] {
            assert_eq!(Plain::of(text), Plain::Text, "{text}");
        }
    }

    #[test]
    fn a_quoted_scalar_is_a_text_and_nothing_else() {
        let quoted = Scalar::new("900".to_owned(), false);
        assert_eq!((quoted.text(), quoted.plain()), ("900", None));
        assert_eq!(format!("{quoted:?}"), "Scalar { plain: false, .. }");
    }
}
