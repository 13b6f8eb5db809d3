//! Connection strings of each form against real servers.

use auth::RuleStore;
use sql::{DatabaseType, SqlQuery, SqlRules};

use crate::support::{READER_PASSWORD, TestDatabase, database, shared_mariadb, shared_postgres};

/// The text that a query of one row gives.
async fn value(kind: DatabaseType, conn_string: &str, expression: &str) -> String {
    let text = format!("SELECT 1 AS seq, {expression} AS acl_entry");
    let query = SqlQuery::own_for_rules(&text).unwrap();
    let rules = SqlRules::new("acl_sql", database(kind, conn_string), query);
    let read = rules.read().await;
    let read = read.unwrap_or_else(|error| panic!("{conn_string}: {error:?}"));
    read[0].rule.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn mariadb_by_tcp_and_by_socket() {
    let made = TestDatabase::mariadb();
    let _ = made.for_reader("SELECT");
    let (server, name) = (shared_mariadb(), made.name());
    let (port, socket) = (server.port(), server.socket());
    let socket = socket.display();
    let user = r#"CONCAT('"', SUBSTRING_INDEX(USER(), '@', 1), '@', DATABASE(), '"')"#;
    for conn_string in [
        format!("reader:{READER_PASSWORD}@tcp(127.0.0.1:{port})/{name}"),
        format!(
            "reader:{READER_PASSWORD}@tcp(localhost:{port})/{name}?charset=utf8&parseTime=true"
        ),
        format!("reader:{READER_PASSWORD}@unix({socket})/{name}?timeout=30s&loc=Local"),
    ] {
        let found = value(DatabaseType::MySql, &conn_string, user).await;
        assert_eq!(found, format!("reader@{name}"), "{conn_string}");
    }
    let session = r#"JSON_QUOTE(CONCAT(@@sql_mode, ' ', @@collation_connection))"#;
    let base = format!("reader:{READER_PASSWORD}@unix({socket})/{name}");
    let conn_string = format!("{base}?sql_mode=%27ANSI_QUOTES%27&collation=utf8mb4_bin");
    let found = value(DatabaseType::MySql, &conn_string, session).await;
    assert_eq!(found, "ANSI_QUOTES utf8mb4_bin");
}

#[tokio::test]
async fn postgres_by_url_and_by_keywords() {
    let made = TestDatabase::postgres();
    made.run("CREATE TABLE any_table (a INT)");
    let by_socket = made.for_reader("SELECT");
    let (server, name) = (shared_postgres(), made.name());
    let (port, socket) = (server.port(), server.socket_directory().display());
    let encoded = READER_PASSWORD.replace('@', "%40").replace('/', "%2F");
    let quoted = READER_PASSWORD.replace('\'', "\\'");
    let user = "to_json(current_user || '@' || current_database() || ' ' || current_setting('search_path'))";
    for (conn_string, search_path) in [
        (by_socket, "\"$user\", public"),
        (
            format!(
                "postgres://reader:{encoded}@127.0.0.1:{port}/{name}?sslmode=disable&search_path=a,b"
            ),
            "a,b",
        ),
        (
            format!("postgresql://reader:{encoded}@localhost:{port}/{name}?sslmode=require"),
            "\"$user\", public",
        ),
        (
            format!(
                "host=127.0.0.1 port={port} user=reader password='{quoted}' dbname={name} sslmode=disable search_path='a, b'"
            ),
            "a, b",
        ),
        (
            format!(
                "user=reader password='{quoted}' dbname={name} port={port} host='{socket}' connect_timeout=30"
            ),
            "\"$user\", public",
        ),
    ] {
        let found = value(DatabaseType::Postgres, &conn_string, user).await;
        assert_eq!(
            found,
            format!("reader@{name} {search_path}"),
            "{conn_string}"
        );
    }
}

#[tokio::test]
async fn sqlite_by_path_and_by_uri() {
    let made = TestDatabase::sqlite();
    let file = &made.conn_string;
    for conn_string in [
        file.clone(),
        format!("file:{file}?mode=ro&_busy_timeout=100"),
        format!("file://{file}?cache=shared"),
        format!("{file}?immutable=1"),
    ] {
        let found = value(DatabaseType::Sqlite, &conn_string, r#"'"here"'"#).await;
        assert_eq!(found, "here", "{conn_string}");
    }
    let created = format!("{file}.new");
    let found = value(
        DatabaseType::Sqlite,
        &format!("file:{created}?mode=rwc"),
        r#"'"made"'"#,
    )
    .await;
    assert_eq!(found, "made");
    assert!(std::path::Path::new(&created).exists());
}

/// A password that is wrong is an error of the server's configuration, not of the client.
#[tokio::test]
async fn a_wrong_password_for_the_database_is_told_without_it() {
    let (postgres, mariadb) = (shared_postgres(), shared_mariadb());
    for (kind, conn_string) in [
        (
            DatabaseType::Postgres,
            format!(
                "host=127.0.0.1 port={} user=reader password=hunter2 dbname=postgres sslmode=disable",
                postgres.port()
            ),
        ),
        (
            DatabaseType::MySql,
            format!("reader:hunter2@tcp(127.0.0.1:{})/mysql", mariadb.port()),
        ),
    ] {
        let users = crate::support::users(kind, &conn_string, SqlQuery::of_users(kind));
        let outcome = users.outcome("ann", "right").await;
        assert!(
            outcome.starts_with("unavailable: cannot connect to the database"),
            "{outcome}"
        );
        assert!(
            outcome.contains("reader") && !outcome.contains("hunter2"),
            "{outcome}"
        );
    }
}
