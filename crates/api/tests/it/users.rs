//! `/users`.

use serde_json::{Value, json};

use crate::bench::{Answer, Bench};

impl Bench {
    /// The answer to an administrator of users.
    async fn administer(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let body = Some(&body).filter(|body| !body.is_null());
        let scopes = ["users:read,write"];
        self.ask("ann", &scopes, (method, path), headers, body)
            .await
    }

    async fn add_user(&self, name: &str) -> Answer {
        let body = json!({ "name": name, "password": "sesame" });
        self.administer("POST", "/users", &[], body).await
    }
}

#[tokio::test]
async fn a_user_is_added_shown_changed_and_removed() {
    let bench = Bench::new();
    let body = json!({
        "name": "bob/smith", "password": "sesame", "labels": { "team": ["red"], "site": ["oslo"] },
    });
    let added = bench.administer("POST", "/users", &[], body).await;
    assert_eq!(added.status, 201);
    let expected = json!({
        "name": "bob/smith",
        "disabled": false,
        "labels": { "site": ["oslo"], "team": ["red"] },
        "created_at": "2026-11-01T00:00:00Z",
        "changed_at": "2026-11-01T00:00:00Z",
    });
    assert_eq!(added.body, expected);
    assert_eq!(
        added.header("location"),
        "/outer/wh/api/v1/users/bob%2Fsmith"
    );
    let path = "/users/bob%2Fsmith";
    let shown = bench.administer("GET", path, &[], Value::Null).await;
    assert_eq!((shown.status, &shown.body), (200, &expected));
    assert_eq!(shown.header("etag"), added.header("etag"));

    bench.clock.pass(60);
    let patch = json!({
        "password": "open sesame", "disabled": true,
        "labels": { "team": ["blue"], "site": null, "floor": null },
    });
    let changed = bench.administer("PATCH", path, &[], patch).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.body["labels"], json!({ "team": ["blue"] }));
    assert_eq!(changed.body["disabled"], true);
    assert_eq!(changed.body["changed_at"], "2026-11-01T00:01:00Z");
    let removed = bench.administer("DELETE", path, &[], Value::Null).await;
    assert_eq!((removed.status, &removed.body), (204, &Value::Null));
    let gone = bench.administer("GET", path, &[], Value::Null).await;
    assert_eq!(gone.status, 404);
    let log = bench.log().await;
    let actions: Vec<&str> = log.iter().map(|(_, action, _)| action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "user.remove",
            "user.disable",
            "user.label",
            "user.passwd",
            "user.add"
        ]
    );
    assert!(
        log.iter()
            .all(|(by, _, object)| by == "api ann" && object == "bob/smith")
    );
}

#[tokio::test]
async fn a_change_is_made_as_a_whole_or_not_at_all() {
    let bench = Bench::new();
    bench.add_user("bob").await;
    let before = bench
        .administer("GET", "/users/bob", &[], Value::Null)
        .await;
    for (patch, status, pointer) in [
        (
            json!({ "disabled": true, "labels": { "": ["x"] } }),
            422,
            "/labels",
        ),
        (
            json!({ "disabled": true, "labels": { "a": ["x\n"] } }),
            422,
            "/labels",
        ),
        (
            json!({ "disabled": true, "password": "" }),
            422,
            "/password",
        ),
        (
            json!({ "disabled": true, "password": null }),
            400,
            "/password",
        ),
        (
            json!({ "disabled": null, "labels": { "a": ["x"] } }),
            400,
            "/disabled",
        ),
        (json!({ "labels": null }), 400, "/labels"),
        (json!({ "name": "eve" }), 400, "/name"),
    ] {
        let answer = bench
            .administer("PATCH", "/users/bob", &[], patch.clone())
            .await;
        assert_eq!(answer.status, status, "{patch}");
        assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{patch}");
    }
    let after = bench
        .administer("GET", "/users/bob", &[], Value::Null)
        .await;
    assert_eq!(
        (after.header("etag"), &after.body),
        (before.header("etag"), &before.body)
    );
    assert_eq!(bench.log().await.len(), 1);
    // Nothing to change is no change.
    let same = bench
        .administer("PATCH", "/users/bob", &[], json!({ "disabled": false }))
        .await;
    assert_eq!(
        (same.status, same.header("etag")),
        (200, before.header("etag"))
    );
    assert_eq!(bench.log().await.len(), 1);
}

#[tokio::test]
async fn a_change_can_be_bound_to_what_was_read() {
    let bench = Bench::new();
    let first = bench.add_user("bob").await;
    let first = first.header("etag");
    let off = json!({ "disabled": true });
    let changed = bench
        .administer("PATCH", "/users/bob", &[("if-match", first)], off)
        .await;
    assert_eq!(changed.status, 200);
    let second = changed.header("etag").to_owned();
    let weak = format!("W/{second}");
    for stale in [first, "\"x\"", weak.as_str(), "x"] {
        let headers = [("if-match", stale)];
        let patch = json!({ "password": "other" });
        let answer = bench
            .administer("PATCH", "/users/bob", &headers, patch)
            .await;
        assert_eq!(answer.status, 412, "{stale}");
        assert_eq!(
            answer.body["type"],
            "urn:wharfinger:problem:precondition-failed"
        );
        let answer = bench
            .administer("DELETE", "/users/bob", &headers, Value::Null)
            .await;
        assert_eq!(answer.status, 412, "{stale}");
    }
    // Another password is another version, in the same second, too.
    let patch = json!({ "password": "other" });
    let either = format!("\"x\", {second}");
    let headers = [("if-match", either.as_str())];
    let third = bench
        .administer("PATCH", "/users/bob", &headers, patch)
        .await;
    assert_eq!(third.status, 200);
    assert_ne!(third.header("etag"), second);
    let headers = [("if-match", "*")];
    let removed = bench
        .administer("DELETE", "/users/bob", &headers, Value::Null)
        .await;
    assert_eq!(removed.status, 204);
    let gone = bench
        .administer("DELETE", "/users/bob", &headers, Value::Null)
        .await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_client_with_the_current_version_gets_no_body() {
    let bench = Bench::new();
    let tag = bench.add_user("bob").await.header("etag").to_owned();
    for (sent, status) in [(tag.as_str(), 304), ("*", 304), ("\"x\"", 200)] {
        let headers = [("if-none-match", sent)];
        let answer = bench
            .administer("GET", "/users/bob", &headers, Value::Null)
            .await;
        assert_eq!(
            (answer.status, answer.header("etag")),
            (status, tag.as_str()),
            "{sent}"
        );
    }
}

#[tokio::test]
async fn names_that_are_taken_or_cannot_be() {
    let bench = Bench::new();
    assert_eq!(bench.add_user("bob").await.status, 201);
    let taken = bench.add_user("bob").await;
    assert_eq!(taken.status, 409);
    assert_eq!(taken.body["type"], "urn:wharfinger:problem:already-exists");
    assert_eq!(taken.body["detail"], "the account \"bob\" exists already");
    let configured = bench.add_user("root").await;
    assert_eq!(configured.status, 409);
    let detail = "root is an account of the configuration already";
    assert_eq!(configured.body["detail"], detail);
    for name in ["", "a:b", " bob", "robot+ci", "<token>"] {
        let answer = bench.add_user(name).await;
        assert_eq!(
            (answer.status, &answer.body["errors"][0]["pointer"]),
            (422, &json!("/name"))
        );
    }
    assert_eq!(bench.log().await.len(), 1);
}

#[tokio::test]
async fn users_are_listed_in_pages() {
    let bench = Bench::new();
    let names = ["ann", "bob", "c/d", "eve", "zoë"];
    for name in names {
        bench.add_user(name).await;
    }
    let (mut found, mut path) = (Vec::new(), "/users?limit=2".to_owned());
    for page in 0.. {
        let answer = bench.administer("GET", &path, &[], Value::Null).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        let items = answer.body["items"].as_array().unwrap();
        found.extend(
            items
                .iter()
                .map(|user| user["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = answer.body["next"].as_str() else {
            assert_eq!((page, answer.header("link")), (2, ""));
            break;
        };
        let link = format!("</outer/wh/api/v1/users?limit=2&after={next}>; rel=\"next\"");
        assert_eq!(answer.header("link"), link);
        path = format!("/users?limit=2&after={next}");
    }
    assert_eq!(found, names);
    let all = bench
        .administer("GET", "/users?limit=5", &[], Value::Null)
        .await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 5);
}
