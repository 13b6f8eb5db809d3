//! Rules, and each way in which a load of them fails.

use std::sync::Arc;
use std::time::Duration;

use auth::{Authorizer, MaxStale, StoredRules, StoredRulesSettings};
use common::SystemClock;
use mongo::{MongoRules, MongoSettings, ServerSelection};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use peers::{FerretDb, FerretDbConfig};
use policy::{AclOptions, AclQuery, Labels};

use crate::support::{TestDatabase, causes, settings};

fn stored(rules: MongoRules) -> StoredRules {
    let settings = StoredRulesSettings {
        options: AclOptions::default(),
        refresh: Duration::from_secs(60),
        max_stale: MaxStale::Unlimited,
    };
    StoredRules::new(rules, settings, Arc::new(SystemClock))
}

/// The places of the rules, in the order in which they are asked about what none of them matches.
fn order(rules: &StoredRules) -> Vec<String> {
    let query = AclQuery {
        account: "other",
        labels: &Labels::new(),
        resource_type: "repository",
        name: "other",
        service: "",
        ip: None,
        actions: &["pull".to_owned()],
    };
    let explained = rules.rules().unwrap().explain(&query);
    assert!(explained.decided.is_none());
    let places = explained.passed.iter().map(|rule| rule.place.to_string());
    places.collect()
}

#[tokio::test]
async fn rules_are_asked_in_the_order_of_seq() {
    let database = TestDatabase::new();
    let collection = database.collection("acl").await;
    for seq in [
        Bson::Int32(30),
        Bson::Int32(-5),
        Bson::Int64(9_000_000_000),
        Bson::Double(10.0),
    ] {
        let rule = doc! {"seq": seq, "match": {"name": "a"}, "actions": ["pull"]};
        collection.insert_one(rule).await.unwrap();
    }
    let rules = stored(database.rules());
    rules.load().await.unwrap();
    assert_eq!(
        order(&rules),
        [
            "acl_mongo seq -5",
            "acl_mongo seq 10",
            "acl_mongo seq 30",
            "acl_mongo seq 9000000000"
        ]
    );
}

/// Each row of the manual's table of loads: what is wrong is named by its `seq`, and the rules of
/// the last load stay in force.
#[tokio::test]
async fn a_wrong_document_is_named_and_changes_nothing() {
    let database = TestDatabase::new();
    let collection = database.collection("acl").await;
    let good = doc! {"seq": 1, "match": {"account": "ann"}, "actions": ["pull"]};
    collection.insert_one(good).await.unwrap();
    let rules = stored(database.rules());
    rules.load().await.unwrap();
    for (wrong, said) in [
        (doc! {"seq": 7, "actions": []}, "seq 7: `match` is missing"),
        (
            doc! {"seq": 7, "match": null, "actions": []},
            "seq 7: `match` is missing",
        ),
        (doc! {"seq": 7, "match": {}}, "seq 7: `actions` is missing"),
        (
            doc! {"seq": 7, "match": {}, "actions": "*"},
            "seq 7: `actions` is a string",
        ),
        (
            doc! {"seq": 7, "match": {"name": "/(/"}, "actions": []},
            "seq 7: match.name: ",
        ),
        (
            doc! {"seq": 7, "match": {"ip": "1.2.3"}, "actions": []},
            "seq 7: match.ip: ",
        ),
        (
            doc! {"seq": 7, "match": {"name": 5}, "actions": []},
            "seq 7: `match.name` is a number",
        ),
        (
            doc! {"seq": 7, "match": {"account": ObjectId::new()}, "actions": []},
            "seq 7: `match.account` is an object",
        ),
        (
            doc! {"seq": 7, "match": {"acount": "ann"}, "actions": ["*"]},
            "seq 7: `match` has the unknown key \"acount\"",
        ),
        (
            doc! {"_id": "x", "match": {}, "actions": []},
            "the rule with _id \"x\" has no seq",
        ),
        (
            doc! {"_id": "x", "seq": 1.5, "match": {}},
            "the rule with _id \"x\" has no seq",
        ),
        (
            doc! {"_id": "x", "seq": "7", "match": {}},
            "the rule with _id \"x\" has no seq",
        ),
    ] {
        let id = collection
            .insert_one(wrong.clone())
            .await
            .unwrap()
            .inserted_id;
        let text = causes(&rules.load().await.unwrap_err());
        assert!(text.starts_with(said), "{wrong}: {text}");
        assert_eq!(order(&rules), ["acl_mongo seq 1"]);
        collection.delete_one(doc! {"_id": id}).await.unwrap();
    }
    rules.load().await.unwrap();
    collection.delete_many(doc! {}).await.unwrap();
    rules.load().await.unwrap();
    assert_eq!(rules.count(), Some(0));
}

#[tokio::test]
async fn rules_stay_while_the_server_is_away() {
    let mut server = FerretDb::start(FerretDbConfig::default());
    let address = mongo::MongoAddress::of_servers(vec![server.host_port().parse().unwrap()]);
    let uri = format!("mongodb://{}/", server.host_port());
    let insert = async |rule: Document| {
        let client = mongodb::Client::with_uri_str(&uri).await.unwrap();
        let collection = client.database("auth").collection("acl");
        collection.insert_one(rule).await.unwrap();
    };
    insert(doc! {"seq": 1, "match": {"name": "a"}, "actions": ["pull"]}).await;
    let rules = stored(MongoRules::new(
        "acl_mongo",
        MongoSettings {
            selection: ServerSelection::FailFast,
            ..settings(address, "auth", "acl")
        },
    ));
    rules.load().await.unwrap();
    server.kill();
    let error = rules.load().await.unwrap_err();
    assert!(
        matches!(error, auth::AuthorizeError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(rules.can_decide() && rules.age().is_some());
    assert_eq!(order(&rules), ["acl_mongo seq 1"]);
    server.start_again();
    insert(doc! {"seq": 0, "match": {"name": "b"}, "actions": []}).await;
    while rules.load().await.is_err() {}
    assert_eq!(order(&rules), ["acl_mongo seq 0", "acl_mongo seq 1"]);
}

/// A collection of ten thousand rules is read whole, in several batches.
#[tokio::test]
async fn ten_thousand_rules() {
    let database = TestDatabase::new();
    let collection = database.collection("acl").await;
    let rules = (0..10_000).rev().map(|seq| {
        doc! {"seq": seq, "match": {"name": format!("repository-{seq}")}, "actions": ["pull"]}
    });
    collection.insert_many(rules).await.unwrap();
    let rules = stored(database.rules());
    rules.load().await.unwrap();
    assert_eq!(rules.count(), Some(10_000));
    assert_eq!(order(&rules)[9_999], "acl_mongo seq 9999");
}
