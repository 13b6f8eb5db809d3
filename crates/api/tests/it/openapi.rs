//! The OpenAPI document: a golden file, whose changes are reviewed. `BLESS=1` writes it anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::bench::Bench;

#[test]
fn the_document_is_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/openapi.json");
    let document = format!("{:#}\n", api::openapi_document());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &document).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == document,
        "run the test with BLESS=1, and review what changes"
    );
}

#[tokio::test]
async fn the_document_needs_no_token() {
    let bench = Bench::new();
    let answer = bench.send(("GET", "/openapi.json"), &[], "").await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &api::openapi_document())
    );
    let refused = bench.send(("POST", "/openapi.json"), &[], "").await;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, "GET, HEAD")
    );
}

#[test]
fn every_reference_and_every_id_is_sound() {
    let document = api::openapi_document();
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 10);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(
                ids.insert(id.to_owned()),
                "{method} {path}: {id} is there twice"
            );
            let has_summary = operation["summary"]
                .as_str()
                .is_some_and(|it| !it.ends_with('.'));
            assert!(has_summary, "{method} {path}");
        }
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_references(item, references)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "$ref" => references.push(text.clone()),
                    value => collect_references(value, references),
                }
            }
        }
        _ => {}
    }
}
