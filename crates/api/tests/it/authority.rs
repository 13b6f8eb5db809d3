//! Who may do what: every operation without a token, with too little, and with what it needs.

use serde_json::Value;
use token::Claims;

use crate::bench::{Bench, access};

/// Every operation of the document that needs a token: method, path, scopes.
fn operations() -> Vec<(String, String, Vec<String>)> {
    let document = api::openapi_document();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{name}", "bob")
            .replace("{id}", "1")
            .replace("{number}", "1");
        for (method, operation) in methods.as_object().unwrap() {
            let Some(scopes) = operation["x-scopes"].as_array() else {
                assert_eq!(path, "/openapi.json", "only the document needs no token");
                continue;
            };
            let text = |scope: &Value| scope.as_str().unwrap().to_owned();
            let method = method.to_ascii_uppercase();
            operations.push((method, path.clone(), scopes.iter().map(text).collect()));
        }
    }
    assert!(operations.len() >= 6);
    operations
}

#[tokio::test]
async fn no_operation_goes_on_without_a_token() {
    let bench = Bench::new();
    for (method, path, scopes) in operations() {
        let scope = scopes.join(" ");
        let challenge = format!(
            "Bearer realm=\"https://auth.example/outer/wh/auth\",service=\"wharfinger\",scope=\"{scope}\""
        );
        let answer = bench.send((&method, &path), &[], "").await;
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(answer.header("www-authenticate"), challenge);
        for sent in [
            "Basic YW5uOnNlc2FtZQ==",
            "Bearer",
            "Bearer x",
            "Bearer a.b.c",
        ] {
            let headers = [("authorization", sent)];
            let answer = bench.send((&method, &path), &headers, "").await;
            assert_eq!(answer.status, 401, "{method} {path} {sent}");
        }
    }
}

#[tokio::test]
async fn no_operation_goes_on_with_too_little() {
    let bench = Bench::new();
    let all: Vec<String> = operations()
        .into_iter()
        .flat_map(|(_, _, scopes)| scopes)
        .collect();
    for (method, path, scopes) in operations() {
        // Everything but what it needs.
        let others: Vec<&str> = all
            .iter()
            .filter(|scope| !scopes.contains(scope))
            .map(|scope| scope.strip_prefix("wharfinger:").unwrap())
            .collect();
        let answer = bench.ask("ann", &others, (&method, &path), &[], None).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert_eq!(
            answer.body["type"],
            "urn:wharfinger:problem:insufficient-scope"
        );
        let challenge = answer.header("www-authenticate");
        let end = format!(
            "scope=\"{}\",error=\"insufficient_scope\"",
            scopes.join(" ")
        );
        assert!(challenge.ends_with(&end), "{challenge}");
    }
}

#[tokio::test]
async fn a_token_for_something_else_is_refused() {
    let bench = Bench::new();
    let valid = Claims {
        access: vec![access("wharfinger", "own", "read")],
        ..bench.claims()
    };
    let with = |change: fn(&mut Claims)| {
        let mut claims = Claims {
            access: valid.access.clone(),
            ..bench.claims()
        };
        change(&mut claims);
        bench.signed(&claims)
    };
    for (name, token, status) in [
        ("valid", with(|_| {}), 200),
        (
            "another service",
            with(|it| it.audience = "registry".to_owned()),
            401,
        ),
        (
            "another issuer",
            with(|it| it.issuer = "Other".to_owned()),
            401,
        ),
        ("anonymous", with(|it| it.subject = String::new()), 401),
        ("expired", with(|it| it.expires_at = it.issued_at - 61), 401),
        (
            "not yet valid",
            with(|it| it.not_before = it.issued_at + 61),
            401,
        ),
        ("another key", Bench::new().signed(&valid), 401),
        (
            "a repository",
            with(|it| it.access = vec![access("repository", "own", "read")]),
            403,
        ),
        (
            "a class",
            with(|it| it.access = vec![access("wharfinger(x)", "own", "read")]),
            403,
        ),
        (
            "another name",
            with(|it| it.access = vec![access("wharfinger", "*", "read")]),
            403,
        ),
        (
            "all actions",
            with(|it| it.access = vec![access("wharfinger", "own", "*")]),
            200,
        ),
    ] {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        let answer = bench.send(("GET", "/account"), &headers, "").await;
        assert_eq!(answer.status, status, "{name}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("authorization", "Bearer x"),
        ];
        let answer = bench.send(("GET", "/account"), &headers, "").await;
        assert_eq!(answer.status, 401, "{name}: two headers are none");
    }
}

#[tokio::test]
async fn a_token_is_worth_nothing_when_its_account_is_gone() {
    let bench = Bench::new();
    let scopes = &["users:read"];
    for (account, status) in [("ann", 200), ("mallory", 401), ("robot+gone", 401)] {
        let answer = bench
            .ask(account, scopes, ("GET", "/users"), &[], None)
            .await;
        assert_eq!(answer.status, status, "{account}");
    }
}

#[tokio::test]
async fn a_token_from_before_a_change_of_its_account_is_refused() {
    let bench = Bench::new();
    let old = format!("Bearer {}", bench.token("bob", &["own:read"]));
    let show = ("GET", "/account");
    let headers = [("authorization", old.as_str())];
    assert_eq!(bench.send(show, &headers, "").await.status, 200);
    bench.clock.pass(1);
    let bob = serde_json::json!({"name": "bob", "password": "sesame"});
    let users = ("POST", "/users");
    let added = bench
        .ask("ann", &["users:write"], users, &[], Some(&bob))
        .await;
    assert_eq!(added.status, 201, "{:?}", added.body);
    assert_eq!(bench.send(show, &headers, "").await.status, 401);
    let new = bench.ask("bob", &["own:read"], show, &[], None).await;
    assert_eq!(new.status, 200, "{:?}", new.body);
}
