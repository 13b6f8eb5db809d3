//! Several processes on one file. The others are this test program again, which runs one test as a
//! child.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use database::{DatabaseLocation, DatabaseOpenError, SqliteDatabase};

use crate::{Bench, insert};

const PATH: &str = "DATABASE_TEST_PATH";
const WRITES: i64 = 200;

fn child(part: &str, path: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([
            &format!("processes::{part}"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn parents_database() -> Option<DatabaseLocation> {
    env::var_os(PATH).map(DatabaseLocation::at)
}

#[tokio::test]
#[ignore = "another test starts it as a process"]
async fn child_writes() {
    let Some(location) = parents_database() else {
        return;
    };
    assert!(matches!(
        SqliteDatabase::open_exclusive(&location),
        Err(DatabaseOpenError::InUse(_))
    ));
    let database = SqliteDatabase::open(&location).unwrap();
    for n in 0..WRITES {
        database.write(insert(-1 - n)).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "another test starts it as a process"]
async fn child_writes_until_it_is_killed() {
    let Some(location) = parents_database() else {
        return;
    };
    let database = SqliteDatabase::open_exclusive(&location).unwrap();
    for n in 0.. {
        database.write(insert(n)).await.unwrap();
        println!("\nacknowledged {n}");
    }
}

#[tokio::test]
async fn two_processes_write_at_once() {
    let bench = Bench::new().await;
    let mut child = child("child_writes", bench.location().path().unwrap());
    for n in 0..WRITES {
        bench.database.write(insert(n)).await.unwrap();
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(bench.count().await, 2 * WRITES);
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill() {
    let bench = Bench::new().await;
    let (
        location,
        Bench {
            database,
            directory: _directory,
        },
    ) = (bench.location(), bench);
    drop(database);
    let mut child = child("child_writes_until_it_is_killed", location.path().unwrap());
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(n) = line.unwrap().strip_prefix("acknowledged ") {
            acknowledged.push(n.parse::<i64>().unwrap());
        }
        if acknowledged.len() == 50 {
            child.kill().unwrap();
            break;
        }
    }
    child.wait().unwrap();
    // The lock ended with the process.
    let database = SqliteDatabase::open_exclusive(&location).unwrap();
    assert_eq!(acknowledged, (0..50).collect::<Vec<_>>());
    assert!(crate::count(&database).await >= 50);
}
