//! A token's claims as Go reads them: a missing one is empty, one of another type is an error.

use serde_json::Value;

use crate::RegistryVersion;

/// The claims that registries look at.
#[derive(Debug, Default)]
pub(crate) struct GoClaims {
    pub(crate) issuer: String,
    pub(crate) audience: Vec<String>,
    pub(crate) expires_at: u64,
    pub(crate) not_before: u64,
}

impl GoClaims {
    /// Reads claims as `registry` does: since 3.0 `aud` may be a list.
    ///
    /// # Errors
    /// Go's message, as far as it is known.
    pub(crate) fn read(json: &str, registry: RegistryVersion) -> Result<Self, String> {
        let is_2 = registry == RegistryVersion::V2_8;
        let Ok(Value::Object(members)) = serde_json::from_str(json) else {
            return Err("…".to_owned());
        };
        for (name, value) in &members {
            let wanted = match name.as_str() {
                "iss" | "sub" | "jti" => "string",
                "aud" if is_2 => "string",
                "exp" | "nbf" | "iat" => "int64",
                _ => continue,
            };
            if let Some(found) = mismatch(value, wanted) {
                let place = if is_2 {
                    format!("struct field ClaimSet.{name}")
                } else {
                    "value".to_owned()
                };
                return Err(format!(
                    "json: cannot unmarshal {found} into Go {place} of type {wanted}"
                ));
            }
        }
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let seconds = |name: &str| members.get(name).and_then(Value::as_u64).unwrap_or(0);
        Ok(Self {
            issuer: text("iss").unwrap_or_default(),
            audience: match members.get("aud") {
                Some(Value::Array(several)) => several
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
                _ => text("aud").into_iter().collect(),
            },
            expires_at: seconds("exp"),
            not_before: seconds("nbf"),
        })
    }
}

/// What Go calls a value that is not of the type wanted.
fn mismatch(value: &Value, wanted: &str) -> Option<String> {
    match value {
        Value::String(_) if wanted == "string" => None,
        Value::Number(number) if wanted == "int64" && (number.is_i64() || number.is_u64()) => None,
        Value::Null => None,
        Value::Bool(_) => Some("bool".to_owned()),
        Value::Number(number) if wanted == "int64" => Some(format!("number {number}")),
        Value::Number(_) => Some("number".to_owned()),
        Value::String(_) => Some("string".to_owned()),
        Value::Array(_) => Some("array".to_owned()),
        Value::Object(_) => Some("object".to_owned()),
    }
}
