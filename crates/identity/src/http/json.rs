//! JSON that a server answered with.

use std::fmt;

use serde::de::DeserializeOwned;

/// Where an answer is wrong. The answer itself is not shown, because it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonPlace {
    line: usize,
    column: usize,
}

impl fmt::Display for JsonPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The object in `body`. Nothing else is taken for one: a list of its members would be, in order.
///
/// # Errors
/// Where it is something else.
pub fn json_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, JsonPlace> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(JsonPlace { line: 1, column: 1 });
    }
    serde_json::from_slice(body).map_err(|error| JsonPlace {
        line: error.line(),
        column: error.column(),
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct One {
        one: Option<String>,
    }

    #[test]
    fn only_an_object_is_one() {
        let one = |json: &str| json_object(json.as_bytes()).map(|One { one }| one);
        assert_eq!(one("{}"), Ok(None));
        assert_eq!(one(" \n{\"one\":\"x\",\"two\":2}\n"), Ok(Some("x".into())));
        for wrong in [
            "",
            "[null]",
            "null",
            "\"x\"",
            "<html>",
            "{",
            "{} {}",
            "{\"one\":1}",
        ] {
            assert!(one(wrong).is_err(), "{wrong}");
        }
        let place = one("{\n  \"one\": SECRET}").unwrap_err().to_string();
        assert_eq!(place, "line 2, column 10");
    }
}
