//! Programs of two releases on one database: a step of the migrations takes nothing from the release before.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use database::{
    Database, DatabaseConnection, DatabaseLocation, Error, SCHEMA_VERSION, SchemaError,
};
use peers::TestPostgresDatabase;

/// How many steps the release before has. They are those of the first files.
const RELEASE_BEFORE: usize = 7;

/// Functions by name, arguments and result.
const FUNCTIONS: &str = "SELECT p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ') ' || pg_get_function_result(p.oid)
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace ORDER BY 1";

/// Columns by table, name and type.
const COLUMNS: &str =
    "SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY 1";

/// Columns that every INSERT has to give.
const REQUIRED_COLUMNS: &str = "SELECT table_name || '.' || column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' ORDER BY 1";

fn location(peer: &TestPostgresDatabase) -> DatabaseLocation {
    peer.url().parse().unwrap()
}

async fn server(peer: &TestPostgresDatabase) -> Database {
    let database = Database::open_exclusive(&location(peer)).unwrap();
    database.ready().await.unwrap();
    database
}

/// The tables of the release before.
fn release_before() -> TestPostgresDatabase {
    let peer = TestPostgresDatabase::create();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgresql");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    assert_eq!(files.len() as u64, SCHEMA_VERSION.unsigned_abs());
    for file in &files[..RELEASE_BEFORE] {
        peer.run(&fs::read_to_string(file.path()).unwrap());
    }
    peer
}

fn lines(peer: &TestPostgresDatabase, sql: &str) -> BTreeSet<String> {
    let lines: BTreeSet<_> = peer.run(sql).lines().map(str::to_owned).collect();
    assert!(lines.len() > 10, "{lines:?}");
    lines
}

#[tokio::test]
async fn functions_and_columns_of_the_release_before_are_still_there() {
    let (before, now) = (release_before(), TestPostgresDatabase::create());
    server(&now).await;
    for sql in [FUNCTIONS, COLUMNS] {
        let (old, new) = (lines(&before, sql), lines(&now, sql));
        let gone: Vec<_> = old.difference(&new).collect();
        assert!(gone.is_empty(), "the release before needs {gone:?}");
    }
    // An INSERT of the release before does not know what was added to its tables.
    let (old, new) = (
        lines(&before, REQUIRED_COLUMNS),
        lines(&now, REQUIRED_COLUMNS),
    );
    let tables: BTreeSet<_> = lines(&before, COLUMNS)
        .iter()
        .filter_map(|column| Some(column.split_once('.')?.0.to_owned()))
        .collect();
    let added: Vec<_> = new
        .difference(&old)
        .filter(|column| {
            column
                .split_once('.')
                .is_some_and(|(table, _)| tables.contains(table))
        })
        .collect();
    assert!(
        added.is_empty(),
        "the release before does not give {added:?}"
    );
}

/// Each change with what is used then, in bytes and tags. The functions are those of the release before.
const COUNTED_CHANGES: [(&str, &str); 11] = [
    (
        "INSERT INTO blobs (generation, digest, size, store, key, state, since, leased_at, upload)
            VALUES (1000, '\\x01' || repeat('1', 32)::bytea, 100, 0, 'k', 0, now(), now(), repeat('u', 16)::bytea);
         SELECT commit_blob_1(NULL, repeat('u', 16)::bytea, NULL, 'a/b', '\\x01' || repeat('1', 32)::bytea, 100, NULL, 1000,
            'k', false, 0)",
        "100|0",
    ),
    (
        "SELECT reserve_blob_1(NULL, repeat('v', 16)::bytea, NULL, 'a', '\\x01' || repeat('1', 32)::bytea, 100, NULL, NULL, 0)",
        "100|0",
    ),
    (
        "SELECT mount_blob_1(NULL, '\\x01' || repeat('1', 32)::bytea, 'a', 'a/c', 0)",
        "100|0",
    ),
    (
        "SELECT push_manifest_1(NULL, 'a/b', '\\x01' || repeat('m', 32)::bytea, 'm', NULL, 'manifest', '{}', NULL, NULL, '{}',
            false, '{x,y}', '{}', '{}')",
        "108|2",
    ),
    ("SELECT untag_1(NULL, 'a/b', 'x', '{}', '{}')", "108|1"),
    (
        "SELECT remove_manifest_1(NULL, 'a/b', '\\x01' || repeat('m', 32)::bytea, '{}', '{}')",
        "100|0",
    ),
    (
        "SELECT unlink_blob_1('a/b', '\\x01' || repeat('1', 32)::bytea)",
        "100|0",
    ),
    (
        "SELECT unlink_blob_1('a', '\\x01' || repeat('1', 32)::bytea)",
        "100|0",
    ),
    (
        "UPDATE blobs SET leased_at = 'epoch'; SELECT mark_blobs_1(NULL, 0, 1, 10)",
        "100|0",
    ),
    ("SELECT set_horizons_1()", "100|0"),
    ("SELECT sweep_blobs_1(NULL, 0, 1, 10)", "0|0"),
];

#[tokio::test]
async fn what_the_release_before_changes_is_counted_for_quotas() {
    let peer = TestPostgresDatabase::create();
    server(&peer).await;
    peer.run("SELECT track_quotas_1('{a,b}', true, false)");
    let used = || peer.run("SELECT bytes || '|' || tags FROM quota_prefixes WHERE prefix = 'a'");
    for (change, expected) in COUNTED_CHANGES {
        peer.run(change);
        assert_eq!(used().trim(), expected, "{change}");
    }
    peer.run("SELECT track_quotas_1('{a,b}', true, true)");
    assert_eq!(used().trim(), "0|0");
}

/// The first server of the next release has migrated, and this program may go on.
#[tokio::test]
async fn a_server_continues_on_newer_tables_and_stops_when_they_are_not_for_it() {
    let peer = TestPostgresDatabase::create();
    let database = server(&peer).await;
    let write = || {
        database.write(|connection: &DatabaseConnection<'_>| {
            let sql =
                "INSERT INTO sign_ins VALUES ('b', 'record', 'a', '0') ON CONFLICT DO NOTHING";
            connection.execute(sql, database::params![])
        })
    };
    peer.run("UPDATE schema SET version = version + 1; ALTER TABLE sign_ins ADD COLUMN later text");
    write().await.unwrap();
    let another = server(&peer).await;
    another.check().await.unwrap();
    // A later step is not for programs of this version.
    peer.run("UPDATE schema SET serves_from = version");
    let refused = loop {
        match write().await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => break error,
        }
    };
    let expected = SchemaError::Newer {
        serves_from: SCHEMA_VERSION + 1,
        known: SCHEMA_VERSION,
    };
    assert!(matches!(refused, Error::Schema(error) if error == expected));
    assert!(database.check().await.is_err());
    // The registry's statements, which need no transaction, are refused, too.
    let pool = database.postgres().unwrap();
    assert!(pool.query("SELECT 1", &[]).await.is_err());
}

#[tokio::test]
async fn a_database_that_lacks_characters_gets_no_tables() {
    let peer = TestPostgresDatabase::create();
    peer.run(
        "CREATE DATABASE latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    let url = peer.url();
    let (before, name_and_rest) = url.rsplit_once("@/").unwrap();
    let (_, rest) = name_and_rest.split_once('?').unwrap();
    let location: DatabaseLocation = format!("{before}@/latin1?{rest}").parse().unwrap();
    let database = Database::open_exclusive(&location).unwrap();
    let refused = database.ready().await;
    let expected = SchemaError::Encoding("LATIN1".to_owned());
    assert!(matches!(refused, Err(Error::Schema(error)) if error == expected));
}
