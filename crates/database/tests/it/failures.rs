use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use database::{Error, SqliteDatabase};
use rusqlite::Connection;

use crate::{Bench, execute, insert, together};

/// The write that adds `n` with a megabyte of filler.
fn heavy(n: i64) -> impl FnMut(&Connection) -> Result<(), Error> + Send + 'static {
    execute(format!(
        "INSERT INTO numbers (n, filler) VALUES ({n}, zeroblob(1 << 20))"
    ))
}

#[tokio::test]
async fn writes_work_again_when_a_full_disk_has_room() {
    let bench = Bench::new().await;
    bench
        .database
        .write(execute("PRAGMA max_page_count = 64"))
        .await
        .unwrap();
    let error = bench.database.write(heavy(1)).await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the disk that holds the database is full"
    );
    assert_eq!(bench.count().await, 0);
    bench
        .database
        .write(execute("PRAGMA max_page_count = 100000"))
        .await
        .unwrap();
    bench.database.write(heavy(1)).await.unwrap();
    assert_eq!(bench.count().await, 1);
}

#[tokio::test]
async fn a_write_that_does_not_fit_does_not_fail_others_in_its_commit() {
    let bench = Bench::new().await;
    bench
        .database
        .write(execute("PRAGMA max_page_count = 64"))
        .await
        .unwrap();
    let before = bench.database.activity();
    // SQLite rolls back the whole transaction that runs out of room.
    let results = together(
        &bench,
        vec![Box::new(insert(1)), Box::new(heavy(2)), Box::new(insert(3))],
    )
    .await;
    assert!(
        matches!(results[..], [Ok(()), Err(Error::Full(_)), Ok(())]),
        "{results:?}"
    );
    assert_eq!(bench.count().await, 2);
    // Two and the blocking one, each in a commit of its own at the second try.
    let after = bench.database.activity();
    assert_eq!(
        (after.writes - before.writes, after.commits - before.commits),
        (3, 3)
    );
}

#[tokio::test]
async fn a_database_is_busy_while_another_process_holds_it() {
    let bench = Bench::new().await;
    bench
        .database
        .write(execute("PRAGMA busy_timeout = 1"))
        .await
        .unwrap();
    let other = Connection::open(bench.location().path().unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (first, second) = tokio::join!(
        bench.database.write(insert(1)),
        bench.database.write(insert(2))
    );
    assert!(
        matches!(
            (&first, &second),
            (Err(Error::Busy(_)), Err(Error::Busy(_)))
        ),
        "{first:?} {second:?}"
    );
    assert_eq!(bench.count().await, 0);
    other.execute_batch("COMMIT").unwrap();
    bench.database.write(insert(3)).await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_reported_as_damaged() {
    let bench = Bench::new().await;
    for n in 0..8 {
        bench.database.write(heavy(n)).await.unwrap();
    }
    let first = bench.database.read(|connection| -> Result<u64, Error> {
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'numbers'";
        Ok(connection
            .query_row(root, (), |row| row.get::<_, u32>(0))?
            .into())
    });
    let first = first.await.unwrap();
    let (
        location,
        Bench {
            database,
            directory: _directory,
        },
    ) = (bench.location(), bench);
    drop(database);
    let file = OpenOptions::new()
        .write(true)
        .open(location.path().unwrap())
        .unwrap();
    let length = file.metadata().unwrap().len();
    // From the table's first page; before it are the header and the list of tables.
    for offset in ((first - 1) * 4096..length).step_by(4096) {
        file.write_all_at(&[0xff; 4096], offset).unwrap();
    }
    let database = SqliteDatabase::open_exclusive(&location).unwrap();
    let sum = |connection: &Connection| -> Result<i64, Error> {
        Ok(connection.query_row("SELECT sum(n) FROM numbers", (), |row| row.get(0))?)
    };
    let error = database.read(sum).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    assert!(matches!(
        database.write(insert(9)).await,
        Err(Error::Corrupt(_))
    ));
}

#[tokio::test]
async fn writes_to_a_removed_or_replaced_file_fail() {
    let bench = Bench::new().await;
    let path = bench.location().path().unwrap().to_owned();
    bench.database.write(insert(1)).await.unwrap();
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    assert!(matches!(
        bench.database.write(insert(2)).await,
        Err(Error::Moved)
    ));
    std::fs::copy(&aside, &path).unwrap();
    assert!(
        matches!(bench.database.write(insert(3)).await, Err(Error::Moved)),
        "it is another file"
    );
    std::fs::rename(&aside, &path).unwrap();
    bench.database.write(insert(4)).await.unwrap();
    assert_eq!(bench.count().await, 2);
}
