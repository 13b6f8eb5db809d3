//! JSON that other programs write, read as leniently as Go's `encoding/json` reads it: clients,
//! registries and token servers are mostly written in Go, and test against nothing else.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A whole text of JSON. Text in it that is not Unicode is no error.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(&oci::repaired_json(text))
}

/// The member called `name`: as written, else in another case. Of repeated members the last
/// counts; `null` is as good as absent.
pub(crate) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let same_case = object.get(name);
    let any_case = || {
        let mut members = object.iter().rev();
        members.find(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    same_case
        .or_else(|| any_case().map(|(_, value)| value))
        .filter(|value| !value.is_null())
}

/// The text of a member; `None` when it is absent, empty, or not text.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    member(object, name)?
        .as_str()
        .filter(|text| !text.is_empty())
}

/// A number of seconds: a whole number, one with a fraction, or one in quotes. A number that no
/// date can have is ignored.
pub(crate) fn seconds(object: &Map<String, Value>, name: &str) -> Option<u64> {
    match member(object, name)? {
        Value::Number(number) => whole(number.as_f64()?),
        Value::String(text) => whole(text.trim().parse().ok()?),
        _ => None,
    }
}

/// The members of an array; empty when it is absent or something else.
pub(crate) fn list<'a>(object: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    member(object, name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked, and a fraction of a second does not matter"
)]
fn whole(seconds: f64) -> Option<u64> {
    (0.0..1e15).contains(&seconds).then_some(seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn text_that_is_not_unicode_is_read() {
        let tags: Vec<String> = parse(b"[\"a\xff\",\"\\ud800b\"]").unwrap();
        assert_eq!(tags, ["a\u{fffd}", "\u{fffd}b"]);
    }

    #[test]
    fn members_as_go_finds_them() {
        let json = object(r#"{"Token":"a","token":"b","ACCESS_TOKEN":"c","n":null,"token":"d"}"#);
        assert_eq!(text(&json, "token"), Some("d"));
        assert_eq!(text(&json, "access_token"), Some("c"));
        assert_eq!(member(&json, "n"), None);
    }

    #[test]
    fn seconds_in_every_form() {
        for (written, read) in [
            ("300", Some(300)),
            (r#""300""#, Some(300)),
            (r#"" 300 ""#, Some(300)),
            ("300.9", Some(300)),
            (r#""300.5""#, Some(300)),
            ("3e2", Some(300)),
            ("-1", None),
            (r#""soon""#, None),
            ("null", None),
            ("true", None),
            ("1e300", None),
            ("18446744073709551615", None),
            (r#""18446744073709551615""#, None),
            (r#""nan""#, None),
            (r#""inf""#, None),
            ("999999999999999", Some(999_999_999_999_999)),
        ] {
            let json = object(&format!(r#"{{"expires_in":{written}}}"#));
            assert_eq!(seconds(&json, "expires_in"), read, "{written}");
        }
    }
}
