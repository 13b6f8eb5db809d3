//! Labels from claims.

use openid::claim;
use policy::Labels;
use serde_json::{Map, Value};

/// A label for each of `paths` whose claim is a list of texts or one text.
pub(crate) fn labels(claims: &Map<String, Value>, paths: &[String]) -> Labels {
    let mut labels = Labels::new();
    for path in paths {
        let values: Vec<String> = match claim(claims, path) {
            Some(Value::Array(items)) => items
                .iter()
                .filter_map(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .collect(),
            Some(Value::String(text)) if !text.is_empty() => vec![text.clone()],
            _ => Vec::new(),
        };
        if !values.is_empty() {
            labels.insert(path.clone(), values);
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_texts_and_paths_become_labels() {
        let Value::Object(claims) = serde_json::json!({
            "groups": ["b", "", 7, "a"],
            "department": "tools",
            "realm_access": {"roles": ["admin"]},
            "https://example.com/teams": ["x"],
            "number": 7,
        }) else {
            panic!("not an object")
        };
        let paths = [
            "groups",
            "department",
            "realm_access.roles",
            "https://example.com/teams",
            "number",
            "realm_access.none",
            "absent",
        ]
        .map(str::to_owned);
        let expected = [
            ("groups", vec!["b", "a"]),
            ("department", vec!["tools"]),
            ("realm_access.roles", vec!["admin"]),
            ("https://example.com/teams", vec!["x"]),
        ];
        let expected: Labels = expected
            .into_iter()
            .map(|(name, values)| {
                (
                    name.to_owned(),
                    values.into_iter().map(str::to_owned).collect(),
                )
            })
            .collect();
        assert_eq!(labels(&claims, &paths), expected);
    }
}
