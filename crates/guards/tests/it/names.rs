//! One name, one meaning in the workspace: house rule for types that more than one module sees.

use std::collections::BTreeMap;

use crate::source::{code, crates, files, root};

/// Names that every crate or module has for itself.
const EVERYWHERE: [&str; 3] = ["Error", "Arguments", "Command"];

#[test]
fn no_name_has_two_meanings() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in crates() {
        let src = root().join("crates").join(&name).join("src");
        for file in files(&src, ".rs") {
            let text = code(&std::fs::read_to_string(&file).unwrap());
            let place = file.strip_prefix(root().join("crates")).unwrap();
            for name in visible_types(&text) {
                places
                    .entry(name)
                    .or_default()
                    .push(place.display().to_string());
            }
        }
    }
    assert!(places.len() > 300, "only {} types were read", places.len());
    places.retain(|name, places| places.len() > 1 && !EVERYWHERE.contains(&name.as_str()));
    assert!(places.is_empty(), "qualify these names: {places:#?}");
}

/// The names of the types in `code` that other modules can see.
fn visible_types(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in code.lines() {
        let Some(rest) = line.trim_start().strip_prefix("pub") else {
            continue;
        };
        let rest = match rest.strip_prefix('(') {
            Some(inner) => inner.split_once(')').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let mut words = rest.split_whitespace();
        if matches!(
            words.next(),
            Some("struct" | "enum" | "trait" | "type" | "union")
        ) {
            let name = words.next().unwrap_or_default();
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            names.push(name[..end.unwrap_or(name.len())].to_owned());
        }
    }
    names
}

#[test]
fn types_are_found_by_their_visibility() {
    let code = "pub struct A<T>(T);\n  pub(crate) enum B {\nstruct C;\npub(super) type D = u8;\npub fn e() {}\n";
    assert_eq!(visible_types(code), ["A", "B", "D"]);
}
