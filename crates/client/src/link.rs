//! The `Link` header (RFC 8288): where the next page of a list is.

/// One link of a `Link` header.
///
/// ```
/// let fields = [r#"</tags?page=0>; rel="first", </tags?page=2>; title="a, b"; rel="next last""#];
/// let links = client::Link::parse_all(fields);
/// let next = links.iter().find(|link| link.has_relation("next")).unwrap();
/// assert_eq!(next.target, "/tags?page=2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The URL, absolute or relative, as the server wrote it.
    pub target: String,
    /// The parameters in their order, names in lower case, values without quotes.
    pub parameters: Vec<(String, String)>,
}

impl Link {
    /// The links of all `Link` header fields of a response. Text that is not a link is skipped, as
    /// RFC 8288, appendix B.2, says.
    #[must_use]
    pub fn parse_all<'a>(fields: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let mut links = Vec::new();
        for field in fields {
            let mut parser = Parser { rest: field };
            while let Some(link) = parser.link() {
                links.push(link);
            }
        }
        links
    }

    /// Whether the link has this relation to the response. Only the first `rel` counts (RFC 8288
    /// §3.3), and a link with an `anchor` is about another resource (§3.2).
    #[must_use]
    pub fn has_relation(&self, relation: &str) -> bool {
        let find = |wanted: &str| self.parameters.iter().find(|(name, _)| name == wanted);
        let relations = find("rel").map_or("", |(_, value)| value);
        find("anchor").is_none()
            && relations
                .split_ascii_whitespace()
                .any(|known| known.eq_ignore_ascii_case(relation))
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    /// The next link; `None` at the end of the field.
    fn link(&mut self) -> Option<Link> {
        loop {
            self.skip(|c| c.is_ascii_whitespace() || c == ',');
            if self.rest.is_empty() {
                return None;
            }
            if let Some((target, rest)) = self
                .rest
                .strip_prefix('<')
                .and_then(|rest| rest.split_once('>'))
            {
                self.rest = rest;
                return Some(Link {
                    target: target.trim().to_owned(),
                    parameters: self.parameters(),
                });
            }
            self.skip_to_comma();
        }
    }

    fn parameters(&mut self) -> Vec<(String, String)> {
        let mut parameters = Vec::new();
        loop {
            self.skip(|c| c.is_ascii_whitespace());
            let Some(rest) = self.rest.strip_prefix(';') else {
                self.skip_to_comma();
                return parameters;
            };
            self.rest = rest;
            self.skip(|c| c.is_ascii_whitespace());
            let name = self.take(|c| !c.is_ascii_whitespace() && !matches!(c, '=' | ';' | ','));
            self.skip(|c| c.is_ascii_whitespace());
            let value = match self.rest.strip_prefix('=') {
                Some(rest) => {
                    self.rest = rest;
                    self.skip(|c| c.is_ascii_whitespace());
                    self.value()
                }
                None => String::new(),
            };
            if !name.is_empty() {
                parameters.push((name.to_ascii_lowercase(), value));
            }
        }
    }

    /// A token, or a quoted string (RFC 9110 §5.6.4).
    fn value(&mut self) -> String {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let token = self.take(|c| !matches!(c, ';' | ','));
            return token.trim().to_owned();
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &quoted[at + 1..];
                    return value;
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                other => value.push(other),
            }
        }
        self.rest = "";
        value
    }

    /// Skips text that is neither a link nor a parameter. A comma in quotes does not end it.
    fn skip_to_comma(&mut self) {
        let mut quoted = false;
        self.skip(|c| {
            quoted ^= c == '"';
            quoted || c != ','
        });
    }

    fn skip(&mut self, matches: impl FnMut(char) -> bool) {
        self.take(matches);
    }

    fn take(&mut self, mut matches: impl FnMut(char) -> bool) -> String {
        let end = self.rest.find(|c| !matches(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(fields: &[&str]) -> Option<String> {
        Link::parse_all(fields.iter().copied())
            .into_iter()
            .find(|link| link.has_relation("next"))
            .map(|link| link.target)
    }

    #[test]
    fn the_link_with_the_relation_is_found() {
        for (field, target) in [
            (
                r#"</v2/a/tags/list?last=b&n=2>; rel="next""#,
                "/v2/a/tags/list?last=b&n=2",
            ),
            ("<x>;rel=next", "x"),
            ("<x> ; REL = NEXT", "x"),
            (r#"<x>; title="a;b, <y>; rel=next"; rel=next"#, "x"),
            (r#"<y>; rel="first", <x>; rel="next""#, "x"),
            (r#"<y>; rel="first",<x>; rel="next",<z>; rel="last""#, "x"),
            (r#"<y>; rel="first" , , <x>; rel="prev next""#, "x"),
            (r#"<a,b;c>; rel="next""#, "a,b;c"),
            (r#"<x>; title="say \"<hi>\", then"; rel="next""#, "x"),
            (r#"<x>; title=unquoted value; rel=next"#, "x"),
            (r#"<x>; rel="nex\t""#, "x"),
            (r#"no link, <x>; rel="next""#, "x"),
            (r#""a, b" <y>, <x>; rel=next"#, "x"),
            ("<x>; crossorigin; rel=next", "x"),
            ("<>; rel=next", ""),
        ] {
            assert_eq!(next(&[field]).as_deref(), Some(target), "{field}");
        }
    }

    #[test]
    fn another_relation_is_not_the_next_page() {
        for field in [
            r#"<x>; rel="prev""#,
            r#"<x>; rel="first"; rel="next""#,
            r#"<x>; rel="nextpage""#,
            r#"<x>; title="rel=next""#,
            r#"<x>; rel="next"; anchor="/other""#,
            "<open; rel=next",
            "<x> rel=next",
            "nothing",
            "",
        ] {
            assert_eq!(next(&[field]), None, "{field}");
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        assert_eq!(
            next(&["<y>; rel=first", "<x>; rel=next"]).as_deref(),
            Some("x")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = Link::parse_all([text.as_str()]);
        }

        #[test]
        fn a_link_among_others_is_found(
            title in "[a-z<>;=,\\\\\" ]{0,12}",
            before in "[a-z<>;=, ]{0,12}",
            target in "/[a-z0-9?&=,;]{0,12}",
        ) {
            let quoted = title.replace('\\', r"\\").replace('"', "\\\"");
            let field = format!(r#"</first>; title="{quoted}{before}"; rel=first, <{target}>; rel="next""#);
            prop_assert_eq!(next(&[&field]), Some(target));
        }
    }
}
