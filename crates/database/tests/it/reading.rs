use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};

use database::Error;
use rusqlite::{Connection, StatementStatus};
use tokio::task::JoinSet;

use crate::{Bench, insert};

fn numbers(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.query_row("SELECT count(*) FROM numbers", (), |row| row.get(0))?)
}

#[tokio::test]
async fn a_read_uses_one_snapshot() {
    let bench = Bench::new().await;
    let (looked, wait_for_look) = mpsc::channel();
    let (written, wait_for_write) = mpsc::channel();
    let database = bench.database.clone();
    let read = tokio::spawn(async move {
        let read = move |connection: &Connection| {
            let first = numbers(connection)?;
            looked.send(()).unwrap();
            wait_for_write.recv().unwrap();
            Ok::<_, Error>((first, numbers(connection)?))
        };
        database.read(read).await
    });
    tokio::task::spawn_blocking(move || wait_for_look.recv().unwrap())
        .await
        .unwrap();
    bench.database.write(insert(1)).await.unwrap();
    written.send(()).unwrap();
    assert_eq!(read.await.unwrap().unwrap(), (0, 0));
    assert_eq!(bench.count().await, 1);
}

#[tokio::test]
async fn reads_run_in_parallel() {
    let bench = Bench::new().await;
    let meeting = Arc::new(Barrier::new(2));
    let mut reads = JoinSet::new();
    for _ in 0..2 {
        let (database, meeting) = (bench.database.clone(), Arc::clone(&meeting));
        reads.spawn(async move {
            let read = move |connection: &Connection| {
                meeting.wait();
                numbers(connection)
            };
            database.read(read).await.unwrap()
        });
    }
    assert_eq!(reads.join_all().await, [0, 0]);
}

#[tokio::test]
async fn the_number_of_readers_is_limited() {
    let bench = Bench::new().await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut reads = JoinSet::new();
    for _ in 0..64 {
        let (database, running, most) = (
            bench.database.clone(),
            Arc::clone(&running),
            Arc::clone(&most),
        );
        reads.spawn(async move {
            let read = move |connection: &Connection| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let count = numbers(connection);
                running.fetch_sub(1, Ordering::SeqCst);
                count
            };
            database.read(read).await.unwrap()
        });
    }
    assert_eq!(reads.join_all().await.len(), 64);
    assert!((1..=4).contains(&most.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn a_read_cannot_write() {
    let bench = Bench::new().await;
    let error = bench
        .database
        .read(|connection: &Connection| insert(1)(connection))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
    assert_eq!(bench.count().await, 0);
}

#[tokio::test]
async fn a_panic_closes_one_connection() {
    let bench = Bench::new().await;
    for _ in 0..10 {
        let database = bench.database.clone();
        let read = async move {
            database
                .read(|_: &Connection| -> Result<(), Error> { panic!("on purpose") })
                .await
        };
        assert!(tokio::spawn(read).await.unwrap_err().is_panic());
    }
    assert_eq!(bench.count().await, 0);
}

#[tokio::test]
async fn a_page_is_planned_once_for_all_bounds() {
    let bench = Bench::new().await;
    bench.database.write(insert(1)).await.unwrap();
    let read = |connection: &Connection| {
        let mut page =
            connection.prepare("SELECT n FROM numbers WHERE n > ?1 ORDER BY n LIMIT ?2")?;
        for limit in 1..5 {
            page.query((0, limit))?.next()?;
        }
        Ok::<_, Error>(page.get_status(StatementStatus::RePrepare))
    };
    assert_eq!(bench.database.read(read).await.unwrap(), 0);
}
