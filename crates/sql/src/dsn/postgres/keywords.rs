//! `key=value key='a value'`, in which `\` escapes the next character.

use super::DsnError;

const NO_EQUALS_SIGN: DsnError = DsnError::Form(
    "it has a word without `=`: write key=value, and put a value with blanks in single quotes",
);
const NO_QUOTE: DsnError = DsnError::Form("a value in single quotes does not end");
const NO_CHARACTER: DsnError = DsnError::Form("it ends in `\\`, which escapes nothing");

/// The keys and values, in their order.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, DsnError> {
    let (mut keys, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let key_end = rest.find(|c: char| c == '=' || c.is_whitespace());
        let (key, after) = rest.split_at(key_end.ok_or(NO_EQUALS_SIGN)?);
        let after = after.trim_start().strip_prefix('=').ok_or(NO_EQUALS_SIGN)?;
        let (value, after) = value(after.trim_start())?;
        keys.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(keys)
}

/// A value, and what comes after it.
fn value(text: &str) -> Result<(String, &str), DsnError> {
    let quoted = text.strip_prefix('\'');
    let text = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next().ok_or(NO_CHARACTER)?.1),
            '\'' if quoted.is_some() => return Ok((value, &text[at + 1..])),
            blank if quoted.is_none() && blank.is_whitespace() => {
                return Ok((value, &text[at..]));
            }
            other => value.push(other),
        }
    }
    match quoted {
        Some(_) => Err(NO_QUOTE),
        None => Ok((value, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_quotes_and_escapes() {
        for (text, expected) in [
            ("host=a port=1", vec![("host", "a"), ("port", "1")]),
            ("  host = a\n port= 1 ", vec![("host", "a"), ("port", "1")]),
            (
                r"password='it\'s a \\ and =' user=x",
                vec![("password", r"it's a \ and ="), ("user", "x")],
            ),
            (
                r"password=a\ b=c user=''",
                vec![("password", "a b=c"), ("user", "")],
            ),
            ("password='a'user=b", vec![("password", "a"), ("user", "b")]),
            ("password=", vec![("password", "")]),
            ("", vec![]),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in [
            "host",
            "host a",
            "password=my secret",
            "password='open",
            r"password=a\",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
