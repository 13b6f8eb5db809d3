//! Each database in the suite that every backend of logins passes.

use policy::Labels;

use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::support::{TestDatabase, hash};

async fn conforms(database: TestDatabase, matching: NameMatching) {
    let database = database.with_tables();
    let labels = r#"{"team": ["red", "blue"]}"#;
    database.add_user("ann", &hash("sesame"), Some(labels));
    database.add_user("bob", &hash("other"), None);
    let users = database.users();
    Subject {
        backend: &users.backend,
        verifier: &users.verifier,
        labels: Labels::from([("team".to_owned(), vec!["red".to_owned(), "blue".to_owned()])]),
        matching,
        empty_password: EmptyPassword::NoMatch,
    }
    .conforms()
    .await;
}

#[tokio::test]
async fn postgres() {
    conforms(TestDatabase::postgres(), NameMatching::Exact).await;
}

/// Its default collation ignores case.
#[tokio::test]
async fn mariadb() {
    conforms(TestDatabase::mariadb(), NameMatching::IgnoresCase).await;
}

#[tokio::test]
async fn sqlite() {
    conforms(TestDatabase::sqlite(), NameMatching::Exact).await;
}
