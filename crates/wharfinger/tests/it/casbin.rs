//! `casbin_authz`: a Casbin policy that decides alone, in the running program.

use std::fs;
use std::path::Path;
use std::process::Command;

use peers::{Output, Server, TestCertificate, TestKeyKind, run, wait_until};
use tempfile::TempDir;

use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

const MODEL: &str = r#"[request_definition]
r = account, type, name, service, ip, action, labels

[policy_definition]
p = account, name, ip, action, labels

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.type == "repository" && g(r.account, p.account) && keyMatch(r.name, p.name) && \
    ipMatch(r.ip, p.ip) && r.action == p.action && labelMatch(r.labels, p.labels)
"#;

const POLICY: &str = r#"p, reader, team/*, 127.0.0.0/8, pull, ""
p, alice, team/*, 127.0.0.0/8, push, "{""group"":[""dev""]}"
g, alice, reader
g, bob, reader
"#;

/// Alice, of the group `dev`, and bob, both with the password `secret`.
const CONFIG: &str = r#"server: {addr: "@addr@"}
token: {issuer: Acme, expiration: 900, certificate: @folder@/token.pem, key: @folder@/token.key}
users:
  alice: {password: "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay", labels: {group: [dev]}}
  bob: {password: "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay"}
casbin_authz: {model_path: @folder@/model.conf, policy_path: @folder@/policy.csv}
"#;

const ALICE: [(&str, &str); 1] = [("Authorization", "Basic YWxpY2U6c2VjcmV0")];
const BOB: [(&str, &str); 1] = [("Authorization", "Basic Ym9iOnNlY3JldA==")];

/// A folder with a key pair, a model and a policy.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    fs::write(folder.path().join("model.conf"), MODEL).unwrap();
    fs::write(folder.path().join("policy.csv"), POLICY).unwrap();
    folder
}

fn config(folder: &TempDir) -> String {
    CONFIG.replace("@folder@", folder.path().to_str().unwrap())
}

fn server(folder: &TempDir) -> Server {
    Server::start(Path::new(PROGRAM), &config(folder))
}

/// What `account` is granted of `scope`.
fn granted(server: &Server, account: &[(&str, &str)], scope: &str) -> String {
    let url = format!("/auth?service=registry&scope={scope}");
    let answer = Connection::open(&server.host_port()).request("GET", &url, account, None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    actions(&answer)
}

fn actions(answer: &Answer) -> String {
    let claims = answer.claims();
    let actions = claims["access"][0]["actions"].as_array();
    let actions = actions.into_iter().flatten();
    actions
        .filter_map(|action| action.as_str())
        .collect::<Vec<_>>()
        .join(",")
}

fn command(folder: &TempDir, arguments: &[&str]) -> Output {
    let file = folder.path().join("auth.yml");
    fs::write(&file, config(folder).replace("@addr@", "127.0.0.1:0")).unwrap();
    let (name, more) = arguments.split_first().unwrap();
    run(Command::new(PROGRAM)
        .arg(name)
        .arg(&file)
        .args(more)
        .current_dir(folder.path()))
}

#[test]
fn a_casbin_policy_decides_each_action() {
    let folder = folder();
    let mut server = server(&folder);
    let scope = "repository:team/app:pull,push,delete";
    assert_eq!(granted(&server, &ALICE, scope), "pull,push");
    server.wait_for_log("policy.csv:1,policy.csv:2");
    assert_eq!(
        granted(&server, &BOB, scope),
        "pull",
        "push needs the label"
    );
    assert_eq!(granted(&server, &ALICE, "repository:other/app:pull"), "");
    assert_eq!(granted(&server, &ALICE, "registry:catalog:*"), "");
}

#[test]
fn a_bad_casbin_policy_keeps_the_old_one() {
    let folder = folder();
    let mut server = server(&folder);
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let pull = |server: &Server| granted(server, &BOB, "repository:team/app:pull");
    assert_eq!(pull(&server), "pull");
    write("policy.csv", "p, reader, team/*, everywhere, pull, \"\"\n");
    server.wait_for_log("keeping the old one");
    server.wait_for_log("policy.csv:1:1: error: `ipMatch`: \"everywhere\"");
    assert_eq!(pull(&server), "pull");
    write(
        "policy.csv",
        "p, reader, other/*, 127.0.0.0/8, pull, \"\"\ng, bob, reader\n",
    );
    server.wait_for_log("configuration reloaded");
    assert_eq!(pull(&server), "");
    assert_eq!(granted(&server, &BOB, "repository:other/app:pull"), "pull");
    // The model is watched, too.
    write(
        "model.conf",
        &MODEL.replace("g(r.account, p.account) && ", ""),
    );
    wait_until(|| granted(&server, &ALICE, "repository:other/app:pull") == "pull");
}

#[test]
fn explain_names_the_line_of_the_policy() {
    let folder = folder();
    let explained = |arguments: &[&str]| {
        let arguments = [
            &["explain"],
            arguments,
            &["repository:team/app:pull,push,delete"],
        ]
        .concat();
        let output = command(&folder, &arguments);
        output
            .succeeded()
            .replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(
        explained(&["--account", "alice", "--ip", "127.0.0.1"]),
        "repository:team/app:delete,pull,push for alice\n  \
           granted: pull, push\n  \
           refused: delete\n  \
           decided by policy.csv:1,policy.csv:2\n  \
           delete: refused, because no line allows it\n  \
           pull: granted by policy.csv:1\n  \
           push: granted by policy.csv:2"
    );
    let unknown = explained(&["--account", "bob"]);
    assert!(
        unknown.contains(
            "pull: refused by an error in policy.csv:1: `ipMatch`: \"\" is not an IP address"
        ),
        "{unknown}"
    );
    let json = explained(&["--account", "bob", "--ip", "127.0.0.1", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json[0]["actions"][1],
        serde_json::json!({"action": "pull", "granted": true, "rule": "policy.csv:1", "error": null})
    );
}

#[test]
fn a_casbin_policy_is_checked_with_file_and_line() {
    let folder = folder();
    fs::write(
        folder.path().join("policy.csv"),
        "p, a, team/*, *, pull\nq, a\n",
    )
    .unwrap();
    let output = command(&folder, &["check"]);
    assert_eq!(output.status.code(), Some(1));
    let text = output
        .stdout
        .replace(&format!("{}/", folder.path().display()), "");
    assert!(
        text.contains("policy.csv:1:1: error: `p` has 5 columns, and this line has 4"),
        "{text}"
    );
    assert!(
        text.contains("policy.csv:2:1: error: unknown kind of line \"q\""),
        "{text}"
    );
    fs::write(
        folder.path().join("model.conf"),
        MODEL.replace("account, type,", "type,"),
    )
    .unwrap();
    let output = command(&folder, &["check"]);
    let text = output
        .stdout
        .replace(&format!("{}/", folder.path().display()), "");
    assert!(
        text.contains("model.conf:2:1: error: a request has 7 values, and this names 6"),
        "{text}"
    );
}
