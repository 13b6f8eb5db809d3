//! `wharfinger explain`: its words, its places, and that it says what the server does.

use std::path::Path;
use std::process::Command;

use peers::{Output, Server, TestCertificate, TestKeyKind, run};
use tempfile::TempDir;

use crate::wire::Connection;

const CONFIG: &str = r#"server: {addr: "@addr@"}
token: {issuer: i, expiration: 900, certificate: token.pem, key: token.key}
users:
  "": {}
  bob: {password: "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay", labels: {group: [dev, ops]}}
acl:
  - {match: {account: admin}, actions: ["*"], comment: "Admins do everything."}
  - {match: {ip: 192.0.2.0/24}, actions: [delete]}
  - {match: {account: "/.+/", name: "${account}/*"}, actions: [pull, push]}
  - match: {name: "${labels:group}-shared/*"}
    actions: [pull]
    comment: A group's own.
  - {match: {labels: {group: qa}}, actions: []}
"#;

fn setup() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    std::fs::write(
        folder.path().join("auth.yml"),
        CONFIG.replace("@addr@", "127.0.0.1:0"),
    )
    .unwrap();
    folder
}

fn explain(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    run(command
        .args(["explain", "auth.yml"])
        .args(arguments)
        .current_dir(folder.path()))
}

#[test]
fn the_rule_that_decided_and_why_the_others_did_not() {
    let folder = setup();
    let output = explain(
        &folder,
        &["--account", "bob", "repository:ops-shared/app:pull,push"],
    );
    assert_eq!(
        output.succeeded(),
        r#"repository:ops-shared/app:pull,push for bob
  granted: pull
  refused: push
  decided by auth.yml:10: A group's own.
  not by auth.yml:7: account: "admin" against "bob": it does not match
  not by auth.yml:8: ip: "192.0.2.0/24": the client's address is not known
  not by auth.yml:9: name: "${account}/*" (here "bob/*") against "ops-shared/app": it does not match"#
    );
}

#[test]
fn denied_by_default() {
    let folder = setup();
    let output = explain(&folder, &["--ip", "198.51.100.7", "registry:catalog:*"]);
    let text = output.succeeded();
    assert!(
        text.starts_with(
            "registry:catalog:* for the anonymous\n  granted: nothing\n  refused: *\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("no rule matches: access is denied by default"),
        "{text}"
    );
    assert!(
        text.contains(r#"ip: "192.0.2.0/24" against "198.51.100.7": it does not match"#),
        "{text}"
    );
    assert!(text.contains("the account has no such label"), "{text}");
}

#[test]
fn labels_addresses_and_json() {
    let folder = setup();
    let output = explain(
        &folder,
        &[
            "--account",
            "eve",
            "--label",
            "group=qa",
            "--ip",
            "192.0.2.9",
            "--json",
            "repository:a:delete,pull repository:b:pull",
        ],
    );
    let answers: serde_json::Value = serde_json::from_str(output.succeeded()).unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 2);
    assert_eq!(answers[0]["rule"], "auth.yml:8");
    assert_eq!(
        (
            answers[0]["granted"].to_string(),
            answers[0]["refused"].to_string()
        ),
        (r#"["delete"]"#.into(), r#"["pull"]"#.into())
    );
    let passed = &answers[0]["passed"][0];
    assert_eq!(passed["field"], "account");
    let rule = passed["rule"].as_str().unwrap();
    assert!(
        rule.starts_with("auth.yml:"),
        "a rule that did not decide is named as the one that did: {rule}"
    );
    assert!(
        output
            .stderr
            .contains("no user of the configuration is called \"eve\""),
        "{}",
        output.stderr
    );
    let denied = explain(
        &folder,
        &[
            "--account",
            "eve",
            "--label",
            "group=qa",
            "repository:a:pull",
        ],
    );
    assert!(
        denied.succeeded().contains("decided by auth.yml:13"),
        "{}",
        denied.stdout
    );
}

#[test]
fn what_cannot_be_explained_says_why() {
    let folder = setup();
    let scope = explain(&folder, &["repository:a"]);
    assert_eq!(scope.status.code(), Some(2));
    assert!(
        scope
            .stderr
            .contains("must have three parts, type:name:actions"),
        "{}",
        scope.stderr
    );
    assert_eq!(
        explain(&folder, &["--label", "group", "repository:a:pull"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(explain(&folder, &[]).status.code(), Some(2));
    let odd = explain(&folder, &["repository:Library/Ubuntu:pull"]);
    assert!(
        odd.stderr
            .contains("no registry has a repository \"Library/Ubuntu\""),
        "{}",
        odd.stderr
    );
}

#[test]
fn the_server_does_what_is_explained() {
    let folder = setup();
    let config = CONFIG.replace(
        "token.pem",
        folder.path().join("token.pem").to_str().unwrap(),
    );
    let config = config.replace(
        "token.key",
        folder.path().join("token.key").to_str().unwrap(),
    );
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &config);
    for scope in [
        "repository:bob/a:pull,push,delete",
        "repository:dev-shared/x:pull",
        "repository:x:pull",
    ] {
        let basic = [("Authorization", "Basic Ym9iOnNlY3JldA==")];
        let url = format!("/auth?scope={scope}");
        let claims = Connection::open(&server.host_port())
            .request("GET", &url, &basic, None)
            .claims();
        let granted = claims["access"][0]["actions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let explained = explain(
            &folder,
            &["--account", "bob", "--ip", "127.0.0.1", "--json", scope],
        );
        let explained: serde_json::Value = serde_json::from_str(explained.succeeded()).unwrap();
        assert_eq!(
            explained[0]["granted"].as_array().unwrap(),
            &granted,
            "{scope}"
        );
    }
}
