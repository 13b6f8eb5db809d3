//! Rules from each database.

use std::sync::Arc;
use std::time::Duration;

use auth::{Authorizer, MaxStale, RuleStore, RuleStoreError, StoredRules, StoredRulesSettings};
use common::SystemClock;
use policy::AclOptions;
use serde_json::json;
use sql::{SqlQuery, SqlRules};

use crate::support::{TestDatabase, causes, database};

fn stored(rules: SqlRules) -> StoredRules {
    let settings = StoredRulesSettings {
        options: AclOptions::default(),
        refresh: Duration::from_secs(60),
        max_stale: MaxStale::Unlimited,
    };
    StoredRules::new(rules, settings, Arc::new(SystemClock))
}

#[tokio::test]
async fn rules_come_in_the_order_of_seq() {
    for database in TestDatabase::each() {
        let database = database.with_tables();
        for seq in ["30", "-5", "9000000000", "10"] {
            database.add_rule(seq, r#"'{"Match": {"Name": "a"}, "Actions": ["pull"]}'"#);
        }
        let rules = database.rules().read().await.unwrap();
        let order: Vec<i64> = rules.iter().map(|rule| rule.seq).collect();
        assert_eq!(order, [-5, 10, 30, 9_000_000_000], "{:?}", database.kind);
        assert_eq!(
            rules[0].rule,
            json!({"Match": {"Name": "a"}, "Actions": ["pull"]})
        );
    }
}

/// Each way in which a load is refused, and that the rules before stay in force.
#[tokio::test]
async fn a_wrong_row_is_named_by_its_seq_and_changes_nothing() {
    for database in TestDatabase::each() {
        let database = database.with_tables();
        database.add_rule("1", r#"'{"Match": {}, "Actions": ["pull"]}'"#);
        let rules = stored(database.rules());
        rules.load().await.unwrap();
        for (entry, said) in [
            ("NULL", "seq 7: the rule is null"),
            (r#"'{"Actions": []}'"#, "seq 7: `match` is missing"),
            (r#"'{"Match": {}}'"#, "seq 7: `actions` is missing"),
            (
                r#"'{"Match": {"Name": "/(/"}, "Actions": []}'"#,
                "seq 7: match.name: ",
            ),
            (
                r#"'{"Match": {"IP": "1.2.3"}, "Actions": []}'"#,
                "seq 7: match.ip: ",
            ),
        ] {
            database.add_rule("7", entry);
            let error = rules.load().await.unwrap_err();
            let text = causes(&error);
            assert!(text.starts_with(said), "{:?}: {text}", database.kind);
            assert_eq!(rules.count(), Some(1));
            database.run("DELETE FROM xorm_acl_entry WHERE seq = 7");
        }
        database.add_rule("NULL", r#"'{"Match": {}, "Actions": []}'"#);
        let text = causes(&rules.load().await.unwrap_err());
        assert!(text.starts_with("a rule has no seq"), "{text}");
        database.run("DELETE FROM xorm_acl_entry");
        rules.load().await.unwrap();
        assert_eq!(rules.count(), Some(0));
    }
}

#[tokio::test]
async fn text_that_is_not_json_is_named_by_its_seq() {
    for database in [TestDatabase::mariadb(), TestDatabase::sqlite()] {
        let database = database.with_tables();
        for text in ["", " "] {
            database.add_rule("5", &format!("'{text}'"));
            let error = stored(database.rules()).load().await.unwrap_err();
            assert!(causes(&error).starts_with("seq 5: the rule is null"));
            database.run("DELETE FROM xorm_acl_entry");
        }
        database.add_rule("6", r#"'{"Match": '"#);
        let error = database.rules().read().await.unwrap_err();
        assert!(matches!(&error, RuleStoreError::Rules(_)));
        assert!(
            error
                .to_string()
                .starts_with("seq 6: acl_entry is not JSON"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_schema_of_ones_own() {
    for own in TestDatabase::each() {
        own.run("CREATE TABLE rights (place INT, who VARCHAR(20), what VARCHAR(20))");
        own.run("INSERT INTO rights VALUES (2, 'ann', 'pull'), (1, 'bob', 'push')");
        let object = |who: &str, what: &str| {
            let open = r#"'{"Match": {"Account": "'"#;
            let middle = r#"'"}, "Actions": ["'"#;
            let close = r#"'"]}'"#;
            match own.kind {
                sql::DatabaseType::MySql => {
                    format!("CONCAT({open}, {who}, {middle}, {what}, {close})")
                }
                _ => format!("{open} || {who} || {middle} || {what} || {close}"),
            }
        };
        let text = format!(
            "SELECT place AS seq, {} AS acl_entry FROM rights",
            object("who", "what")
        );
        let query = SqlQuery::own_for_rules(&text).unwrap();
        let rules = SqlRules::new("acl_sql", database(own.kind, &own.conn_string), query);
        let read = rules.read().await.unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].rule["Match"]["Account"], "ann");
        assert_eq!(
            (read[0].seq, read[1].seq),
            (2, 1),
            "StoredRules puts them in order"
        );
    }
}

/// The columns may have the types of docker_auth's documentation or better ones.
#[tokio::test]
async fn columns_of_other_types() {
    for (database, entry, seq) in [
        (TestDatabase::postgres(), "JSONB", "INT"),
        (TestDatabase::postgres(), "TEXT", "SMALLINT"),
        (TestDatabase::mariadb(), "JSON", "INT UNSIGNED"),
        (TestDatabase::mariadb(), "LONGTEXT", "SMALLINT"),
        (TestDatabase::sqlite(), "BLOB", "TEXT"),
    ] {
        database.run(&format!(
            "CREATE TABLE xorm_acl_entry (acl_entry {entry}, seq {seq})"
        ));
        database.add_rule("5", r#"'{"Match": {}, "Actions": []}'"#);
        let read = database.rules().read().await.unwrap();
        assert_eq!(read[0].rule, json!({"Match": {}, "Actions": []}), "{entry}");
        assert_eq!(read[0].seq, 5, "{seq}");
    }
}
