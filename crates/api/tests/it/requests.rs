//! What every operation has in common: paths, methods, bodies, limits.

use serde_json::json;

use crate::bench::Bench;

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let bench = Bench::new();
    for path in [
        "",
        "/",
        "/users/",
        "/users/a/b",
        "/Users",
        "/users//",
        "/nothing",
        "//users",
    ] {
        let answer = bench.send(("GET", path), &[], "").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    for target in ["/wh/api", "/wh/api/v2/users", "/api/v1/users"] {
        assert_eq!(
            bench.respond("GET", target, &[], "").await.status,
            404,
            "{target}"
        );
    }
    for (method, path, allow) in [
        ("PUT", "/users", "GET, HEAD, POST"),
        ("OPTIONS", "/account", "GET, HEAD"),
        ("POST", "/users/bob", "GET, HEAD, PATCH, DELETE"),
    ] {
        let answer = bench.send((method, path), &[], "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, allow),
            "{method} {path}"
        );
        assert_eq!(answer.body["type"], "about:blank");
        assert_eq!(answer.body["title"], "Method Not Allowed");
        assert_eq!(answer.body["instance"], "urn:wharfinger:request:request-1");
    }
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let bench = Bench::new();
    let token = format!("Bearer {}", bench.token("ann", &["users:write"]));
    let long = format!("\"{}\"", "x".repeat(64 << 10));
    let deep = "[".repeat(200);
    for (body, status, pointer) in [
        ("", 400, ""),
        ("{", 400, ""),
        ("[]", 400, ""),
        ("3", 400, ""),
        (
            "{\"name\": \"bob\", \"name\": \"eve\", \"password\": \"x\"}",
            400,
            "/name",
        ),
        ("{\"name\": \"bob\"}", 400, "/password"),
        ("{\"name\": 5, \"password\": \"x\"}", 400, "/name"),
        ("{\"name\": \"bob\", \"password\": 5}", 400, "/password"),
        (
            "{\"name\": \"bob\", \"password\": \"x\", \"admin\": true}",
            400,
            "/admin",
        ),
        (
            "{\"name\": \"bob\", \"password\": \"x\", \"labels\": {\"a/b~\": [1]}}",
            400,
            "/labels/a~1b~0/0",
        ),
        (
            "{\"name\": \"bob\", \"password\": \"x\", \"labels\": {\"a\": [], \"a\": []}}",
            400,
            "/labels/a",
        ),
        ("{\"name\": \"bob\", \"password\": \"x\"} {}", 400, ""),
        ("{\"name\": \"\", \"password\": \"x\"}", 422, "/name"),
        ("{\"name\": \"bob\", \"password\": \"\"}", 422, "/password"),
        (&long, 413, ""),
        (&deep, 400, ""),
    ] {
        let headers = [
            ("authorization", token.as_str()),
            ("content-type", "application/json"),
        ];
        let answer = bench.send(("POST", "/users"), &headers, body).await;
        let shown = &body[..body.len().min(100)];
        assert_eq!(answer.status, status, "{shown}: {:#}", answer.body);
        if status != 413 {
            let found = answer.body["errors"][0]["pointer"].as_str();
            if !deep.starts_with(body) {
                assert_eq!(found, Some(pointer), "{shown}: {:#}", answer.body);
            }
        }
    }
    assert!(bench.log().await.is_empty());
}

#[tokio::test]
async fn other_media_types_are_refused() {
    let bench = Bench::new();
    let body = json!({ "name": "bob", "password": "sesame" });
    for (media_type, status) in [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/merge-patch+json", 415),
        ("application/json; charset=utf-8", 201),
    ] {
        let headers = [("content-type", media_type)];
        let scopes = ["users:write"];
        let answer = bench
            .ask("ann", &scopes, ("POST", "/users"), &headers, Some(&body))
            .await;
        assert_eq!(answer.status, status, "{media_type}");
    }
}

#[tokio::test]
async fn unknown_and_repeated_parameters_are_refused() {
    let bench = Bench::new();
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=1", "limit"),
        ("after=%21", "after"),
        ("after=", "after"),
        ("page=1", "page"),
    ] {
        let path = format!("/users?{query}");
        let answer = bench
            .ask("ann", &["users:read"], ("GET", &path), &[], None)
            .await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(
            answer.body["errors"][0]["parameter"], parameter,
            "{:#}",
            answer.body
        );
    }
    let answer = bench
        .ask("ann", &["own:read"], ("GET", "/account?x=1"), &[], None)
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn each_account_and_each_address_has_a_rate() {
    let bench = Bench::with_rate("3/min");
    let ask = async |account| {
        bench
            .ask(account, &["own:read"], ("GET", "/account"), &[], None)
            .await
    };
    for _ in 0..3 {
        assert_eq!(ask("ann").await.status, 200);
        assert_eq!(bench.send(("GET", "/account"), &[], "").await.status, 401);
    }
    let refused = ask("ann").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "20"));
    for path in ["/account", "/openapi.json", "/nothing"] {
        assert_eq!(
            bench.send(("GET", path), &[], "").await.status,
            429,
            "{path}"
        );
    }
    // Another account at the same address goes on.
    assert_eq!(ask("bob").await.status, 200);
    bench.clock.pass(20);
    assert_eq!(ask("ann").await.status, 200);
}

/// A body of which nothing arrives.
struct Silent;

impl hyper::body::Body for Silent {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let bench = Bench::new();
    let request = http::Request::builder()
        .method("POST")
        .uri("/wh/api/v1/users")
        .header(
            "authorization",
            format!("Bearer {}", bench.token("ann", &["users:write"])),
        )
        .header("content-type", "application/json")
        .body(Silent)
        .unwrap();
    let response = bench.api.respond(&crate::bench::context(), request).await;
    assert_eq!(response.status(), 408);
}
