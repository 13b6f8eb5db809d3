//! Compares responses with the OpenAPI document: the part of JSON Schema that it uses.

use serde_json::Value;

use crate::bench::Answer;

/// Checks that the document describes `answer` to `method` and `path`.
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    let document = api::openapi_document();
    let Some(operation) = operation(&document, method, path) else {
        // A path or a method that does not exist.
        return assert_matches(&document, &problem(), answer, "a problem");
    };
    let status = answer.status.to_string();
    let responses = &operation["responses"];
    let described = match responses.get(&status) {
        Some(described) => described,
        None => &responses["default"],
    };
    let described = resolved(&document, described);
    let place = format!("{method} {path}: {status}");
    match described.get("content").and_then(Value::as_object) {
        None => assert!(
            answer.body.is_null() && method != "HEAD",
            "{place} has no body"
        ),
        Some(content) => {
            let (media_type, content) = content.iter().next().unwrap();
            assert_eq!(answer.header("content-type"), media_type, "{place}");
            assert_matches(&document, &content["schema"], answer, &place);
        }
    }
}

fn problem() -> Value {
    serde_json::json!({ "$ref": "#/components/schemas/Problem" })
}

/// The operation of a request, if there is one.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next().unwrap();
    let method = match method {
        "HEAD" => "get".to_owned(),
        method => method.to_ascii_lowercase(),
    };
    let paths = document["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template
                .zip(path)
                .all(|(part, segment)| part == segment || part.starts_with('{'))
    };
    let (_, found) = paths.iter().find(|(template, _)| fits(template))?;
    found.get(method)
}

fn assert_matches(document: &Value, schema: &Value, answer: &Answer, place: &str) {
    let mut wrong = Vec::new();
    validate(document, schema, &answer.body, "", &mut wrong);
    assert!(wrong.is_empty(), "{place}: {wrong:#?} in {:#}", answer.body);
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap();
            document
                .pointer(pointer)
                .unwrap_or_else(|| panic!("no {reference}"))
        }
        None => schema,
    }
}

/// What in `value` is not as `schema` says.
pub(crate) fn validate(
    document: &Value,
    schema: &Value,
    value: &Value,
    place: &str,
    wrong: &mut Vec<String>,
) {
    let schema = resolved(document, schema);
    if let Some(wanted) = schema.get("type") {
        let wanted: Vec<&str> = match wanted {
            Value::String(one) => vec![one],
            list => list
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it.as_str().unwrap())
                .collect(),
        };
        if !wanted.iter().any(|wanted| is(value, wanted)) {
            wrong.push(format!("{place}: {value} is not {wanted:?}"));
            return;
        }
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        wrong.push(format!("{place}: {value} is not one of {allowed:?}"));
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(list) = schema.get(key).and_then(Value::as_array) {
            let fits = |schema: &&Value| {
                let mut wrong = Vec::new();
                validate(document, schema, value, place, &mut wrong);
                wrong.is_empty()
            };
            if !list.iter().any(|schema| fits(&schema)) {
                wrong.push(format!("{place}: {value} is none of {key}"));
            }
        }
    }
    for part in schema
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        validate(document, part, value, place, wrong);
    }
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = schema.get("items") {
                validate(document, schema, item, &format!("{place}/{index}"), wrong);
            }
        }
    }
    if let Some(members) = value.as_object() {
        validate_members(document, schema, members, place, wrong);
    }
}

fn validate_members(
    document: &Value,
    schema: &Value,
    members: &serde_json::Map<String, Value>,
    place: &str,
    wrong: &mut Vec<String>,
) {
    let known = schema.get("properties").and_then(Value::as_object);
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if !members.contains_key(name.as_str().unwrap()) {
            wrong.push(format!("{place}: no {name}"));
        }
    }
    for (name, value) in members {
        let place = format!("{place}/{name}");
        match (
            known.and_then(|known| known.get(name)),
            schema.get("additionalProperties"),
        ) {
            (Some(schema), _) => validate(document, schema, value, &place, wrong),
            (None, Some(other)) if other.is_object() => {
                validate(document, other, value, &place, wrong);
            }
            (None, Some(Value::Bool(true))) => {}
            // Stricter than JSON Schema: an answer has no member that is not described.
            (None, _) if known.is_some() => wrong.push(format!("{place}: is not described")),
            (None, _) => {}
        }
    }
}

fn is(value: &Value, wanted: &str) -> bool {
    match wanted {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not known here"),
    }
}

#[test]
fn a_response_that_is_not_described_is_found() {
    let document = serde_json::json!({});
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "a": { "type": ["string", "null"] } },
        "required": ["a"],
    });
    let wrong = |value: Value| {
        let mut wrong = Vec::new();
        validate(&document, &schema, &value, "", &mut wrong);
        wrong.len()
    };
    assert_eq!(wrong(serde_json::json!({ "a": null })), 0);
    assert_eq!(wrong(serde_json::json!({ "a": 1 })), 1);
    assert_eq!(wrong(serde_json::json!({ "a": "x", "b": 1 })), 1);
    assert_eq!(wrong(serde_json::json!({})), 1);
    assert_eq!(wrong(serde_json::json!([])), 1);
}
