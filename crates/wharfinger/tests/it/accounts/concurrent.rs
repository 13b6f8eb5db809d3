//! Commands at the same time, and commands that are killed.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use super::{Installation, SCOPE, command};

#[test]
fn two_commands_at_once_lose_nothing() {
    let installation = Installation::new("");
    let names: Vec<_> = (0..8).map(|n| format!("user{n}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let installation = &installation;
            scope.spawn(move || installation.add(name, "sesame"));
        }
    });
    let listed = installation.json(&["user", "list"], &[], "");
    assert_eq!(listed.as_array().unwrap().len(), names.len());
}

/// Starts a command, reads its first line, and kills it at once.
fn killed(
    installation: &Installation,
    words: &[&str],
    more: &[&str],
    input: &str,
    after: u64,
) -> bool {
    let mut command = command(words, &installation.file);
    let mut child = command
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    std::thread::sleep(Duration::from_millis(after));
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    !output.stdout.is_empty()
}

#[test]
fn what_a_killed_command_has_printed_is_done() {
    let installation = Installation::new("");
    for round in 0..12 {
        let name = format!("user{round}");
        // Up to the whole time that a command takes, hashing among it.
        let after = 40 * round;
        let printed = killed(
            &installation,
            &["user", "add"],
            &[&name, "--password-stdin"],
            "sesame",
            after,
        );
        let listed = installation.run(&["user", "list"], &[], "");
        let listed = listed.succeeded();
        assert!(!printed || listed.contains(&name), "{name}: {listed}");
        let printed = killed(
            &installation,
            &["rule", "add"],
            &["--name", &name, "--deny"],
            "",
            after,
        );
        let listed = installation.run(&["rule", "list"], &[], "");
        let listed = listed.succeeded();
        assert!(!printed || listed.contains(&name), "{name}: {listed}");
    }
    // The log has exactly the changes that are there.
    let count = |words: &[&str]| installation.json(words, &[], "").as_array().unwrap().len();
    let changes = count(&["user", "list"]) + count(&["rule", "list"]);
    let log = installation.run(&["audit", "changes"], &["--json"], "");
    let log = log.succeeded();
    assert_eq!(log.lines().count(), changes);
    installation.add("last", "sesame");
    assert_eq!(installation.token("last", "sesame", SCOPE).status, 200);
}
