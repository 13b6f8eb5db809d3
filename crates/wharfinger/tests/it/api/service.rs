//! The API as a service of the program: its token endpoint, prefix, reload and access log.

use std::path::Path;

use peers::{Server, TestCertificate, TestKeyKind, wait_until};
use serde_json::{Value, json};

use crate::personal_tokens::basic;
use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// A token server below `/wh`, whose `admin` has these rules.
fn config(folder: &Path, pair: &TestCertificate, rules: &str, more: &str) -> String {
    format!(
        "server: {{addr: '@addr@', path_prefix: /wh}}\n\
         token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         users: {{admin: {{password: '$2y$05$KvtTTOOpGpQ6DjOUaNqmluOMkZQMFGEfmbG0xbayf0gCMr3uj9QTa'}}}}\n\
         acl: [{rules}]\n\
         database: {{url: 'sqlite://{}/wharfinger.db'}}\n{more}",
        pair.certificate.display(),
        pair.key.display(),
        folder.display()
    )
}

const WIDE: &str = "{match: {account: '/.+/'}, actions: ['*']}";
const ADMIN: &str = "{match: {account: admin, type: wharfinger}, actions: ['*']}";

struct Running {
    server: Server,
    pair: TestCertificate,
    folder: tempfile::TempDir,
}

impl Running {
    fn start(rules: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = config(folder.path(), &pair, rules, more);
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            pair,
            folder,
        }
    }

    fn reload(&mut self, rules: &str, more: &str) {
        let config = config(self.folder.path(), &self.pair, rules, more);
        self.server.rewrite(&config);
    }

    fn send(&self, method: &str, path: &str, bearer: &str, body: &Value) -> Answer {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: auth.test\r\nAuthorization: Bearer {bearer}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut connection = Connection::open(&self.server.host_port());
        connection.send(request.as_bytes()).unwrap();
        connection.answer(method == "HEAD").unwrap()
    }

    /// The token that the token endpoint gives for a challenge's scope, and what it grants.
    fn token(&self, scope: &str) -> (String, String) {
        let url = format!("/wh/auth?service=wharfinger-api&scope={scope}");
        let authorization = basic("admin", "badmin");
        let mut connection = Connection::open(&self.server.host_port());
        let answer = connection.request("GET", &url, &[("Authorization", &authorization)], None);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let json = answer.json();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        (text("token"), text("scope"))
    }
}

#[test]
fn from_the_challenge_to_a_user_that_logs_in() {
    let running = Running::start(&format!("{WIDE}, {ADMIN}"), "");
    let challenge = running.send("POST", "/wh/api/v1/users", "", &json!({}));
    assert_eq!(challenge.status, 401, "{}", challenge.body);
    assert_eq!(
        challenge.header("content-type"),
        Some("application/problem+json")
    );
    let expected = "Bearer realm=\"http://auth.test/wh/auth\",service=\"wharfinger-api\",\
                    scope=\"wharfinger:users:write\"";
    let header = challenge.header("www-authenticate").unwrap();
    assert!(header.starts_with(expected), "{header}");
    let (token, scope) = running.token("wharfinger:users:read,write");
    assert_eq!(scope, "wharfinger:users:read,write");
    let body = json!({ "name": "bob", "password": "sesame" });
    let added = running.send("POST", "/wh/api/v1/users", &token, &body);
    assert_eq!(added.status, 201, "{}", added.body);
    assert_eq!(added.header("location"), Some("/wh/api/v1/users/bob"));
    // The new user is there at once.
    let authorization = basic("bob", "sesame");
    let url = "/wh/auth?service=wharfinger-api&scope=wharfinger:own:read";
    let mut connection = Connection::open(&running.server.host_port());
    let login = connection.request("GET", url, &[("Authorization", &authorization)], None);
    assert_eq!(
        (login.status, &login.json()["scope"]),
        (200, &json!("wharfinger:own:read"))
    );
    let own = login.json()["token"].as_str().unwrap().to_owned();
    let account = running.send("GET", "/wh/api/v1/account", &own, &Value::Null);
    assert_eq!(account.json()["account"], "bob");
    let refused = running.send("GET", "/wh/api/v1/users", &own, &Value::Null);
    assert_eq!(refused.status, 403, "{}", refused.body);
    // Without the prefix there is nothing, and HEAD has no body.
    assert_eq!(
        running
            .send("GET", "/api/v1/account", &own, &Value::Null)
            .status,
        404
    );
    let head = running.send("HEAD", "/wh/api/v1/account", &own, &Value::Null);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn a_wide_rule_makes_no_administrator_and_a_reload_counts() {
    let mut running = Running::start(WIDE, "");
    let scope = "wharfinger:users:read";
    assert_eq!(running.token(scope).1, "");
    running.reload(&format!("{WIDE}, {ADMIN}"), "");
    wait_until(|| running.token(scope).1 == scope);
    let (token, _) = running.token(scope);
    let list = |running: &Running| running.send("GET", "/wh/api/v1/users", &token, &Value::Null);
    assert_eq!(list(&running).status, 200);
    // The token is as it was, and its rule is gone.
    running.reload(WIDE, "");
    wait_until(|| list(&running).status == 403);
    // Another service, and a low rate.
    running.reload(
        &format!("{WIDE}, {ADMIN}"),
        "api: {service: other, rate: 2/h}\n",
    );
    wait_until(|| matches!(list(&running).status, 401 | 429));
    running.reload(&format!("{WIDE}, {ADMIN}"), "api: {enabled: false}\n");
    wait_until(|| list(&running).status == 404);
    assert!(list(&running).header("www-authenticate").is_none());
}

/// What the manual shows first: a token, and users.
#[test]
fn the_examples_of_the_manual_work() {
    let running = Running::start(ADMIN, "");
    let page = include_str!("../../../../../docs/api.md");
    let (_, page) = page.split_once("## How do I get a token?").unwrap();
    let (page, _) = page.split_once("## How do I manage robots?").unwrap();
    let blocks = page.split("```sh ignore\n").skip(1);
    let blocks: Vec<&str> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 2);
    let url = format!("http://{}/wh", running.server.host_port());
    let script = blocks.concat().replace("https://auth.example.com", &url);
    let script =
        format!("set -eu\ncurl() {{ command curl -sS --fail-with-body \"$@\"; echo; }}\n{script}");
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .env("PASSWORD", "badmin")
        .output()
        .unwrap();
    let (out, err) = (output.stdout, output.stderr);
    let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    assert!(output.status.success(), "{out}\n{err}");
    let last: Value = serde_json::from_str(out.trim().lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["disabled"], &last["labels"]),
        (&json!(true), &json!({ "site": ["oslo"] }))
    );
}
