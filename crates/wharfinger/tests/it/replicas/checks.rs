//! `check --connect` says what a server would refuse.

use std::fs;
use std::process::Command;

use peers::{Output, run};

use super::world::{OPEN, PROGRAM, Replicas};

/// A replica that has made the tables and the bucket's identity.
fn one() -> Replicas {
    let replicas = Replicas::start(1, "", OPEN);
    replicas.wait_until_ready();
    replicas
}

/// `check --connect` of the configuration with another database of the same server.
fn check_with(replicas: &Replicas, database: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.yml");
    let config = replicas.config("", OPEN).replace("@addr@", "127.0.0.1:0");
    fs::write(
        &file,
        config.replace("/wharfinger?", &format!("/{database}?")),
    )
    .unwrap();
    run(Command::new(PROGRAM).args(["check", "--connect"]).arg(file))
}

/// Requires that just this line of the report is an error, and says this.
fn refused(output: &Output, section: &str, words: &str) {
    assert_eq!(output.status.code(), Some(1), "{output}");
    let errors: Vec<_> = output
        .stdout
        .lines()
        .filter(|line| line.contains(": error: "))
        .collect();
    let start = format!("{section}: error: ");
    let is_expected =
        errors.len() == 1 && errors[0].starts_with(&start) && errors[0].contains(words);
    assert!(is_expected, "{output}");
}

#[test]
fn a_bucket_of_another_database() {
    let replicas = one();
    let check = ["check", "--connect"];
    replicas.command(&check).succeeded();
    let sql = "CREATE DATABASE other OWNER wharfinger";
    replicas.postgres.run("postgres", sql);
    let output = check_with(&replicas, "other");
    refused(&output, "registry.storage.s3", "another database");
    let sql = "UPDATE content_store SET identity = 'another'";
    replicas.postgres.run("wharfinger", sql);
    let output = replicas.command(&check);
    refused(&output, "registry.storage.s3", "another database");
}

#[test]
fn a_database_that_a_server_cannot_use() {
    let replicas = one();
    let sql = "CREATE DATABASE latin1 OWNER wharfinger TEMPLATE template0 ENCODING 'LATIN1' \
               LC_COLLATE 'C' LC_CTYPE 'C'";
    replicas.postgres.run("postgres", sql);
    refused(&check_with(&replicas, "latin1"), "database", "LATIN1");
    // Since PostgreSQL 15, only the owner of a database may create tables in it.
    replicas
        .postgres
        .run("postgres", "CREATE DATABASE foreign_owner");
    refused(
        &check_with(&replicas, "foreign_owner"),
        "database",
        "GRANT USAGE, CREATE ON SCHEMA public TO wharfinger",
    );
    let sql = "ALTER DATABASE wharfinger SET default_transaction_read_only = on";
    replicas.postgres.run("postgres", sql);
    let check = ["check", "--connect"];
    refused(&replicas.command(&check), "database", "takes no changes");
    let sql = "ALTER DATABASE wharfinger RESET default_transaction_read_only";
    replicas.postgres.run("postgres", sql);
    let sql = "UPDATE schema SET version = version + 1, serves_from = version + 1";
    replicas.postgres.run("wharfinger", sql);
    refused(
        &replicas.command(&check),
        "database",
        "run the newer program",
    );
}

/// Content of another database in a directory that both are told of.
#[test]
fn a_directory_of_another_database() {
    let replicas = one();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("content");
    fs::create_dir(&root).unwrap();
    let file = folder.path().join("files.yml");
    let config = replicas.config("", OPEN).replace("@addr@", "127.0.0.1:0");
    let (before, _) = config.split_once("    s3:").unwrap();
    let storage = format!("    filesystem: {{root: '{}'}}\n", root.display());
    fs::write(&file, format!("{before}{storage}")).unwrap();
    let output = run(Command::new(PROGRAM)
        .args(["check", "--connect"])
        .arg(&file));
    refused(&output, "registry.storage.filesystem", "bucket");
}
