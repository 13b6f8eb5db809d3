//! Sessions, the administration log, explanations and trust checks over HTTP, against the running
//! server's own backends, policies and keys.

use std::path::Path;
use std::process::Command;

use common::{Clock, SystemClock, unix_seconds};
use peers::http::{self, Answer};
use peers::{Server, TestCertificate, TestKeyKind, run, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::platform::{AUDIENCE, Platform, documented};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// All passwords are `sesame`.
const CONFIG: &str = r#"
server: {addr: "@addr@", log: {level: debug}}
token: {issuer: Acme, expiration: 900, certificate: "@folder@/token.pem", key: "@folder@/token.key"}
users:
  ann: {password: "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW", labels: {team: [red]}}
  root: {password: "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW"}
trust:
  - preset: github
    issuer: @issuer@
    audiences: [@audience@]
    rules:
      - claims: {repository_id: "74", environment: prod}
        max_ttl: 10m
acl:
  - {match: {account: root, type: wharfinger}, actions: ["*"]}
  - {match: {labels: {team: red}, name: "red/*"}, actions: [pull], comment: the red team}
refresh_tokens: {}
database: {url: "sqlite://@folder@/wharfinger.db"}
"#;

struct Setup {
    platform: Platform,
    server: Server,
    _folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let platform = Platform::start();
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = CONFIG
            .replace("@folder@", folder.path().to_str().unwrap())
            .replace("@audience@", AUDIENCE)
            .replace("@issuer@", &platform.issuer());
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            platform,
            _folder: folder,
        }
    }

    fn get_token(&self, account: &str, query: &str) -> String {
        let url = self.server.url(&format!("/auth?{query}"));
        let answer = http::request(&["-u", &format!("{account}:sesame"), &url]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json_string("token").unwrap().to_owned()
    }

    /// Opens a session, as `docker login` does.
    fn open_session(&self, account: &str) {
        self.get_token(
            account,
            "service=registry&offline_token=true&client_id=docker",
        );
    }

    /// The answer to a request of `account` with a token for `scope`.
    fn ask(&self, account: &str, scope: &str, method: &str, path: &str, body: &Value) -> Answer {
        let token = self.get_token(account, &format!("service=wharfinger-api&scope={scope}"));
        let authorization = format!("Authorization: Bearer {token}");
        let url = self.server.url(&format!("/api/v1{path}"));
        let body = body.to_string();
        let mut arguments = vec!["-X", method, "-H", &authorization];
        if body != "null" {
            arguments.extend(["-H", "Content-Type: application/json", "-d", &body]);
        }
        arguments.push(&url);
        http::request(&arguments)
    }

    fn job(&self, changes: &Value) -> String {
        let mut claims = documented::github(unix_seconds(SystemClock.now()));
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.platform.token(&claims)
    }

    fn command(&self, words: &[&str], more: &[&str]) -> String {
        let mut command = Command::new(PROGRAM);
        command.args(words).arg(self.server.config()).args(more);
        run(&mut command).succeeded().to_owned()
    }
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

#[test]
fn sessions_are_listed_and_revoked_as_by_the_command() {
    let setup = Setup::new();
    for account in ["ann", "ann", "root"] {
        setup.open_session(account);
    }
    let read = "wharfinger:sessions:read";
    let listed = json_of(&setup.ask("root", read, "GET", "/sessions", &Value::Null));
    let of_command = setup.command(&["sessions", "list"], &["--json"]);
    let mut of_command: Vec<Value> = serde_json::from_str(&of_command).unwrap();
    of_command.sort_by_key(|session| (session["account"].to_string(), session["id"].to_string()));
    assert_eq!(listed["items"], json!(of_command));
    // Ann sees and revokes her own, and no other.
    let own = json_of(&setup.ask(
        "ann",
        "wharfinger:own:read",
        "GET",
        "/sessions",
        &Value::Null,
    ));
    let own = own["items"].as_array().unwrap();
    assert_eq!(own.len(), 2);
    let path = |session: &Value| format!("/sessions/{}", session["id"].as_str().unwrap());
    let revoke = "wharfinger:own:revoke";
    let gone = setup.ask("ann", revoke, "DELETE", &path(&own[0]), &Value::Null);
    assert_eq!(gone.status, 204, "{}", gone.body);
    let of_root = &listed["items"][2];
    assert_eq!(of_root["account"], "root");
    let refused = setup.ask("ann", revoke, "DELETE", &path(of_root), &Value::Null);
    assert_eq!(refused.status, 404, "{}", refused.body);
    let write = "wharfinger:sessions:write";
    let all = setup.ask(
        "root",
        write,
        "DELETE",
        "/sessions?account=ann",
        &Value::Null,
    );
    assert_eq!(json_of(&all), json!({"revoked": 1}));
    // The log says who it was.
    let audit = setup.ask(
        "root",
        "wharfinger:audit:read",
        "GET",
        "/audit",
        &Value::Null,
    );
    let audit = json_of(&audit);
    let who = |entry: &Value| format!("{} {}", entry["origin"], entry["actor"]);
    let who: Vec<_> = audit["items"].as_array().unwrap().iter().map(who).collect();
    assert_eq!(who, [r#""api" "root""#, r#""api" "ann""#]);
    let of_command = setup.command(&["audit", "changes"], &["--json"]);
    let last: Value = serde_json::from_str(of_command.lines().last().unwrap()).unwrap();
    assert_eq!(audit["items"][0], last);
}

#[test]
fn explanations_are_those_of_the_command() {
    let setup = Setup::new();
    setup.command(
        &["rule", "add"],
        &["--account", "ann", "--name", "db/*", "--actions", "push"],
    );
    let scopes = ["repository:red/app:pull,push", "repository:db/app:push"];
    let asked = json!({"account": "ann", "scopes": scopes});
    let explain = || {
        let scope = "wharfinger:explain:read";
        json_of(&setup.ask("root", scope, "POST", "/explanations", &asked))
    };
    // The server has the new rule within a second.
    wait_until(|| explain()[1]["granted"] == json!(["push"]));
    let of_command = setup.command(
        &["explain"],
        &["--account", "ann", "--json", scopes[0], scopes[1]],
    );
    let mut of_command: Value = serde_json::from_str(&of_command).unwrap();
    let mut of_server = explain();
    // The command names the file as it was given, the server by its last part.
    for reports in [&mut of_command, &mut of_server] {
        let text = reports.to_string();
        let folder = setup.server.config();
        let folder = format!("{}/", folder.parent().unwrap().display());
        *reports = serde_json::from_str(&text.replace(&folder, "")).unwrap();
    }
    assert_eq!(of_server, of_command);
    assert_eq!(of_server[0]["comment"], "the red team");
}

#[test]
fn the_keys_that_logins_know_check_a_token_and_it_is_never_repeated() {
    let setup = Setup::new();
    let token = setup.job(&json!({"environment": "prod"}));
    let check = |token: &str| {
        let scope = "wharfinger:trust:read";
        setup.ask(
            "root",
            scope,
            "POST",
            "/trust/checks",
            &json!({"token": token}),
        )
    };
    let good = check(&token);
    let report = json_of(&good);
    assert_eq!(report["issuer"], "github", "{report}");
    assert_eq!(
        (&report["verified"], &report["max_ttl"]),
        (&json!(true), &json!("10m"))
    );
    let of_command = setup.command(&["trust", "check"], &[&token, "--json"]);
    let of_command: Value = serde_json::from_str(&of_command).unwrap();
    assert_eq!(report["account"], of_command["account"]);
    assert_eq!(report["labels"], of_command["labels"]);
    // The keys were fetched once: the server asks the platform no more.
    let fetched = setup.platform.requests();
    let other = check(&setup.job(&json!({"environment": "test"})));
    assert_eq!(json_of(&other)["account"], Value::Null);
    assert_eq!(setup.platform.requests(), fetched);
    let (head, _) = token.rsplit_once('.').unwrap();
    let bad = check(&format!("{head}.AAAA"));
    assert_eq!(json_of(&bad)["verified"], false, "{}", bad.body);
    for answer in [good, other, bad] {
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains(head), "{}", answer.body);
    }
    let log = setup.server.log();
    assert!(
        !log.contains(head),
        "the token of a job is in the log:\n{log}"
    );
}
