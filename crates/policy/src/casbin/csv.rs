//! One line of the policy's file: comma-separated values as Go's `encoding/csv` reads them.

use super::error::CsvError;

/// The fields of `line`. White space before a field is dropped, white space behind it is not. A field
/// that begins with a quote ends with one, and has a quote for each two in it.
pub(super) fn fields(line: &str) -> Result<Vec<String>, CsvError> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// A field, and what comes after the comma behind it.
type Field<'a> = (String, Option<&'a str>);

fn plain_field(text: &str) -> Result<Field<'_>, CsvError> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    if field.contains('"') {
        return Err(CsvError::BareQuote);
    }
    Ok((field.to_owned(), after))
}

fn quoted_field(text: &str) -> Result<Field<'_>, CsvError> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"').ok_or(CsvError::UnclosedQuote)?;
        field.push_str(before);
        if let Some(more) = after.strip_prefix('"') {
            field.push('"');
            rest = more;
        } else if let Some(after) = after.strip_prefix(',') {
            return Ok((field, Some(after)));
        } else if after.is_empty() {
            return Ok((field, None));
        } else {
            return Err(CsvError::AfterQuote);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_go_s() {
        let read = |line| fields(line).unwrap();
        assert_eq!(
            read("p, alice , \"a, \"\"b\"\"\",,"),
            ["p", "alice ", "a, \"b\"", "", ""]
        );
        assert_eq!(read(""), [""]);
        assert_eq!(read("a\u{a0}, \u{a0}b"), ["a\u{a0}", "b"]);
    }

    #[test]
    fn quotes_are_closed_and_doubled() {
        assert_eq!(fields("p, {\"a\":1}"), Err(CsvError::BareQuote));
        assert_eq!(fields("p, \"a"), Err(CsvError::UnclosedQuote));
        assert_eq!(fields("p, \"a\" , b"), Err(CsvError::AfterQuote));
        assert_eq!(
            fields("p, \"a\"\"\""),
            Ok(vec!["p".to_owned(), "a\"".to_owned()])
        );
    }
}
