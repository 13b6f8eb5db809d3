//! `/explanations` and `/trust/checks`: questions about others, which reveal no secret.

use common::Clock;
use database::Administrator;
use personal_tokens::{NewToken, NewTokenHolder, parse_ceiling};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench};

async fn explain(bench: &Bench, body: Value) -> Answer {
    let request = ("POST", "/explanations");
    bench
        .ask("root", &["explain:read"], request, &[], Some(&body))
        .await
}

#[tokio::test]
async fn an_account_is_explained_with_its_labels_of_today() {
    let bench = Bench::new();
    let asked =
        json!({"account": "ann", "scope": "repository:red/app:pull,push repository:bob/app:pull"});
    let answer = explain(&bench, asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body[0]["granted"], json!(["pull"]));
    assert_eq!(answer.body[0]["refused"], json!(["push"]));
    assert_eq!(answer.body[0]["rule"], "auth.yml:11");
    assert_eq!(answer.body[0]["passed"][0]["rule"], "auth.yml:10");
    assert_eq!(answer.body[1]["granted"], json!([]));
    assert_eq!(answer.body[1]["rule"], json!(null));
    // Labels of the request come beside those of the account.
    let asked = json!({"account": "bob", "labels": {"team": ["red"]}, "scopes": ["repository:red/app:pull"]});
    assert_eq!(
        explain(&bench, asked).await.body[0]["granted"],
        json!(["pull"])
    );
    // An account that no backend knows, and the anonymous one.
    for account in ["workload:7", ""] {
        let asked = json!({"account": account, "scope": "repository:bob/app:pull"});
        assert_eq!(explain(&bench, asked).await.body[0]["granted"], json!([]));
    }
}

#[tokio::test]
async fn a_token_is_explained_with_both_sides() {
    let bench = Bench::new();
    let new = |owner: Option<&str>, name: &str| NewToken {
        holder: NewTokenHolder::Robot {
            name: name.parse().unwrap(),
            owner: owner.map(str::to_owned),
        },
        ceiling: parse_ceiling(&["repository:*/app:pull"]).unwrap(),
        networks: Vec::new(),
        lifetime: None,
    };
    let by = Administrator::Account("root".to_owned());
    let owners = bench.token_server.accounts();
    let create = async |new| {
        let created = bench.tokens.create(new, owners, &by, bench.clock.now());
        created.await.unwrap()
    };
    let owned = create(new(Some("ann"), "ci")).await;
    create(new(None, "system")).await;
    let scope = "repository:ann/app:pull,push";
    for reference in ["robot+ci", &owned.token.id] {
        let answer = explain(&bench, json!({"token": reference, "scope": scope})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            answer.body["token"],
            json!({"id": owned.token.id, "account": "robot+ci", "owner": "ann"})
        );
        let report = &answer.body["scopes"][0];
        assert_eq!(report["granted"], json!(["pull"]));
        assert_eq!(report["owner"]["granted"], json!(["pull", "push"]));
        assert_eq!(report["ceiling"]["entries"][0]["name"], "*/app");
    }
    let system = explain(&bench, json!({"token": "robot+system", "scope": scope})).await;
    assert_eq!(system.body["scopes"][0]["granted"], json!(["pull"]));
    assert_eq!(system.body["scopes"][0]["owner"], json!(null));
    // A robot as an account has its owner's rights within its ceiling, too.
    let account = explain(&bench, json!({"account": "robot+ci", "scope": scope})).await;
    assert_eq!(account.body[0]["granted"], json!(["pull"]));
    // A secret that is sent by mistake is not repeated.
    let secret = owned.secret.expose();
    let mistaken = explain(&bench, json!({"token": secret, "scope": scope})).await;
    assert_eq!(mistaken.status, 422);
    assert!(
        !mistaken.body.to_string().contains(&secret[8..]),
        "{}",
        mistaken.body
    );
}

#[tokio::test]
async fn what_cannot_be_explained_says_why() {
    let bench = Bench::new();
    let many = vec!["repository:a:pull"; 101];
    for (asked, status, pointer) in [
        (json!({"account": "ann"}), 422, "/scope"),
        (json!({"scope": "repository:a"}), 422, "/scope"),
        (
            json!({"scopes": ["repository:a:pull", "x"]}),
            422,
            "/scopes/1",
        ),
        (json!({"scopes": many}), 422, "/scopes/100"),
        (
            json!({"scope": "repository:a:pull", "account": "ann", "token": "robot+ci"}),
            422,
            "/token",
        ),
        (
            json!({"scope": "repository:a:pull", "token": "robot+ci"}),
            422,
            "/token",
        ),
        (
            json!({"scope": "repository:a:pull", "token": "robot+ "}),
            422,
            "/token",
        ),
        (
            json!({"scope": "repository:a:pull", "address": "here"}),
            400,
            "/address",
        ),
        (
            json!({"scope": "repository:a:pull", "password": "sesame"}),
            400,
            "/password",
        ),
    ] {
        let answer = explain(&bench, asked.clone()).await;
        assert_eq!(answer.status, status, "{asked}: {}", answer.body);
        assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{asked}");
    }
}

#[tokio::test]
async fn a_token_that_is_checked_is_not_repeated() {
    let bench = Bench::new();
    let secret = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzZWNyZXQifQ.c2VjcmV0";
    let token = format!("Bearer {}", bench.token("root", &["trust:read"]));
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    for (body, status) in [
        (json!({"token": secret}), 404),
        (json!(secret), 400),
        (json!([secret]), 400),
        (json!({"token": [secret]}), 400),
        (json!({"token": {"value": secret}}), 400),
        (json!({"value": {"token": secret}}), 400),
    ] {
        let answer = bench
            .send(("POST", "/trust/checks"), &headers, &body.to_string())
            .await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(
            !answer.body.to_string().contains("eyJzdWIi"),
            "{}",
            answer.body
        );
    }
}
