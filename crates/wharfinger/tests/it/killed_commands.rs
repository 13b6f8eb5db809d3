//! Each command that changes the database is killed as soon as it has printed a line: what it printed
//! is done, and logged.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use peers::{Server, TestCertificate, TestKeyKind, run};
use serde_json::Value;

use crate::wire::Connection;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// A command, the action that the administration log has for it, and its object.
struct Killed {
    words: &'static [&'static str],
    more: &'static [&'static str],
    action: &'static str,
    object: &'static str,
}

const fn killed(
    words: &'static [&'static str],
    more: &'static [&'static str],
    action: &'static str,
    object: &'static str,
) -> Killed {
    Killed {
        words,
        more,
        action,
        object,
    }
}

/// Every command that changes accounts, rules, tokens or sessions, in an order in which each has
/// something to do. `@ID` is the id of the personal token.
const COMMANDS: &[Killed] = &[
    killed(
        &["user", "add"],
        &["bob", "--password-stdin"],
        "user.add",
        "bob",
    ),
    killed(
        &["user", "passwd"],
        &["bob", "--password-stdin"],
        "user.passwd",
        "bob",
    ),
    killed(
        &["user", "label"],
        &["bob", "team=red"],
        "user.label",
        "bob",
    ),
    killed(&["user", "disable"], &["bob"], "user.disable", "bob"),
    killed(&["user", "enable"], &["bob"], "user.enable", "bob"),
    killed(
        &["rule", "add"],
        &["--name", "a", "--deny"],
        "rule.add",
        "rule 1",
    ),
    killed(
        &["rule", "add"],
        &["--name", "b", "--deny"],
        "rule.add",
        "rule 2",
    ),
    killed(&["rule", "move"], &["2", "--first"], "rule.move", "rule 2"),
    killed(&["rule", "remove"], &["2"], "rule.remove", "rule 2"),
    killed(
        &["robot", "add"],
        &["ci", "--scope", "repository:team/*:pull"],
        "robot.add",
        "robot+ci",
    ),
    killed(&["robot", "rotate"], &["ci"], "robot.rotate", "robot+ci"),
    killed(&["robot", "disable"], &["ci"], "robot.disable", "robot+ci"),
    killed(&["robot", "enable"], &["ci"], "robot.enable", "robot+ci"),
    killed(&["robot", "remove"], &["ci"], "robot.remove", "robot+ci"),
    killed(
        &["personal-token", "create"],
        &["--user", "bob", "--name", "laptop", "--unlimited"],
        "personal_token.create",
        "bob/laptop",
    ),
    killed(
        &["personal-token", "rotate"],
        &["@ID"],
        "personal_token.rotate",
        "bob/laptop",
    ),
    killed(
        &["sessions", "revoke"],
        &["--user", "bob"],
        "session.revoke",
        "bob",
    ),
    killed(
        &["personal-token", "revoke"],
        &["--id", "@ID"],
        "personal_token.revoke",
        "bob/laptop",
    ),
    killed(&["user", "remove"], &["bob"], "user.remove", "bob"),
];

/// Starts a command, reads its first line, and kills it at once.
fn first_line(mut command: Command) -> String {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Most commands do not read it.
    let _ = child.stdin.take().unwrap().write_all(b"sesame");
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let _ = child.kill();
    child.wait().unwrap();
    line.trim_end().to_owned()
}

fn json_lines(mut command: Command) -> Vec<Value> {
    let output = run(&mut command);
    let lines = output.succeeded().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_command_that_is_killed_has_done_what_it_printed() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let config = format!(
        "server: {{addr: '@addr@'}}\n\
         token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         database: {{url: 'sqlite://{}'}}\naccounts: {{}}\nrefresh_tokens: {{}}\n",
        pair.certificate.display(),
        pair.key.display(),
        folder.path().join("wharfinger.db").display(),
    );
    let server = Server::start(Path::new(PROGRAM), &config);
    let command = |words: &[&str], more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(words).arg(server.config()).args(more);
        command
    };
    let ask = |login: &str, query: &str| {
        let authorization = format!("Basic {}", BASE64.encode(login.as_bytes()));
        let headers = [("Authorization", authorization.as_str())];
        let url = format!("/auth?service=reg&client_id=c{query}");
        Connection::open(&server.host_port()).request("GET", &url, &headers, None)
    };
    let mut id = String::new();
    for (done, killed) in COMMANDS.iter().enumerate() {
        let name = killed.words.join(" ");
        if name == "sessions revoke" {
            assert_eq!(ask("bob:sesame", "&offline_token=true").status, 200);
        }
        let more: Vec<_> = killed
            .more
            .iter()
            .map(|word| word.replace("@ID", &id))
            .collect();
        let more: Vec<_> = more.iter().map(String::as_str).collect();
        let line = first_line(command(killed.words, &more));
        assert!(!line.is_empty(), "{name} has printed nothing");
        let log = json_lines(command(&["audit", "changes"], &["--json"]));
        assert_eq!(log.len(), done + 1, "{name}: {line}");
        let entry = &log[done];
        assert_eq!(
            (&entry["action"], &entry["object"]),
            (&killed.action.into(), &killed.object.into()),
            "{line}"
        );
        if line.starts_with("whb_") || line.starts_with("whp_") {
            let answer = ask(&format!(":{line}"), "");
            assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        }
        if killed.action == "personal_token.create" {
            id = entry["details"]["id"].as_str().unwrap().to_owned();
        }
    }
}
