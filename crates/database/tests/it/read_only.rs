//! A user who may read a database and not write it. It is this test program again, as root without root's
//! powers, and the files belong to another user.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use database::{DatabaseLocation, DatabaseOpenError, Error, SqliteDatabase, system_user};

use crate::{Bench, count, insert};

const PATH: &str = "DATABASE_TEST_PATH";
const OWNER: u32 = 65_534;

/// Runs a part of these tests as the other user.
fn as_other_user(part: &str, path: &Path) {
    let output = Command::new("setpriv")
        .args(["--inh-caps=-all", "--bounding-set=-all", "--"])
        .arg(env::current_exe().unwrap())
        .args([&format!("read_only::{part}"), "--exact", "--ignored"])
        .env(PATH, path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Gives the directory and its files to the owner. Others may read them.
fn give_away(directory: &Path) {
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|it| it.unwrap().path());
    for path in files.chain([directory.to_owned()]) {
        chown(&path, Some(OWNER), Some(OWNER)).unwrap();
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = names
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn parents_database() -> Option<DatabaseLocation> {
    env::var_os(PATH).map(DatabaseLocation::at)
}

#[tokio::test]
#[ignore = "another test starts it as a process"]
async fn other_user_reads() {
    let Some(location) = parents_database() else {
        return;
    };
    let database = SqliteDatabase::open(&location).unwrap();
    assert_eq!(count(&database).await, 2);
    let error = database.write(insert(3)).await.unwrap_err();
    let Error::ReadOnly(cause) = error else {
        panic!("{error:?}");
    };
    let path = location.path().unwrap().display();
    let expected = format!(
        "root (uid 0) may only read {path}: run as its owner, {}",
        system_user(OWNER)
    );
    assert_eq!(cause.to_string(), expected);
}

#[tokio::test]
#[ignore = "another test starts it as a process"]
async fn other_user_is_refused() {
    let Some(location) = parents_database() else {
        return;
    };
    let path = location.path().unwrap();
    let error = SqliteDatabase::open(&location).unwrap_err();
    let log = PathBuf::from(format!("{}-wal", path.display()));
    let refusal = match &error {
        DatabaseOpenError::HasLog { .. } if log.exists() => {
            format!("may only read {}", path.display())
        }
        DatabaseOpenError::Refused { .. } if path.exists() => {
            format!("may not read {}", path.display())
        }
        DatabaseOpenError::Refused { .. } => {
            format!("may not enter {}", path.parent().unwrap().display())
        }
        _ => panic!("{error:?}"),
    };
    let owner = system_user(OWNER);
    let expected = format!("root (uid 0) {refusal}: run as its owner, {owner}");
    assert!(error.to_string().ends_with(&expected), "{error}");
}

#[tokio::test]
async fn a_user_who_may_not_write_reads_beside_a_server_and_without_one() {
    let bench = Bench::new().await;
    bench.database.write(insert(1)).await.unwrap();
    let directory = bench.directory.path();
    let path = bench.location().path().unwrap().to_owned();
    give_away(directory);
    bench.database.write(insert(2)).await.unwrap();
    let beside_server = names(directory);
    as_other_user("other_user_reads", &path);
    assert_eq!(names(directory), beside_server);

    let crashed = tempfile::tempdir().unwrap();
    let copy = crashed.path().join("wharfinger.db");
    for end in ["", "-wal"] {
        let name = |path: &Path| format!("{}{end}", path.display());
        fs::copy(name(&path), name(&copy)).unwrap();
    }
    give_away(crashed.path());
    as_other_user("other_user_is_refused", &copy);
    assert_eq!(names(crashed.path()).len(), 2);

    let Bench {
        database,
        directory,
    } = bench;
    drop(database);
    let closed = names(directory.path());
    assert!(
        !closed.iter().any(|name| name.ends_with("-shm")),
        "{closed:?}"
    );
    as_other_user("other_user_reads", &path);
    // What another user makes, the server could not use.
    assert_eq!(names(directory.path()), closed);

    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    as_other_user("other_user_is_refused", &path);
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    as_other_user("other_user_is_refused", &path);
}

#[tokio::test]
#[ignore = "another test starts it as a process"]
async fn other_user_is_no_server() {
    let Some(location) = parents_database() else {
        return;
    };
    let error = SqliteDatabase::open_exclusive(&location).unwrap_err();
    assert!(
        matches!(error, DatabaseOpenError::NotWritable { .. }),
        "{error:?}"
    );
    let text = error.to_string();
    let directory = location.path().unwrap().parent().unwrap().display();
    for part in [
        "the server runs as root (uid 0) and may not write to /".to_owned(),
        format!("(owner {}, mode 0", system_user(OWNER)),
        format!("`chown -R 0 {directory}`"),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_server_that_may_not_write_is_told_who_may_and_what_to_do() {
    // Neither the directory nor the file may be written; there is no file; only the file may be; only the
    // directory may be.
    for (has_file, mode_of_directory, mode_of_file) in [
        (true, 0o755, 0o644),
        (false, 0o755, 0),
        (true, 0o755, 0o666),
        (true, 0o777, 0o644),
    ] {
        let bench = Bench::new().await;
        let path = bench.location().path().unwrap().to_owned();
        let Bench {
            database,
            directory,
        } = bench;
        drop(database);
        if !has_file {
            for name in names(directory.path()) {
                fs::remove_file(directory.path().join(name)).unwrap();
            }
        }
        give_away(directory.path());
        if has_file {
            fs::set_permissions(&path, Permissions::from_mode(mode_of_file)).unwrap();
        }
        let mode = Permissions::from_mode(mode_of_directory);
        fs::set_permissions(directory.path(), mode).unwrap();
        as_other_user("other_user_is_no_server", &path);
    }
}
