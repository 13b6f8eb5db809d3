//! A server that is not there, goes away, comes back; and a standby that takes its place.

use std::num::NonZeroUsize;
use std::time::Duration;

use peers::{ExchangeLoss, Postgres, Relay};
use postgresql::{IsolationLevel, PoolSettings, PostgresError, PostgresPool};

use crate::support::{CREATE_WRITER, PASSWORD_IN_URL, TestDatabase, causes, pool, pool_with};

/// Waits so briefly that an outage is seen.
fn impatient() -> PoolSettings {
    PoolSettings {
        wait: Duration::from_millis(50),
        ..PoolSettings::default()
    }
}

fn unavailable(error: &PostgresError) -> String {
    assert!(matches!(error, PostgresError::Unavailable(_)), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    causes(error)
}

async fn one(pool: &PostgresPool) -> Result<i32, PostgresError> {
    let row = pool.query_one("SELECT 1", &[]).await?;
    Ok(row.get(0))
}

/// Asks until there is an answer.
async fn until_available(pool: &PostgresPool) {
    while let Err(error) = one(pool).await {
        unavailable(&error);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let database = TestDatabase::new();
    let port = database.server.port();
    let wrong = format!("postgres://writer:wrong-secret@127.0.0.1:{port}/postgres");
    let name = &database.name;
    for (url, expected) in [
        (wrong, "password authentication failed for user \"writer\""),
        (
            format!("postgres://writer:{PASSWORD_IN_URL}@127.0.0.1:{port}/no_such"),
            "database \"no_such\" does not exist",
        ),
        (
            format!("postgres://writer:{PASSWORD_IN_URL}@no-such-host.invalid:{port}/{name}"),
            "no-such-host.invalid:",
        ),
        (
            format!("postgres://writer@/{name}?host=/no/such/directory"),
            "/no/such/directory:5432: error connecting to server",
        ),
        (
            format!("postgres://writer:{PASSWORD_IN_URL}@127.0.0.1:1/{name}"),
            "127.0.0.1:1: error connecting to server",
        ),
    ] {
        let error = unavailable(&one(&pool(&url)).await.unwrap_err());
        assert!(error.contains(expected), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let socket = database.server.socket_directory().display();
    let url = format!("postgres://postgres@/{name}?host={socket}&port={port}");
    assert_eq!(one(&pool(&url)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_server_goes_away_and_comes_back() {
    let mut server = Postgres::start();
    server.run("postgres", CREATE_WRITER);
    let url = format!(
        "postgres://writer:{PASSWORD_IN_URL}@127.0.0.1:{}/postgres",
        server.port()
    );
    let (pool, patient) = (pool_with(&url, impatient()), pool(&url));
    for stop in [Postgres::kill, Postgres::stop, Postgres::stop_immediately] {
        until_available(&pool).await;
        let begun = pool.begin(IsolationLevel::ReadCommitted).await.unwrap();
        stop(&mut server);
        unavailable(&begun.query("SELECT 1", &[]).await.unwrap_err());
        drop(begun);
        for _ in 0..3 {
            let error = unavailable(&one(&pool).await.unwrap_err());
            assert!(error.contains("error connecting to server"), "{error}");
        }
        let waiting = tokio::spawn({
            let patient = patient.clone();
            async move { until_available(&patient).await }
        });
        server.start_again();
        waiting.await.unwrap();
        until_available(&pool).await;
    }
}

#[tokio::test]
async fn a_standby_is_promoted() {
    let mut primary = Postgres::start();
    primary.run("postgres", CREATE_WRITER);
    primary.run(
        "postgres",
        "CREATE TABLE t (n BIGINT); GRANT ALL ON t TO writer",
    );
    let standby = primary.start_standby();
    primary.commit_synchronously();
    // The standby is named first, and does not accept writes.
    let url = format!(
        "postgres://writer:{PASSWORD_IN_URL}@127.0.0.1:{},127.0.0.1:{}/postgres",
        standby.port(),
        primary.port()
    );
    let pool = pool(&url);
    let insert = "INSERT INTO t VALUES ($1)";
    assert_eq!(pool.execute(insert, &[&1_i64]).await.unwrap(), 1);
    let timeline = pool.connection().await.unwrap().timeline();
    assert_eq!(timeline, Some(1));
    primary.stop_immediately();
    let error = causes(&pool.execute(insert, &[&2_i64]).await.unwrap_err());
    assert!(
        error.contains("it is read-only") || error.contains("connection closed"),
        "{error}"
    );
    standby.promote();
    until_available(&pool).await;
    assert_eq!(pool.execute(insert, &[&3_i64]).await.unwrap(), 1);
    assert_eq!(pool.connection().await.unwrap().timeline(), Some(2));
    assert_eq!(
        standby.run("postgres", "SELECT n FROM t ORDER BY n"),
        "1\n3"
    );
    // One that is asked for any session takes a standby.
    let read_only = standby.start_standby();
    let any = format!(
        "postgres://writer:{PASSWORD_IN_URL}@127.0.0.1:{}/postgres",
        read_only.port()
    );
    let error = crate::support::pool(&any)
        .execute(insert, &[&4_i64])
        .await
        .unwrap_err();
    assert!(unavailable(&error).contains("read-only transaction"));
}

/// The connection breaks during COMMIT: after it, and before it.
#[tokio::test]
async fn the_outcome_of_a_lost_commit_is_asked_for() {
    let database = TestDatabase::new();
    database
        .pool()
        .execute("CREATE TABLE t (n BIGINT)", &[])
        .await
        .unwrap();
    let address = format!("127.0.0.1:{}", database.server.port());
    for lost in [ExchangeLoss::Answer, ExchangeLoss::Request] {
        // A text ends with a NUL; `READ COMMITTED` is another.
        let relay = Relay::losing(&address, "COMMIT\0", lost);
        let pool = pool(&database.url_at(&relay.host_port()));
        let attempts = std::cell::Cell::new(0);
        let counted = &attempts;
        let outcome: Result<(), PostgresError> = pool
            .transaction(IsolationLevel::ReadCommitted, |tx| async move {
                counted.set(counted.get() + 1);
                tx.execute("INSERT INTO t VALUES ($1)", &[&1_i64]).await?;
                Ok(())
            })
            .await;
        outcome.unwrap();
        assert!(relay.breaks() > 0);
        // What was rolled back is done once more.
        assert_eq!(
            attempts.get(),
            if lost == ExchangeLoss::Answer { 1 } else { 2 }
        );
    }
    assert_eq!(database.run("SELECT count(*) FROM t").trim(), "2");
}

#[tokio::test]
async fn transactions_in_each_others_way_are_tried_again() {
    let database = TestDatabase::new();
    let pool = database.pool();
    pool.execute("CREATE TABLE t (n BIGINT)", &[])
        .await
        .unwrap();
    pool.execute("INSERT INTO t VALUES (0)", &[]).await.unwrap();
    let add = async || {
        let outcome: Result<(), PostgresError> = pool
            .transaction(IsolationLevel::Serializable, |tx| async move {
                let row = tx.query_one("SELECT n FROM t", &[]).await?;
                let n: i64 = row.get(0);
                tx.execute("UPDATE t SET n = $1", &[&(n + 1)]).await?;
                Ok(())
            })
            .await;
        outcome
    };
    let mut added = 0;
    for _ in 0..10 {
        let (one, other) = tokio::join!(add(), add());
        for outcome in [one, other] {
            match outcome {
                Ok(()) => added += 1,
                Err(error) => assert!(matches!(error, PostgresError::Conflict(_)), "{error:?}"),
            }
        }
    }
    assert!(added >= 10);
    assert_eq!(database.run("SELECT n FROM t").trim(), added.to_string());
}

#[tokio::test]
async fn what_is_given_up_is_not_used_again() {
    let database = TestDatabase::new();
    let settings = PoolSettings {
        connections: NonZeroUsize::MIN,
        ..PoolSettings::default()
    };
    let pool = pool_with(&database.url(), settings);
    let process = "SELECT pg_backend_pid()";
    let first: i32 = pool.query_one(process, &[]).await.unwrap().get(0);
    let again: i32 = pool.query_one(process, &[]).await.unwrap().get(0);
    assert_eq!(first, again);
    let sleeping = pool.query("SELECT pg_sleep(600)", &[]);
    let dropped = tokio::time::timeout(Duration::from_millis(50), sleeping).await;
    assert!(dropped.is_err());
    let other: i32 = pool.query_one(process, &[]).await.unwrap().get(0);
    assert_ne!(first, other);
    // An open transaction ends with its connection.
    let begun = pool.begin(IsolationLevel::ReadCommitted).await.unwrap();
    drop(begun);
    let third: i32 = pool.query_one(process, &[]).await.unwrap().get(0);
    assert_ne!(other, third);
    // The server notices that the client of the long statement is gone.
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND \
                    datname = current_database() AND pid <> pg_backend_pid()";
    while database.run(sleeping).trim() != "0" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_pool_has_no_more_connections_than_it_may() {
    let database = TestDatabase::new();
    let settings = PoolSettings {
        connections: NonZeroUsize::new(2).unwrap(),
        wait: Duration::from_millis(50),
        ..PoolSettings::default()
    };
    let patient = pool_with(
        &database.url(),
        PoolSettings {
            wait: Duration::from_secs(60),
            ..settings
        },
    );
    let all = (0..20).map(|_| one(&patient));
    for outcome in futures_util::future::join_all(all).await {
        outcome.unwrap();
    }
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'writer' AND \
                 datname = current_database()";
    assert_eq!(database.run(count).trim(), "2");
    let pool = patient.with_settings(settings);
    until_available(&pool).await;
    let mut held = Vec::new();
    while held.len() < 2 {
        held.extend(pool.connection().await);
    }
    let error = one(&pool).await.unwrap_err();
    assert_eq!(
        unavailable(&error),
        "the database cannot answer now: no connection became free within 0.05 seconds"
    );
    drop(held);
    until_available(&pool).await;
}

#[tokio::test]
async fn a_statement_and_a_lock_have_their_limits() {
    let database = TestDatabase::new();
    let mut settings = PoolSettings::default();
    settings.timeouts.statement = Some(Duration::from_millis(300));
    settings.timeouts.lock = Some(Duration::from_millis(50));
    let pool = pool_with(&database.url(), settings);
    let error = pool.query("SELECT pg_sleep(600)", &[]).await.unwrap_err();
    assert!(
        unavailable(&error).contains("statement timeout"),
        "{error:?}"
    );
    pool.execute("CREATE TABLE t (n INT)", &[]).await.unwrap();
    let holder = pool.begin(IsolationLevel::ReadCommitted).await.unwrap();
    holder.batch_execute("LOCK TABLE t").await.unwrap();
    let error = pool
        .execute("INSERT INTO t VALUES (1)", &[])
        .await
        .unwrap_err();
    assert!(unavailable(&error).contains("lock timeout"), "{error:?}");
    holder.commit().await.unwrap();
    assert_eq!(
        pool.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap(),
        1
    );
}

/// One connection that falls silent is enough to give up the idle ones, too.
#[tokio::test]
async fn what_is_idle_is_closed_when_another_is_lost() {
    let database = TestDatabase::new();
    let address = format!("127.0.0.1:{}", database.server.port());
    let relay = Relay::stopping(&address, 30_000);
    let mut settings = PoolSettings::default();
    settings.timeouts.statement = Some(Duration::from_millis(100));
    let pool = pool_with(&database.url_at(&relay.host_port()), settings);
    let four = async || {
        let all = (0..4).map(|_| one(&pool));
        futures_util::future::join_all(all).await
    };
    for outcome in four().await {
        outcome.unwrap();
    }
    while one(&pool).await.is_ok() {}
    relay.mend();
    for _ in 0..4 {
        one(&pool).await.unwrap();
    }
}

/// The connection goes silent without a word, as behind a firewall that forgot it.
#[tokio::test]
async fn a_silent_server_is_given_up() {
    let database = TestDatabase::new();
    let address = format!("127.0.0.1:{}", database.server.port());
    let relay = Relay::stopping(&address, 2000);
    let mut settings = impatient();
    settings.timeouts.statement = Some(Duration::from_millis(100));
    let pool = pool_with(&database.url_at(&relay.host_port()), settings);
    let mut outcome = Ok(1);
    while outcome.is_ok() {
        outcome = one(&pool).await;
    }
    unavailable(&outcome.unwrap_err());
    relay.mend();
    until_available(&pool).await;
}
