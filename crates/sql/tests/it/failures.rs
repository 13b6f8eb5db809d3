//! A server that goes away, comes back, or does not answer; and many logins at once.

use std::sync::Arc;
use std::time::Duration;

use auth::{RuleStore, RuleStoreError};
use peers::{MariaDb, Postgres, Relay};
use sql::{DatabaseType, SqlQuery};

use crate::support::{TestDatabase, Users, database_within, hash, users, users_of};

const FILL: &str = "CREATE TABLE xorm_user (id INT PRIMARY KEY, username VARCHAR(128) NOT NULL, \
                    password_hash VARCHAR(128) NOT NULL, labels TEXT)";

fn insert() -> String {
    format!(
        "INSERT INTO xorm_user VALUES (1, 'ann', '{}', NULL)",
        hash("right")
    )
}

/// After this, idle connections of `users` are broken.
async fn goes_away_and_comes_back(
    users: &Users,
    mut kill: impl FnMut(),
    mut start_again: impl FnMut(),
) {
    assert_eq!(users.outcome("ann", "right").await, "accepted ann");
    for _ in 0..2 {
        kill();
        for _ in 0..3 {
            let outcome = users.outcome("ann", "right").await;
            assert!(
                outcome.starts_with("unavailable: cannot connect"),
                "{outcome}"
            );
        }
        start_again();
        assert_eq!(users.outcome("ann", "right").await, "accepted ann");
        assert_eq!(users.outcome("ann", "wrong").await, "rejected");
    }
}

#[tokio::test]
async fn postgres_is_killed_and_comes_back() {
    let server = std::cell::RefCell::new(Postgres::start());
    server
        .borrow()
        .run("postgres", &format!("{FILL}; {}", insert()));
    server
        .borrow()
        .run("postgres", "CREATE ROLE reader LOGIN PASSWORD 'secret'");
    server
        .borrow()
        .run("postgres", "GRANT SELECT ON xorm_user TO reader");
    for tls in ["disable", "require"] {
        let port = server.borrow().port();
        let conn_string =
            format!("postgres://reader:secret@127.0.0.1:{port}/postgres?sslmode={tls}");
        let kind = DatabaseType::Postgres;
        let users = users(kind, &conn_string, SqlQuery::of_users(kind));
        goes_away_and_comes_back(
            &users,
            || server.borrow_mut().kill(),
            || server.borrow_mut().start_again(),
        )
        .await;
    }
}

#[tokio::test]
async fn mariadb_is_killed_and_comes_back() {
    let server = std::cell::RefCell::new(MariaDb::start());
    server.borrow().run(&format!(
        "CREATE DATABASE auth; USE auth; {FILL}; {}",
        insert()
    ));
    server
        .borrow()
        .run("CREATE USER reader@'%' IDENTIFIED BY 'secret'");
    server.borrow().run("GRANT SELECT ON auth.* TO reader@'%'");
    let conn_string = format!(
        "reader:secret@tcp(127.0.0.1:{})/auth",
        server.borrow().port()
    );
    let kind = DatabaseType::MySql;
    let users = users(kind, &conn_string, SqlQuery::of_users(kind));
    goes_away_and_comes_back(
        &users,
        || server.borrow_mut().kill(),
        || server.borrow_mut().start_again(),
    )
    .await;
}

/// A server that accepts connections and never answers on them.
#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_and_used_again() {
    for made in [TestDatabase::postgres(), TestDatabase::mariadb()] {
        let made = made.with_tables();
        made.add_user("ann", &hash("right"), None);
        let _ = made.for_reader("SELECT");
        let relay = Relay::stopping(&made.tcp_address(), 10);
        let limit = Duration::from_millis(300);
        let database = database_within(made.kind, &made.reader_at(&relay.host_port()), limit);
        let users = users_of(database, SqlQuery::of_users(made.kind));
        // More often than there are connections: each is closed when it is given up.
        for _ in 0..12 {
            let outcome = users.outcome("ann", "right").await;
            assert_eq!(
                outcome,
                "unavailable: the database did not answer within 0.3 seconds"
            );
        }
        relay.mend();
        // The machine may be busy, so the first answer may take longer than the limit.
        let outcome = users.outcome_once_available("ann", "right").await;
        assert_eq!(outcome, "accepted ann");
        assert_eq!(users.outcome("ann", "wrong").await, "rejected");
    }
}

/// A connection that is cut in the middle of an answer.
#[tokio::test]
async fn a_cut_connection_is_no_rejection() {
    let made = TestDatabase::mariadb().with_tables();
    let _ = made.for_reader("SELECT");
    let entry = r#"CONCAT('{"Match": {}, "Actions": [], "Comment": "', REPEAT('x', 60000), '"}')"#;
    for seq in 0..8 {
        made.add_rule(&seq.to_string(), entry);
    }
    let relay = Relay::breaking(&made.tcp_address(), 200_000);
    let conn_string = made.reader_at(&relay.host_port());
    let database = database_within(made.kind, &conn_string, crate::support::LIMIT);
    let rules = sql::SqlRules::new("acl_sql", database, SqlQuery::of_rules(made.kind));
    assert!(matches!(
        rules.read().await,
        Err(RuleStoreError::Unavailable(_))
    ));
    relay.mend();
    assert_eq!(rules.read().await.unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_logins_at_once() {
    for made in TestDatabase::each() {
        let made = made.with_tables();
        made.add_user("ann", &hash("right"), None);
        let users = Arc::new(made.users());
        users.answers_sixty_four_logins_at_once().await;
    }
}

/// A login whose client goes away closes its connection, and the others go on.
#[tokio::test]
async fn a_login_that_is_given_up_blocks_no_other() {
    for made in TestDatabase::each() {
        let made = made.with_tables();
        made.add_user("ann", &hash("right"), None);
        let users = made.users();
        users.goes_on_after_logins_that_are_given_up().await;
    }
}
