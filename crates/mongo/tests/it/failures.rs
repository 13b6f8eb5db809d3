//! A server that goes away, comes back, or does not answer; and many logins at once.

use std::sync::Arc;
use std::time::Duration;

use auth::{RuleStore, RuleStoreError};
use identity::Authenticator;
use mongo::{MongoRules, MongoSettings, ServerSelection};
use mongodb::bson::doc;
use peers::{FerretDb, FerretDbConfig, Relay};

use crate::support::{TestDatabase, Users, ann, settings};

/// The outcome as soon as the server answers again: the machine may be busy.
async fn add_ann(server: &FerretDb) {
    let uri = format!("mongodb://{}/", server.host_port());
    let client = mongodb::Client::with_uri_str(uri).await.unwrap();
    let collection = client.database("auth").collection("users");
    collection.insert_one(ann("right")).await.unwrap();
}

#[tokio::test]
async fn the_server_is_killed_and_comes_back() {
    let mut server = FerretDb::start(FerretDbConfig::default());
    let address = mongo::MongoAddress::of_servers(vec![server.host_port().parse().unwrap()]);
    let database = settings(address, "auth", "users");
    add_ann(&server).await;
    let users = Users::of(database.clone());
    assert_eq!(users.outcome("ann", "right").await, "accepted ann");
    for _ in 0..2 {
        server.kill();
        // Idle connections are broken now.
        let failing = Users::of(MongoSettings {
            selection: ServerSelection::FailFast,
            ..database.clone()
        });
        for _ in 0..2 {
            let outcome = failing.outcome("ann", "right").await;
            assert!(
                outcome.starts_with(&format!(
                    "unavailable: the database cannot be reached: {}: ",
                    server.host_port()
                )),
                "{outcome}"
            );
        }
        assert!(failing.backend.recheck("ann").await.is_err());
        assert!(failing.backend.probe().await.is_err());
        server.start_again();
        assert_eq!(
            failing.outcome_once_available("ann", "right").await,
            "accepted ann"
        );
        // Its idle connections broke, and it does not know yet.
        assert_eq!(users.outcome("ann", "right").await, "accepted ann");
        assert_eq!(users.outcome("ann", "wrong").await, "rejected");
    }
}

/// A login that comes while the server starts again waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_login_waits_for_the_server() {
    let mut server = FerretDb::start(FerretDbConfig::default());
    let address = mongo::MongoAddress::of_servers(vec![server.host_port().parse().unwrap()]);
    // FerretDB does not start on a database that it was creating when it was killed.
    add_ann(&server).await;
    let users = Users::of(settings(address, "auth", "users"));
    assert_eq!(users.outcome("ann", "right").await, "accepted ann");
    server.kill();
    let waiting = tokio::spawn(async move { users.outcome("ann", "right").await });
    let starting = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    });
    let _server = starting.await.unwrap();
    assert_eq!(waiting.await.unwrap(), "accepted ann");
}

/// A server that accepts connections and stops answering.
#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_and_used_again() {
    let database = TestDatabase::new();
    database.add_user(ann("right")).await;
    for bytes in [0, 2_000] {
        let relay = Relay::stopping(&database.server.host_port(), bytes);
        let limit = Duration::from_millis(300);
        let users = Users::of(MongoSettings {
            timeout: limit,
            ..database.settings_at(&relay.host_port(), "users")
        });
        // More often than there are connections: each is closed when it is given up.
        for _ in 0..12 {
            let outcome = users.outcome("ann", "right").await;
            let given_up = outcome.starts_with("unavailable");
            assert!(
                given_up || (bytes > 0 && outcome == "accepted ann"),
                "{outcome}"
            );
        }
        relay.mend();
        assert_eq!(
            users.outcome_once_available("ann", "right").await,
            "accepted ann"
        );
        assert_eq!(
            users.outcome_once_available("ann", "wrong").await,
            "rejected"
        );
    }
}

/// A connection that is cut in the middle of an answer.
#[tokio::test]
async fn a_cut_connection_keeps_no_half_of_the_rules() {
    let database = TestDatabase::new();
    let collection = database.collection("acl").await;
    let comment = "x".repeat(60_000);
    for seq in 0..8 {
        let rule = doc! {"seq": seq, "match": {}, "actions": [], "comment": &comment};
        collection.insert_one(rule).await.unwrap();
    }
    let relay = Relay::breaking(&database.server.host_port(), 200_000);
    let settings = MongoSettings {
        selection: ServerSelection::FailFast,
        ..database.settings_at(&relay.host_port(), "acl")
    };
    let rules = MongoRules::new("acl_mongo", settings);
    let error = rules.read().await.unwrap_err();
    assert!(matches!(error, RuleStoreError::Unavailable(_)), "{error:?}");
    relay.mend();
    while rules.read().await.is_err() {}
    assert_eq!(rules.read().await.unwrap().len(), 8);
}

/// A connection that broke while it was idle: the read is repeated once.
#[tokio::test]
async fn an_idle_connection_that_broke_fails_no_login() {
    let database = TestDatabase::new();
    database.add_user(ann("right")).await;
    let relay = Relay::breaking(&database.server.host_port(), 3_000);
    let users = Users::of(database.settings_at(&relay.host_port(), "users"));
    while relay.breaks() < 5 {
        assert_eq!(users.outcome("ann", "right").await, "accepted ann");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_logins_at_once() {
    let database = TestDatabase::new();
    database.add_user(ann("right")).await;
    let users = Arc::new(database.users());
    users.answers_sixty_four_logins_at_once().await;
}

/// More logins than may wait are turned away at once.
#[tokio::test]
async fn logins_wait_in_a_bounded_queue() {
    let database = TestDatabase::new();
    let relay = Relay::stopping(&database.server.host_port(), 0);
    let settings = MongoSettings {
        timeout: Duration::from_millis(500),
        ..database.settings_at(&relay.host_port(), "users")
    };
    let users = Arc::new(Users::with_concurrency(settings, 1));
    let logins: Vec<_> = (0..20)
        .map(|_| {
            let users = Arc::clone(&users);
            tokio::spawn(async move { users.outcome("ann", "right").await })
        })
        .collect();
    let mut turned_away = 0;
    for login in logins {
        let outcome = login.await.unwrap();
        turned_away += usize::from(outcome == "busy");
        assert!(
            outcome == "busy" || outcome.starts_with("unavailable"),
            "{outcome}"
        );
    }
    assert!(turned_away >= 15, "{turned_away} of 20");
}

/// A login whose client goes away closes its connection, and the others go on.
#[tokio::test]
async fn a_login_that_is_given_up_blocks_no_other() {
    let database = TestDatabase::new();
    database.add_user(ann("right")).await;
    let users = database.users();
    users.goes_on_after_logins_that_are_given_up().await;
}
