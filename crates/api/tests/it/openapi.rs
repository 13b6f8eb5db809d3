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

/// The table of the manual: between two marks, a row for each operation. `BLESS=1` writes it.
#[test]
fn the_table_of_the_manual_is_that_of_the_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- operations -->\n").unwrap();
    let (table, after) = rest.split_once("<!-- end -->").unwrap();
    let document = api::openapi_document();
    let mut rows = "\n| operation | what it does | scopes |\n|---|---|---|\n".to_owned();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let scopes = operation["x-scopes"].as_array().map(|scopes| {
                let scopes = scopes
                    .iter()
                    .map(|scope| format!("`{}`", scope.as_str().unwrap()));
                scopes.collect::<Vec<_>>().join(" or ")
            });
            rows += &format!(
                "| `{} {path}` | {} | {} |\n",
                method.to_ascii_uppercase(),
                operation["summary"].as_str().unwrap(),
                scopes.unwrap_or_else(|| "none".to_owned())
            );
        }
    }
    rows.push('\n');
    if std::env::var_os("BLESS").is_some() {
        fs::write(
            &path,
            format!("{before}<!-- operations -->\n{rows}<!-- end -->{after}"),
        )
        .unwrap();
    } else {
        assert!(
            table == rows,
            "run the test with BLESS=1 to write the table anew"
        );
    }
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
