//! A claim as a configuration names it.

use std::fmt;

use serde_json::{Map, Value};

use crate::Preset;

/// The name of a claim, or the path to a member of one: `repository_id`, `realm_access.roles`. With a
/// preset, short names stand for longer paths: `namespace` of a pod's token is
/// `kubernetes.io.namespace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    written: String,
    path: String,
}

impl ClaimPath {
    /// The claim that `written` names in tokens of `preset`.
    #[must_use]
    pub fn new(written: &str, preset: Preset) -> Self {
        let path = preset.full_path(written).unwrap_or(written);
        Self {
            written: written.to_owned(),
            path: path.to_owned(),
        }
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The values of the claim as texts: several if it is a list, none if it is absent or an object.
    #[must_use]
    pub fn values(&self, claims: &Map<String, Value>) -> Vec<String> {
        match openid::claim(claims, &self.path) {
            Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
            Some(value) => text(value).into_iter().collect(),
            None => Vec::new(),
        }
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// A scalar as text: platforms write ids as text or as numbers.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
