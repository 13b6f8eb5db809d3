//! The operations on accounts.

use accounts::{AccountError, LabelChange, LabelError};
use common::Secret;
use database::{Administrator, Precondition};
use policy::Labels;
use serde_json::json;

use crate::support::{Bench, labels, named, root, start};

#[tokio::test]
async fn an_account_from_its_addition_to_its_removal() {
    let bench = Bench::new(super::KIND);
    let secret = Secret::from("sesame");
    let by = Administrator::Account("ann".to_owned());
    let name = named("bob");
    let bob = bench
        .store
        .add(&by, &name, &secret, labels("team", &["red"]));
    let bob = bob.await.unwrap();
    assert_eq!((bob.created_at, bob.changed_at), (start(), start()));
    bench.clock.pass(5);
    let change = LabelChange {
        set: labels("team", &["blue"]),
        ..LabelChange::default()
    };
    let bob = bench
        .store
        .set_labels(&by, "bob", change.clone())
        .await
        .unwrap();
    assert_eq!(bob.labels, labels("team", &["blue"]));
    assert!(bob.changed_at > bob.created_at);
    assert!(bench.store.disable(&by, "bob").await.unwrap().is_disabled);
    assert!(!bench.store.enable(&by, "bob").await.unwrap().is_disabled);
    bench.store.set_password(&by, "bob", &secret).await.unwrap();
    assert_eq!(bench.store.find("bob").await.unwrap().unwrap().name, "bob");
    bench
        .store
        .remove(&by, "bob", Precondition::Unconditional)
        .await
        .unwrap();
    assert_eq!(bench.store.find("bob").await.unwrap(), None);
    let log = bench.log().await;
    let actions: Vec<_> = log
        .iter()
        .rev()
        .map(|entry| entry.action.as_str())
        .collect();
    assert_eq!(
        actions,
        [
            "user.add",
            "user.label",
            "user.disable",
            "user.enable",
            "user.passwd",
            "user.remove"
        ]
    );
    assert!(
        log.iter()
            .all(|entry| entry.by == by && entry.object == "bob")
    );
    assert_eq!(log[5].details, json!({ "labels": { "team": ["red"] } }));
    assert_eq!(
        log[4].details,
        json!({ "set": { "team": ["blue"] }, "remove": [] })
    );
    let all = format!("{log:?}");
    assert!(!all.contains("sesame") && !all.contains("argon2"), "{all}");
}

#[tokio::test]
async fn what_changes_nothing_is_not_logged() {
    let bench = Bench::new(super::KIND);
    bench.add("bob", "sesame", Labels::new()).await;
    bench.store.enable(&root(), "bob").await.unwrap();
    bench.store.disable(&root(), "bob").await.unwrap();
    bench.store.disable(&root(), "bob").await.unwrap();
    let nothing = LabelChange::default();
    bench
        .store
        .set_labels(&root(), "bob", nothing)
        .await
        .unwrap();
    assert_eq!(bench.actions().await, ["user.disable", "user.add"]);
}

#[tokio::test]
async fn what_is_refused_changes_and_logs_nothing() {
    let bench = Bench::new(super::KIND);
    bench.add("bob", "sesame", labels("team", &["red"])).await;
    let (by, secret) = (root(), Secret::from("other"));
    let store = &bench.store;
    let again = store.add(&by, &named("bob"), &secret, Labels::new()).await;
    assert!(matches!(again, Err(AccountError::Exists(name)) if name == "bob"));
    let unknown = [
        store.set_password(&by, "eve", &secret).await,
        store.set_labels(&by, "eve", LabelChange::default()).await,
        store.disable(&by, "eve").await,
        store.enable(&by, "eve").await,
        store.remove(&by, "eve", Precondition::Unconditional).await,
    ];
    for refused in unknown {
        assert!(matches!(refused, Err(AccountError::Unknown(name)) if name == "eve"));
    }
    let empty = store.set_password(&by, "bob", &Secret::from("")).await;
    assert!(matches!(empty, Err(AccountError::NoPassword)));
    let long = Secret::from("x".repeat(4097).as_str());
    let long = store.set_password(&by, "bob", &long).await;
    assert!(matches!(long, Err(AccountError::LongPassword(4097))));
    let change = LabelChange {
        set: labels("site", &["oslo"]),
        remove: vec!["vip".to_owned()],
        allows_absent: false,
    };
    let missing = store.set_labels(&by, "bob", change).await;
    assert!(matches!(
        missing,
        Err(AccountError::Labels(LabelError::Unknown(_)))
    ));
    let bob = store.find("bob").await.unwrap().unwrap();
    assert_eq!(bob.labels, labels("team", &["red"]));
    assert_eq!(bench.actions().await, ["user.add"]);
}

#[tokio::test]
async fn a_list_has_pages() {
    let bench = Bench::new(super::KIND);
    for name in ["cy", "ann", "Zoë", "bob"] {
        bench.add(name, "sesame", Labels::new()).await;
    }
    let names = async |after: &str, limit| {
        let listed = bench.store.list(after, limit).await.unwrap();
        listed
            .into_iter()
            .map(|record| record.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("", 100).await, ["Zoë", "ann", "bob", "cy"]);
    assert_eq!(names("", 2).await, ["Zoë", "ann"]);
    assert_eq!(names("ann", 2).await, ["bob", "cy"]);
    assert_eq!(names("cy", 2).await, [""; 0]);
    assert_eq!(bench.store.count().await.unwrap(), 4);
}

#[tokio::test]
async fn two_additions_of_one_name_at_once_make_one_account() {
    let bench = Bench::new(super::KIND);
    let (command, _) = bench.of_a_command();
    let secret = Secret::from("sesame");
    let (by, name) = (root(), named("bob"));
    let (one, other) = tokio::join!(
        bench
            .store
            .add(&by, &name, &secret, labels("from", &["server"])),
        command.add(&by, &name, &secret, labels("from", &["command"])),
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(bench.actions().await, ["user.add"]);
}
