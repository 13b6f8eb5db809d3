//! `/sessions`: one's own, those of all, pages, revocations, and who is logged for them.

use auth::sessions::NewSession;
use common::Clock;
use identity::{CredentialFingerprint, LifetimeBound};
use policy::{ScopeCeiling, Subject};
use serde_json::json;

use crate::bench::{Answer, Bench};

const ALL: &[&str] = &["sessions:read,write"];
const OWN: &[&str] = &["own:read,revoke"];

/// The ids of new sessions of these accounts.
async fn open(bench: &Bench, accounts: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for account in accounts {
        let subject = Subject {
            account: (*account).to_owned(),
            ..Subject::default()
        };
        let new = NewSession {
            subject: &subject,
            credential: Some(CredentialFingerprint::NO_PASSWORD),
            backend: "users",
            ceiling: &ScopeCeiling::Unlimited,
            lifetime: LifetimeBound::Configured,
            service: "registry",
            client_id: "docker",
            address: "192.0.2.7",
        };
        ids.push(
            bench
                .sessions
                .open(new, bench.clock.now())
                .await
                .unwrap()
                .id,
        );
    }
    ids
}

async fn get(bench: &Bench, account: &str, scopes: &[&str], path: &str) -> Answer {
    bench.ask(account, scopes, ("GET", path), &[], None).await
}

async fn delete(bench: &Bench, account: &str, scopes: &[&str], path: &str) -> Answer {
    bench
        .ask(account, scopes, ("DELETE", path), &[], None)
        .await
}

fn accounts(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let items = answer.body["items"].as_array().unwrap().iter();
    items
        .map(|item| item["account"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_account_sees_its_own_sessions_and_an_administrator_all() {
    let bench = Bench::new();
    open(&bench, &["ann", "bob", "ann"]).await;
    let all = get(&bench, "root", ALL, "/sessions").await;
    assert_eq!(accounts(&all), ["ann", "ann", "bob"]);
    assert_eq!(all.body["next"], json!(null));
    let item = &all.body["items"][2];
    assert_eq!(item["client_id"], "docker");
    assert_eq!(item["created_at"], "2026-11-01T00:00:00Z");
    assert_eq!(item.as_object().unwrap().len(), 10, "{item}");
    let bobs = get(&bench, "root", ALL, "/sessions?account=bob").await;
    assert_eq!(accounts(&bobs), ["bob"]);
    let own = get(&bench, "bob", OWN, "/sessions").await;
    assert_eq!(accounts(&own), ["bob"]);
    let own = get(&bench, "bob", OWN, "/sessions?account=bob").await;
    assert_eq!(accounts(&own), ["bob"]);
    let others = get(&bench, "bob", OWN, "/sessions?account=ann").await;
    assert_eq!(others.status, 403);
    assert_eq!(
        others.body["type"],
        "urn:wharfinger:problem:insufficient-scope"
    );
}

#[tokio::test]
async fn pages_have_every_session_once() {
    let bench = Bench::new();
    open(&bench, &["bob", "ann", "ann", "bob", "ann"]).await;
    let (mut path, mut found) = ("/sessions?limit=2".to_owned(), Vec::new());
    loop {
        let page = get(&bench, "root", ALL, &path).await;
        let items = page.body["items"].as_array().unwrap();
        found.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page.body["next"].as_str() else {
            break;
        };
        path = format!("/sessions?limit=2&after={next}");
    }
    assert_eq!(found.len(), 5);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 5);
    // A cursor of another account opens nothing, and one of another list is refused.
    let page = get(&bench, "root", ALL, "/sessions?limit=1").await;
    let cursor = page.body["next"].as_str().unwrap();
    let own = get(&bench, "bob", OWN, &format!("/sessions?after={cursor}")).await;
    assert_eq!(accounts(&own), ["bob", "bob"]);
    let other = get(&bench, "root", ALL, "/sessions?after=Ym9i").await;
    assert_eq!(other.status, 400);
    assert_eq!(other.body["errors"][0]["parameter"], "after");
}

#[tokio::test]
async fn a_session_is_revoked_by_its_account_or_an_administrator() {
    let bench = Bench::new();
    let ids = open(&bench, &["ann", "bob", "bob", "bob"]).await;
    let path = |id: &str| format!("/sessions/{id}");
    // Another's session is as if it were not there.
    let others = delete(&bench, "bob", OWN, &path(&ids[0])).await;
    let unknown = delete(&bench, "bob", OWN, &path("ffffffffffffffff")).await;
    assert_eq!((others.status, unknown.status), (404, 404));
    assert_eq!(others.body["detail"], unknown.body["detail"]);
    assert_eq!(delete(&bench, "bob", OWN, &path(&ids[1])).await.status, 204);
    assert_eq!(delete(&bench, "bob", OWN, &path(&ids[1])).await.status, 404);
    assert_eq!(
        delete(&bench, "root", ALL, &path(&ids[0])).await.status,
        204
    );
    let others = delete(&bench, "ann", OWN, "/sessions?account=bob").await;
    assert_eq!(others.status, 403);
    let own = delete(&bench, "bob", OWN, "/sessions?account=bob").await;
    assert_eq!((own.status, &own.body), (200, &json!({"revoked": 2})));
    // Never all of them because a parameter was forgotten.
    let all = delete(&bench, "root", ALL, "/sessions").await;
    assert_eq!(all.status, 400);
    let log = bench.log().await;
    let log: Vec<_> = log
        .iter()
        .map(|(by, action, object)| (by.as_str(), action.as_str(), object.as_str()))
        .collect();
    assert_eq!(
        log,
        [
            ("api bob", "session.revoke", "bob"),
            ("api root", "session.revoke", "ann"),
            ("api bob", "session.revoke", "bob"),
        ]
    );
}

#[tokio::test]
async fn a_session_whose_account_is_gone_is_not_listed() {
    let bench = Bench::new();
    open(&bench, &["mallory", "bob"]).await;
    assert_eq!(
        accounts(&get(&bench, "root", ALL, "/sessions").await),
        ["bob"]
    );
}
