//! The OpenAPI 3.1 document, made of the table in `routes.rs`.

use http::Method;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::operation::ApiOperation;
use crate::problem::ProblemView;
use crate::routes::{OPENAPI, operations};

/// The document. It is the same on every server: addresses are relative to its own.
#[must_use]
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    paths.insert(OPENAPI.to_owned(), json!({ "get": own_operation() }));
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        let method = operation.method.as_str().to_ascii_lowercase();
        path[method] = described(&operation, &mut generator);
    }
    generator.subschema_for::<ProblemView>();
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Wharfinger",
            "version": "1",
            "description": "Accounts, robots, tokens, rules and sessions of a token server. The rules \
                            that grant repositories grant these operations, too: their scopes have \
                            the type `wharfinger`.",
        },
        "servers": [{ "url": "." }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of this server's token endpoint, which a 401 \
                                    names with the service and the scope",
                },
            },
            "responses": {
                "Problem": {
                    "description": "The request failed (RFC 9457)",
                    "content": {
                        "application/problem+json": {
                            "schema": { "$ref": "#/components/schemas/Problem" },
                        },
                    },
                },
            },
        },
    })
}

fn own_operation() -> Value {
    json!({
        "operationId": "showOpenApi",
        "summary": "Show this document",
        "security": [],
        "responses": {
            "200": {
                "description": "This document",
                "content": { "application/json": { "schema": { "type": "object" } } },
            },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    })
}

fn described(operation: &ApiOperation, generator: &mut SchemaGenerator) -> Value {
    let needed = operation.needed;
    let scopes: Vec<String> = needed.to_string().split(' ').map(str::to_owned).collect();
    let description = match needed.own {
        None => format!("Needs the scope `{}`.", needed.full),
        Some(own) => format!(
            "Needs the scope `{}`, or `{own}` for what is the caller's own.",
            needed.full
        ),
    };
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": description,
        "x-scopes": scopes,
    });
    let input = (operation.input)(generator);
    let mut parameters = path_parameters(operation.path);
    if let Some(query) = input.query {
        parameters.extend(query_parameters(&query));
    }
    if operation.is_creation {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A text of the client's choice. A second request with it, within 24 hours, \
                            gets the response of the first",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        }));
    }
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = input.body {
        described["requestBody"] = json!({
            "required": true,
            "content": { (body.media_type): { "schema": body.schema } },
        });
    }
    described["responses"] = responses(operation, generator);
    described
}

fn path_parameters(path: &str) -> Vec<Value> {
    let parts = path.split('/');
    let names = parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect()
}

/// The members of an object's schema, as parameters of the query.
fn query_parameters(schema: &Schema) -> Vec<Value> {
    let members = schema.get("properties").and_then(Value::as_object);
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema
            .as_object_mut()
            .and_then(|it| it.remove("description"));
        json!({ "name": name, "in": "query", "description": description, "schema": schema })
    };
    members.into_iter().flatten().map(parameter).collect()
}

fn responses(operation: &ApiOperation, generator: &mut SchemaGenerator) -> Value {
    let shape = (operation.reply)(generator);
    let mut success = json!({
        "description": shape.status.canonical_reason().unwrap_or_default(),
    });
    if let Some(schema) = shape.schema {
        success["content"] = json!({ "application/json": { "schema": schema } });
    }
    let headers: Map<String, Value> = shape
        .headers
        .iter()
        .map(|name| (name.to_string(), json!({ "schema": { "type": "string" } })))
        .collect();
    if !headers.is_empty() {
        success["headers"] = headers.into();
    }
    let mut responses = json!({});
    responses[shape.status.as_str()] = success;
    if operation.method == Method::GET && shape.headers.contains(&http::header::ETAG) {
        responses["304"] = json!({ "description": "Not Modified" });
    }
    responses["default"] = json!({ "$ref": "#/components/responses/Problem" });
    responses
}
