//! JSON bodies, read strictly: each member once, no member that is not known.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use common::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use crate::problem::ApiProblem;

/// The largest body, in bytes.
pub(crate) const MAX_BODY: usize = 64 << 10;

/// Reads `bytes` as a `T`.
///
/// # Errors
/// With the JSON pointer of the member that is wrong.
pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiProblem> {
    if bytes.is_empty() {
        return Err(ApiProblem::invalid_body("", "the body is empty: send JSON"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let document = serde_path_to_error::deserialize(&mut deserializer);
    let UniqueMembers(document) = document.map_err(|error| {
        let pointer = pointer(error.path());
        ApiProblem::invalid_body(
            pointer,
            format!("not JSON that is read here: {}", error.inner()),
        )
    })?;
    if deserializer.end().is_err() {
        let detail = "there is something behind the JSON value: send one value";
        return Err(ApiProblem::invalid_body("", detail));
    }
    // Before it is read as a `T`, whose error might repeat a secret that is sent alone.
    if !document.is_object() {
        return Err(ApiProblem::invalid_body("", "the body must be an object"));
    }
    serde_path_to_error::deserialize(document).map_err(|error| {
        let mistake = Mistake::of(&error.inner().to_string());
        let pointer = pointer(error.path()) + &mistake.member_below("/", &error);
        ApiProblem::invalid_body(pointer, mistake.detail)
    })
}

/// What is wrong with a value, in words for clients. serde's words name types of this program.
pub(crate) struct Mistake {
    pub(crate) detail: String,
    /// The member that is missing.
    missing: Option<String>,
}

impl Mistake {
    /// What serde's `message` says.
    pub(crate) fn of(message: &str) -> Self {
        let named = |begin: &str| message.strip_prefix(begin)?.split('`').next();
        let mut missing = None;
        let detail = if let Some(name) = named("missing field `") {
            missing = Some(name.to_owned());
            format!("{name} is missing")
        } else if let Some(name) = named("unknown field `") {
            let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            match known.is_empty() {
                true => format!("{name} is not known here"),
                false => format!("{name} is not known here: known are {}", known.join(", ")),
            }
        } else if let Some((_, expected)) = message
            .strip_prefix("invalid type: ")
            .and_then(|rest| rest.split_once(", expected "))
        {
            format!("must be {}", in_json(expected))
        } else {
            message.to_owned()
        };
        Self { detail, missing }
    }

    /// What the path lacks of a member that is missing.
    fn member_below<E>(&self, separator: &str, error: &serde_path_to_error::Error<E>) -> String {
        let is_last = error
            .path()
            .iter()
            .next_back()
            .is_some_and(|last| match last {
                Segment::Map { key } => Some(key) == self.missing.as_ref(),
                _ => false,
            });
        match &self.missing {
            Some(name) if !is_last => format!("{separator}{name}"),
            _ => String::new(),
        }
    }

    /// The parameter of the query that is wrong.
    pub(crate) fn parameter<E>(&self, error: &serde_path_to_error::Error<E>) -> String {
        match &self.missing {
            Some(name) => name.clone(),
            None => error.path().to_string(),
        }
    }
}

/// What serde expects, as JSON calls it.
fn in_json(expected: &str) -> &str {
    match expected {
        "a string" | "a borrowed string" | "string" => "a string",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        other if other.starts_with("struct ") || other.starts_with("a map") => "an object",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        other => other,
    }
}

/// Reads a member that may be absent, and may not be `null`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a member that may be `null`, and may not be absent.
pub(crate) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// A member that is a secret. An error does not repeat it, whatever its type is.
#[derive(Clone, Debug)]
pub(crate) struct SecretText(pub(crate) Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(Secret::from(text))),
            _ => Err(D::Error::custom("must be a string")),
        }
    }
}

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "password", "writeOnly": true })
    }
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        let segment = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => escaped(key),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        text.push('/');
        text.push_str(&segment);
    }
    text
}

/// A member's name in a JSON pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A JSON value, in which no object has a member twice. Two programs would read such an object as
/// two.
struct UniqueMembers(Value);

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UniqueVisitor.deserialize(deserializer).map(Self)
    }
}

#[derive(Clone, Copy)]
struct UniqueVisitor;

impl<'de> DeserializeSeed<'de> for UniqueVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let (mut object, mut seen) = (Map::new(), HashSet::new());
        while let Some(name) = members.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                // As the value's error, so that its path has the member's name.
                members.next_value_seed(RepeatedMember)?;
            }
            object.insert(name, members.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

struct RepeatedMember;

impl<'de> DeserializeSeed<'de> for RepeatedMember {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(D::Error::custom("this member is there twice"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_said_in_words_of_json() {
        for (message, expected) in [
            ("missing field `name`", "name is missing"),
            (
                "unknown field `x`, expected `a` or `b`",
                "x is not known here: known are a, b",
            ),
            (
                "unknown field `x`, there are no fields",
                "x is not known here",
            ),
            (
                "invalid type: integer `5`, expected a string",
                "must be a string",
            ),
            (
                "invalid type: null, expected struct NewUser",
                "must be an object",
            ),
            (
                "invalid type: string \"x\", expected u32",
                "must be a whole number",
            ),
            ("must be a string", "must be a string"),
        ] {
            assert_eq!(Mistake::of(message).detail, expected);
        }
    }
}
