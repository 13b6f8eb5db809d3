//! Every parser of foreign bytes is tried with mutations.

use std::collections::BTreeSet;

use crate::source::{files, root};

/// The parsers, and the test that tries each. `fuzz::target` itself fails for an empty corpus.
const TARGETS: &[(&str, &str)] = &[
    ("a challenge", "fuzz_challenge"),
    ("a scope", "fuzz_scope"),
    ("a token", "fuzz_token"),
    ("a key set", "fuzz_jwk"),
    ("PEM and certificates", "fuzz_pem_and_certificates"),
    ("a Basic header", "fuzz_basic"),
    ("a forwarded header", "fuzz_forwarded"),
    ("traceparent", "fuzz_traceparent"),
    ("the YAML of both dialects", "fuzz_configuration"),
    ("a glob, a regular expression", "fuzz_patterns"),
    ("a pattern of tags or repositories", "fuzz_tag_patterns"),
    ("a Casbin model", "fuzz_casbin_model"),
    ("a Casbin policy", "fuzz_casbin_policy"),
    ("a Casbin matcher", "fuzz_casbin_expression"),
    ("a manifest", "fuzz_manifest"),
    ("names, tags and digests", "fuzz_names"),
    ("Range, Content-Range, If-None-Match", "fuzz_headers"),
    ("an address of the registry", "fuzz_addresses"),
    ("Link", "fuzz_link"),
    ("an error of a server", "fuzz_errors"),
    ("a problem of an API", "fuzz_problem"),
    ("the address of a server", "fuzz_api_address"),
    ("a file of logins", "fuzz_logins"),
    ("a tar archive", "fuzz_archive"),
    ("a rule in a database", "fuzz_stored_rule"),
    ("labels in a database", "fuzz_sql_labels"),
    ("a connection string of MySQL", "fuzz_mysql_dsn"),
    ("a connection string of PostgreSQL", "fuzz_postgres_dsn"),
    ("a connection string of SQLite", "fuzz_sqlite_dsn"),
    ("a log of LevelDB", "fuzz_leveldb_log"),
    ("a table of LevelDB", "fuzz_leveldb_table"),
    ("a manifest of LevelDB", "fuzz_leveldb_manifest"),
];

#[test]
fn every_parser_of_foreign_bytes_has_a_fuzz_target() {
    let mut found = BTreeSet::new();
    for file in files(&root().join("crates"), ".rs") {
        let text = std::fs::read_to_string(file).unwrap();
        let names = text.split("fn fuzz_").skip(1);
        found.extend(names.map(|rest| rest.split('(').next().unwrap().to_owned()));
    }
    for (parser, target) in TARGETS {
        let name = target.strip_prefix("fuzz_").unwrap();
        assert!(found.contains(name), "{parser}: there is no test {target}");
    }
}
