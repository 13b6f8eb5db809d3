//! Where a scalar is in a file's text, for a command that replaces one and keeps the rest as it is.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// What was found of a scalar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScalarPlace {
    /// Its bytes in the text, without quotes.
    At(Range<usize>),
    /// There is something at the path that cannot be replaced in place, and what it is.
    Other(&'static str),
    /// There is nothing at the path. What a merge (`<<`) adds is not looked at.
    Missing,
}

/// The place of the scalar at `path`, whose parts are keys of mappings. Of keys that are there twice,
/// the last counts.
pub(crate) fn locate(text: &str, path: &[&str]) -> ScalarPlace {
    let without_mark = text.strip_prefix('\u{feff}').unwrap_or(text);
    let offset = text.len() - without_mark.len();
    let mut search = Search {
        text: without_mark,
        path,
        open: Vec::new(),
        found: ScalarPlace::Missing,
    };
    for event in Parser::new_from_str(without_mark) {
        match event {
            Ok((Event::DocumentEnd, _)) => break,
            Ok((event, span)) => search.take(&event, &span),
            Err(_) => return ScalarPlace::Other("not readable"),
        }
    }
    match search.found {
        ScalarPlace::At(range) => ScalarPlace::At(range.start + offset..range.end + offset),
        found => found,
    }
}

struct Search<'t> {
    text: &'t str,
    path: &'t [&'t str],
    open: Vec<Collection>,
    found: ScalarPlace,
}

/// A collection whose end has not come yet.
enum Collection {
    Sequence,
    Mapping {
        /// Whether the path leads through it.
        is_on_path: bool,
        /// The key whose value comes next.
        key: Option<String>,
        is_value_next: bool,
    },
}

impl Search<'_> {
    fn take(&mut self, event: &Event<'_>, span: &Span) {
        match event {
            Event::Scalar(value, style, ..) => {
                if let Some(Collection::Mapping {
                    key,
                    is_value_next: is_value_next @ false,
                    ..
                }) = self.open.last_mut()
                {
                    *key = Some(value.to_string());
                    *is_value_next = true;
                    return;
                }
                if self.is_at_path() {
                    self.found = self.place(value, *style, span);
                }
                self.end_node();
            }
            Event::Alias(_) => {
                if self.is_at_path() {
                    self.found = ScalarPlace::Other("an alias of another value");
                }
                self.end_node();
            }
            Event::SequenceStart(..) => {
                if self.is_at_path() {
                    self.found = ScalarPlace::Other("a list");
                }
                self.open.push(Collection::Sequence);
            }
            Event::MappingStart(..) => {
                if self.is_at_path() {
                    self.found = ScalarPlace::Other("a mapping");
                }
                let mapping = Collection::Mapping {
                    is_on_path: self.is_next_on_path(),
                    key: None,
                    is_value_next: false,
                };
                self.open.push(mapping);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
                self.end_node();
            }
            _ => {}
        }
    }

    /// Whether the node that comes next is at the end of the path.
    fn is_at_path(&self) -> bool {
        self.open.len() == self.path.len() && self.is_next_on_path()
    }

    fn is_next_on_path(&self) -> bool {
        match self.open.last() {
            None => true,
            Some(Collection::Sequence) => false,
            Some(Collection::Mapping {
                is_on_path,
                key,
                is_value_next,
            }) => {
                let wanted = self.path.get(self.open.len() - 1).copied();
                *is_on_path && *is_value_next && key.as_deref() == wanted
            }
        }
    }

    /// After a key comes its value, and after that the next key.
    fn end_node(&mut self) {
        if let Some(Collection::Mapping {
            key, is_value_next, ..
        }) = self.open.last_mut()
        {
            *key = None;
            *is_value_next = !*is_value_next;
        }
    }

    fn place(&self, value: &str, style: ScalarStyle, span: &Span) -> ScalarPlace {
        let mut bytes = self.text.char_indices().map(|(byte, _)| byte);
        let start = bytes.nth(span.start.index()).unwrap_or(self.text.len());
        let rest = &self.text[start..];
        // A tag or an anchor may precede the scalar.
        let range = match style {
            ScalarStyle::Plain => {
                let line = rest.lines().next().unwrap_or_default();
                line.find(value).map(|at| at..at + value.len())
            }
            ScalarStyle::SingleQuoted => between_quotes(rest, '\''),
            ScalarStyle::DoubleQuoted => between_quotes(rest, '"'),
            ScalarStyle::Literal | ScalarStyle::Folded => {
                return ScalarPlace::Other("a block of text");
            }
        };
        match range {
            Some(range) => ScalarPlace::At(start + range.start..start + range.end),
            None => ScalarPlace::Other("text on several lines"),
        }
    }
}

/// The range from the first `quote` to the one that ends the scalar.
fn between_quotes(text: &str, quote: char) -> Option<Range<usize>> {
    let start = text.find(quote)? + 1;
    let mut characters = text[start..].char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && quote == '"' {
            characters.next();
        } else if character == quote {
            // In single quotes, two of them are one.
            let is_doubled = quote == '\'' && characters.peek().is_some_and(|(_, c)| *c == quote);
            if !is_doubled {
                return Some(start..start + at);
            }
            characters.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_is_found_in_every_style() {
        for text in [
            "users:\n  ann: {password: X, labels: {}}\n",
            "users:\n  ann:\n    password: X   # the first\n",
            "# é\nusers: {bob: {password: no}, \"ann\": {'password': \"X\"}}\n",
            "users:\r\n  ann:\r\n    password: 'X'\r\n  bob: {password: no}\r\n",
            "\u{feff}users: {ann: {password: &hash !!str X}}\n",
            "users: {ann: {labels: {password: [no]}, password: X}}\nother: {ann: {password: no}}",
            "users: {ann: {password: no, password: X}}",
            "? [users]\n: 1\nusers: {[a]: b, ann: {password: X}}\n",
            "list: [{users: {ann: {password: no}}}]\nusers: {ann: {password: X}}\n",
        ] {
            let place = locate(text, &["users", "ann", "password"]);
            let ScalarPlace::At(range) = place else {
                panic!("{text}: {place:?}")
            };
            assert_eq!(&text[range], "X", "{text}");
        }
        let escaped = r#"a: "\"X\\""#;
        assert_eq!(locate(escaped, &["a"]), ScalarPlace::At(4..9));
        assert_eq!(locate("a: 'it''s'", &["a"]), ScalarPlace::At(4..9));
    }

    #[test]
    fn what_cannot_be_replaced_is_named() {
        let path = ["users", "ann", "password"];
        for (text, expected) in [
            ("users: {ann: {password: [a, b]}}", "a list"),
            (
                "x: &x y\nusers: {ann: {password: *x}}",
                "an alias of another value",
            ),
            (
                "users:\n  ann:\n    password: |\n      a\n",
                "a block of text",
            ),
            ("users: {ann: {password: a\n   b}}", "text on several lines"),
            ("a: [", "not readable"),
        ] {
            assert_eq!(locate(text, &path), ScalarPlace::Other(expected), "{text}");
        }
        for text in [
            "",
            "users: {}",
            "users: [ann]",
            "x: &x {password: a}\nusers: {ann: {<<: *x}}",
        ] {
            assert_eq!(locate(text, &path), ScalarPlace::Missing, "{text}");
        }
    }
}
