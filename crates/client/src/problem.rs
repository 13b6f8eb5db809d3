//! A problem in the form of RFC 9457: what an HTTP API says of an error.

use std::fmt;

use serde_json::{Map, Value};

use crate::json;

/// The longest text of a server that is shown, in characters.
const MAX_TEXT: usize = 300;
/// How many errors of one problem are read.
const MAX_ERRORS: usize = 10;

/// A problem (RFC 9457 §3.1). Its texts are short and on one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProblemDetails {
    /// Its type, a URI; `about:blank` if the problem has no type of its own.
    pub kind: String,
    /// What kind of problem it is, in words; may be empty.
    pub title: String,
    /// What is wrong with this request; may be empty.
    pub detail: String,
    /// What is wrong with parts of the request's body.
    pub errors: Vec<ProblemError>,
}

/// What is wrong with a part of a request's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProblemError {
    /// The part, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl ProblemDetails {
    /// The media type of a problem.
    pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

    /// Reads a body. A member that is missing or of another type is empty, as RFC 9457 §3.1 has it.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let object: Map<String, Value> = json::parse(body).ok()?;
        let text = |name: &str| shortened(json::text(&object, name).unwrap_or_default());
        let errors = json::list(&object, "errors").iter();
        let errors = errors.filter_map(Value::as_object).take(MAX_ERRORS);
        let errors = errors.map(|error| ProblemError {
            pointer: shortened(json::text(error, "pointer").unwrap_or_default()),
            detail: shortened(json::text(error, "detail").unwrap_or_default()),
        });
        Some(Self {
            kind: match text("type") {
                kind if kind.is_empty() => "about:blank".to_owned(),
                kind => kind,
            },
            title: text("title"),
            detail: text("detail"),
            errors: errors.collect(),
        })
    }
}

impl fmt::Display for ProblemDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.detail.as_str(), self.title.as_str()) {
            ("", "") => "the server does not say why",
            ("", title) => title,
            (detail, _) => detail,
        })?;
        for ProblemError { pointer, detail } in &self.errors {
            // Many problems say it twice, if one part of the body is wrong.
            if *detail != self.detail {
                write!(f, "; {pointer}: {detail}")?;
            }
        }
        Ok(())
    }
}

/// A server's text as one line of limited length. Control characters are escaped where it is
/// shown.
pub(crate) fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str) -> String {
        ProblemDetails::parse(body.as_bytes())
            .map_or("none".to_owned(), |problem| problem.to_string())
    }

    #[test]
    fn fuzz_problem() {
        let seeds = [
            r#"{"type":"urn:x:exists","title":"Conflict","status":409,"detail":"bob exists","instance":"urn:uuid:1"}"#,
            r#"{"title":"Unprocessable","errors":[{"pointer":"/name","detail":"a colon"},{"detail":1}]}"#,
        ];
        fuzz::target("problems of an API", &seeds, |bytes| {
            let Some(problem) = ProblemDetails::parse(bytes) else {
                return false;
            };
            let shown = problem.to_string();
            assert!(shown.chars().count() <= (2 * MAX_ERRORS + 1) * (MAX_TEXT + 4));
            !problem.errors.is_empty()
        });
    }

    #[test]
    fn the_most_exact_words_are_shown() {
        for (body, words) in [
            (
                r#"{"title":"Conflict","detail":"bob exists"}"#,
                "bob exists",
            ),
            (r#"{"title":"Conflict","detail":""}"#, "Conflict"),
            (
                r#"{"title":7,"detail":["x"]}"#,
                "the server does not say why",
            ),
            (
                r#"{"detail":"wrong","errors":[{"pointer":"/ttl","detail":"use s or m"},{"pointer":"/x","detail":"wrong"}]}"#,
                "wrong; /ttl: use s or m",
            ),
            ("{\"detail\":\"a\\nhint: b\"}", "a hint: b"),
            ("[]", "none"),
            ("", "none"),
        ] {
            assert_eq!(shown(body), words, "{body}");
        }
        let kind = |body: &str| ProblemDetails::parse(body.as_bytes()).unwrap().kind;
        assert_eq!(kind("{}"), "about:blank");
        assert_eq!(kind(r#"{"type":"urn:x"}"#), "urn:x");
    }

    #[test]
    fn a_problem_of_any_length_is_short() {
        let errors = r#"{"pointer":"/a","detail":"b"},"#.repeat(1000);
        let body = format!(
            r#"{{"detail":"{}","errors":[{errors}{{}}]}}"#,
            "é".repeat(5000)
        );
        let problem = ProblemDetails::parse(body.as_bytes()).unwrap();
        assert_eq!(problem.detail.chars().count(), MAX_TEXT + 1);
        assert_eq!(problem.errors.len(), MAX_ERRORS);
    }
}
