//! Tests of the database on real files, with several tasks and several processes.

#![expect(clippy::unwrap_used, reason = "in a test, a failure is a panic")]

mod administration;
mod copies;
mod failures;
mod mixed_versions;
mod opening;
mod postgres;
mod processes;
mod read_only;
mod reading;
mod writing;

use std::sync::mpsc;

use database::{DatabaseLocation, Error, SqliteDatabase};
use rusqlite::Connection;
use tempfile::TempDir;

/// The database of one test, with the table `numbers (n)`, whose numbers are unique.
struct Bench {
    // Fields are dropped in this order: the database before its directory.
    database: SqliteDatabase,
    directory: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = SqliteDatabase::open_exclusive(&location(&directory)).unwrap();
        database
            .write(execute(
                "CREATE TABLE numbers (n INTEGER PRIMARY KEY, filler BLOB)",
            ))
            .await
            .unwrap();
        Self {
            database,
            directory,
        }
    }

    fn location(&self) -> DatabaseLocation {
        location(&self.directory)
    }

    async fn count(&self) -> i64 {
        count(&self.database).await
    }
}

type Work = Box<dyn FnMut(&Connection) -> Result<(), Error> + Send>;

fn location(directory: &TempDir) -> DatabaseLocation {
    DatabaseLocation::at(directory.path().join("wharfinger.db"))
}

/// The write that executes `sql`.
fn execute(
    sql: impl Into<String>,
) -> impl FnMut(&Connection) -> Result<(), Error> + Send + 'static {
    let sql = sql.into();
    move |connection| Ok(connection.execute_batch(&sql)?)
}

/// The write that adds `n` to the numbers.
fn insert(n: i64) -> impl FnMut(&Connection) -> Result<(), Error> + Send + 'static {
    execute(format!("INSERT INTO numbers (n) VALUES ({n})"))
}

async fn count(database: &SqliteDatabase) -> i64 {
    let read = |connection: &Connection| -> Result<i64, Error> {
        Ok(connection.query_row("SELECT count(*) FROM numbers", (), |row| row.get(0))?)
    };
    database.read(read).await.unwrap()
}

/// Runs `writes` in one batch: the writer is blocked until all are queued.
async fn together(bench: &Bench, writes: Vec<Work>) -> Vec<Result<(), Error>> {
    let (release, hold) = mpsc::channel::<()>();
    let (held, mut is_held) = tokio::sync::mpsc::channel(1);
    let database = bench.database.clone();
    let gate = move |_: &Connection| {
        let _ = held.try_send(());
        let _ = hold.recv();
        Ok::<_, Error>(())
    };
    let gate = tokio::spawn(async move { database.write(gate).await });
    is_held.recv().await.unwrap();
    // This runtime has one thread: tasks begin in the order of their spawning and run until they
    // have to wait.
    let spawn = |write| {
        let database = bench.database.clone();
        tokio::spawn(async move { database.write(write).await })
    };
    let tasks: Vec<_> = writes.into_iter().map(spawn).collect();
    tokio::spawn(async move { drop(release) }).await.unwrap();
    gate.await.unwrap().unwrap();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
