//! What a login and a session come to, for each database.

use identity::password::Argon2id;
use identity::{AuthenticationOutcome, Authenticator, CurrentCredentials, Recheck};
use sql::{DatabaseType, SqlQuery};

use crate::support::{TestDatabase, described, hash, users};

#[tokio::test]
async fn every_outcome_of_a_login() {
    for database in TestDatabase::each() {
        let database = database.with_tables();
        let kind = database.kind;
        database.add_user("ann", &hash("right"), None);
        database.add_user("plain", "hunter2", None);
        database.add_user("empty", "", None);
        // Of `badmin`; to verify it would take a day.
        let costly = "$2y$31$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";
        database.add_user("costly", costly, None);
        let argon = Argon2id::hash(b"right", &[1; 16], 32, 2).unwrap();
        database.add_user("argon", &argon, Some("{}"));
        for (name, labels) in [
            ("list", "[]"),
            ("text", r#"{"team": "red"}"#),
            ("number", "7"),
        ] {
            database.add_user(name, &hash("right"), Some(labels));
        }
        let users = database.users();
        for (account, password, outcome) in [
            ("ann", "right", "accepted ann"),
            ("argon", "right", "accepted argon"),
            ("ann", "wrong", "rejected"),
            ("ann", "", "no match"),
            ("", "right", "no match"),
            ("", "", "no match"),
            ("unknown", "right", "no match"),
            ("ann' OR 'a'='a", "right", "no match"),
            ("ann\0", "right", "no match"),
            (&"a".repeat(1025), "right", "no match"),
            // Hashes that cannot be read match nothing.
            ("plain", "hunter2", "rejected"),
            ("empty", "right", "rejected"),
            ("costly", "badmin", "rejected"),
            // The password comes first, so labels tell nothing to those who do not know it.
            ("list", "wrong", "rejected"),
        ] {
            assert_eq!(
                users.outcome(account, password).await,
                outcome,
                "{kind:?} {account:?}"
            );
        }
        assert_eq!(
            users.backend.probe().await.unwrap().as_deref(),
            Some(
                "the query for users works; no login, because the cost of the hash is above 17: \
                 \"costly\""
            ),
            "{kind:?}"
        );
        for account in ["list", "text", "number"] {
            let outcome = users.outcome(account, "right").await;
            let expected =
                format!("broken: the labels of the user {account:?} cannot be read: not an");
            assert!(outcome.starts_with(&expected), "{kind:?}: {outcome}");
        }
    }
}

#[tokio::test]
async fn labels_that_are_not_json_are_told_without_the_text() {
    for database in [TestDatabase::mariadb(), TestDatabase::sqlite()] {
        let database = database.with_tables();
        database.add_user("ann", &hash("right"), Some("hunter2"));
        let outcome = database.users().outcome("ann", "right").await;
        assert!(
            outcome.contains("not JSON (line 1") && !outcome.contains("hunter2"),
            "{outcome}"
        );
    }
}

#[tokio::test]
async fn the_newest_of_two_users_counts() {
    for database in TestDatabase::each() {
        let database = database.with_tables();
        database.add_user("ann", &hash("old"), None);
        database.add_user("ann", &hash("new"), None);
        let users = database.users();
        assert_eq!(users.outcome("ann", "old").await, "rejected");
        assert_eq!(users.outcome("ann", "new").await, "accepted ann");
    }
}

#[tokio::test]
async fn the_stored_spelling_is_the_account() {
    let database = TestDatabase::mariadb().with_tables();
    database.add_user("Zoé", &hash("right"), None);
    let users = database.users();
    for spelling in ["Zoé", "ZOÉ", "zoe", "Zoé  "] {
        assert_eq!(
            users.outcome(spelling, "right").await,
            "accepted Zoé",
            "{spelling:?}"
        );
    }
    database.run("ALTER TABLE xorm_user MODIFY username VARCHAR(128) COLLATE utf8mb4_bin NOT NULL");
    assert_eq!(users.outcome("Zoé", "right").await, "accepted Zoé");
    assert_eq!(users.outcome("ZOÉ", "right").await, "no match");

    let database = TestDatabase::postgres();
    database.run(
        "CREATE EXTENSION IF NOT EXISTS citext; \
         CREATE TABLE people (login CITEXT, hash TEXT, padded CHAR(20))",
    );
    let insert = format!(
        "INSERT INTO people VALUES ('Ann', '{}', 'Ann')",
        hash("right")
    );
    database.run(&insert);
    let own = |columns: &str| {
        let text = format!(
            "SELECT {columns}, hash AS password_hash FROM people WHERE login = ${{account}}"
        );
        let query = SqlQuery::own_for_users(&text, database.kind).unwrap();
        users_with(&database, query)
    };
    let by_login = own("login AS username");
    assert_eq!(by_login.outcome("ANN", "right").await, "accepted Ann");
    let by_padded = own("padded AS username");
    assert_eq!(by_padded.outcome("ann", "right").await, "accepted Ann");
}

fn users_with(database: &TestDatabase, query: SqlQuery) -> crate::support::Users {
    users(database.kind, &database.conn_string, query)
}

#[tokio::test]
async fn a_schema_of_ones_own() {
    for database in TestDatabase::each() {
        let kind = database.kind;
        let labels = match kind {
            DatabaseType::Postgres => "JSONB",
            DatabaseType::MySql => "JSON",
            DatabaseType::Sqlite => "TEXT",
        };
        database.run(&format!(
            "CREATE TABLE people (login VARCHAR(40), mail VARCHAR(40), hash TEXT, grps {labels}, active INT)"
        ));
        for (login, active) in [("ann", 1), ("bob", 0), ("eve", 1), ("eve", 1)] {
            let hash = hash("right");
            database.run(&format!(
                "INSERT INTO people VALUES ('{login}', '{login}@x', '{hash}', '{{\"team\": [\"red\"]}}', {active})"
            ));
        }
        let own = |text: &str| users_with(&database, SqlQuery::own_for_users(text, kind).unwrap());
        let users = own(
            "SELECT login AS username, hash AS password_hash, grps AS labels FROM people \
             WHERE (login = ${account} OR mail = ${account}) AND active = 1",
        );
        assert_eq!(users.outcome("ann", "right").await, "accepted ann");
        assert_eq!(users.outcome("ann@x", "right").await, "accepted ann");
        assert_eq!(users.outcome("bob", "right").await, "no match");
        let several = users.outcome("eve", "right").await;
        assert!(
            several.starts_with("broken: the query found 2 users for one account"),
            "{several}"
        );
        let Ok(AuthenticationOutcome::Accepted(ann)) = users.ask("ann", "right").await else {
            panic!("{kind:?}")
        };
        assert_eq!(ann.subject.labels["team"], ["red"]);
        // Labels may be absent, the others not.
        let bare = own(
            "SELECT login AS USERNAME, hash AS Password_Hash FROM people WHERE login = ${account}",
        );
        assert_eq!(bare.outcome("ann", "right").await, "accepted ann");
        let nameless =
            own("SELECT login, hash AS password_hash FROM people WHERE login = ${account}");
        let outcome = nameless.outcome("ann", "right").await;
        assert!(
            outcome.starts_with("broken: the query has no column `username`"),
            "{outcome}"
        );
        let wrong = own("SELECT login AS username FROM nowhere WHERE login = ${account}");
        let outcome = wrong.outcome("ann", "right").await;
        assert!(outcome.starts_with("broken: "), "{outcome}");
        let wrong = own("SELEC ${account}").outcome("ann", "right").await;
        assert!(
            wrong.starts_with("broken: the database refused the query"),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_session_ends_with_its_user_or_password_and_gets_the_labels_of_today() {
    for database in TestDatabase::each() {
        let database = database.with_tables();
        database.add_user("ann", &hash("first"), Some(r#"{"team": ["red"]}"#));
        let users = database.users();
        let Ok(AuthenticationOutcome::Accepted(ann)) = users.ask("ann", "first").await else {
            panic!("{:?}", database.kind)
        };
        let credential = ann.credential.unwrap();
        let listed = async || match users.backend.recheck("ann").await.unwrap() {
            Recheck::Present {
                subject,
                credentials: CurrentCredentials::Known(listed),
            } => (subject, listed),
            other => panic!("{other:?}"),
        };
        assert_eq!(listed().await, (ann.subject, vec![credential]));
        database.run(r#"UPDATE xorm_user SET labels = '{"team": ["blue"]}'"#);
        assert_eq!(listed().await.0.labels["team"], ["blue"]);
        let second = hash("second");
        database.run(&format!("UPDATE xorm_user SET password_hash = '{second}'"));
        assert!(!listed().await.1.contains(&credential));
        database.run("UPDATE xorm_user SET password_hash = ''");
        assert!(listed().await.1.is_empty());
        assert_eq!(
            users.backend.recheck("ANN").await.unwrap(),
            Recheck::NoMatch
        );
        database.run("DELETE FROM xorm_user");
        assert_eq!(
            users.backend.recheck("ann").await.unwrap(),
            Recheck::NoMatch
        );
    }
}

#[tokio::test]
async fn no_server_is_asked_about_nothing_and_one_that_is_away_is_no_rejection() {
    for (kind, conn_string) in [
        (
            DatabaseType::Postgres,
            "host=127.0.0.1 port=1 user=a sslmode=disable",
        ),
        (
            DatabaseType::Postgres,
            "host=127.0.0.1 port=1 user=a sslmode=require",
        ),
        (DatabaseType::MySql, "a@tcp(127.0.0.1:1)/a"),
        (DatabaseType::MySql, "a@unix(/no/such/socket)/a"),
        (DatabaseType::Sqlite, "/no/such/file.db"),
    ] {
        let users = users(kind, conn_string, SqlQuery::of_users(kind));
        for (account, password) in [("", ""), ("", "x"), ("ann", "")] {
            assert_eq!(
                users.outcome(account, password).await,
                "no match",
                "{conn_string}"
            );
        }
        let outcome = users.outcome("ann", "right").await;
        assert!(
            outcome.starts_with("unavailable: cannot connect"),
            "{conn_string}: {outcome}"
        );
        let error = users.backend.recheck("ann").await.unwrap_err();
        assert!(described(&error).starts_with("unavailable: cannot connect"));
        assert!(users.backend.probe().await.is_err());
    }
}
