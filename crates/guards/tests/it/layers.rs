//! The crates point one way: ARCHITECTURE.md draws it, this holds it.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{crates, modules, root};

/// Each crate and the crates of ours that it may use, ground floor first.
const FLOORS: &[(&str, &[&str])] = &[
    ("common", &[]),
    ("client-tls", &[]),
    ("traces", &["common", "client-tls"]),
    ("postgresql", &["common", "client-tls", "traces"]),
    ("oci", &[]),
    ("tag-rules", &["oci"]),
    ("hash-state", &[]),
    ("token", &["common"]),
    ("compatibility", &["common", "token"]),
    ("policy", &["common", "token"]),
    ("event", &["common", "oci"]),
    ("metrics", &["common", "event"]),
    ("identity", &["common", "client-tls", "policy", "traces"]),
    ("database", &["common", "postgresql", "traces"]),
    ("acme", &["common", "client-tls", "token", "database"]),
    ("audit", &["common", "event", "oci", "database"]),
    (
        "notifications",
        &["common", "client-tls", "event", "oci", "database"],
    ),
    (
        "auth",
        &["common", "token", "policy", "identity", "database", "event"],
    ),
    ("ldap", &["common", "policy", "identity"]),
    (
        "sql",
        &["common", "postgresql", "policy", "identity", "auth"],
    ),
    ("mongo", &["common", "policy", "identity", "auth"]),
    ("openid", &["common", "token", "identity"]),
    (
        "workload-identity",
        &["common", "token", "policy", "identity", "openid"],
    ),
    (
        "sign-in",
        &[
            "common", "token", "policy", "identity", "database", "event", "openid", "auth",
        ],
    ),
    (
        "personal-tokens",
        &["common", "policy", "identity", "database"],
    ),
    (
        "accounts",
        &["common", "policy", "identity", "database", "auth"],
    ),
    ("immutable-tags", &["common", "tag-rules", "database"]),
    (
        "api",
        &[
            "common",
            "token",
            "policy",
            "identity",
            "database",
            "auth",
            "workload-identity",
            "personal-tokens",
            "accounts",
            "audit",
            "notifications",
            "tag-rules",
            "immutable-tags",
        ],
    ),
    ("retention", &["common", "oci", "tag-rules"]),
    (
        "storage",
        &[
            "common",
            "postgresql",
            "oci",
            "hash-state",
            "database",
            "tag-rules",
            "retention",
            "traces",
        ],
    ),
    (
        "object-content",
        &["common", "oci", "identity", "storage", "traces"],
    ),
    (
        "registry",
        &[
            "common",
            "oci",
            "tag-rules",
            "token",
            "identity",
            "storage",
            "event",
        ],
    ),
    ("client", &["common", "oci", "token", "compatibility"]),
    (
        "wharfinger",
        &[
            "common",
            "acme",
            "postgresql",
            "oci",
            "token",
            "compatibility",
            "policy",
            "event",
            "metrics",
            "traces",
            "identity",
            "database",
            "auth",
            "ldap",
            "sql",
            "mongo",
            "openid",
            "workload-identity",
            "sign-in",
            "personal-tokens",
            "accounts",
            "audit",
            "notifications",
            "api",
            "retention",
            "storage",
            "object-content",
            "tag-rules",
            "immutable-tags",
            "registry",
            "client",
        ],
    ),
    // For tests only.
    ("peers", &[]),
    ("fuzz", &[]),
    ("guards", &[]),
];

/// The crates without I/O.
const PURE: [&str; 7] = [
    "common",
    "oci",
    "tag-rules",
    "token",
    "compatibility",
    "policy",
    "retention",
];

/// What the crates without I/O must not use: runtimes, HTTP, databases.
const OUTSIDE: [&str; 7] = [
    "tokio",
    "hyper",
    "hyper-util",
    "http",
    "rusqlite",
    "rustls",
    "tracing",
];

/// The names under `[dependencies]` of a crate's manifest.
pub(crate) fn dependencies(name: &str) -> BTreeSet<String> {
    section(name, "[dependencies]")
}

/// The names under `header` in a crate's manifest.
pub(crate) fn section(name: &str, header: &str) -> BTreeSet<String> {
    let manifest = root().join("crates").join(name).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let lines = manifest.lines().skip_while(|line| *line != header).skip(1);
    let section = lines.take_while(|line| !line.starts_with('['));
    section
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The crates that the code of a crate names.
pub(crate) fn named(name: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for module in modules(name).values() {
        for path in &module.paths {
            let (first, local) = match path.first().map(String::as_str) {
                Some("::") => (path.get(1).cloned(), false),
                _ => (path.first().cloned(), true),
            };
            named.extend(first.filter(|first| !(local && module.children.contains(first))));
        }
    }
    named
}

#[test]
fn no_import_points_up() {
    let names = crates();
    let floors: BTreeSet<String> = FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let homeless: Vec<_> = names.difference(&floors).collect();
    assert!(
        homeless.is_empty(),
        "give these crates a floor: {homeless:?}"
    );
    for (name, below) in FLOORS.iter().filter(|(name, _)| names.contains(*name)) {
        let ours = |used: BTreeSet<String>| {
            let ours = used
                .into_iter()
                .filter(|used| names.contains(used) && used != name);
            ours.filter(|used| !below.contains(&used.as_str()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ours(dependencies(name)),
            [""; 0],
            "{name} must not depend on these"
        );
        assert_eq!(ours(named(name)), [""; 0], "{name} must not use these");
    }
}

#[test]
fn the_ground_floor_does_no_io() {
    for name in PURE {
        let used = dependencies(name);
        assert!(!used.is_empty(), "{name}: no dependencies were read");
        for outside in OUTSIDE {
            assert!(!used.contains(outside), "{name} must not use {outside}");
        }
    }
}

/// Everything else uses `database::DatabaseConnection`, so that it runs on PostgreSQL, too.
#[test]
fn only_three_crates_speak_to_sqlite_directly() {
    let users = crates().into_iter();
    let users = users.filter(|name| dependencies(name).contains("rusqlite"));
    assert_eq!(users.collect::<Vec<_>>(), ["database", "sql", "storage"]);
}
