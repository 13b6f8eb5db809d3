use std::sync::mpsc;
use std::task::Poll;

use database::{Activity, Error, SqliteDatabase};
use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::{Bench, execute, insert, together};

fn since(bench: &Bench, before: Activity) -> (u64, u64) {
    let now = bench.database.activity();
    (now.writes - before.writes, now.commits - before.commits)
}

#[tokio::test]
async fn acknowledged_writes_are_visible_to_other_connections() {
    let bench = Bench::new().await;
    bench.database.write(insert(1)).await.unwrap();
    let other = Connection::open(bench.location().path().unwrap()).unwrap();
    assert_eq!(
        other
            .query_row("SELECT n FROM numbers", (), |row| row.get::<_, i64>(0))
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn waiting_writes_share_a_commit() {
    let bench = Bench::new().await;
    let before = bench.database.activity();
    let results = together(&bench, (0..100).map(|n| Box::new(insert(n)) as _).collect()).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(bench.count().await, 100);
    // One is the blocking write.
    assert_eq!(since(&bench, before), (101, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_share_commits() {
    let bench = Bench::new().await;
    let before = bench.database.activity();
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let database = bench.database.clone();
        writers.spawn(async move {
            for n in 0..100 {
                database.write(insert(writer * 100 + n)).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    assert_eq!(bench.count().await, 1600);
    let (writes, commits) = since(&bench, before);
    assert_eq!(writes, 1600);
    assert!(
        commits <= writes / 4,
        "{commits} commits for {writes} writes"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_of_sixty_four_tasks_is_lost() {
    let bench = Bench::new().await;
    bench.database.write(insert(0)).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let database = bench.database.clone();
        tasks.spawn(async move {
            for _ in 0..10 {
                // It reads what it changes.
                let add = |connection: &Connection| -> Result<(), Error> {
                    let n: i64 =
                        connection.query_row("SELECT n FROM numbers", (), |row| row.get(0))?;
                    connection.execute("UPDATE numbers SET n = ?1", [n + 1])?;
                    Ok(())
                };
                database.write(add).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let sum = bench
        .database
        .read(|connection: &Connection| -> Result<i64, Error> {
            Ok(connection.query_row("SELECT n FROM numbers", (), |row| row.get(0))?)
        });
    assert_eq!(sum.await.unwrap(), 640);
}

#[tokio::test]
async fn a_failed_write_is_undone_alone() {
    let bench = Bench::new().await;
    let before = bench.database.activity();
    let write = |n: i64| {
        let insert = format!("INSERT INTO numbers (n) VALUES ({n})");
        // The second statement of every second write fails.
        execute(if n % 2 == 0 {
            format!("{insert}; {insert}")
        } else {
            insert
        })
    };
    let results = together(&bench, (0..10).map(|n| Box::new(write(n)) as _).collect()).await;
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result.is_ok(), n % 2 == 1, "{n}");
        assert!(
            matches!(result, Ok(()) | Err(Error::Unique(_))),
            "{result:?}"
        );
    }
    assert_eq!(bench.count().await, 5);
    assert_eq!(since(&bench, before), (6, 2));
}

#[tokio::test]
async fn a_write_fails_with_its_own_error() {
    #[derive(Debug, PartialEq)]
    struct Taken;
    impl From<Error> for Taken {
        fn from(_: Error) -> Self {
            unreachable!()
        }
    }
    let bench = Bench::new().await;
    let write = |connection: &Connection| {
        connection
            .execute("INSERT INTO numbers (n) VALUES (1)", ())
            .unwrap();
        Err::<(), _>(Taken)
    };
    assert_eq!(bench.database.write(write).await, Err(Taken));
    assert_eq!(bench.count().await, 0);
}

#[tokio::test]
async fn a_panic_reaches_its_caller_only() {
    let bench = Bench::new().await;
    let database = bench.database.clone();
    let panics = tokio::spawn(async move {
        let write = |connection: &Connection| -> Result<(), Error> {
            connection.execute("INSERT INTO numbers (n) VALUES (1)", ())?;
            panic!("on purpose")
        };
        database.write(write).await
    });
    let panic = panics.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    bench.database.write(insert(2)).await.unwrap();
    assert_eq!(bench.count().await, 1);
}

#[tokio::test]
async fn a_write_cannot_commit_on_its_own() {
    let bench = Bench::new().await;
    for sql in ["COMMIT", "ROLLBACK"] {
        let error = bench.database.write(execute(sql)).await.unwrap_err();
        assert!(matches!(error, Error::Unfinished), "{sql}: {error:?}");
    }
    let results = together(
        &bench,
        vec![
            Box::new(insert(1)),
            Box::new(execute("ROLLBACK")),
            Box::new(insert(2)),
        ],
    )
    .await;
    assert!(
        matches!(results[..], [Ok(()), Err(Error::Unfinished), Ok(())]),
        "{results:?}"
    );
    assert_eq!(bench.count().await, 2);
}

/// Begins a write and stops waiting for it.
async fn abandon(write: impl Future<Output = Result<(), Error>>) {
    let mut write = std::pin::pin!(write);
    let pending =
        std::future::poll_fn(|context| Poll::Ready(write.as_mut().poll(context).is_pending()))
            .await;
    assert!(pending);
}

#[tokio::test]
async fn dropping_the_database_waits_for_queued_writes() {
    let bench = Bench::new().await;
    let location = bench.location();
    let Bench {
        database,
        directory: _directory,
    } = bench;
    let (release, hold) = mpsc::channel::<()>();
    let wait = move |connection: &Connection| {
        let _ = hold.recv();
        insert(1)(connection)
    };
    abandon(database.write(wait)).await;
    abandon(database.write(insert(2))).await;
    drop(release);
    drop(database);
    assert_eq!(
        crate::count(&SqliteDatabase::open_exclusive(&location).unwrap()).await,
        2
    );
}

#[tokio::test]
async fn the_last_clone_may_be_dropped_in_a_write() {
    let Bench {
        database,
        directory: _directory,
    } = Bench::new().await;
    let (release, hold) = mpsc::channel::<()>();
    let (done, wait) = mpsc::channel();
    let mut last = Some(database.clone());
    let write = move |_: &Connection| {
        let _ = hold.recv();
        drop(last.take());
        done.send(()).unwrap();
        Ok(())
    };
    abandon(database.write(write)).await;
    drop(database);
    drop(release);
    tokio::task::spawn_blocking(move || wait.recv().unwrap())
        .await
        .unwrap();
}
