//! The id of a personal token in the access tokens that are issued for it, and what that is for.

use peers::wait_until;
use serde_json::json;

use super::{add_robot, ask, basic, command, create_token};
use crate::e2e::ours::Ours;
use crate::wire::{Answer, Connection, claims};

const EMPTY_INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// The header with the access token for a login and these scopes.
fn bearer(ours: &Ours, authorization: &str, scopes: &str) -> String {
    let answer = ask(ours, authorization, scopes);
    assert_eq!(answer.status, 200, "{}", answer.body);
    format!("Bearer {}", answer.json()["token"].as_str().unwrap())
}

fn push(ours: &Ours, authorization: &str, repository: &str) -> Answer {
    let scopes = format!("scope=repository:{repository}:pull,push");
    let bearer = bearer(ours, authorization, &scopes);
    let request = format!(
        "PUT /v2/{repository}/manifests/1 HTTP/1.1\r\nHost: test\r\nAuthorization: {bearer}\r\n\
         Content-Type: application/vnd.oci.image.index.v1+json\r\nContent-Length: {}\r\n\r\n{EMPTY_INDEX}",
        EMPTY_INDEX.len()
    );
    let mut connection = Connection::open(&ours.host());
    connection.send(request.as_bytes()).unwrap();
    connection.answer(false).unwrap()
}

fn repositories(ours: &Ours, authorization: &str) -> serde_json::Value {
    let bearer = bearer(ours, authorization, "scope=");
    let list = ours.ask("GET", "/v2/_catalog", &[("Authorization", &bearer)]);
    assert_eq!(list.status, 200, "{}", list.body);
    list.json()["repositories"].clone()
}

#[test]
fn an_access_token_names_the_token_that_it_was_issued_for() {
    let ours = Ours::with_refresh_tokens();
    let scope = ["--scope", "repository:team/*:pull"];
    let (token, robot) = (
        create_token(&ours, "admin", "laptop", &scope),
        add_robot(&ours, "ci", &scope),
    );
    for printed in [&token, &robot] {
        let login = ask(
            &ours,
            &basic("", &printed.secret),
            "offline_token=true&client_id=docker&scope=repository:team/app:pull",
        );
        assert_eq!(login.claims()["wharfinger_token"], printed.id.as_str());
        let refresh = login.json()["refresh_token"].as_str().unwrap().to_owned();
        let again = ask(
            &ours,
            &basic("", &refresh),
            "scope=repository:team/app:pull",
        );
        assert_eq!(again.claims()["wharfinger_token"], printed.id.as_str());
    }
    let password = ask(
        &ours,
        &basic("admin", "badmin"),
        "scope=repository:team/app:pull",
    );
    assert_eq!(password.claims().get("wharfinger_token"), None);
}

#[test]
fn the_catalog_of_a_token_is_what_its_ceiling_allows() {
    let ours = Ours::start();
    let admin = basic("admin", "badmin");
    for repository in ["team/app", "other/app"] {
        let pushed = push(&ours, &admin, repository);
        assert_eq!(pushed.status, 201, "{}", pushed.body);
    }
    assert_eq!(
        repositories(&ours, &admin),
        json!(["other/app", "team/app"])
    );
    let scope = ["--scope", "repository:team/*:pull"];
    let token = create_token(&ours, "admin", "laptop", &scope);
    let robot = add_robot(
        &ours,
        "deploy",
        &["--owner", "reader", "--scope", "repository:other/*:pull"],
    );
    assert_eq!(
        repositories(&ours, &basic("", &token.secret)),
        json!(["team/app"])
    );
    assert_eq!(
        repositories(&ours, &basic("", &robot.secret)),
        json!(["other/app"])
    );
    let bearer = bearer(&ours, &basic("", &token.secret), "scope=");
    command(
        &ours,
        &["personal-token", "revoke", "FILE", "--id", &token.id],
    )
    .succeeded();
    let list = ours.ask("GET", "/v2/_catalog", &[("Authorization", &bearer)]);
    assert_eq!(list.json()["repositories"], json!([]), "it is revoked");
}

#[test]
fn the_registry_says_that_a_request_is_over_the_ceiling() {
    let ours = Ours::start();
    let token = create_token(
        &ours,
        "admin",
        "laptop",
        &["--scope", "repository:team/*:pull"],
    );
    let robot = add_robot(&ours, "ci", &["--scope", "repository:team/*:pull"]);
    let pushed = |secret: &str, repository: &str| {
        let answer = push(&ours, &basic("", secret), repository);
        let message = answer.json()["errors"][0]["message"].clone();
        (answer.status, message.as_str().unwrap().to_owned())
    };
    let id = &token.id;
    let words =
        format!("the token {id} of \"admin\" may not push to team/app: this is over its ceiling");
    assert_eq!(pushed(&token.secret, "team/app"), (403, words));
    let id = &robot.id;
    let words = format!(
        "the token {id} of \"robot+ci\" may not push to other/app: this is over its ceiling, or its owner \
         may not"
    );
    assert_eq!(pushed(&robot.secret, "other/app"), (403, words));
    // With a password, another login may help.
    let reader = basic("reader", "look-only");
    let answer = push(&ours, &reader, "team/app");
    assert_eq!(answer.status, 401, "{}", answer.body);
}

#[test]
fn the_api_refuses_a_token_as_soon_as_it_is_revoked() {
    let ours = Ours::with_accounts();
    command(
        &ours,
        &[
            "rule",
            "add",
            "FILE",
            "--account",
            "reader",
            "--type",
            "wharfinger",
            "--name",
            "users",
            "--actions",
            "read",
        ],
    )
    .succeeded();
    let scope = ["--scope", "wharfinger:users:read"];
    let token = create_token(&ours, "reader", "laptop", &scope);
    let url = "/auth?service=wharfinger-api&scope=wharfinger:users:read";
    let authorization = basic("", &token.secret);
    let access = || {
        let answer = ours.ask("GET", url, &[("Authorization", &authorization)]);
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    wait_until(|| claims(&access())["access"] != json!([]));
    let bearer = format!("Bearer {}", access());
    let list = || ours.ask("GET", "/api/v1/users", &[("Authorization", &bearer)]);
    assert_eq!(list().status, 200, "{}", list().body);
    command(
        &ours,
        &["personal-token", "revoke", "FILE", "--id", &token.id],
    )
    .succeeded();
    assert_eq!(
        list().status,
        401,
        "the account is still there, and the token is not"
    );
}
