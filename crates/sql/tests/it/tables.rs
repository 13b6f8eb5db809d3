//! The tables: made if they are missing, completed if a column is missing, else left alone.

use auth::{RuleStore, RuleStoreError};
use sql::{SqlQuery, SqlRules};

use crate::support::{TestDatabase, causes, database, hash, users};

#[tokio::test]
async fn missing_tables_are_made_and_can_be_filled() {
    for made in TestDatabase::each() {
        assert_eq!(
            made.users().outcome("ann", "right").await,
            "no match",
            "{:?}",
            made.kind
        );
        assert!(made.rules().read().await.unwrap().is_empty());
        made.add_user("ann", &hash("right"), Some("{}"));
        made.add_rule("3", r#"'{"Match": {}, "Actions": []}'"#);
        assert_eq!(made.users().outcome("ann", "right").await, "accepted ann");
        assert_eq!(made.rules().read().await.unwrap()[0].seq, 3);
    }
}

/// With an index and a column of the operator's own, which stay.
#[tokio::test]
async fn reading_is_enough_and_changes_nothing() {
    for made in TestDatabase::each() {
        let made = made.with_tables();
        made.run("CREATE UNIQUE INDEX own ON xorm_user (username)");
        made.run("ALTER TABLE xorm_user ADD COLUMN note TEXT");
        made.add_user("ann", &hash("right"), None);
        made.add_rule("3", r#"'{"Match": {}, "Actions": []}'"#);
        let conn_string = made.for_reader("SELECT");
        let reader = users(made.kind, &conn_string, SqlQuery::of_users(made.kind));
        assert_eq!(
            reader.outcome("ann", "right").await,
            "accepted ann",
            "{conn_string}"
        );
        let rules = SqlRules::new(
            "acl_sql",
            database(made.kind, &conn_string),
            SqlQuery::of_rules(made.kind),
        );
        assert_eq!(rules.read().await.unwrap().len(), 1);
        // The column and the index are still there.
        made.run("SELECT note FROM xorm_user");
        made.run(match made.kind {
            sql::DatabaseType::MySql => "DROP INDEX own ON xorm_user",
            _ => "DROP INDEX own",
        });
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_made_is_named() {
    for made in TestDatabase::each() {
        made.run("CREATE TABLE other (a INT)");
        let conn_string = made.for_reader("SELECT");
        let reader = users(made.kind, &conn_string, SqlQuery::of_users(made.kind));
        let outcome = reader.outcome("ann", "right").await;
        let expected = "broken: the table xorm_user does not exist, and `CREATE TABLE IF NOT EXISTS xorm_user (id ";
        assert!(outcome.starts_with(expected), "{outcome}");
        let rules = SqlRules::new(
            "acl_sql",
            database(made.kind, &conn_string),
            SqlQuery::of_rules(made.kind),
        );
        let error = rules.read().await.unwrap_err();
        assert!(matches!(error, RuleStoreError::Broken(_)), "{error:?}");
        let text = causes(&error);
        assert!(
            text.starts_with("the table xorm_acl_entry does not exist, and `CREATE TABLE"),
            "{text}"
        );
    }
}

/// As docker_auth does at its start. What the operator added stays.
#[tokio::test]
async fn missing_columns_are_added_if_the_rights_suffice() {
    for made in TestDatabase::each() {
        made.run(
            "CREATE TABLE xorm_user (id INT PRIMARY KEY, username VARCHAR(99), password_hash VARCHAR(128), note TEXT)",
        );
        made.run(&format!(
            "INSERT INTO xorm_user VALUES (1, 'ann', '{}', 'n')",
            hash("right")
        ));
        made.run("CREATE TABLE xorm_acl_entry (note TEXT)");
        let conn_string = made.for_reader("SELECT");
        let reader = users(made.kind, &conn_string, SqlQuery::of_users(made.kind));
        let outcome = reader.outcome("ann", "right").await;
        let expected = "broken: the table xorm_user has no column labels, and `ALTER TABLE xorm_user ADD COLUMN labels ";
        assert!(outcome.starts_with(expected), "{outcome}");

        assert_eq!(made.users().outcome("ann", "right").await, "accepted ann");
        assert_eq!(reader.outcome("ann", "right").await, "accepted ann");
        assert!(made.rules().read().await.unwrap().is_empty());
        made.run("INSERT INTO xorm_acl_entry (note, seq) VALUES ('n', 1)");
        made.run("SELECT note, labels FROM xorm_user");
    }
}

/// A column that no statement can add to a table with rows.
#[tokio::test]
async fn a_column_that_cannot_be_added_is_named() {
    let made = TestDatabase::sqlite();
    made.run("CREATE TABLE xorm_user (username TEXT); INSERT INTO xorm_user VALUES ('ann')");
    let outcome = made.users().outcome("ann", "right").await;
    assert!(
        outcome.contains("the table xorm_user has no column password_hash, and `ALTER TABLE xorm_user ADD COLUMN password_hash TEXT NOT NULL` failed: "),
        "{outcome}"
    );
}

/// A column that is not text is told, and not guessed.
#[tokio::test]
async fn a_column_of_another_type_is_named() {
    for made in TestDatabase::each() {
        made.run("CREATE TABLE people (login VARCHAR(9), hash DOUBLE PRECISION)");
        made.run("INSERT INTO people VALUES ('ann', 1.5)");
        let text =
            "SELECT login AS username, hash AS password_hash FROM people WHERE login = ${account}";
        let query = SqlQuery::own_for_users(text, made.kind).unwrap();
        let outcome = users(made.kind, &made.conn_string, query)
            .outcome("ann", "right")
            .await;
        assert!(
            outcome.starts_with("broken: the column `password_hash` has the type "),
            "{outcome}"
        );
    }
}
