//! `docker_auth`'s LevelDB, made by its own library (`tests/vectors/leveldb/make.go`), and its import.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sign_in::{
    DocumentKind, ImportMode, ImportOutcome, LevelDb, LevelDbError, MemoryTokenStore, SignInError,
};
use tempfile::TempDir;

use crate::oidc_stub::OidcStub;
use crate::support::{Bench, START, hourly_policy, label, tokens};

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors/leveldb")
        .join(name)
}

/// A copy that a test may damage.
fn copy(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(vector(name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

/// The record that `make.go` writes in a round.
fn record(round: usize) -> String {
    format!(
        r#"{{"token_type":"bearer","access_token":"at\u003c{round}\u003e","valid_until":"2030-01-02T03:04:05.678901234+01:00","docker_password":"$2a$10$wm.q8C3wnTJHn6oIb1rkru3fyQTSNoUwBObrXyfF0WXQdfv2D5MYi","labels":{{"teams":["core","ops"]}}}}"#
    )
}

/// The users with the round of their record.
fn users(database: &LevelDb) -> Vec<(String, usize)> {
    let records = database.entries.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix(b"t:")?;
        let round = (1..9).find(|round| record(*round).as_bytes() == value);
        Some((String::from_utf8(name.to_vec()).unwrap(), round.unwrap()))
    });
    records.collect()
}

fn named(users: &[(&str, usize)]) -> Vec<(String, usize)> {
    let users = users
        .iter()
        .map(|(name, round)| ((*name).to_owned(), *round));
    users.collect()
}

#[test]
fn a_log_is_read() {
    let database = LevelDb::read(&vector("log")).unwrap();
    assert_eq!(database.damage, [""; 0]);
    assert_eq!(
        users(&database),
        named(&[("ann", 2), ("bob@example.com", 1)])
    );
    assert_eq!(database.entries[&b"other"[..]].len(), 40_000);
}

#[test]
fn tables_and_a_log_are_read_and_the_newest_counts() {
    let database = LevelDb::read(&vector("reopened")).unwrap();
    assert_eq!(database.damage, [""; 0]);
    assert_eq!(
        users(&database),
        named(&[("ann", 2), ("bob@example.com", 3)])
    );
}

#[test]
fn a_compacted_database_is_read() {
    let database = LevelDb::read(&vector("compacted")).unwrap();
    assert_eq!(database.damage, [""; 0]);
    let expected = (0..200).filter(|n| n % 5 != 0).map(|n| {
        let round = match n {
            1 => 4,
            n if n % 2 == 0 => 2,
            _ => 1,
        };
        (format!("user-{n:03}"), round)
    });
    assert_eq!(users(&database), expected.collect::<Vec<_>>());
}

#[test]
fn reading_changes_nothing() {
    let copy = copy("reopened");
    let state = || {
        let mut files: Vec<_> = fs::read_dir(copy.path())
            .unwrap()
            .map(|file| {
                let path = file.unwrap().path();
                (fs::read(&path).unwrap(), path)
            })
            .collect();
        files.sort();
        files
    };
    let before = state();
    LevelDb::read(copy.path()).unwrap();
    assert_eq!(state(), before);
}

#[test]
fn what_is_damaged_is_named_and_the_rest_is_read() {
    // A server was killed while it wrote.
    let copy = copy("reopened");
    let log = copy.path().join("000006.log");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 3]).unwrap();
    let database = LevelDb::read(copy.path()).unwrap();
    assert_eq!(database.damage.len(), 1, "{:?}", database.damage);
    assert!(
        database.damage[0].contains("000006.log"),
        "{:?}",
        database.damage
    );
    let expected = named(&[("ann", 2), ("bob@example.com", 3), ("zoë", 1)]);
    assert_eq!(users(&database), expected, "zoë's removal is lost");

    // A bit of a block changed on the disk.
    let mut bytes = fs::read(copy.path().join("000002.ldb")).unwrap();
    bytes[20] ^= 1;
    fs::write(copy.path().join("000002.ldb"), bytes).unwrap();
    let database = LevelDb::read(copy.path()).unwrap();
    assert!(database.damage[0].contains("000002.ldb: the block at byte 0 is damaged"));
    assert_eq!(
        users(&database),
        named(&[("ann", 2), ("bob@example.com", 3)])
    );

    fs::remove_file(copy.path().join("000005.ldb")).unwrap();
    let database = LevelDb::read(copy.path()).unwrap();
    assert!(database.damage.iter().any(|it| it.contains("is missing")));
    assert_eq!(users(&database), named(&[("bob@example.com", 3)]));
}

#[test]
fn what_is_no_database_is_an_error() {
    let empty = tempfile::tempdir().unwrap();
    let read = |directory: &Path| LevelDb::read(directory).unwrap_err();
    assert!(matches!(read(empty.path()), LevelDbError::NotADatabase(_)));
    let copy = copy("log");
    let manifest = copy.path().join("MANIFEST-000000");
    let bytes = fs::read(&manifest).unwrap();
    fs::write(&manifest, &bytes[..20]).unwrap();
    assert!(matches!(read(copy.path()), LevelDbError::Manifest(_)));
    fs::remove_file(&manifest).unwrap();
    assert!(matches!(read(copy.path()), LevelDbError::File(..)));
    fs::write(copy.path().join("CURRENT"), "../../etc/passwd\n").unwrap();
    assert!(matches!(read(copy.path()), LevelDbError::Manifest(_)));
}

#[tokio::test]
async fn an_imported_sign_in_is_one_of_ours() {
    let stub = OidcStub::start(START);
    let store = Arc::new(MemoryTokenStore::default());
    let bench = Bench::with_store(store, "github_auth", hourly_policy(), |_, _| {
        Bench::oidc(&stub).provider
    });
    let import = async |name: &str, json: &str, mode| {
        bench.accounts.import(name, json.as_bytes(), mode).await
    };
    let (add, replace) = (ImportMode::Add, ImportMode::Replace);
    assert_eq!(
        import("Ann", &record(1), ImportMode::TryAdd).await.unwrap(),
        ImportOutcome::Added
    );
    assert!(
        bench.accounts.users().await.unwrap().is_empty(),
        "it was a try"
    );

    assert_eq!(
        import("Ann", &record(1), add).await.unwrap(),
        ImportOutcome::Added
    );
    let stored = bench.store.read(DocumentKind::Record, "Ann").await.unwrap();
    assert_eq!(stored.as_deref(), Some(record(1).as_bytes()));
    // GitHub's names have no case.
    let labels = Bench::labels(bench.log_in("ann", &"sesame".into()).await);
    assert_eq!(labels, label("teams", &["core", "ops"]));
    assert_eq!(
        import("Ann", &record(1), add).await.unwrap(),
        ImportOutcome::Same
    );

    // A sign-in of this server is newer, whatever the record says.
    let user = sign_in::ProviderUser {
        name: "bob".to_owned(),
        issuer: "https://github.com".to_owned(),
        subject: "7".to_owned(),
        labels: None,
    };
    let password = bench.store_user(&tokens("at", ""), &user).await;
    assert_eq!(
        import("bob", &record(2), add).await.unwrap(),
        ImportOutcome::Kept
    );
    let outcome = import("bob", &record(2), ImportMode::TryReplace).await;
    assert_eq!(outcome.unwrap(), ImportOutcome::Replaced);
    let stored = bench.store.read(DocumentKind::Record, "bob").await.unwrap();
    assert_ne!(stored.as_deref(), Some(record(2).as_bytes()));
    assert_eq!(
        import("bob", &record(2), replace).await.unwrap(),
        ImportOutcome::Replaced
    );
    for password in [password, "sesame".into()] {
        Bench::labels(bench.log_in("bob", &password).await);
    }

    let broken = import("eve", "{}", add).await;
    assert!(
        matches!(broken, Err(SignInError::Record { .. })),
        "{broken:?}"
    );
    let unsafe_name = import("e\nve", &record(1), add).await;
    assert!(
        matches!(unsafe_name, Err(SignInError::Provider(_))),
        "{unsafe_name:?}"
    );
}
