//! The operations on rules, and the rules as a policy.

use std::time::Duration;

use accounts::{ChangeCounter, DatabaseRules, MAX_RULES, RuleList, RuleListError, RulePlace};
use auth::Authorizer;
use database::{DatabaseConnection, ObjectVersion, Precondition, params};
use identity::LoginSource;
use policy::{AclEntry, AclOptions, AclQuery, Conditions, Labels};
use serde_json::json;

use crate::support::{Bench, root};

const FREE: Precondition = Precondition::Unconditional;

fn rule(account: &str, actions: &[&str]) -> AclEntry {
    AclEntry {
        conditions: Conditions {
            account: Some(account.to_owned()),
            ..Conditions::default()
        },
        actions: actions.iter().map(ToString::to_string).collect(),
        comment: None,
    }
}

async fn add(bench: &Bench, account: &str, place: RulePlace) -> i64 {
    let by = root();
    let added = bench.rules.add(&by, rule(account, &["pull"]), place, FREE);
    added.await.unwrap().number
}

/// The accounts of the rules, in their order.
async fn order(bench: &Bench) -> String {
    let listed = bench.rules.list().await.unwrap();
    let accounts = listed.into_iter().map(|rule| rule.entry.conditions.account);
    accounts.flatten().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn rules_have_an_order_and_numbers_that_are_never_used_twice() {
    let bench = Bench::new(super::KIND);
    let by = root();
    let a = add(&bench, "a", RulePlace::Last).await;
    let b = add(&bench, "b", RulePlace::Last).await;
    let c = add(&bench, "c", RulePlace::First).await;
    let d = add(&bench, "d", RulePlace::Before(b)).await;
    assert_eq!((a, b, c, d), (1, 2, 3, 4));
    assert_eq!(order(&bench).await, "c a d b");
    let e = add(&bench, "e", RulePlace::After(c)).await;
    assert_eq!(order(&bench).await, "c e a d b");
    let rules = &bench.rules;
    for (number, place, expected) in [
        (b, RulePlace::First, "b c e a d"),
        (b, RulePlace::Last, "c e a d b"),
        (e, RulePlace::After(d), "c a d e b"),
        (a, RulePlace::Before(a), "c a d e b"),
        (c, RulePlace::Before(b), "a d e c b"),
    ] {
        rules.move_to(&by, number, place, FREE).await.unwrap();
        assert_eq!(order(&bench).await, expected);
    }
    rules.remove(&by, e, FREE).await.unwrap();
    assert_eq!(order(&bench).await, "a d c b");
    assert_eq!(add(&bench, "f", RulePlace::Last).await, 6);
    assert_eq!(order(&bench).await, "a d c b f");
    let log = bench.log().await;
    assert_eq!(
        (log[1].action.as_str(), log[1].object.as_str()),
        ("rule.remove", "rule 5")
    );
    let removed = json!({ "rule": { "match": { "account": "e" }, "actions": ["pull"] } });
    assert_eq!(log[1].details, removed);
    assert_eq!(log[2].details, json!({ "place": "before 2" }));
}

#[tokio::test]
async fn what_is_refused_changes_and_logs_nothing() {
    let bench = Bench::new(super::KIND);
    let by = root();
    let rules = &bench.rules;
    let wrong = rules
        .add(&by, rule("/(/", &["pull"]), RulePlace::Last, FREE)
        .await;
    let wrong = wrong.unwrap_err().to_string();
    assert!(
        wrong.starts_with("match.account: the regular expression is malformed"),
        "{wrong}"
    );
    let long = rules.add(
        &by,
        rule(&"x".repeat(9000), &["pull"]),
        RulePlace::Last,
        FREE,
    );
    assert!(matches!(long.await, Err(RuleListError::TooLong(_))));
    let beside = rules.add(&by, rule("a", &["pull"]), RulePlace::Before(7), FREE);
    assert!(matches!(beside.await, Err(RuleListError::Unknown(7))));
    let moved = rules.move_to(&by, 1, RulePlace::First, FREE).await;
    assert!(matches!(moved, Err(RuleListError::Unknown(1))));
    let removed = rules.remove(&by, 1, FREE).await;
    assert!(matches!(removed, Err(RuleListError::Unknown(1))));
    assert_eq!(rules.list().await.unwrap(), []);
    assert_eq!(bench.actions().await, [""; 0]);
}

#[tokio::test]
async fn a_change_can_require_the_version_that_was_read() {
    let bench = Bench::new(super::KIND);
    let (by, rules) = (root(), &bench.rules);
    let of_list = async || RuleList::version_of(&rules.list().await.unwrap());
    let only = |version: &ObjectVersion| Precondition::OneOf(vec![version.clone()]);
    let entry = || rule("a", &["pull"]);
    let empty = of_list().await;
    let first = rules.add(&by, entry(), RulePlace::Last, only(&empty));
    let first = first.await.unwrap();
    assert_eq!(rules.find(first.number).await.unwrap(), first);
    let stale = rules.add(&by, entry(), RulePlace::Last, only(&empty)).await;
    assert!(matches!(stale, Err(RuleListError::Precondition(_))));
    let second = rules
        .add(&by, entry(), RulePlace::Last, FREE)
        .await
        .unwrap();
    assert_ne!(second.version, first.version, "of equal rules, too");
    // The order is of the list. A rule stays what it was.
    let before = of_list().await;
    let moved = rules.move_to(&by, second.number, RulePlace::First, only(&before));
    assert_eq!(moved.await.unwrap().version, second.version);
    assert_ne!(of_list().await, before);
    for stale in [
        only(&before),
        only(&first.version),
        Precondition::OneOf(Vec::new()),
    ] {
        let moved = rules
            .move_to(&by, second.number, RulePlace::Last, stale.clone())
            .await;
        assert!(matches!(moved, Err(RuleListError::Precondition(_))));
        let removed = rules.remove(&by, second.number, stale).await;
        assert!(matches!(removed, Err(RuleListError::Precondition(_))));
    }
    let removed = rules.remove(&by, second.number, only(&second.version));
    removed.await.unwrap();
    let removed = rules.remove(&by, first.number, only(&of_list().await));
    removed.await.unwrap();
    assert_eq!(of_list().await, empty);
    let expected = [
        "rule.remove",
        "rule.remove",
        "rule.move",
        "rule.add",
        "rule.add",
    ];
    assert_eq!(bench.actions().await, expected);
}

#[tokio::test]
async fn one_of_two_changes_of_the_same_list_fails() {
    let bench = Bench::new(super::KIND);
    let (_, command) = bench.of_a_command();
    let (by, read) = (root(), RuleList::version_of(&[]));
    let add = |rules: RuleList, account| {
        let (by, only) = (by.clone(), Precondition::OneOf(vec![read.clone()]));
        async move {
            let entry = rule(account, &["pull"]);
            rules.add(&by, entry, RulePlace::First, only).await
        }
    };
    let (one, other) = tokio::join!(add(bench.rules.clone(), "a"), add(command, "b"));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(bench.actions().await, ["rule.add"]);
}

/// Writes rules past the operations, as a newer or a broken program might.
async fn insert(bench: &Bench, count: usize, text: &'static str) {
    let write = bench
        .database
        .write(move |connection: &DatabaseConnection| {
            let sql = "INSERT INTO rules (position, rule, created_at) VALUES (?1, ?2, 0)";
            for position in 0..count {
                connection.execute(sql, params![position, text])?;
            }
            Ok::<_, database::Error>(())
        });
    write.await.unwrap();
}

const ANY: &str = r#"{"match": {}, "actions": []}"#;

#[tokio::test]
async fn the_number_of_rules_is_bounded() {
    let bench = Bench::new(super::KIND);
    let by = root();
    insert(&bench, MAX_RULES, ANY).await;
    let more = bench
        .rules
        .add(&by, rule("a", &["pull"]), RulePlace::Last, FREE);
    assert!(matches!(more.await, Err(RuleListError::TooMany)));
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_is_named_and_can_be_removed() {
    let bench = Bench::new(super::KIND);
    let by = root();
    insert(&bench, 1, ANY).await;
    insert(&bench, 1, r#"{"actions": ["*"]}"#).await;
    let error = bench.rules.list().await.unwrap_err();
    assert!(
        matches!(error, RuleListError::Unreadable { number: 2, .. }),
        "{error:?}"
    );
    bench.rules.remove(&by, 2, FREE).await.unwrap();
    assert_eq!(bench.rules.list().await.unwrap().len(), 1);
}

/// What `account` is granted, and by which rule; `None` if the policy has no answer.
async fn decision(policy: &DatabaseRules, account: &str) -> Option<(Vec<String>, String)> {
    let (labels, actions) = (Labels::new(), ["pull".to_owned(), "push".to_owned()]);
    let query = AclQuery {
        account,
        labels: &labels,
        resource_type: "repository",
        name: "app",
        service: "",
        ip: None,
        actions: &actions,
    };
    let source = LoginSource::new(None, account);
    let decision = policy.decide(&query, &source).await.unwrap()?;
    Some((decision.granted, decision.by.to_string()))
}

#[tokio::test]
async fn a_policy_follows_the_changes_of_commands() {
    let bench = Bench::new(super::KIND);
    let by = root();
    let (_, command) = bench.of_a_command();
    let changes = ChangeCounter::start(bench.database.clone());
    let policy = DatabaseRules::following(bench.rules.clone(), AclOptions::default(), &changes);
    assert_eq!(
        decision(&policy, "ann").await,
        None,
        "the next policy is asked"
    );
    let added = command.add(&by, rule("ann", &["pull"]), RulePlace::Last, FREE);
    let number = added.await.unwrap().number;
    let granted = (vec!["pull".to_owned()], format!("rule#{number}"));
    while decision(&policy, "ann").await.as_ref() != Some(&granted) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A rule that cannot be read keeps those of the last load in force.
    insert(&bench, 1, "{}").await;
    assert!(policy.load().await.is_err());
    assert_eq!(decision(&policy, "ann").await, Some(granted));
    command.remove(&by, number + 1, FREE).await.unwrap();
    command.remove(&by, number, FREE).await.unwrap();
    while decision(&policy, "ann").await.is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_command_loads_the_rules_when_it_needs_them() {
    let bench = Bench::new(super::KIND);
    add(&bench, "ann", RulePlace::Last).await;
    let policy = DatabaseRules::new(bench.rules.clone(), AclOptions::default());
    assert!(policy.rules().is_none());
    let found = policy.probe().await.unwrap();
    assert_eq!(found.as_deref(), Some("1 rules in the database"));
    assert!(policy.rules().is_some());
}
