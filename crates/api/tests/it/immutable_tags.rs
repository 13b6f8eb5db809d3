//! `/immutable-tags`.

use serde_json::{Value, json};

use crate::bench::{Answer, Bench};

impl Bench {
    /// The answer to an administrator of immutable tags.
    async fn immutable(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let body = Some(&body).filter(|body| !body.is_null());
        let scopes = ["immutable-tags:read,write"];
        self.ask("root", &scopes, (method, path), headers, body)
            .await
    }
}

#[tokio::test]
async fn rules_for_immutable_tags_are_added_and_removed() {
    let bench = Bench::new();
    let rule = json!({"repository": "prod/**", "tag": "v*", "except": ["*-dev"]});
    let added = bench
        .immutable("POST", "/immutable-tags", &[], rule.clone())
        .await;
    assert_eq!(added.status, 201, "{}", added.body);
    assert_eq!(
        added.header("location"),
        "/outer/wh/api/v1/immutable-tags/1"
    );
    let mut expected = rule.clone();
    expected["number"] = json!(1);
    expected["created_at"] = json!("2026-11-01T00:00:00Z");
    assert_eq!(added.body, expected);
    let shown = bench
        .immutable("GET", "/immutable-tags/1", &[], Value::Null)
        .await;
    assert_eq!((shown.status, &shown.body), (200, &expected));
    let list = bench
        .immutable("GET", "/immutable-tags", &[], Value::Null)
        .await;
    assert_eq!(list.body["items"], json!([expected]));
    // Bound to the list that its author has read.
    let seen = [("if-match", list.header("etag"))];
    let second = bench
        .immutable("POST", "/immutable-tags", &seen, rule.clone())
        .await;
    assert_eq!(second.status, 201);
    let late = bench
        .immutable("POST", "/immutable-tags", &seen, rule)
        .await;
    assert_eq!(late.status, 412, "{}", late.body);
    let removed = bench
        .immutable("DELETE", "/immutable-tags/1", &[], Value::Null)
        .await;
    assert_eq!(removed.status, 204);
    for path in ["/immutable-tags/1", "/immutable-tags/02"] {
        let gone = bench.immutable("DELETE", path, &[], Value::Null).await;
        assert_eq!(gone.status, 404, "{path}");
    }
    let log = bench.log().await;
    assert_eq!(
        log[0],
        (
            "api root".to_owned(),
            "immutable_tags.remove".to_owned(),
            "immutable tags 1".to_owned()
        )
    );
}

#[tokio::test]
async fn a_wrong_pattern_is_pointed_at() {
    let bench = Bench::new();
    for (rule, pointer, words) in [
        (
            json!({"repository": "^a", "tag": "*"}),
            "/repository",
            "'^'",
        ),
        (json!({"repository": "a", "tag": ""}), "/tag", "empty"),
        (
            json!({"repository": "a", "tag": "*", "except": ["x", "{"]}),
            "/except/1",
            "'{'",
        ),
    ] {
        let refused = bench.immutable("POST", "/immutable-tags", &[], rule).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        let text = refused.body.to_string();
        assert!(text.contains(pointer) && text.contains(words), "{text}");
    }
    let none = bench
        .ask(
            "root",
            &["rules:read,write"],
            ("GET", "/immutable-tags"),
            &[],
            None,
        )
        .await;
    assert_eq!(none.status, 403, "{}", none.body);
}
