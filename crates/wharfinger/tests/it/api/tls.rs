//! The API over TLS, as commands ask it, and the lines that the access log has of it.

use std::path::Path;
use std::process::Command;

use peers::{Output, Server, TestCertificate, TestKeyKind, run_with_input};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// bcrypt of `badmin`.
const ADMIN: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

#[test]
fn commands_ask_the_api_over_tls_and_each_request_has_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let tls = TestCertificate::new(TestKeyKind::P256, folder.path(), "tls");
    let config = format!(
        "server: {{addr: '@addr@', certificate: {}, key: {}}}\n\
         token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         users: {{admin: {{password: '{ADMIN}'}}}}\n\
         acl: [{{match: {{account: admin, type: wharfinger}}, actions: ['*']}}]\n\
         database: {{url: 'sqlite://{}'}}\napi: {{}}\n",
        tls.certificate.display(),
        tls.key.display(),
        pair.certificate.display(),
        pair.key.display(),
        folder.path().join("wharfinger.db").display(),
    );
    let mut server = Server::start(Path::new(PROGRAM), &config);
    let file = server.config();
    let file = file.to_str().unwrap();
    let create = [
        "personal-token",
        "create",
        file,
        "--user",
        "admin",
        "--name",
        "laptop",
        "--scope",
        "wharfinger:users:read,write",
        "--json",
    ];
    let created: Value =
        serde_json::from_str(command(folder.path(), &create, "", "").succeeded()).unwrap();
    let secret = created["secret"].as_str().unwrap();
    let url = format!("https://{}", server.host_port());
    let authority = tls.certificate.to_str().unwrap();
    let ask = |words: &[&str], secret: &str, input: &str| {
        let words = [words, &["--server", &url, "--ca-file", authority]].concat();
        command(folder.path(), &words, secret, input)
    };
    ask(
        &["user", "add", "bob", "--password-stdin"],
        secret,
        "sesame",
    )
    .succeeded();
    let listed = ask(&["user", "list"], secret, "");
    assert!(listed.succeeded().contains("bob"), "{listed}");
    let unknown = command(
        folder.path(),
        &["user", "list", "--server", &url],
        secret,
        "",
    );
    assert!(
        unknown.refused().contains("signed by an unknown authority"),
        "{unknown}"
    );
    let rejected = ask(&["user", "list"], "whp_wrong", "");
    assert!(
        rejected.refused().contains("rejects the login"),
        "{rejected}"
    );

    server.wait_for_log("method=\"GET\" path=\"/api/v1/users\" status=200");
    let log = server.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("wharfinger::access") && line.contains("/api/v1/users"))
        .collect();
    let is_there = |part: &str| lines.iter().any(|line| line.contains(part));
    assert!(
        is_there("method=\"POST\" path=\"/api/v1/users\" status=201"),
        "{lines:#?}"
    );
    for line in &lines {
        assert!(
            line.contains("account=\"admin\"") || line.contains("status=401"),
            "{line}"
        );
        assert!(
            line.contains("address=\"127.0.0.1\"") && line.contains("user_agent"),
            "{line}"
        );
    }
    assert!(!log.contains(secret) && !log.contains("sesame"));
}

fn command(home: &Path, words: &[&str], secret: &str, input: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command
        .args(words)
        .env("HOME", home)
        .env("DOCKER_CONFIG", home);
    command
        .env_remove("REGISTRY_AUTH_FILE")
        .env_remove("XDG_RUNTIME_DIR");
    command
        .env_remove("XDG_CONFIG_HOME")
        .env("WHARFINGER_TOKEN", secret);
    run_with_input(&mut command, input)
}
