//! What `deploy/` holds, looked at by the programs that it is for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use peers::program;

pub(crate) fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(file)
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("wharfinger.service");
    let text = fs::read_to_string(deploy("wharfinger.service")).unwrap();
    // The program must be there.
    fs::write(
        &unit,
        text.replace("/usr/bin/wharfinger", env!("CARGO_BIN_EXE_wharfinger")),
    )
    .unwrap();
    let verified = peers::run(
        Command::new(program("systemd-analyze"))
            .arg("verify")
            .arg(&unit),
    );
    assert_eq!((verified.succeeded(), verified.stderr.as_str()), ("", ""));
    // In tenths: 0 is nothing, 100 everything. Above the threshold it fails.
    let mut security = Command::new(program("systemd-analyze"));
    let security = peers::run(
        security
            .args(["security", "--offline=true", "--threshold=20"])
            .arg(&unit),
    );
    assert!(
        security
            .succeeded()
            .contains("Overall exposure level for wharfinger.service: 1."),
        "{security}"
    );
}

#[test]
fn the_command_lines_in_it_are_ours() {
    for (file, line) in [
        ("wharfinger.service", "ExecStart=/usr/bin/wharfinger up\n"),
        ("Containerfile", "CMD [\"up\", \"--host\", \"localhost\"]"),
        (
            "compose.yaml",
            "command: [up, --listen, \":5000\", --host, \"${REGISTRY_HOST:-localhost}\"]",
        ),
        ("compose-two.yaml", "command: [serve, /auth/wharfinger.yml]"),
    ] {
        let text = fs::read_to_string(deploy(file)).unwrap();
        assert!(text.contains(line), "{file}");
    }
    // None of these words is unknown: what is wrong is the name of the host, which is read after
    // them.
    let mut up = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    let told = peers::run(up.args(["up", "--listen", ":5000", "--host", "no host"])).refused();
    assert!(
        told.starts_with("error: \"no host\" is not a host name"),
        "{told}"
    );
}

/// The configuration that compose-two.yaml asks for is one that we take.
#[test]
fn the_token_server_beside_registry_2_can_be_configured_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = made_as_compose_two_says(folder.path(), "auth.example.com");
    let configuration = configuration.replace("/auth/", &format!("{}/", folder.path().display()));
    fs::write(folder.path().join("wharfinger.yml"), configuration).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    let checked = peers::run(
        check
            .args(["check", "wharfinger.yml"])
            .current_dir(folder.path()),
    );
    assert_eq!(checked.succeeded(), "wharfinger.yml: fine");
}

/// What compose-two.yaml says to make in `auth/`, made in `folder` for `host`; the administrator's
/// password is `sesame`. Answers the configuration that it shows.
pub(crate) fn made_as_compose_two_says(folder: &Path, host: &str) -> String {
    let run = |words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        peers::run_with_input(
            command.args(words.split(' ')).current_dir(folder),
            "sesame\n",
        )
    };
    let text = fs::read_to_string(deploy("compose-two.yaml")).unwrap();
    let shown = |start: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix(start))
            .collect::<Vec<_>>()
    };
    for line in shown("#   wharfinger ") {
        run(&line
            .split("  ")
            .next()
            .unwrap()
            .replace("auth.example.com", host))
        .succeeded();
    }
    let hash = run("hash").succeeded().to_owned();
    let (_, configuration) = text.split_once("# and auth/wharfinger.yml:\n").unwrap();
    let lines = configuration
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("#   "));
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("$2b$10$…", &hash)
}
