//! Statements and transactions on one server.

use postgresql::{IsolationLevel, PostgresError};

use crate::support::{TestDatabase, causes};

#[tokio::test]
async fn statements_and_their_errors() {
    let database = TestDatabase::new();
    let pool = database.pool();
    let create = "CREATE TABLE names (id BIGINT GENERATED ALWAYS AS IDENTITY, name TEXT UNIQUE)";
    assert_eq!(pool.execute(create, &[]).await.unwrap(), 0);
    let insert = "INSERT INTO names (name) VALUES ($1)";
    assert_eq!(pool.execute(insert, &[&"a"]).await.unwrap(), 1);
    assert_eq!(pool.execute(insert, &[&"b"]).await.unwrap(), 1);
    let all = pool.query("SELECT name FROM names ORDER BY id", &[]).await;
    let all: Vec<String> = all.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(all, ["a", "b"]);
    let one = "SELECT id FROM names WHERE name = $1";
    assert!(pool.query_opt(one, &[&"a"]).await.unwrap().is_some());
    assert!(pool.query_opt(one, &[&"c"]).await.unwrap().is_none());
    let none = pool.query_one(one, &[&"c"]).await.unwrap_err();
    assert!(causes(&none).contains("0 rows instead of one"));
    let same = pool.execute(insert, &[&"a"]).await.unwrap_err();
    assert!(
        matches!(&same, PostgresError::Unique { constraint } if constraint == "names_name_key"),
        "{same:?}"
    );
    let wrong = pool
        .query("SELECT no_such FROM names", &[])
        .await
        .unwrap_err();
    assert_eq!(wrong.sql_state(), Some("42703"));
    assert_eq!(wrong.retry_after(), None);
    // The connection goes on.
    assert_eq!(database.run("SELECT count(*) FROM pg_stat_activity WHERE usename = 'writer' AND datname = current_database()").trim(), "1");
}

#[tokio::test]
async fn a_transaction_is_committed_or_rolled_back() {
    let database = TestDatabase::new();
    let pool = database.pool();
    pool.execute("CREATE TABLE t (n INT)", &[]).await.unwrap();
    let count = async || -> i64 {
        let row = pool.query_one("SELECT count(*) FROM t", &[]).await;
        row.unwrap().get(0)
    };
    for level in [
        IsolationLevel::ReadCommitted,
        IsolationLevel::RepeatableRead,
        IsolationLevel::Serializable,
    ] {
        let added: Result<u64, PostgresError> = pool
            .transaction(level, |tx| async move {
                tx.execute("INSERT INTO t VALUES ($1)", &[&1]).await
            })
            .await;
        assert_eq!(added.unwrap(), 1);
    }
    assert_eq!(count().await, 3);
    let refused: Result<(), PostgresError> = pool
        .transaction(IsolationLevel::ReadCommitted, |tx| async move {
            tx.execute("INSERT INTO t VALUES (4)", &[]).await?;
            tx.execute("INSERT INTO no_such VALUES (4)", &[]).await?;
            Ok(())
        })
        .await;
    assert_eq!(refused.unwrap_err().sql_state(), Some("42P01"));
    // An error that the closure does not pass on is none the less a rollback.
    let ignored: Result<(), PostgresError> = pool
        .transaction(IsolationLevel::ReadCommitted, |tx| async move {
            tx.execute("INSERT INTO t VALUES (5)", &[]).await?;
            let _ = tx.execute("INSERT INTO no_such VALUES (5)", &[]).await;
            Ok(())
        })
        .await;
    assert!(causes(&ignored.unwrap_err()).contains("rolled back"));
    let read_only: Result<u64, PostgresError> = pool
        .transaction(IsolationLevel::ReadOnly, |tx| async move {
            tx.execute("INSERT INTO t VALUES (6)", &[]).await
        })
        .await;
    assert!(read_only.is_err());
    assert_eq!(count().await, 3);
    let begun = pool.begin(IsolationLevel::ReadCommitted).await.unwrap();
    begun
        .execute("INSERT INTO t VALUES (7)", &[])
        .await
        .unwrap();
    drop(begun);
    let begun = pool.begin(IsolationLevel::ReadCommitted).await.unwrap();
    let same = begun.clone();
    begun
        .execute("INSERT INTO t VALUES (8)", &[])
        .await
        .unwrap();
    begun.commit().await.unwrap();
    assert!(causes(&same.query("SELECT 1", &[]).await.unwrap_err()).contains("has ended"));
    drop(same);
    assert_eq!(count().await, 4);
}
