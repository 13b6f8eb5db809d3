//! Each outcome of a login, by the user's document.

use identity::{
    AuthenticationOutcome, Authenticator, CredentialFingerprint, CurrentCredentials, Recheck,
};
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};

use crate::support::{TestDatabase, ann, hash};

#[tokio::test]
async fn each_document_has_its_outcome() {
    let database = TestDatabase::new();
    for user in [
        doc! {"username": "right", "password": hash("right")},
        doc! {"username": "spelled", "Password": hash("right")},
        doc! {"username": "none"},
        doc! {"username": "null", "password": null},
        doc! {"username": "empty", "password": ""},
        doc! {"username": "broken", "password": "$2y$05$short"},
        // Of `badmin`; to verify it would take a day.
        doc! {"username": "costly", "password": "$2y$31$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC"},
        doc! {"username": "number", "password": 5},
        doc! {"username": "twice", "password": hash("right"), "Password": null},
        doc! {"username": "labels", "password": hash("right"), "labels": {"group": 5}},
        doc! {"username": "lone", "password": hash("right"), "labels": {"group": "red"}},
        doc! {"username": "Ünal", "password": hash("right")},
        doc! {"username": 7, "password": hash("right")},
    ] {
        database.add_user(user).await;
    }
    let users = database.users();
    for (account, password, expected) in [
        ("right", "right", "accepted right"),
        ("right", "wrong", "rejected"),
        ("right", "", "rejected"),
        ("Right", "right", "no match"),
        ("spelled", "right", "accepted spelled"),
        ("spelled", "wrong", "rejected"),
        ("none", "anything", "accepted none"),
        ("none", "", "accepted none"),
        ("null", "anything", "accepted null"),
        ("empty", "", "rejected"),
        ("broken", "right", "rejected"),
        ("costly", "badmin", "rejected"),
        (
            "number",
            "5",
            "broken: the document of the user \"number\" cannot be read: `password` is not a text",
        ),
        (
            "twice",
            "right",
            "broken: the document of the user \"twice\" cannot be read: `password` is there twice, in two spellings",
        ),
        (
            "labels",
            "right",
            "broken: the document of the user \"labels\" cannot be read: `labels.group` is not a list of texts",
        ),
        // The password counts first.
        ("labels", "wrong", "rejected"),
        ("lone", "right", "accepted lone"),
        ("Ünal", "right", "accepted Ünal"),
        ("7", "right", "no match"),
        ("", "", "no match"),
        ("unknown", "right", "no match"),
        ("{\"$ne\": \"\"}", "right", "no match"),
        ("ri\0ght", "right", "no match"),
    ] {
        let outcome = users.outcome(account, password).await;
        assert_eq!(outcome, expected, "{account:?} {password:?}");
    }
    assert_eq!(
        users.backend.probe().await.unwrap().as_deref(),
        Some(
            "connected; the collection can be read; no login, because the cost of the hash is above \
             17: \"costly\""
        )
    );
    let long = "a".repeat(1_000_000);
    assert_eq!(users.outcome(&long, "right").await, "no match");
    let Ok(AuthenticationOutcome::Accepted(lone)) = users.ask("lone", "right").await else {
        panic!("a label that is a text");
    };
    assert_eq!(lone.subject.labels["group"], ["red"]);
}

/// An empty name without a password is the anonymous account, as in docker_auth.
#[tokio::test]
async fn the_anonymous_account() {
    let database = TestDatabase::new();
    database
        .add_user(doc! {"username": "", "labels": {"group": ["guests"]}})
        .await;
    let users = database.users();
    let Ok(AuthenticationOutcome::Accepted(anonymous)) = users.ask("", "").await else {
        panic!("not accepted");
    };
    assert_eq!(anonymous.subject.labels["group"], ["guests"]);
    assert_eq!(
        anonymous.credential,
        Some(CredentialFingerprint::NO_PASSWORD)
    );
}

/// A new password has a new fingerprint, and so has the first one of a user who had none.
#[tokio::test]
async fn a_session_ends_with_its_password() {
    let database = TestDatabase::new();
    database
        .add_user(doc! {"username": "ann", "labels": {"group": ["red"]}})
        .await;
    let users = database.users();
    let collection = database.collection("users").await;
    let current = async || match users.backend.recheck("ann").await.unwrap() {
        Recheck::Present {
            subject,
            credentials: CurrentCredentials::Known(known),
        } => (subject.labels, known),
        other => panic!("{other:?}"),
    };
    let (labels, known) = current().await;
    assert_eq!(
        (labels["group"][0].as_str(), &known[..]),
        ("red", &[CredentialFingerprint::NO_PASSWORD][..])
    );
    let mut seen = known;
    for password in ["one", "two"] {
        let change = doc! {"$set": {"password": hash(password), "labels": {"group": [password]}}};
        collection
            .update_one(doc! {"username": "ann"}, change)
            .await
            .unwrap();
        let (labels, known) = current().await;
        assert_eq!(labels["group"], [password]);
        assert!(known.len() == 1 && !seen.contains(&known[0]));
        seen.extend(known);
    }
    collection
        .delete_one(doc! {"username": "ann"})
        .await
        .unwrap();
    assert_eq!(
        users.backend.recheck("ann").await.unwrap(),
        Recheck::NoMatch
    );
}

async fn unique_indexes(collection: &Collection<Document>) -> Vec<String> {
    let mut found = Vec::new();
    let mut indexes = collection.list_indexes().await.unwrap();
    while indexes.advance().await.unwrap() {
        let index: IndexModel = indexes.deserialize_current().unwrap();
        let is_unique = |options: IndexOptions| options.unique == Some(true);
        if index.options.is_some_and(is_unique) {
            found.extend(index.keys.keys().cloned());
        }
    }
    found
}

#[tokio::test]
async fn the_unique_index_is_made() {
    let database = TestDatabase::new();
    database.add_user(ann("right")).await;
    let users = database.users();
    assert_eq!(users.outcome("ann", "right").await, "accepted ann");
    let collection = database.collection("users").await;
    while unique_indexes(&collection).await != ["username"] {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(collection.insert_one(ann("other")).await.is_err());
}

/// docker_auth does not start then. Here, only this user cannot log in.
#[tokio::test]
async fn two_documents_of_one_user() {
    let database = TestDatabase::new();
    for password in ["one", "two"] {
        database.add_user(ann(password)).await;
    }
    database
        .add_user(doc! {"username": "bob", "password": hash("right")})
        .await;
    let users = database.users();
    for password in ["one", "two"] {
        assert_eq!(
            users.outcome("ann", password).await,
            "broken: the collection has several documents with the username \"ann\""
        );
    }
    assert_eq!(users.outcome("bob", "right").await, "accepted bob");
}

/// The driver reads any value; only its user has a problem with it.
#[tokio::test]
async fn values_of_every_type() {
    let database = TestDatabase::new();
    let values = [
        Bson::Double(1.5),
        Bson::Boolean(true),
        Bson::DateTime(mongodb::bson::DateTime::now()),
        Bson::Array(vec![Bson::Null]),
        Bson::Document(doc! {"a": 1}),
    ];
    for (number, value) in values.into_iter().enumerate() {
        let name = format!("user{number}");
        database
            .add_user(doc! {"username": &name, "password": value})
            .await;
    }
    let users = database.users();
    for number in 0..5 {
        let outcome = users.outcome(&format!("user{number}"), "right").await;
        assert!(
            outcome.starts_with("broken: the document of the user"),
            "{outcome}"
        );
    }
    assert_eq!(
        users.backend.probe().await.unwrap().as_deref(),
        Some("connected; the collection can be read")
    );
}
