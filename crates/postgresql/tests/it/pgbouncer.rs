//! Behind PgBouncer 1.18 in transaction mode, which refuses parameters of the session, and whose
//! sessions do not know each other's statements.

use std::sync::Arc;
use std::time::Duration;

use peers::PgBouncer;
use postgresql::{IsolationLevel, PoolSettings, PostgresError, PostgresPool};

use crate::support::{PASSWORD, TestDatabase, pool_with};

struct Pooled {
    database: TestDatabase,
    bouncer: PgBouncer,
}

impl Pooled {
    fn start(more: &str) -> Self {
        let database = TestDatabase::new();
        let bouncer = PgBouncer::start_with(&database.server, &[("writer", PASSWORD)], more);
        Self { database, bouncer }
    }

    fn pool(&self) -> PostgresPool {
        let address = format!("127.0.0.1:{}", self.bouncer.port());
        // What is tested is not how fast a busy machine is.
        let settings = PoolSettings {
            wait: Duration::from_secs(60),
            ..PoolSettings::default()
        };
        pool_with(&self.database.url_at(&address), settings)
    }
}

/// Many at once, in two pools as if of two programs, on two sessions of the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn statements_of_two_programs_at_once() {
    for more in ["", "ignore_startup_parameters = options"] {
        let pooled = Pooled::start(more);
        let pools = [pooled.pool(), pooled.pool()];
        let create = "CREATE TABLE t (name TEXT PRIMARY KEY, n BIGINT, bytes BYTEA)";
        pools[0].execute(create, &[]).await.unwrap();
        let mut tasks = Vec::new();
        for task in 0..16_i64 {
            let pool = pools[usize::try_from(task).unwrap() % 2].clone();
            tasks.push(tokio::spawn(async move {
                for round in 0..20_i64 {
                    let name = format!("{task}.{round}");
                    let insert = "INSERT INTO t VALUES ($1, $2, $3)";
                    let bytes = name.as_bytes();
                    let parameters: [&(dyn postgresql::types::ToSql + Sync); 3] =
                        [&name, &round, &bytes];
                    assert_eq!(pool.execute(insert, &parameters).await.unwrap(), 1);
                    // Each task has a text of its own, whose names would meet those of others.
                    let select = format!("SELECT n + {task}, bytes FROM t WHERE name = $1");
                    let row = pool.query_one(&select, &[&name]).await.unwrap();
                    assert_eq!(row.get::<_, i64>(0), round + task);
                    assert_eq!(row.get::<_, &[u8]>(1), bytes);
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let count = pooled.database.run("SELECT count(*) FROM t");
        assert_eq!(count.trim(), "320");
    }
}

#[tokio::test]
async fn transactions_keep_their_session_and_set_their_own_limits() {
    let pooled = Pooled::start("");
    let pool = pooled.pool();
    pool.execute("CREATE TABLE t (n BIGINT)", &[])
        .await
        .unwrap();
    let shown: Result<String, PostgresError> = pool
        .transaction(IsolationLevel::Serializable, |tx| async move {
            tx.execute("INSERT INTO t VALUES ($1)", &[&1_i64]).await?;
            let row = tx.query_one("SHOW statement_timeout", &[]).await?;
            Ok(row.get(0))
        })
        .await;
    assert_eq!(shown.unwrap(), "5s");
    // The next transaction of another client has the server's.
    let row = pool.query_one("SHOW statement_timeout", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "0");
    assert_eq!(pooled.database.run("SELECT n FROM t").trim(), "1");
}

/// A statement that the server does not limit is given up here.
#[tokio::test]
async fn a_long_statement_is_given_up() {
    let pooled = Pooled::start("");
    let mut settings = PoolSettings::default();
    settings.timeouts.statement = Some(std::time::Duration::from_millis(100));
    let pool = pooled.pool().with_settings(settings);
    let error = pool.query("SELECT pg_sleep(600)", &[]).await.unwrap_err();
    assert!(matches!(error, PostgresError::Unavailable(_)), "{error:?}");
    assert!(pool.query("SELECT 1", &[]).await.is_ok());
}

/// A table whose column gets another type: the remembered one is asked for again.
#[tokio::test]
async fn remembered_types_are_asked_for_again() {
    let pooled = Pooled::start("");
    let pool = Arc::new(pooled.pool());
    pool.execute("CREATE TABLE t (n INT)", &[]).await.unwrap();
    let insert = "INSERT INTO t VALUES ($1)";
    assert_eq!(pool.execute(insert, &[&1_i32]).await.unwrap(), 1);
    pool.execute("ALTER TABLE t ALTER n TYPE BIGINT", &[])
        .await
        .unwrap();
    assert!(pool.execute(insert, &[&1_i64]).await.is_err());
    assert_eq!(pool.execute(insert, &[&1_i64]).await.unwrap(), 1);
    // No statement stays prepared.
    let left = pool.query("SELECT name FROM pg_prepared_statements", &[]);
    assert!(left.await.unwrap().is_empty());
}
