//! `/rules`.

use serde_json::{Value, json};

use crate::bench::{Answer, Bench};

impl Bench {
    /// The answer to an administrator of rules.
    async fn rule(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let body = Some(&body).filter(|body| !body.is_null());
        let scopes = ["rules:read,write"];
        self.ask("root", &scopes, (method, path), headers, body)
            .await
    }

    async fn add_rule(&self, account: &str, place: Value) -> Answer {
        let rule = json!({ "match": { "account": account }, "actions": ["pull"] });
        let body = json!({ "rule": rule, "place": place });
        self.rule("POST", "/rules", &[], body).await
    }

    /// The accounts of the rules in their order, and the tag of the list.
    async fn order(&self) -> (String, String) {
        let list = self.rule("GET", "/rules", &[], Value::Null).await;
        assert_eq!(list.status, 200, "{}", list.body);
        let items = list.body["items"].as_array().unwrap().iter();
        let accounts: Vec<_> = items
            .map(|rule| rule["match"]["account"].as_str().unwrap())
            .collect();
        (accounts.join(" "), list.header("etag").to_owned())
    }
}

#[tokio::test]
async fn rules_are_added_moved_and_removed() {
    let bench = Bench::new();
    let rule = json!({
        "match": {
            "account": "/.+/", "type": "repository", "name": "${account}/*", "service": "s",
            "ip": "192.0.2.0/24", "labels": { "team": "red" },
        },
        "actions": ["pull", "push"],
        "comment": "their own",
    });
    let added = bench
        .rule("POST", "/rules", &[], json!({ "rule": rule }))
        .await;
    assert_eq!(added.status, 201, "{}", added.body);
    assert_eq!(added.header("location"), "/outer/wh/api/v1/rules/1");
    let mut expected = rule;
    expected["number"] = json!(1);
    expected["created_at"] = json!("2026-11-01T00:00:00Z");
    assert_eq!(added.body, expected);
    let shown = bench.rule("GET", "/rules/1", &[], Value::Null).await;
    assert_eq!((shown.status, &shown.body), (200, &expected));
    assert_eq!(shown.header("etag"), added.header("etag"));
    let removed = bench.rule("DELETE", "/rules/1", &[], Value::Null).await;
    assert_eq!(removed.status, 204);

    for (account, place, order) in [
        ("b", json!("last"), "b"),
        ("a", json!("first"), "a b"),
        ("c", json!({ "before": 2 }), "a c b"),
        ("d", json!({ "after": 3 }), "a d c b"),
    ] {
        assert_eq!(bench.add_rule(account, place).await.status, 201);
        assert_eq!(bench.order().await.0, order);
    }
    let moved = bench
        .rule("PATCH", "/rules/2", &[], json!({ "place": "first" }))
        .await;
    assert_eq!((moved.status, &moved.body["number"]), (200, &json!(2)));
    assert_eq!(bench.order().await.0, "b a d c");
    let same = bench.rule("PATCH", "/rules/2", &[], json!({})).await;
    assert_eq!((same.status, &same.body), (200, &moved.body));
    let log = bench.log().await;
    assert_eq!(
        log[0],
        (
            "api root".to_owned(),
            "rule.move".to_owned(),
            "rule 2".to_owned()
        )
    );
    assert_eq!(log.len(), 7);
}

#[tokio::test]
async fn the_order_is_of_the_list_and_a_rule_is_its_own() {
    let bench = Bench::new();
    let (_, empty) = bench.order().await;
    let rule = json!({ "match": { "account": "a" }, "actions": ["pull"] });
    let body = json!({ "rule": rule });
    let sent = [("if-match", empty.as_str())];
    let first = bench.rule("POST", "/rules", &sent, body.clone()).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let stale = bench.rule("POST", "/rules", &sent, body).await;
    assert_eq!(stale.status, 412);
    bench.add_rule("b", json!("last")).await;
    let (_, list) = bench.order().await;
    let to_last = json!({ "place": "last" });
    for (tag, status) in [
        (empty.as_str(), 412),
        (first.header("etag"), 200),
        (&list, 412),
    ] {
        let sent = [("if-match", tag)];
        let moved = bench
            .rule("PATCH", "/rules/1", &sent, to_last.clone())
            .await;
        assert_eq!(moved.status, status, "{tag}");
    }
    let (order, list) = bench.order().await;
    assert_eq!(order, "b a");
    let removed = bench
        .rule("DELETE", "/rules/1", &[("if-match", &empty)], Value::Null)
        .await;
    assert_eq!(removed.status, 412);
    let removed = bench
        .rule("DELETE", "/rules/1", &[("if-match", &list)], Value::Null)
        .await;
    assert_eq!(removed.status, 204);
    let (_, list) = bench.order().await;
    let unchanged = bench
        .rule("GET", "/rules", &[("if-none-match", &list)], Value::Null)
        .await;
    assert_eq!(unchanged.status, 304);
}

#[tokio::test]
async fn what_cannot_be_is_named_by_its_pointer() {
    let bench = Bench::new();
    bench.add_rule("a", json!("last")).await;
    let with = |conditions: Value| json!({ "rule": { "match": conditions, "actions": ["pull"] } });
    let placed = |place: Value| {
        let mut body = with(json!({}));
        body["place"] = place;
        body
    };
    let long = "x".repeat(9000);
    for (body, status, pointer) in [
        (
            with(json!({ "account": "/(/" })),
            422,
            "/rule/match/account",
        ),
        (with(json!({ "ip": "x" })), 422, "/rule/match/ip"),
        (
            with(json!({ "labels": { "team": "/(/" } })),
            422,
            "/rule/match/labels/team",
        ),
        (
            with(json!({ "labels": { "a/b~c": "/(/" } })),
            422,
            "/rule/match/labels/a~1b~0c",
        ),
        (with(json!({ "account": 7 })), 400, "/rule/match/account"),
        (with(json!({ "acount": "a" })), 400, "/rule/match/acount"),
        (with(json!({ "account": long })), 422, "/rule"),
        (json!({ "rule": { "match": {} } }), 400, "/rule/actions"),
        (json!({ "rule": { "actions": [] } }), 400, "/rule/match"),
        (placed(json!("middle")), 400, "/place"),
        (placed(json!({ "before": 7 })), 422, "/place"),
    ] {
        let answer = bench.rule("POST", "/rules", &[], body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert_eq!(
            answer.body["errors"][0]["pointer"], pointer,
            "{body}: {}",
            answer.body
        );
    }
    for (method, path, body, status) in [
        ("GET", "/rules/2", Value::Null, 404),
        ("GET", "/rules/x", Value::Null, 404),
        ("DELETE", "/rules/2", Value::Null, 404),
        ("PATCH", "/rules/2", json!({ "place": "first" }), 404),
        ("PATCH", "/rules/1", json!({ "place": { "after": 2 } }), 422),
        ("PATCH", "/rules/1", json!({ "actions": ["*"] }), 400),
    ] {
        let answer = bench.rule(method, path, &[], body).await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    assert_eq!(bench.log().await.len(), 1);
}

#[tokio::test]
async fn the_list_warns_of_what_is_probably_not_intended() {
    let bench = Bench::new();
    let everything = json!({ "rule": { "match": {}, "actions": [] } });
    bench.rule("POST", "/rules", &[], everything).await;
    bench.add_rule("a", json!("last")).await;
    let list = bench.rule("GET", "/rules", &[], Value::Null).await;
    assert_eq!(list.body["next"], Value::Null);
    let warnings = list.body["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0]["number"], 2);
    let text = warnings[0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("no request reaches it: rule 1 has no conditions"),
        "{text}"
    );
}
