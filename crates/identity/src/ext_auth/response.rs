//! The output of an `ext_auth` program, read as Go's `encoding/json` reads it.

use std::collections::BTreeMap;
use std::fmt;

use policy::Labels;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// The labels in `output`; no labels if it is empty or `null`.
pub(super) fn labels(output: &[u8]) -> Result<Labels, ResponseError> {
    if output.is_empty() {
        return Ok(Labels::new());
    }
    // Go replaces bytes that are not UTF-8 inside strings, and they are an error elsewhere. A
    // replacement character outside of a string is an error, too.
    let text = String::from_utf8_lossy(output);
    match serde_json::from_str::<Option<Response>>(&text) {
        Ok(response) => Ok(response.map(|response| response.0).unwrap_or_default()),
        Err(error) => Err(ResponseError {
            line: error.line(),
            column: error.column(),
        }),
    }
}

/// Output that cannot be read. It is not shown, because it may hold the password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}, column {column}: the output must be empty or JSON of the form {}",
    r#"{"labels": {"name": ["value"]}}"#
)]
pub(super) struct ResponseError {
    line: usize,
    column: usize,
}

struct Response(Labels);

/// A label's values. Go reads `null` as the empty list or the empty string.
type Values = Option<Vec<Option<String>>>;

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ResponseVisitor)
    }
}

struct ResponseVisitor;

impl<'de> Visitor<'de> for ResponseVisitor {
    type Value = Response;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// A repeated member adds to the first, and `null` empties it.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Response, A::Error> {
        let mut labels = Labels::new();
        while let Some(name) = members.next_key::<String>()? {
            if !is_labels(&name) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            match members.next_value::<Option<BTreeMap<String, Values>>>()? {
                None => labels.clear(),
                Some(more) => labels.extend(more.into_iter().map(|(label, values)| {
                    (
                        label,
                        values
                            .unwrap_or_default()
                            .into_iter()
                            .map(Option::unwrap_or_default)
                            .collect(),
                    )
                })),
            }
        }
        Ok(Response(labels))
    }
}

/// Whether `name` is `labels` in any case. Unicode has one more letter that folds to `s`: the long
/// one.
fn is_labels(name: &str) -> bool {
    name.replace('ſ', "s").eq_ignore_ascii_case("labels")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Option<Vec<(String, Vec<String>)>> {
        labels(output.as_bytes())
            .ok()
            .map(|labels| labels.into_iter().collect())
    }

    fn row(name: &str, values: &[&str]) -> (String, Vec<String>) {
        (
            name.to_owned(),
            values.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn nothing_is_fine_in_many_ways() {
        for output in [
            "",
            "null",
            " null\n",
            "{}",
            "{}\n",
            r#"{"labels":null}"#,
            r#"{"labels":{}}"#,
            r#"{"other":[1]}"#,
        ] {
            assert_eq!(read(output), Some(vec![]), "{output}");
        }
    }

    #[test]
    fn reads_labels() {
        assert_eq!(
            read(r#"{"labels":{"team":["a","b"],"vip":[]},"more":{"x":1e999}}"#),
            Some(vec![row("team", &["a", "b"]), row("vip", &[])])
        );
        for name in ["Labels", "LABELS", "lAbElS", "label\u{17f}", r"label\u017F"] {
            assert_eq!(
                read(&format!(r#"{{"{name}":{{"g":["x"]}}}}"#)),
                Some(vec![row("g", &["x"])]),
                "{name}"
            );
        }
        assert_eq!(
            read(r#"{"labels":{"g":null,"h":[null,"x"]}}"#),
            Some(vec![row("g", &[]), row("h", &["", "x"])])
        );
    }

    #[test]
    fn a_member_that_comes_twice_adds_up() {
        let twice = r#"{"labels":{"a":["1"],"b":["2"]},"Labels":{"b":["3"],"b":["4"]}}"#;
        assert_eq!(read(twice), Some(vec![row("a", &["1"]), row("b", &["4"])]));
        assert_eq!(
            read(r#"{"labels":{"a":["1"]},"labels":null}"#),
            Some(vec![])
        );
    }

    #[test]
    fn refuses_what_go_refuses() {
        for output in [
            "\n",
            " ",
            "ok",
            "[]",
            "7",
            r#""labels""#,
            r#"{"labels":[]}"#,
            r#"{"labels":"x"}"#,
            r#"{"labels":{"g":"x"}}"#,
            r#"{"labels":{"g":[1]}}"#,
            r#"{"labels":{"g":[["x"]]}}"#,
            r#"{"labels":{}} {}"#,
            r#"{"labels":{},}"#,
            r#"{labels:{}}"#,
        ] {
            assert_eq!(read(output), None, "{output}");
        }
        assert!(labels(b"\xff").is_err());
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        let read = labels(b"{\"labels\":{\"g\":[\"\xff\"]}}").unwrap();
        assert_eq!(read["g"], ["\u{fffd}"]);
    }

    #[test]
    fn an_error_shows_where_and_not_what() {
        let error = labels(b"{\"labels\":{\"g\":\"SECRET\"}}")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("line 1, column ") && !error.contains("SECRET"),
            "{error}"
        );
    }
}
