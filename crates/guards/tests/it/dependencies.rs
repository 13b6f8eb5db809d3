//! What others wrote: used, from one source, under licences that may be mixed, once each.
//!
//! `cargo deny` and `cargo machete` do the same, but every fresh machine would have to build them
//! first. There is no check for advisories: it needs a database from the network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::layers::{dependencies, named, section};
use crate::source::{code, crates, files, root};

/// Licences that need no more than a notice.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Dependencies that are not named in the code. May only shrink.
const NOT_NAMED: &[&str] = &[];

/// Crates that are there in more than one version because their users do not agree. May only
/// shrink. sqlx still has the older ones of most, and mongodb that of rand.
const SEVERAL_VERSIONS: &[&str] = &[
    "base64",
    "block-buffer",
    "core-foundation",
    "cpufeatures",
    "crypto-common",
    "digest",
    "fallible-iterator",
    "getrandom",
    "hashbrown",
    "hashlink",
    "r-efi",
    "rand",
    "rand_core",
    "sha2",
    "syn",
    "synstructure",
    "untrusted",
    "wasi",
    "windows-sys",
];

#[test]
fn every_dependency_is_used() {
    let mut unused = Vec::new();
    for name in crates() {
        let named = named(&name);
        for dependency in dependencies(&name) {
            if !named.contains(&dependency.replace('-', "_")) {
                unused.push(format!("{name} does not use {dependency}"));
            }
        }
    }
    unused.retain(|unused| !NOT_NAMED.contains(&unused.as_str()));
    assert_eq!(unused, [""; 0], "take them out of Cargo.toml");
}

/// The files of other crates that `file` includes by `#[path = "…"]`.
fn included(file: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(file).unwrap();
    let paths = text.split("#[path = \"").skip(1);
    let paths = paths.filter_map(|rest| rest.split('"').next());
    let paths = paths.filter(|path| path.starts_with("../../../"));
    paths.map(|path| file.with_file_name(path)).collect()
}

#[test]
fn every_dependency_of_tests_is_used() {
    let mut unused = Vec::new();
    for name in crates() {
        let files = files(&root().join("crates").join(&name), ".rs");
        let included = files.iter().flat_map(|file| included(file));
        let texts: Vec<String> = files
            .iter()
            .cloned()
            .chain(included)
            .map(|file| code(&fs::read_to_string(file).unwrap()))
            .collect();
        for dependency in section(&name, "[dev-dependencies]") {
            let path = format!("{}::", dependency.replace('-', "_"));
            if !texts.iter().any(|text| text.contains(&path)) {
                unused.push(format!("the tests of {name} do not use {dependency}"));
            }
        }
    }
    assert_eq!(unused, [""; 0], "take them out of Cargo.toml");
}

/// The packages of Cargo.lock: name, version, source.
fn locked() -> Vec<(String, String, Option<String>)> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let packages: Vec<_> = lock
        .split("[[package]]")
        .skip(1)
        .map(|package| {
            let field = |name: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(name))?;
                Some(
                    line.trim_start_matches([' ', '='])
                        .trim_matches('"')
                        .to_owned(),
                )
            };
            (
                field("name").unwrap(),
                field("version").unwrap(),
                field("source"),
            )
        })
        .collect();
    assert!(
        packages.len() > 100,
        "only {} packages were read",
        packages.len()
    );
    packages
}

#[test]
fn dependencies_come_from_one_registry() {
    let ours = crates();
    let mut sources = BTreeSet::new();
    for (name, version, source) in locked() {
        match source {
            Some(source) => {
                assert!(
                    source.starts_with("registry+"),
                    "{name} {version}: {source}"
                );
                sources.insert(source);
            }
            None => assert!(ours.contains(&name), "{name} {version} has no source"),
        }
    }
    assert_eq!(sources.len(), 1, "{sources:?}");
}

#[test]
fn no_new_dependency_in_two_versions() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, version, _) in locked() {
        versions.entry(name).or_default().push(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let found: BTreeSet<&str> = versions.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = SEVERAL_VERSIONS.iter().copied().collect();
    let new: Vec<_> = found
        .difference(&known)
        .map(|name| (name, &versions[*name]))
        .collect();
    assert!(new.is_empty(), "in several versions: {new:#?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "take these out of the list: {gone:#?}");
}

#[test]
fn licences_are_known() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform",
        ])
        .arg(host())
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(
            is_permitted(licence),
            "{} {}: the licence {licence:?} is not in the list",
            package["name"],
            package["version"]
        );
    }
}

/// Whether one side of every `OR` is in the list, and both of every `AND`.
fn is_permitted(expression: &str) -> bool {
    let permitted = |term: &str| LICENCES.contains(&term.trim_matches(['(', ')', ' ']));
    let all = |term: &str| term.split(" AND ").all(permitted);
    // Older packages write a slash for OR. An OR in parentheses counts as if all were needed.
    let expression = expression.replace('/', " OR ");
    if expression.contains('(') {
        let groups = expression.split(" AND ");
        return groups
            .into_iter()
            .all(|group| group.split(" OR ").any(permitted));
    }
    expression.split(" OR ").any(all)
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.unwrap().to_owned()
}

#[test]
fn expressions_of_licences() {
    assert!(is_permitted("MIT OR GPL-3.0") && is_permitted("MIT/Apache-2.0"));
    assert!(is_permitted("(MIT OR GPL-3.0) AND Unicode-3.0"));
    assert!(!is_permitted("GPL-3.0") && !is_permitted("MIT AND GPL-3.0") && !is_permitted(""));
}
