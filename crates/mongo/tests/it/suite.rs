//! The suite that every backend of logins passes.

use mongodb::bson::doc;
use policy::Labels;

use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::support::{TestDatabase, hash};

#[tokio::test]
async fn mongo_users() {
    let database = TestDatabase::new();
    let labels = doc! {"team": ["red", "blue"]};
    let ann = doc! {"username": "ann", "password": hash("sesame"), "labels": labels};
    database.add_user(ann).await;
    let bob = doc! {"username": "bob", "password": hash("other")};
    database.add_user(bob).await;
    let users = database.users();
    Subject {
        backend: &users.backend,
        verifier: &users.verifier,
        labels: Labels::from([("team".to_owned(), vec!["red".to_owned(), "blue".to_owned()])]),
        matching: NameMatching::Exact,
        empty_password: EmptyPassword::Rejected,
    }
    .conforms()
    .await;
}
