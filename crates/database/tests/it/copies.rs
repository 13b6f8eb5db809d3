//! What a copy to another place needs of both databases.

use database::{CopyState, Database, DatabaseConnection, DatabaseLocation, Error, params};
use peers::TestPostgresDatabase;

use crate::Bench;

async fn insert(database: &Database, sql: &'static str) -> Result<(), Error> {
    let write = move |connection: &DatabaseConnection<'_>| connection.execute(sql, &[]).map(drop);
    database.write(write).await
}

const ACCOUNT: &str =
    "INSERT INTO accounts (name, password, labels, disabled, epoch, created_at, changed_at)
    VALUES ('alice', '$argon2id$x', '{}', 1, 3, 5, 7)";
const TOKEN: &str = "INSERT INTO personal_tokens
    (id, kind, name, owner, owner_backend, ceiling, networks, created_at, created_by)
    VALUES ('t1', 'personal', 'ci', 'alice', 'accounts', NULL, '[]', 1, 'alice')";
const SECRET: &str = "INSERT INTO personal_token_secrets (hash, token, created_at, expires_at)
    VALUES (zeroblob(32), 't1', 1, 2)";
const RULE: &str = "INSERT INTO rules (number, position, rule, created_at) VALUES (7, 1, '{}', 1)";
const LOGGED: &str = "INSERT INTO administration (at, origin, actor, action, object, details)
    VALUES (1, 'command', 'root', 'user.add', 'alice', '{}')";

#[tokio::test]
async fn small_tables_become_equal() {
    let (one, two) = (Bench::new().await, Bench::new().await);
    let (one, two) = (
        Database::from(one.database.clone()),
        Database::from(two.database.clone()),
    );
    assert_eq!(one.copy_small_tables(&two).await.unwrap(), 0);
    assert!(two.has_no_accounts().await.unwrap());
    for sql in [ACCOUNT, TOKEN, SECRET, RULE, LOGGED] {
        insert(&one, sql).await.unwrap();
    }
    assert_eq!(one.copy_small_tables(&two).await.unwrap(), 5);
    assert!(!two.has_no_accounts().await.unwrap());
    assert_eq!(one.copy_small_tables(&two).await.unwrap(), 0);
    // Of a token, nothing is lost because its account is written again.
    insert(&one, "UPDATE accounts SET epoch = 4").await.unwrap();
    insert(&two, RULE.replace('7', "9").leak()).await.unwrap();
    assert_eq!(one.copy_small_tables(&two).await.unwrap(), 2);
    assert_eq!(two.copy_small_tables(&one).await.unwrap(), 0);
    let revoked = two.read(|connection: &DatabaseConnection<'_>| {
        connection.query_one(
            "SELECT count(*) FROM personal_tokens WHERE revoked_at IS NOT NULL",
            &[],
            |row| row.get::<i64>(0),
        )
    });
    assert_eq!(revoked.await.unwrap(), 0);
    // A new rule has a new number.
    insert(
        &two,
        "INSERT INTO rules (position, rule, created_at) VALUES (2, '{}', 1)",
    )
    .await
    .unwrap();
    let highest = two.read(|connection: &DatabaseConnection<'_>| {
        connection.query_one("SELECT max(number) FROM rules", &[], |row| {
            row.get::<i64>(0)
        })
    });
    assert!(highest.await.unwrap() > 7);
}

#[tokio::test]
async fn the_audit_log_is_continued() {
    let (one, two) = (Bench::new().await, Bench::new().await);
    let (one, two) = (
        Database::from(one.database.clone()),
        Database::from(two.database.clone()),
    );
    const RECORD: &str = "INSERT INTO audit (at, kind, account, document, outbox)
        SELECT 1, 'manifest_pulled', 'alice', '{}', coalesce(max(id), 0) + 1 FROM audit";
    let count = async |database: &Database| {
        let count = database.read(|connection: &DatabaseConnection<'_>| {
            let sql = "SELECT count(*) FROM audit";
            connection.query_one(sql, &[], |row| row.get::<i64>(0))
        });
        count.await.unwrap()
    };
    for _ in 0..3 {
        insert(&one, RECORD).await.unwrap();
    }
    // The log of administration is copied without being recorded a second time.
    insert(&one, LOGGED).await.unwrap();
    one.copy_small_tables(&two).await.unwrap();
    assert_eq!(count(&two).await, 0);
    assert_eq!(one.copy_audit(&two).await.unwrap(), 4);
    assert_eq!(one.copy_audit(&two).await.unwrap(), 0);
    insert(&one, RECORD).await.unwrap();
    one.make_read_only().await.unwrap();
    // Pulls are recorded to the end.
    insert(&one, RECORD).await.unwrap();
    assert_eq!(one.copy_audit(&two).await.unwrap(), 2);
    assert_eq!((count(&one).await, count(&two).await), (6, 6));
    insert(
        &two,
        "INSERT INTO audit (at, kind, account, document, outbox) VALUES (1, 'x', '', '{}', 1)",
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn the_history_of_tags_is_continued() {
    let (one, two) = (Bench::new().await, Bench::new().await);
    let (one, two) = (
        Database::from(one.database.clone()),
        Database::from(two.database.clone()),
    );
    const CHANGE: &str =
        "INSERT INTO tag_history (repository, tag, at, to_digest, account, request_id)
         VALUES ('a', 'x', 1, zeroblob(33), 'alice', '1')";
    let count = async |database: &Database| {
        let count = database.read(|connection: &DatabaseConnection<'_>| {
            let sql = "SELECT count(*) FROM tag_history";
            connection.query_one(sql, &[], |row| row.get::<i64>(0))
        });
        count.await.unwrap()
    };
    for expected in [2, 4] {
        insert(&one, CHANGE).await.unwrap();
        insert(&one, CHANGE).await.unwrap();
        one.copy_tag_history(&two).await.unwrap();
        one.copy_tag_history(&two).await.unwrap();
        assert_eq!(count(&two).await, expected);
    }
    one.make_read_only().await.unwrap();
    insert(&one, CHANGE).await.unwrap_err();
}

#[tokio::test]
async fn a_database_that_is_read_only_refuses_what_must_not_be_lost() {
    let bench = Bench::new().await;
    let database = Database::from(bench.database.clone());
    insert(&database, ACCOUNT).await.unwrap();
    assert!(!database.is_read_only().await.unwrap());
    database.make_read_only().await.unwrap();
    // Twice is once.
    database.make_read_only().await.unwrap();
    assert!(database.is_read_only().await.unwrap());
    for sql in [
        RULE,
        LOGGED,
        "UPDATE accounts SET epoch = 9",
        "DELETE FROM accounts",
        "INSERT INTO repositories (name) VALUES ('a')",
        "INSERT INTO uploads (id, repository, client, algorithm, received, moved_at)
            VALUES (zeroblob(16), 'a', 'c', 1, 0, 0)",
    ] {
        let refused = insert(&database, sql).await;
        assert!(
            matches!(refused, Err(Error::ReadOnly(_))),
            "{sql}: {refused:?}"
        );
    }
    // Sessions and holds of collection are not.
    let hold = "INSERT INTO collection_holds VALUES (zeroblob(16), 1)";
    insert(&database, hold).await.unwrap();
    let logins = database.write(|connection: &DatabaseConnection<'_>| {
        connection.execute(
            "INSERT INTO personal_token_uses (hash, used_at, address, repository)
                SELECT hash, ?1, '', '' FROM personal_token_secrets",
            params![1],
        )
    });
    assert_eq!(logins.await.unwrap(), 0);
    database.make_writable().await.unwrap();
    assert!(!database.is_read_only().await.unwrap());
    insert(&database, RULE).await.unwrap();
}

#[tokio::test]
async fn a_database_knows_what_it_is_a_copy_of() {
    let bench = Bench::new().await;
    let database = Database::from(bench.database.clone());
    assert_eq!(database.copy_id("one").await.unwrap(), "one");
    assert_eq!(database.copy_id("two").await.unwrap(), "one");
    assert_eq!(database.copy_state().await.unwrap(), CopyState::None);
    for state in [
        CopyState::Unfinished("x".to_owned()),
        CopyState::Complete("x".to_owned()),
        CopyState::None,
    ] {
        database.set_copy_state(state.clone()).await.unwrap();
        assert_eq!(database.copy_state().await.unwrap(), state);
    }
}

async fn postgres(peer: &TestPostgresDatabase) -> Database {
    let location: DatabaseLocation = peer.url().parse().unwrap();
    let database = Database::open_exclusive(&location).unwrap();
    database.ready().await.unwrap();
    database
}

#[tokio::test]
async fn small_tables_go_to_postgresql_and_back() {
    let (one, two) = (Bench::new().await, Bench::new().await);
    let peer = TestPostgresDatabase::create();
    let (one, two) = (
        Database::from(one.database.clone()),
        Database::from(two.database.clone()),
    );
    let server = postgres(&peer).await;
    for sql in [ACCOUNT, TOKEN, SECRET, RULE, LOGGED] {
        insert(&one, sql).await.unwrap();
    }
    assert!(server.has_no_accounts().await.unwrap());
    assert_eq!(one.copy_small_tables(&server).await.unwrap(), 5);
    assert_eq!(one.copy_small_tables(&server).await.unwrap(), 0);
    one.copy_audit(&server).await.unwrap();
    assert_eq!(server.copy_small_tables(&two).await.unwrap(), 5);
    server.copy_audit(&two).await.unwrap();
    assert_eq!(two.copy_small_tables(&one).await.unwrap(), 0);
    // A new rule has a new number.
    let rule = "INSERT INTO rules (position, rule, created_at) VALUES (2, '{}', 1)";
    insert(&server, rule).await.unwrap();
    let highest = server.read(|connection: &DatabaseConnection<'_>| {
        connection.query_one("SELECT max(number) FROM rules", &[], |row| {
            row.get::<i64>(0)
        })
    });
    assert_eq!(highest.await.unwrap(), 8);
}

#[tokio::test]
async fn postgresql_refuses_what_must_not_be_lost() {
    let peer = TestPostgresDatabase::create();
    let database = postgres(&peer).await;
    let account = "INSERT INTO accounts (name, password, labels, created_at, changed_at)
        VALUES ('alice', '', '{}', 0, 0)";
    insert(&database, account).await.unwrap();
    assert!(!database.is_read_only().await.unwrap());
    database.make_read_only().await.unwrap();
    database.make_read_only().await.unwrap();
    assert!(database.is_read_only().await.unwrap());
    for sql in [
        LOGGED,
        "UPDATE accounts SET epoch = 9",
        "DELETE FROM accounts",
    ] {
        let refused = insert(&database, sql).await;
        assert!(
            matches!(refused, Err(Error::ReadOnly(_))),
            "{sql}: {refused:?}"
        );
    }
    assert_eq!(database.copy_id("one").await.unwrap(), "one");
    assert_eq!(database.copy_state().await.unwrap(), CopyState::None);
    database
        .set_copy_state(CopyState::Complete("x".to_owned()))
        .await
        .unwrap();
    database.make_writable().await.unwrap();
    assert!(!database.is_read_only().await.unwrap());
    insert(&database, LOGGED).await.unwrap();
}
