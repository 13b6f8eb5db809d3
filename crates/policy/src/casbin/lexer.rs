//! The words of an expression, as govaluate divides them.

use std::borrow::Cow;

use super::error::ExpressionError;
use super::rewriting::{QUOTES, unescaped};

/// A word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Number(f64),
    Text(String),
    Bool(bool),
    /// A column, or a function.
    Name(String),
    /// An operator as it is written.
    Symbol(String),
    Comma,
    Open,
    Close,
}

/// Divides `text`.
///
/// What is neither letter, digit, quote, bracket nor white space belongs to one symbol, so `&&!` is
/// one, and not an operator. A backslash takes the next character as it is.
pub(super) fn words(text: &str) -> Result<Vec<Word>, ExpressionError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = word(first, rest)?;
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

fn word(first: char, text: &str) -> Result<(Word, &str), ExpressionError> {
    let after = &text[first.len_utf8()..];
    match first {
        ',' => Ok((Word::Comma, after)),
        '(' => Ok((Word::Open, after)),
        ')' => Ok((Word::Close, after)),
        '[' => {
            let (name, after) = until(after, |c| c == ']')?;
            let after = after
                .strip_prefix(']')
                .ok_or(ExpressionError::UnclosedBracket)?;
            Ok((Word::Name(name.into_owned()), after))
        }
        quote if QUOTES.contains(&quote) => {
            let (read, after) = until(after, |c| QUOTES.contains(&c))?;
            let after = after
                .strip_prefix(QUOTES)
                .ok_or(ExpressionError::UnclosedText)?;
            Ok((Word::Text(read.into_owned()), after))
        }
        c if c.is_ascii_digit() || c == '.' => number(text),
        c if c.is_alphabetic() => {
            let (name, after) = until(text, |c| !(c.is_alphanumeric() || c == '_' || c == '.'))?;
            Ok((named(&name)?, after))
        }
        _ => {
            let (symbol, after) = until(text, |c| {
                c.is_alphanumeric()
                    || c.is_whitespace()
                    || "()[]".contains(c)
                    || QUOTES.contains(&c)
            })?;
            if symbol.is_empty() {
                return Err(ExpressionError::Symbol(first.to_string()));
            }
            Ok((Word::Symbol(symbol.into_owned()), after))
        }
    }
}

fn named(name: &str) -> Result<Word, ExpressionError> {
    match name {
        "true" => Ok(Word::Bool(true)),
        "false" => Ok(Word::Bool(false)),
        "in" | "IN" => Ok(Word::Symbol("in".to_owned())),
        // A value has no fields; `r.` and `p.` are `r_` and `p_` here.
        name if name.contains('.') => Err(ExpressionError::Field(name.to_owned())),
        name => Ok(Word::Name(name.to_owned())),
    }
}

/// A number: digits and dots, or `0x` and hexadecimal digits.
fn number(text: &str) -> Result<(Word, &str), ExpressionError> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) if !digits.is_empty() => (digits, 16),
        _ => (text, 10),
    };
    let is_part = |c: char| c.is_digit(radix) || (radix == 10 && c == '.');
    let length = digits.find(|c| !is_part(c)).unwrap_or(digits.len());
    let (digits, after) = digits.split_at(length);
    let number = if radix == 16 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "govaluate rounds such a number, too"
        )]
        let number = u64::from_str_radix(digits, 16)
            .ok()
            .map(|number| number as f64);
        number
    } else {
        digits
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
    };
    let number = number.ok_or_else(|| ExpressionError::Number(digits.to_owned()))?;
    Ok((Word::Number(number), after))
}

/// The text up to `is_end` or its own end.
fn until(
    text: &str,
    is_end: impl Fn(char) -> bool,
) -> Result<(Cow<'_, str>, &str), ExpressionError> {
    unescaped(text, is_end).ok_or(ExpressionError::Backslash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        let words = words(text).unwrap().into_iter();
        let words: Vec<String> = words
            .map(|word| match word {
                Word::Number(number) => number.to_string(),
                Word::Text(text) => format!("{text:?}"),
                Word::Bool(flag) => flag.to_string(),
                Word::Name(name) => name,
                Word::Symbol(symbol) => format!("`{symbol}`"),
                Word::Comma => ",".to_owned(),
                Word::Open => "(".to_owned(),
                Word::Close => ")".to_owned(),
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn symbols_end_where_govaluate_ends_them() {
        assert_eq!(printed("a&&b"), "a `&&` b");
        assert_eq!(printed("a &&!b"), "a `&&!` b");
        assert_eq!(printed("(a)!=(b)"), "( a ) `!=` ( b )");
        assert_eq!(printed("f(-1,!a,0x1F)"), "f ( `-` 1 , `!` a , 31 )");
        assert_eq!(printed("a IN ('x' , \"y\")"), "a `in` ( \"x\" , \"y\" )");
    }

    #[test]
    fn texts_end_at_either_quote() {
        assert_eq!(printed(r#"'a" == "b\"\'c\d'"#), r#""a" `==` "b\"'cd""#);
        assert_eq!(words("'a"), Err(ExpressionError::UnclosedText));
        assert_eq!(words(r"'a\'"), Err(ExpressionError::UnclosedText));
        assert_eq!(words(r"'a\"), Err(ExpressionError::Backslash));
    }

    #[test]
    fn names_may_be_in_brackets() {
        assert_eq!(printed("[r_a b] == r_é1"), "r_a b `==` r_é1");
        assert_eq!(printed(r"r_a\-b"), "r_a-b");
        assert_eq!(words("[a"), Err(ExpressionError::UnclosedBracket));
        assert_eq!(words("a\\"), Err(ExpressionError::Backslash));
        assert_eq!(words("x.Y"), Err(ExpressionError::Field("x.Y".to_owned())));
    }

    #[test]
    fn numbers_are_go_s() {
        assert_eq!(printed("1. .5 017 1.25"), "1 0.5 17 1.25");
        for text in ["1.2.3", ".", "0x", "0xg", &"9".repeat(400)] {
            assert!(words(text).is_err() || text == "0x", "{text}");
        }
    }
}
