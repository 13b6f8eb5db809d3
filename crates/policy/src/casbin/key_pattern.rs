//! Patterns of `keyMatch2`, `keyMatch3`, `keyMatch4`, `keyGet2` and `keyGet3`, as regular expressions.
//!
//! Casbin makes them by replacing text, so whatever else is in a pattern keeps its meaning in a
//! regular expression: a dot is any character.

/// A regular expression, and the names for which it has a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) regex: String,
    pub(super) names: Vec<String>,
}

/// `/team/:name` with `replacement` for each name, which ends before the next slash.
pub(super) fn with_colons(pattern: &str, replacement: &str) -> KeyPattern {
    replaced(pattern, ':', replacement, |after| {
        let end = after.find('/').unwrap_or(after.len());
        (end > 0).then_some((end, end))
    })
}

/// `/team/{name}` with `replacement` for each name. It ends at the last brace before the next slash.
pub(super) fn with_braces(pattern: &str, replacement: &str) -> KeyPattern {
    replaced(pattern, '{', replacement, |after| {
        let end = segment(after).rfind('}')?;
        (end > 0).then_some((end, end + 1))
    })
}

/// The same, where a name ends at the first brace.
pub(super) fn with_short_braces(pattern: &str, replacement: &str) -> KeyPattern {
    replaced(pattern, '{', replacement, |after| {
        let braces = segment(after).match_indices('}').map(|(end, _)| end);
        let end = braces.into_iter().find(|end| *end > 0)?;
        Some((end, end + 1))
    })
}

fn segment(text: &str) -> &str {
    text.split('/').next().unwrap_or(text)
}

/// Replaces what begins with `mark`. `name` says of the text behind it where the name in it ends, and
/// where what is replaced ends; `None` if there is no name.
fn replaced(
    pattern: &str,
    mark: char,
    replacement: &str,
    name: impl Fn(&str) -> Option<(usize, usize)>,
) -> KeyPattern {
    let pattern = pattern.replace("/*", "/.*");
    let (mut regex, mut names) = (String::from("^"), Vec::new());
    let mut rest = pattern.as_str();
    while let Some((before, after)) = rest.split_once(mark) {
        regex.push_str(before);
        match name(after) {
            Some((end, behind)) => {
                names.push(after[..end].to_owned());
                regex.push_str(replacement);
                rest = &after[behind..];
            }
            None => {
                regex.push(mark);
                rest = after;
            }
        }
    }
    regex.push_str(rest);
    regex.push('$');
    KeyPattern { regex, names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced() {
        let read = |pattern: KeyPattern| (pattern.regex, pattern.names.join(","));
        let expected = |regex: &str, names: &str| (regex.to_owned(), names.to_owned());
        assert_eq!(
            read(with_colons("/a/:b/*/::/:c.d", "N")),
            expected("^/a/N/.*/N/N$", "b,:,c.d")
        );
        assert_eq!(
            read(with_braces("/{a}-{b}/{}/{c", "N")),
            expected("^/N/{}/{c$", "a}-{b")
        );
        assert_eq!(
            read(with_short_braces("/{a}-{b}/{}}/*", "N")),
            expected("^/N-N/N/.*$", "a,b,}")
        );
    }
}
