//! `ext_auth` and `ext_authz` over HTTP: what goes wrong with a program is in the log, never
//! to the client.

use std::fs;
use std::path::Path;

use peers::{Server, TestCertificate, TestKeyKind, wait_until};
use tempfile::TempDir;

use crate::wire::{Connection, get};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// `joe` with the password `tr0ub4dor`.
const JOE: [(&str, &str); 1] = [("Authorization", "Basic am9lOnRyMHViNGRvcg==")];

/// A server whose `section` is the shell script `text`.
fn server(folder: &TempDir, section: &str, text: &str, more: &str) -> Server {
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let script = folder.path().join("program.sh");
    fs::write(&script, text).unwrap();
    let config = format!(
        "server: {{addr: '@addr@'}}\ntoken: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         {section}: {{command: sh, args: [{}]{more}}}\n",
        pair.certificate.display(),
        pair.key.display(),
        script.display()
    );
    let rest = match section {
        "ext_auth" => "acl: [{match: {}, actions: [pull]}]\n",
        _ => "users: {'': {}}\n",
    };
    Server::start(Path::new(PROGRAM), &(config + rest))
}

#[test]
fn what_a_program_complains_of_is_for_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let text = "read -r line; echo \"the directory ldap.internal refused: $line\" >&2; exit 3";
    let mut server = server(&folder, "ext_auth", text, "");
    let answer =
        Connection::open(&server.host_port()).request("GET", "/auth?service=s", &JOE, None);
    assert_eq!(answer.status, 500);
    let id = answer.header("x-request-id").unwrap();
    let told =
        format!("internal error: the server's log has the cause under this request id: {id}");
    let json = answer.json();
    assert_eq!(
        json,
        serde_json::json!({"error": "server_error", "error_description": told, "details": told})
    );
    server.wait_for_log("status=500");
    let log = server.log();
    let cause = log
        .lines()
        .find(|line| line.contains("a request failed"))
        .unwrap();
    assert!(
        cause.contains(id)
            && cause.contains("exit code 3")
            && cause.contains("ldap.internal refused: joe …")
    );
    assert!(
        !log.contains("tr0ub4dor") && !log.contains("am9lOnRyMHViNGRvcg"),
        "{log}"
    );
}

#[test]
fn a_program_that_decides_nothing_grants_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = server(
        &folder,
        "ext_authz",
        "echo 'no route to policy.internal' >&2; exit 7",
        "",
    );
    let answer = get(
        &server.host_port(),
        "/auth?service=s&scope=repository:a:pull",
    );
    assert_eq!(answer.status, 500);
    assert!(
        answer.body.contains("server_error") && !answer.body.contains("policy.internal"),
        "{}",
        answer.body
    );
    assert_eq!(
        get(&server.host_port(), "/auth?service=s").status,
        200,
        "nothing is asked where nothing is wanted"
    );
    server.wait_for_log("no route to policy.internal");
}

#[test]
fn too_many_for_a_program_come_back_later() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let text = format!("until test -e {}; do sleep 0.02; done", go.display());
    let server = server(
        &folder,
        "ext_authz",
        &text,
        ", concurrency: 1, timeout: 60s",
    );
    let ask = |address: &str| get(address, "/auth?service=s&scope=repository:a:pull");
    // One runs, four wait, and the others are sent away at once.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let address = server.host_port();
        let asking: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn({
                    let address = address.clone();
                    move || ask(&address)
                })
            })
            .collect();
        wait_until(|| asking.iter().filter(|one| one.is_finished()).count() >= 3);
        fs::write(&go, "").unwrap();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (busy, done): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 429);
    assert_eq!((busy.len(), done.len()), (3, 5));
    assert!(
        done.iter()
            .all(|answer| answer.status == 200 && answer.json()["scope"] == "repository:a:pull")
    );
    assert!(
        busy.iter()
            .all(|answer| answer.header("retry-after") == Some("5"))
    );
}
