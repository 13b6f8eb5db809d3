//! A user's labels, as `docker_auth` stores them: `{"group": ["dev", "ops"]}`.

use policy::Labels;
use serde_json::Value;

/// Why labels cannot be read. The text of a cell may be anything, so it is not repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelsError {
    #[error("not JSON (line {line}, column {column}): write {{\"group\": [\"dev\"]}}")]
    Json { line: usize, column: usize },
    #[error("not an object of lists of strings: write {{\"group\": [\"dev\"]}}")]
    Form,
}

/// The labels in `text`. None are there if it is empty or `null`.
pub(crate) fn parse(text: &str) -> Result<Labels, LabelsError> {
    if text.trim().is_empty() {
        return Ok(Labels::new());
    }
    let json: Value = serde_json::from_str(text).map_err(|error| LabelsError::Json {
        line: error.line(),
        column: error.column(),
    })?;
    let labels = match json {
        Value::Null => return Ok(Labels::new()),
        Value::Object(labels) => labels,
        _ => return Err(LabelsError::Form),
    };
    labels
        .into_iter()
        .map(|(name, values)| Ok((name, texts(values)?)))
        .collect()
}

fn texts(values: Value) -> Result<Vec<String>, LabelsError> {
    let values = match values {
        Value::Null => return Ok(Vec::new()),
        Value::Array(values) => values,
        _ => return Err(LabelsError::Form),
    };
    let text = |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(LabelsError::Form),
    };
    values.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_texts_and_nothing_else() {
        let labels = parse(r#"{"group": ["dev", "ops"], "none": null}"#).unwrap();
        assert_eq!(labels["group"], ["dev", "ops"]);
        assert!(labels["none"].is_empty());
        for text in ["", "  \n", "null", "{}"] {
            assert_eq!(parse(text), Ok(Labels::new()), "{text:?}");
        }
        for text in [
            "{",
            "hunter2",
            "[]",
            "7",
            r#"{"a": "b"}"#,
            r#"{"a": [1]}"#,
            r#"{"a": [null]}"#,
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("write {\"group\": [\"dev\"]}") && !error.contains("hunter2"));
        }
    }

    #[test]
    fn fuzz_sql_labels() {
        let seeds = [r#"{"group": ["dev", "ops"]}"#, "null", ""];
        fuzz::target("labels", &seeds, |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|text| parse(text).is_ok())
        });
    }
}
