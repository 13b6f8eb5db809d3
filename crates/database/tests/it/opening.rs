use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use database::{DatabaseLocation, DatabaseOpenError, Error, SqliteDatabase};
use rusqlite::Connection;

use crate::{Bench, execute, insert, location};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_new_database_is_readable_by_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/wharfinger/wharfinger.db");
    let database = SqliteDatabase::open_exclusive(&DatabaseLocation::at(&path)).unwrap();
    database.write(execute("CREATE TABLE t (n)")).await.unwrap();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in [
        "wharfinger.db",
        "wharfinger.db-wal",
        "wharfinger.db-shm",
        "wharfinger.db.lock",
    ] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn commits_wait_for_the_disk() {
    let bench = Bench::new().await;
    let pragma = |name: &'static str| {
        bench
            .database
            .write(move |connection: &Connection| -> Result<String, Error> {
                let value: rusqlite::types::Value =
                    connection.pragma_query_value(None, name, |row| row.get(0))?;
                Ok(format!("{value:?}"))
            })
    };
    assert_eq!(pragma("journal_mode").await.unwrap(), r#"Text("wal")"#);
    // 2 is FULL (sqlite.org/pragma.html#pragma_synchronous).
    assert_eq!(pragma("synchronous").await.unwrap(), "Integer(2)");
    assert_eq!(pragma("foreign_keys").await.unwrap(), "Integer(1)");
}

#[tokio::test]
async fn an_existing_database_keeps_its_rows() {
    let bench = Bench::new().await;
    bench.database.write(insert(1)).await.unwrap();
    let (
        location,
        Bench {
            database,
            directory: _directory,
        },
    ) = (bench.location(), bench);
    drop(database);
    let again = SqliteDatabase::open_exclusive(&location).unwrap();
    assert_eq!(crate::count(&again).await, 1);
}

#[tokio::test]
async fn an_empty_file_is_an_interrupted_first_start() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(location(&directory).path().unwrap(), "").unwrap();
    assert!(matches!(
        SqliteDatabase::open(&location(&directory)),
        Err(DatabaseOpenError::Older(_))
    ));
    SqliteDatabase::open_exclusive(&location(&directory)).unwrap();
    SqliteDatabase::open(&location(&directory)).unwrap();
}

#[tokio::test]
async fn one_server_at_a_time_by_any_path() {
    let bench = Bench::new().await;
    let link = bench.directory.path().join("link.db");
    symlink(bench.location().path().unwrap(), &link).unwrap();
    for location in [bench.location(), DatabaseLocation::at(&link)] {
        let error = SqliteDatabase::open_exclusive(&location).unwrap_err();
        assert!(matches!(error, DatabaseOpenError::InUse(_)), "{error:?}");
        assert!(
            error
                .to_string()
                .starts_with("another server has the database /"),
            "{error}"
        );
    }
    let location = bench.location();
    let Bench {
        database,
        directory: _directory,
    } = bench;
    drop(database);
    SqliteDatabase::open_exclusive(&location).unwrap();
}

#[tokio::test]
async fn a_command_works_while_a_server_runs() {
    let bench = Bench::new().await;
    let beside = SqliteDatabase::open(&bench.location()).unwrap();
    beside.write(insert(1)).await.unwrap();
    bench.database.write(insert(2)).await.unwrap();
    assert_eq!((bench.count().await, crate::count(&beside).await), (2, 2));
}

#[test]
fn a_command_creates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let error = SqliteDatabase::open(&location(&directory)).unwrap_err();
    assert!(matches!(error, DatabaseOpenError::Missing(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .ends_with("wharfinger.db does not exist: a server creates it when it first starts"),
        "{error}"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_newer_database_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    drop(SqliteDatabase::open_exclusive(&location(&directory)).unwrap());
    Connection::open(location(&directory).path().unwrap())
        .unwrap()
        .pragma_update(None, "user_version", 4711)
        .unwrap();
    for opened in [
        SqliteDatabase::open_exclusive(&location(&directory)),
        SqliteDatabase::open(&location(&directory)),
    ] {
        let error = opened.unwrap_err();
        assert!(
            matches!(error, DatabaseOpenError::Newer { found: 4711, .. }),
            "{error:?}"
        );
        assert!(
            error
                .to_string()
                .contains("was last opened by a newer wharfinger (its version is 4711"),
            "{error}"
        );
    }
}

#[test]
fn a_database_of_another_program_is_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    Connection::open(location(&directory).path().unwrap())
        .unwrap()
        .execute_batch("CREATE TABLE grafana (n)")
        .unwrap();
    let before = fs::read(location(&directory).path().unwrap()).unwrap();
    for opened in [
        SqliteDatabase::open_exclusive(&location(&directory)),
        SqliteDatabase::open(&location(&directory)),
    ] {
        assert!(
            matches!(opened, Err(DatabaseOpenError::Foreign(_))),
            "{opened:?}"
        );
    }
    assert_eq!(
        fs::read(location(&directory).path().unwrap()).unwrap(),
        before
    );
}

#[test]
fn another_kind_of_file_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        location(&directory).path().unwrap(),
        "server:\n  addr: :5001\n".repeat(100),
    )
    .unwrap();
    for opened in [
        SqliteDatabase::open_exclusive(&location(&directory)),
        SqliteDatabase::open(&location(&directory)),
    ] {
        let error = opened.unwrap_err();
        assert!(
            matches!(
                error,
                DatabaseOpenError::Damaged {
                    source: Error::Corrupt(_),
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[test]
fn an_impossible_location_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let below_a_file = DatabaseLocation::at(directory.path().join("file/wharfinger.db"));
    for (location, opened) in [
        (
            "below a file",
            SqliteDatabase::open_exclusive(&below_a_file),
        ),
        ("below a file", SqliteDatabase::open(&below_a_file)),
        (
            "a directory",
            SqliteDatabase::open_exclusive(&DatabaseLocation::at(directory.path())),
        ),
    ] {
        let error = opened.unwrap_err();
        assert!(
            matches!(error, DatabaseOpenError::Unreachable { .. }),
            "{location}: {error:?}"
        );
        assert!(
            error
                .to_string()
                .starts_with("cannot create or open the database /"),
            "{location}: {error}"
        );
    }
}
