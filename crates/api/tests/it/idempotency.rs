//! Requests that come twice with one `Idempotency-Key`.

use std::pin::pin;
use std::task::{Context, Waker};

use database::{DatabaseConnection, params};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench};
use crate::test_database::DatabaseKind;

const SCOPES: [&str; 2] = ["users:read,write", "own:read"];

/// What clients do with keys.
trait Keys {
    async fn create(&self, account: &str, key: &str, name: &str) -> Answer;
    async fn stored_keys(&self) -> Vec<Option<Vec<u8>>>;
}

impl Keys for Bench {
    async fn create(&self, account: &str, key: &str, name: &str) -> Answer {
        let body = json!({ "name": name, "password": "sesame" });
        let headers = [("idempotency-key", key)];
        let request = ("POST", "/users");
        self.ask(account, &SCOPES, request, &headers, Some(&body))
            .await
    }

    /// The stored keys: whether each has a response, and what is stored.
    async fn stored_keys(&self) -> Vec<Option<Vec<u8>>> {
        let read = self.database.read(|connection: &DatabaseConnection| {
            let sql = "SELECT response FROM idempotency_keys ORDER BY created_at";
            connection.query(sql, params![], |row| row.get(0))
        });
        read.await.unwrap()
    }
}

#[tokio::test]
async fn a_second_request_gets_the_response_of_the_first() {
    let bench = Bench::on(super::KIND, "off");
    let first = bench.create("ann", "\"k-1\"", "bob").await;
    assert_eq!(
        (first.status, first.header("idempotency-replayed")),
        (201, "")
    );
    let again = bench.create("ann", "\"k-1\"", "bob").await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (201, "true")
    );
    assert_eq!(again.body, first.body);
    for header in ["location", "etag", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    // Without the key, it is a second creation.
    let body = json!({ "name": "bob", "password": "sesame" });
    let second = bench
        .ask("ann", &SCOPES, ("POST", "/users"), &[], Some(&body))
        .await;
    assert_eq!(second.status, 409);
    assert_eq!(bench.log().await.len(), 1);
    // What is stored can be read only by one who knows the key.
    let stored = bench.stored_keys().await;
    let stored = String::from_utf8_lossy(stored[0].as_ref().unwrap()).into_owned();
    assert!(
        !stored.contains("bob") && !stored.contains("k-1"),
        "{stored}"
    );
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_account() {
    let bench = Bench::on(super::KIND, "off");
    assert_eq!(bench.create("ann", "k", "bob").await.status, 201);
    let other = bench.create("ann", "k", "eve").await;
    assert_eq!(other.status, 422);
    assert_eq!(
        other.body["type"],
        "urn:wharfinger:problem:idempotency-key-reused"
    );
    // Another account's key is another key.
    let by_eve = bench.create("eve", "k", "eve").await;
    assert_eq!(
        (by_eve.status, by_eve.header("idempotency-replayed")),
        (201, "")
    );
    // The scope is checked before.
    let body = json!({ "name": "bob", "password": "sesame" });
    let headers = [("idempotency-key", "k")];
    let weak = bench
        .ask(
            "ann",
            &["users:read"],
            ("POST", "/users"),
            &headers,
            Some(&body),
        )
        .await;
    assert_eq!(weak.status, 403);
}

#[tokio::test]
async fn a_failure_frees_its_key() {
    let bench = Bench::on(super::KIND, "off");
    assert_eq!(bench.create("ann", "k", "a:b").await.status, 422);
    assert_eq!(bench.create("ann", "k", "bob").await.status, 201);
    assert_eq!(bench.stored_keys().await.len(), 1);
}

#[tokio::test]
async fn a_key_without_an_outcome_is_refused() {
    let bench = Bench::on(super::KIND, "off");
    assert_eq!(bench.create("ann", "k", "bob").await.status, 201);
    // As a crash leaves it.
    let forget = bench.database.write(|connection: &DatabaseConnection| {
        let sql = "UPDATE idempotency_keys SET response = NULL";
        connection.execute(sql, params![])
    });
    forget.await.unwrap();
    let again = bench.create("ann", "k", "bob").await;
    assert_eq!(again.status, 409);
    assert_eq!(
        again.body["type"],
        "urn:wharfinger:problem:idempotency-key-in-use"
    );
    // Written under another key of the server.
    let spoil = bench.database.write(|connection: &DatabaseConnection| {
        let sql = "UPDATE idempotency_keys SET response = ?1";
        connection.execute(sql, params![[0; 100]])
    });
    spoil.await.unwrap();
    assert_eq!(bench.create("ann", "k", "bob").await.status, 409);
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let bench = Bench::on(super::KIND, "off");
    bench.create("ann", "k", "bob").await;
    bench.clock.pass(24 * 3600);
    assert_eq!(
        bench
            .create("ann", "k", "bob")
            .await
            .header("idempotency-replayed"),
        "true"
    );
    bench.clock.pass(1);
    assert_eq!(bench.create("ann", "k2", "eve").await.status, 201);
    assert_eq!(bench.stored_keys().await.len(), 1);
}

#[tokio::test]
async fn keys_that_cannot_be() {
    let bench = Bench::on(super::KIND, "off");
    let long = "k".repeat(256);
    for key in ["", "\u{e9}", "a\tb", long.as_str()] {
        assert_eq!(bench.create("ann", key, "bob").await.status, 400, "{key:?}");
    }
    assert_eq!(bench.create("ann", &long[1..], "bob").await.status, 201);
    let body = json!({ "name": "eve", "password": "sesame" });
    let headers = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let two = bench
        .ask("ann", &SCOPES, ("POST", "/users"), &headers, Some(&body))
        .await;
    assert_eq!(two.status, 400);
    // Other operations take none, and do not look at one.
    let headers = [("idempotency-key", long.as_str())];
    let shown = bench
        .ask("ann", &SCOPES, ("GET", "/users/bob"), &headers, None)
        .await;
    assert_eq!(shown.status, 200);
}

#[tokio::test]
async fn the_keys_of_an_account_are_bounded() {
    let bench = Bench::on(super::KIND, "off");
    // A few at a time: a busy machine has seconds for each write.
    for first in (1..10_000).step_by(1000) {
        let fill = bench
            .database
            .write(move |connection: &DatabaseConnection| {
                // Ids of 32 bytes, for which the two have no function in common.
                let id = match super::KIND {
                    DatabaseKind::Sqlite => "randomblob(32)",
                    DatabaseKind::Postgres => "sha256(convert_to(i::text, 'UTF8'))",
                };
                let sql = format!(
                    "INSERT INTO idempotency_keys (id, account, request, created_at)
                     WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first} + 999)
                     SELECT {id}, 'ann', ?1, 1793491200 FROM n"
                );
                connection.execute(&sql, params![[0; 32]])
            });
        fill.await.unwrap();
    }
    assert_eq!(bench.create("ann", "k", "bob").await.status, 429);
    assert_eq!(bench.create("eve", "k", "bob").await.status, 201);
}

#[tokio::test]
async fn the_keys_of_an_account_go_with_it() {
    let bench = Bench::new();
    assert_eq!(bench.create("ann", "k", "bob").await.status, 201);
    let write = bench.database.write(|connection: &DatabaseConnection| {
        let sql = "INSERT INTO idempotency_keys (id, account, request, created_at)
                   VALUES (zeroblob(32), 'bob', zeroblob(32), 1793491200)";
        connection.execute(sql, params![])
    });
    write.await.unwrap();
    assert_eq!(bench.stored_keys().await.len(), 2);
    let remove = ("DELETE", "/users/bob");
    let removed = bench.ask("ann", &SCOPES, remove, &[], None).await;
    assert_eq!(removed.status, 204, "{}", removed.body);
    assert_eq!(
        bench.stored_keys().await.len(),
        1,
        "the administrator's is kept"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_gets_its_response_later() {
    let bench = Bench::on(super::KIND, "off");
    {
        let mut request = pin!(bench.create("ann", "k", "bob"));
        // Until the handler runs in a task of its own.
        let mut context = Context::from_waker(Waker::noop());
        while bench.stored_keys().await.is_empty() {
            assert!(request.as_mut().poll(&mut context).is_pending());
        }
    }
    let again = loop {
        let again = bench.create("ann", "k", "bob").await;
        if again.status != 409 {
            break again;
        }
        assert_eq!(
            again.body["type"],
            "urn:wharfinger:problem:idempotency-key-in-use"
        );
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (201, "true")
    );
    assert_eq!(again.body["name"], Value::from("bob"));
}
