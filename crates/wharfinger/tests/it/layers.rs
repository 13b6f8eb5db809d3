//! The crates point one way: ARCHITECTURE.md draws it, this holds it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Each crate and the crates of ours that it may know, ground floor first.
const FLOORS: [(&str, &[&str]); 15] = [
    ("common", &[]),
    ("oci", &[]),
    ("hash-state", &[]),
    ("event", &["common", "oci"]),
    ("token", &["common"]),
    ("compatibility", &["common", "token"]),
    ("policy", &["common", "token"]),
    ("identity", &["common", "token", "policy"]),
    ("database", &["common"]),
    (
        "auth",
        &["common", "event", "token", "policy", "identity", "database"],
    ),
    ("storage", &["common", "oci", "hash-state", "database"]),
    (
        "registry",
        &["common", "event", "oci", "token", "identity", "storage"],
    ),
    ("client", &["common", "oci", "token", "compatibility"]),
    ("peers", &[]),
    (
        "wharfinger",
        &[
            "common",
            "event",
            "oci",
            "token",
            "compatibility",
            "policy",
            "identity",
            "database",
            "auth",
            "storage",
            "registry",
            "client",
        ],
    ),
];

/// What the crates without I/O must not know: runtimes, HTTP, databases.
const OUTSIDE: [&str; 7] = [
    "tokio",
    "hyper",
    "hyper-util",
    "http",
    "rusqlite",
    "rustls",
    "tracing",
];

fn crates() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names under `[dependencies]` of a crate's manifest.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
    let lines = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1);
    let section = lines.take_while(|line| !line.starts_with('['));
    section
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|n| !n.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_import_points_up() {
    let names: BTreeSet<String> = fs::read_dir(crates())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        names,
        FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect(),
        "each crate has its floor"
    );
    for (name, below) in FLOORS {
        let ours = dependencies(name)
            .into_iter()
            .filter(|dependency| names.contains(dependency));
        for dependency in ours {
            assert!(
                below.contains(&dependency.as_str()),
                "{name} must not know {dependency}"
            );
        }
    }
}

#[test]
fn the_ground_floor_does_no_io() {
    for name in ["common", "oci", "token", "compatibility", "policy"] {
        let dependencies = dependencies(name);
        assert!(
            !dependencies.is_empty(),
            "{name}: no dependencies were read"
        );
        for outside in OUTSIDE {
            assert!(
                !dependencies.contains(outside),
                "{name} must not know {outside}"
            );
        }
    }
}
