//! `/audit`: the administration log in pages, the latest change first.

use serde_json::{Value, json};

use crate::bench::Bench;

async fn add(bench: &Bench, by: &str, name: &str) {
    let user = json!({"name": name, "password": "sesame"});
    let added = bench.ask(by, &["users:write"], ("POST", "/users"), &[], Some(&user));
    assert_eq!(added.await.status, 201);
}

async fn objects(bench: &Bench, query: &str) -> (Vec<String>, Value) {
    let path = format!("/audit{query}");
    let answer = bench
        .ask("root", &["audit:read"], ("GET", &path), &[], None)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let items = answer.body["items"].as_array().unwrap().iter();
    let objects = items.map(|item| item["object"].as_str().unwrap().to_owned());
    (objects.collect(), answer.body["next"].clone())
}

#[tokio::test]
async fn the_latest_change_is_first() {
    let bench = Bench::new();
    for (by, name) in [("ann", "u1"), ("ann", "u2"), ("eve", "u3"), ("ann", "u4")] {
        add(&bench, by, name).await;
    }
    let (all, next) = objects(&bench, "").await;
    assert_eq!(
        (all, next),
        (
            vec!["u4".into(), "u3".into(), "u2".into(), "u1".into()],
            json!(null)
        )
    );
    assert_eq!(objects(&bench, "?actor=eve").await.0, ["u3"]);
    assert_eq!(objects(&bench, "?object=u2").await.0, ["u2"]);
    assert_eq!(objects(&bench, "?object=u2&actor=eve").await.0, [""; 0]);
    let (first, next) = objects(&bench, "?actor=ann&limit=2").await;
    assert_eq!(first, ["u4", "u2"]);
    // What is logged meanwhile moves no page.
    add(&bench, "ann", "u5").await;
    let after = next.as_str().unwrap();
    let (second, _) = objects(&bench, &format!("?actor=ann&limit=2&after={after}")).await;
    assert_eq!(second, ["u1"]);
    let answer = bench
        .ask(
            "root",
            &["audit:read"],
            ("GET", "/audit?limit=1"),
            &[],
            None,
        )
        .await;
    assert_eq!(
        answer.body["items"][0],
        json!({
            "id": 5,
            "time": "2026-11-01T00:00:00Z",
            "origin": "api",
            "actor": "ann",
            "action": "user.add",
            "object": "u5",
            "details": answer.body["items"][0]["details"],
        })
    );
    let other = bench.ask(
        "root",
        &["audit:read"],
        ("GET", "/audit?after=Ym9i"),
        &[],
        None,
    );
    assert_eq!(other.await.status, 400);
}
