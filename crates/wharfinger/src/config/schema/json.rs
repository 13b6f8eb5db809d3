//! The JSON Schema (draft 2020-12) of the configuration, for editors: `wharfinger check --schema`.
//!
//! It is a little laxer than the program. What stands in quotes, what YAML 1.1 takes for a switch
//! and what depends on another key is left to `wharfinger check`.

use serde_json::{Map, Value, json};

use super::declaration::{Declaration, Dialect, Kind};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A text with a variable of the environment in it, which may stand for any scalar.
const VARIABLE: &str = r"\$\{env:[A-Za-z0-9_]+\}";

/// Lengths of time and sizes, as `crate::duration` reads them.
const DURATION: &str = r"^([0-9]*\.?[0-9]*(ns|us|µs|ms|s|m|h|d|w))+$|^[0-9]+$";
const SIZE: &str = r"^[0-9]+ *(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?$";

/// The schema of a whole configuration.
pub(crate) fn of_configuration() -> Value {
    let Value::Object(mapping) = mapping(&super::of_configuration()) else {
        return Value::Null;
    };
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), DIALECT.into());
    schema.insert("title".to_owned(), "Wharfinger's configuration".into());
    schema.extend(mapping);
    // Any key `x-…` at the top is a place for anchors.
    schema.insert("patternProperties".to_owned(), json!({ "^x-": true }));
    schema.insert(
        "anyOf".to_owned(),
        json!([{ "required": ["token"] }, { "required": ["registry"] }]),
    );
    Value::Object(schema)
}

fn mapping(declarations: &[Declaration]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for declaration in declarations {
        let mut schema = kind(&declaration.kind);
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), description(declaration).into());
        }
        properties.insert(declaration.name.to_owned(), schema);
        if declaration.from_file {
            let file = format!("{}_file", declaration.name);
            let means = format!("A file that holds `{}`.", declaration.name);
            properties.insert(file, json!({ "type": "string", "description": means }));
        }
        // A key that may come from a file is required as one of two.
        if declaration.required.is_some() {
            required.push(if declaration.from_file {
                let file = format!("{}_file", declaration.name);
                json!({ "anyOf": [{ "required": [declaration.name] }, { "required": [file] }] })
            } else {
                json!({ "required": [declaration.name] })
            });
        }
    }
    let mut schema = json!({
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Value::Object(schema), false) = (&mut schema, required.is_empty()) {
        schema.insert("allOf".to_owned(), required.into());
        schema.insert("type".to_owned(), "object".into());
    }
    schema
}

/// What the manual says of the key: meaning, type, bounds, default, origin.
fn description(declaration: &Declaration) -> String {
    let mut text = format!("{}. Type: {}", declaration.means, declaration.kind.name());
    if let Some(bounds) = declaration.kind.bounds() {
        text += &format!(", {bounds}");
    }
    if let Some(default) = &declaration.default {
        text += &format!(". Default: {default}");
    }
    if declaration.dialect == Dialect::DockerAuth {
        text += ". As in docker_auth";
    }
    text + "."
}

fn kind(of: &Kind) -> Value {
    match of {
        Kind::Text | Kind::Form(_) => json!({ "type": ["string", "number", "boolean", "null"] }),
        Kind::Path => json!({ "type": ["string", "null"] }),
        Kind::Words(words) => any([words_of(words), variable()]),
        Kind::Switch => any([
            json!({ "type": "boolean" }),
            words_of(&["yes", "no", "on", "off", "y", "n"]),
            variable(),
        ]),
        Kind::Number(bounds) => any([
            json!({ "type": "number", "minimum": bounds.start(), "maximum": bounds.end() }),
            variable(),
        ]),
        Kind::Duration(_) => any([
            json!({ "type": "number", "minimum": 0 }),
            json!({ "type": "string", "pattern": DURATION }),
            variable(),
        ]),
        Kind::Size(_) => any([
            json!({ "type": "number", "minimum": 0 }),
            json!({ "type": "string", "pattern": SIZE }),
            variable(),
        ]),
        Kind::List(item) => json!({ "type": ["array", "null"], "items": kind(item) }),
        Kind::OneOrMany(item) => {
            let one = kind(item);
            any([one.clone(), json!({ "type": "array", "items": one })])
        }
        Kind::Mapping(declarations) => mapping(declarations),
        Kind::Names(value) => {
            json!({ "type": ["object", "null"], "additionalProperties": or_null(kind(value)) })
        }
        Kind::Either(kinds) => any(kinds.iter().map(kind)),
        Kind::Anything => json!({}),
    }
}

fn or_null(schema: Value) -> Value {
    any([schema, json!({ "type": "null" })])
}

fn words_of(words: &[&str]) -> Value {
    // `off` and `none` are what some parsers of YAML take for a boolean or for nothing.
    let booleans = words.contains(&"off") || words.contains(&"on");
    let words = words.iter().map(|word| Value::from(*word));
    let booleans = booleans.then(|| [true.into(), false.into()]);
    json!({ "enum": words.chain(booleans.into_iter().flatten()).collect::<Vec<_>>() })
}

fn variable() -> Value {
    json!({ "type": "string", "pattern": VARIABLE })
}

fn any(schemas: impl IntoIterator<Item = Value>) -> Value {
    json!({ "anyOf": schemas.into_iter().collect::<Vec<_>>() })
}
