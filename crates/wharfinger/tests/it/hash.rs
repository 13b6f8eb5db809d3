//! `wharfinger hash`, from a pipe.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use identity::{PasswordHash, htpasswd};

fn hash(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    command
        .arg("hash")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command line that is wrong is refused before anything is read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn printed(arguments: &[&str], input: &str) -> String {
    let output = hash(arguments, input);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn prints_a_hash_or_an_htpasswd_line() {
    let line = printed(&["--cost", "4"], "sesame\n");
    assert!(
        line.ends_with('\n') && line.parse::<PasswordHash>().unwrap().verify("sesame"),
        "{line}"
    );
    let line = printed(
        &["--user", "ann", "--algorithm", "argon2id", "--memory", "64"],
        "sesame",
    );
    let accounts = htpasswd::parse(&line).accounts;
    assert!(
        accounts.find("ann").unwrap().passwords[0].verify("sesame"),
        "{line}"
    );
}

#[test]
fn a_mistake_is_an_error_and_shows_no_password() {
    for (arguments, input) in [
        (&["--user", "a:b"][..], "sesame\n"),
        (&["--cost", "32"], "sesame\n"),
        (&["--memory", "64"], "sesame\n"),
        (&[], "\n"),
        (&[], "sesame\nsesame\n"),
        (&["sesame"], ""),
    ] {
        let output = hash(arguments, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{arguments:?}: {error}"
        );
        assert!(error.starts_with("error: "), "{error}");
        assert!(
            !error.contains("sesame") || arguments.contains(&"sesame"),
            "{error}"
        );
    }
}

/// `wharfinger FILE` serves a file, but a command stays one where a file has its name.
#[test]
fn a_file_called_hash_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hash"), "server: {addr: ':0'}\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    command.arg("hash").current_dir(folder.path());
    let output = peers::run_with_input(&mut command, "sesame\n");
    assert!(output.succeeded().starts_with("$2b$"), "{output}");
}
