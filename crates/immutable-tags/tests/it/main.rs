//! Rules in a database. The API's tests do the same with PostgreSQL.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test on the spot"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::Clock;
use database::{
    AdministrationFilter, Administrator, Database, DatabaseConnection, DatabaseLocation,
    ObjectVersion, Precondition, logged_changes, params,
};
use immutable_tags::{
    ImmutableTagError, ImmutableTagList, MAX_EXCEPTIONS, NOTICED_WITHIN, NewImmutableTagRule,
    StoredImmutableTags,
};
use serde_json::json;
use tempfile::TempDir;

struct Still;

impl Clock for Still {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }
}

struct World {
    list: ImmutableTagList,
    database: Database,
    _directory: TempDir,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let location = DatabaseLocation::at(directory.path().join("w.db"));
    let database = Database::open_exclusive(&location).unwrap();
    World {
        list: ImmutableTagList::new(database.clone(), Arc::new(Still)),
        database,
        _directory: directory,
    }
}

fn root() -> Administrator {
    Administrator::SystemUser("root (uid 0)".to_owned())
}

fn new(repository: &str, tag: &str, except: &[&str]) -> NewImmutableTagRule {
    NewImmutableTagRule {
        repository: repository.parse().unwrap(),
        tag: tag.parse().unwrap(),
        except: except.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

#[tokio::test]
async fn each_change_is_logged_with_who_made_it() {
    let World { list, database, .. } = &world();
    let any = Precondition::Unconditional;
    let rule = new("prod/**", "v*", &["*-dev"]);
    let added = list.add(&root(), rule.clone(), any.clone()).await.unwrap();
    assert_eq!((added.number, &added.rule), (1, &rule));
    assert_eq!(list.find(1).await.unwrap(), added);
    list.remove(&root(), 1, any.clone()).await.unwrap();
    let gone = list.remove(&root(), 1, any.clone()).await;
    assert!(
        matches!(gone, Err(ImmutableTagError::Unknown(1))),
        "{gone:?}"
    );
    // No number is used twice.
    assert_eq!(list.add(&root(), rule, any).await.unwrap().number, 2);
    let read = |connection: &DatabaseConnection| {
        logged_changes(connection, &AdministrationFilter::default(), 10)
    };
    let logged = database.read(read).await.unwrap();
    let logged: Vec<_> = logged
        .iter()
        .map(|entry| (entry.action.as_str(), entry.object.as_str(), &entry.details))
        .collect();
    let details = json!({"repository": "prod/**", "tag": "v*", "except": ["*-dev"]});
    assert_eq!(
        logged,
        [
            ("immutable_tags.add", "immutable tags 2", &details),
            ("immutable_tags.remove", "immutable tags 1", &details),
            ("immutable_tags.add", "immutable tags 1", &details),
        ]
    );
}

#[tokio::test]
async fn a_change_can_require_what_its_author_has_read() {
    let World { list, .. } = &world();
    let any = Precondition::Unconditional;
    let one = list.add(&root(), new("a", "*", &[]), any).await.unwrap();
    let seen = ImmutableTagList::version_of(&list.list().await.unwrap());
    let of_list = Precondition::OneOf(vec![seen]);
    let two = new("b", "*", &[]);
    list.add(&root(), two.clone(), of_list.clone())
        .await
        .unwrap();
    for outcome in [
        list.add(&root(), two, of_list.clone()).await.map(drop),
        list.remove(&root(), 1, of_list).await,
        list.remove(
            &root(),
            1,
            Precondition::OneOf(vec![ObjectVersion::from("x")]),
        )
        .await,
    ] {
        assert!(
            matches!(outcome, Err(ImmutableTagError::Precondition(_))),
            "{outcome:?}"
        );
    }
    let of_rule = Precondition::OneOf(vec![one.version]);
    list.remove(&root(), 1, of_rule).await.unwrap();
}

#[tokio::test]
async fn a_rule_has_so_many_exceptions() {
    let World { list, .. } = &world();
    let rule = new("a", "*", &vec!["x"; MAX_EXCEPTIONS + 1]);
    let refused = list.add(&root(), rule, Precondition::Unconditional).await;
    assert!(
        matches!(refused, Err(ImmutableTagError::TooManyExceptions(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_notices_changes_and_keeps_what_it_had() {
    let World { list, database, .. } = &world();
    let live = StoredImmutableTags::start(list.clone(), database.clone()).await;
    assert!(live.current().unwrap().is_empty());
    let before = live.current().unwrap();
    let any = Precondition::Unconditional;
    list.add(&root(), new("a", "v*", &[]), any.clone())
        .await
        .unwrap();
    let protects = |live: &StoredImmutableTags| {
        let rules = live.current().unwrap();
        rules
            .protecting(&"a".parse().unwrap(), &"v1".parse().unwrap())
            .is_some()
    };
    until(|| protects(&live)).await;
    // A request has the set with which it began.
    assert!(before.is_empty());
    // What cannot be read changes nothing.
    let write = |connection: &DatabaseConnection| {
        let sql = "UPDATE immutable_tag_rules SET tag = '{' WHERE number = 1";
        connection.execute(sql, params![]).map(drop)
    };
    database.write(write).await.unwrap();
    tokio::time::sleep(2 * NOTICED_WITHIN).await;
    assert!(protects(&live));
    let unreadable = list.list().await;
    assert!(matches!(
        unreadable,
        Err(ImmutableTagError::Unreadable { number: 1, .. })
    ));
    list.remove(&root(), 1, any).await.unwrap();
    until(|| !protects(&live)).await;
}

async fn until(mut is_true: impl FnMut() -> bool) {
    for _ in 0..200 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it was not noticed");
}
