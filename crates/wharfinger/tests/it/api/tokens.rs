//! Robots, personal tokens and rules by the API of a running server, and what clients see of it.

use std::thread;

use peers::{Docker, Image, wait_until};
use serde_json::{Value, json};

use crate::e2e::ours::Ours;
use crate::e2e::world::login;
use crate::personal_tokens::{basic, command};
use crate::wire::{Answer, Connection};

const REVOKED: &str = "the token was revoked: ask for a new one";

/// A caller of the API with a token.
struct ApiClient<'a> {
    ours: &'a Ours,
    bearer: String,
}

impl<'a> ApiClient<'a> {
    /// A caller with these scopes, if the rules grant them.
    fn new(ours: &'a Ours, user: (&str, &str), scopes: &str) -> Self {
        let scopes = scopes
            .split(' ')
            .map(|scope| format!("&scope=wharfinger:{scope}"));
        let url = format!("/auth?service=wharfinger-api{}", scopes.collect::<String>());
        let answer = ours.ask("GET", &url, &[("Authorization", &basic(user.0, user.1))]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self {
            ours,
            bearer: format!("Bearer {}", answer.json()["token"].as_str().unwrap()),
        }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let mut request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: test\r\nAuthorization: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            self.bearer,
            body.len()
        );
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("\r\n{body}");
        let mut connection = Connection::open(&self.ours.host());
        connection.send(request.as_bytes()).unwrap();
        connection.answer(false).unwrap()
    }

    fn done(&self, method: &str, path: &str, body: &Value) -> Answer {
        let answer = self.send(method, path, &[], body);
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {}",
            answer.body
        );
        answer
    }
}

/// A server whose `admin` may manage everything.
fn start() -> Ours {
    let ours = Ours::with_accounts();
    let words = [
        "rule",
        "add",
        "FILE",
        "--account",
        "admin",
        "--type",
        "wharfinger",
    ];
    let granted = ["--name", "/.+/", "--actions", "*"];
    command(&ours, &[&words[..], &granted].concat()).succeeded();
    let scope = "/auth?service=wharfinger-api&scope=wharfinger:robots:write";
    let authorization = basic("admin", "badmin");
    wait_until(|| {
        let answer = ours.ask("GET", scope, &[("Authorization", &authorization)]);
        answer.json()["scope"] == "wharfinger:robots:write"
    });
    ours
}

fn admin(ours: &Ours) -> ApiClient<'_> {
    let scopes = "users:read,write robots:read,write tokens:read,write rules:read,write";
    ApiClient::new(ours, ("admin", "badmin"), scopes)
}

fn team() -> Value {
    json!([{ "type": "repository", "name": "team/*", "actions": ["pull", "push"] }])
}

/// The status of a login with a secret as the password, and the words of a refusal.
fn login_of(ours: &Ours, secret: &str) -> (u16, String) {
    let url = "/auth?service=wharfinger&scope=repository:team/app:pull";
    let answer = ours.ask("GET", url, &[("Authorization", &basic("", secret))]);
    let details = answer.json()["details"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (answer.status, details)
}

#[test]
fn docker_with_a_robot_of_the_api_until_it_is_revoked() {
    let (ours, docker) = (start(), Docker::start());
    let (api, client, host) = (admin(&ours), docker.client(), ours.host());
    let body = json!({ "name": "ci", "owner": null, "ceiling": team() });
    let robot = api.done("POST", "/robots", &body).json();
    let secret = robot["secret"].as_str().unwrap();
    login(&client, &[], ("robot+ci", secret), &host).succeeded();
    let reference = format!("{host}/team/app:1");
    docker.import(&Image::saying("api"), &reference).succeeded();
    client.run(&["push", &reference]).succeeded();
    // The list knows the use, once it is written.
    wait_until(|| {
        let shown = api.done("GET", "/robots/ci", &Value::Null).json();
        shown["secrets"][0]["last_used_for"] == "team/app"
    });
    api.done("DELETE", "/robots/ci", &Value::Null);
    wait_until(|| login_of(&ours, secret) == (401, REVOKED.to_owned()));
    let pull = client.run(&["pull", &reference]);
    assert!(pull.refused().contains(REVOKED), "{pull}");
}

#[test]
fn an_owner_who_is_removed_takes_the_tokens_along() {
    let ours = start();
    let api = admin(&ours);
    let bob = json!({ "name": "bob", "password": "sesame" });
    api.done("POST", "/users", &bob);
    let rule = json!({
        "match": { "account": "bob", "type": "wharfinger", "name": "own" }, "actions": ["create"],
    });
    api.done("POST", "/rules", &json!({ "rule": rule }));
    let mut own = ApiClient::new(&ours, ("bob", "sesame"), "own:read,create,revoke");
    let new = json!({ "name": "laptop", "ceiling": team() });
    let mut created = own.send("POST", "/tokens", &[], &new);
    while created.status == 403 {
        // The rule is not loaded yet.
        thread::yield_now();
        own = ApiClient::new(&ours, ("bob", "sesame"), "own:read,create,revoke");
        created = own.send("POST", "/tokens", &[], &new);
    }
    assert_eq!(created.status, 201, "{}", created.body);
    let token = created.json();
    let secret = token["secret"].as_str().unwrap();
    assert_eq!(login_of(&ours, secret).0, 200);
    // Another's token is not there.
    let other = ApiClient::new(&ours, ("reader", "look-only"), "own:read,revoke");
    let path = format!("/tokens/{}", token["token"]["id"].as_str().unwrap());
    assert_eq!(other.send("DELETE", &path, &[], &Value::Null).status, 404);
    api.done("DELETE", "/users/bob", &Value::Null);
    wait_until(|| login_of(&ours, secret).0 == 401);
    let gone = api.send("GET", &path, &[], &Value::Null);
    assert_eq!(gone.status, 404, "{}", gone.body);
    // Another bob gets none of it.
    api.done("POST", "/users", &bob);
    wait_until(|| login_of(&ours, secret).0 == 401);
}

#[test]
fn of_two_clients_that_change_the_same_version_one_fails() {
    let ours = start();
    let api = admin(&ours);
    let tag = api.done("GET", "/rules", &Value::Null);
    let tag = tag.header("etag").unwrap();
    let robot = json!({ "name": "ci", "owner": null, "ceiling": team() });
    let robot = api.done("POST", "/robots", &robot);
    let robot = robot.header("etag").unwrap();
    let rule = json!({ "rule": { "match": { "account": "x" }, "actions": [] }, "place": "first" });
    let changes = [
        ("POST", "/rules", tag, rule),
        ("PATCH", "/robots/ci", robot, json!({ "disabled": true })),
    ];
    for (method, path, tag, body) in &changes {
        let change = || api.send(method, path, &[("If-Match", tag)], body).status;
        let mut statuses = thread::scope(|scope| {
            let both = [scope.spawn(change), scope.spawn(change)];
            both.map(|client| client.join().unwrap())
        });
        statuses.sort_unstable();
        assert!(
            statuses[0] < 300 && statuses[1] == 412,
            "{method} {path}: {statuses:?}"
        );
    }
}
