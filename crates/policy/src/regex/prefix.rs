//! A cheap test before a regular expression is compiled.

/// Whether `pattern`, in Go's syntax, begins with text that `text` does not begin with, so that it
/// cannot match.
///
/// Compiling costs a hundred times as much, and a rule such as `/^${account}\/.+$/` is expanded and
/// compiled for every query that reaches it. Only plain characters are compared here.
pub(crate) fn rules_out(pattern: &str, text: &str) -> bool {
    let mut text = text.chars();
    literal_prefix(pattern).any(|literal| text.next() != Some(literal))
}

/// The plain characters with which each text begins that `pattern` matches, as far as they can be
/// seen without reading the whole pattern.
pub(crate) fn literal_prefix(pattern: &str) -> impl Iterator<Item = char> {
    let mut rest = pattern
        .strip_prefix('^')
        .filter(|pattern| !pattern.contains('|'))
        .unwrap_or_default();
    std::iter::from_fn(move || {
        let (literal, after) = literal(rest)?;
        // A repetition after it may make it optional, with or without flags between the two.
        let is_optional = after.starts_with(['*', '?', '{'])
            || after.starts_with("(?")
            || after.starts_with(r"\Q");
        rest = if is_optional { "" } else { after };
        (!is_optional).then_some(literal)
    })
}

/// The plain character at the beginning of `pattern`, and what follows it.
fn literal(pattern: &str) -> Option<(char, &str)> {
    let mut characters = pattern.chars();
    let first = characters.next()?;
    let literal = match first {
        '\\' => characters.next().filter(char::is_ascii_punctuation)?,
        '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
        plain => plain,
    };
    Some((literal, characters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_beginnings_are_compared() {
        assert!(
            rules_out(r"^alice\/.+$", "bob/app")
                && rules_out(r"^a\.b\/", "axb/")
                && rules_out("^ab", "a")
        );
        assert!(
            !rules_out(r"^alice\/.+$", "alice/app")
                && !rules_out(r"^a+b", "ab")
                && rules_out("^a+b", "b")
        );
    }

    #[test]
    fn what_may_be_optional_rules_nothing_out() {
        for pattern in [
            "^*a",
            "^a*b",
            "^a?b",
            "^a{0}b",
            "^a(?i)*b",
            r"^a\Q\E*b",
            "^a|b",
            "a",
            "(?i)^A",
            "^(?i)b",
            r"^\x62",
        ] {
            assert!(!rules_out(pattern, "b"), "{pattern}");
        }
    }
}
