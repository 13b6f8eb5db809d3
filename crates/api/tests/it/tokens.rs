//! `/tokens`: one's own, and those of all.

use serde_json::{Value, json};

use crate::bench::{Answer, Bench};

const ALL: &[&str] = &["tokens:read,write"];
const OWN: &[&str] = &["own:read,revoke,create"];

async fn ask(
    bench: &Bench,
    caller: (&str, &[&str]),
    method: &str,
    path: &str,
    body: Value,
) -> Answer {
    let body = Some(&body).filter(|body| !body.is_null());
    let (account, scopes) = caller;
    bench.ask(account, scopes, (method, path), &[], body).await
}

async fn create(bench: &Bench, caller: (&str, &[&str]), name: &str, owner: Option<&str>) -> Answer {
    let mut body = json!({ "name": name, "ceiling": null });
    if let Some(owner) = owner {
        body["owner"] = json!(owner);
    }
    ask(bench, caller, "POST", "/tokens", body).await
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let items = answer.body["items"].as_array().unwrap().iter();
    let name = |token: &Value| {
        let text = |member: &str| token[member].as_str().unwrap().to_owned();
        format!("{}/{}", text("owner"), text("name"))
    };
    items.map(name).collect()
}

#[tokio::test]
async fn a_person_has_their_own_tokens_alone() {
    let bench = Bench::new();
    let (ann, bob) = (("ann", OWN), ("bob", OWN));
    let created = create(&bench, ann, "laptop", None).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let secret = created.body["secret"].as_str().unwrap();
    assert!(secret.starts_with("whp_"), "{secret}");
    let token = &created.body["token"];
    assert_eq!(
        (&token["owner"], &token["account"]),
        (&json!("ann"), &json!("ann"))
    );
    let id = token["id"].as_str().unwrap();
    let path = format!("/tokens/{id}");
    assert_eq!(
        created.header("location"),
        format!("/outer/wh/api/v1{path}")
    );
    create(&bench, bob, "phone", None).await;

    assert_eq!(
        names(&ask(&bench, ann, "GET", "/tokens", Value::Null).await),
        ["ann/laptop"]
    );
    let named = ask(&bench, ann, "GET", "/tokens?owner=ann", Value::Null).await;
    assert_eq!(names(&named), ["ann/laptop"]);
    // Another's token is not there, and another's list is refused.
    let secrets = format!("{path}/secrets");
    for (method, path, body, status) in [
        ("GET", path.as_str(), Value::Null, 404),
        ("DELETE", path.as_str(), Value::Null, 404),
        ("POST", secrets.as_str(), json!({}), 404),
        ("GET", "/tokens?owner=ann", Value::Null, 403),
        ("GET", "/tokens?owner=*", Value::Null, 403),
        (
            "POST",
            "/tokens",
            json!({ "name": "x", "owner": "ann", "ceiling": null }),
            403,
        ),
    ] {
        let refused = ask(&bench, bob, method, path, body).await;
        assert_eq!(refused.status, status, "{method} {path}");
        let absent = ask(&bench, bob, "GET", "/tokens/0000000000000000", Value::Null).await;
        if status == 404 {
            assert_eq!(refused.body["detail"], absent.body["detail"]);
        }
    }
    let rotated = ask(&bench, ann, "POST", &secrets, json!({ "ttl": "5d" })).await;
    assert_eq!(rotated.status, 201);
    assert_ne!(rotated.body["secret"], secret);
    let shown = ask(&bench, ann, "GET", &path, Value::Null).await;
    assert_eq!((shown.status, &shown.body), (200, &rotated.body["token"]));
    let revoked = ask(&bench, ann, "DELETE", &path, Value::Null).await;
    assert_eq!(revoked.status, 204);
    assert_eq!(
        names(&ask(&bench, ann, "GET", "/tokens", Value::Null).await),
        [""; 0]
    );
    let log = bench.log().await;
    assert!(log.iter().any(|entry| *entry
        == (
            "api ann".to_owned(),
            "personal_token.revoke".to_owned(),
            "ann/laptop".to_owned()
        )));
}

#[tokio::test]
async fn an_administrator_has_those_of_every_account() {
    let bench = Bench::new();
    let root = ("root", ALL);
    for owner in ["bob", "ann"] {
        let created = create(&bench, root, "laptop", Some(owner)).await;
        assert_eq!(created.status, 201, "{}", created.body);
        assert_eq!(created.body["token"]["created_by"], "root");
    }
    let list = async |path: &str| names(&ask(&bench, root, "GET", path, Value::Null).await);
    assert_eq!(
        list("/tokens").await,
        [""; 0],
        "the caller's own, if no owner is named"
    );
    assert_eq!(list("/tokens?owner=bob").await, ["bob/laptop"]);
    assert_eq!(list("/tokens?owner=*").await, ["ann/laptop", "bob/laptop"]);
    let page = ask(&bench, root, "GET", "/tokens?owner=*&limit=1", Value::Null).await;
    assert_eq!(names(&page), ["ann/laptop"]);
    let next = page.body["next"].as_str().unwrap();
    let rest = format!("/tokens?owner=*&limit=1&after={next}");
    let page = ask(&bench, root, "GET", &rest, Value::Null).await;
    assert_eq!(names(&page), ["bob/laptop"]);
    let id = page.body["items"][0]["id"].as_str().unwrap();
    let revoked = ask(
        &bench,
        root,
        "DELETE",
        &format!("/tokens/{id}"),
        Value::Null,
    )
    .await;
    assert_eq!(revoked.status, 204);
    assert_eq!(list("/tokens?owner=bob").await, [""; 0]);
}

#[tokio::test]
async fn each_of_ones_own_rights_opens_its_own_operations() {
    let bench = Bench::new();
    let created = create(&bench, ("ann", OWN), "laptop", None).await;
    let id = created.body["token"]["id"].as_str().unwrap();
    let path = format!("/tokens/{id}");
    let secrets = format!("{path}/secrets");
    let new = json!({ "name": "phone", "ceiling": null });
    for (method, path, body, scope, status) in [
        ("GET", "/tokens", Value::Null, "own:read", 200),
        ("GET", &path, Value::Null, "own:revoke,create", 403),
        ("POST", "/tokens", new, "own:read,revoke", 403),
        ("POST", &secrets, json!({}), "own:read,revoke", 403),
        ("DELETE", &path, Value::Null, "own:read,create", 403),
        ("DELETE", &path, Value::Null, "own:revoke", 204),
    ] {
        let answer = ask(&bench, ("ann", &[scope]), method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path} {scope}");
    }
}

#[tokio::test]
async fn a_robot_is_not_among_the_tokens() {
    let bench = Bench::new();
    let body = json!({ "name": "ci", "owner": "ann", "ceiling": null });
    let scopes = ["robots:read,write"];
    let robot = bench
        .ask("root", &scopes, ("POST", "/robots"), &[], Some(&body))
        .await;
    let id = robot.body["token"]["id"].as_str().unwrap();
    let path = format!("/tokens/{id}");
    for caller in [("root", ALL), ("ann", OWN)] {
        let answer = ask(&bench, caller, "DELETE", &path, Value::Null).await;
        assert_eq!(answer.status, 404);
    }
}
