//! Another issuer's keys, fetched from its URL: rotated there, and out of reach.

use std::path::Path;
use std::time::Duration;

use peers::{Server, TestCertificate, TestKeyKind};
use tempfile::TempDir;

use crate::wire::{Connection, get};

fn start(config: &str) -> Server {
    Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), config)
}

/// A token server that signs with `pair` and lets anonymous in.
fn issuer(pair: &TestCertificate) -> String {
    format!(
        "server: {{addr: \"@addr@\"}}\ntoken: {{issuer: Acme, expiration: 900, certificate: \"{}\", key: \"{}\"}}\n\
         users: {{\"\": {{}}}}\nacl: [{{match: {{}}, actions: [pull]}}]\n",
        pair.certificate.display(),
        pair.key.display()
    )
}

fn token_of(issuer: &Server) -> String {
    let answer = get(&issuer.host_port(), "/auth?service=hub");
    format!("Bearer {}", answer.json()["token"].as_str().unwrap())
}

/// What the registry says to this token.
fn status(registry: &Server, bearer: &str) -> u16 {
    Connection::open(&registry.host_port())
        .request("GET", "/v2/", &[("Authorization", bearer)], None)
        .status
}

fn pair(folder: &TempDir, name: &str) -> TestCertificate {
    TestCertificate::new(TestKeyKind::P256, folder.path(), name)
}

#[test]
fn a_new_key_counts_at_once_and_a_lost_issuer_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = start(&issuer(&pair(&folder, "old")));
    let mut registry = start(&format!(
        "server: {{addr: \"@addr@\"}}\nregistry:\n  storage: {{filesystem: {{root: \"{}\"}}}}\n  auth: {{token: {{realm: \
         \"{}\", service: hub, issuer: Acme, jwks: \"{}\"}}}}\n",
        folder.path().join("content").display(),
        tokens.url("/auth"),
        tokens.url("/.well-known/jwks.json")
    ));
    registry.wait_for_log("a key set has changed");
    assert_eq!(status(&registry, &token_of(&tokens)), 200);

    tokens.rewrite(&issuer(&pair(&folder, "new")));
    tokens.hang_up();
    tokens.wait_for_log("configuration reloaded");
    let rotated = token_of(&tokens);
    assert_eq!(status(&registry, &rotated), 200, "{}", registry.log());
    // A key that is still unknown then has strangers wait for nothing.
    let other = start(&issuer(&pair(&folder, "other")));
    let stranger = token_of(&other);
    for _ in 0..20 {
        assert_eq!(status(&registry, &stranger), 401);
    }

    tokens.kill();
    for _ in 0..200 {
        // Each is refused; in time one of them has the keys looked for again.
        assert_eq!(
            (status(&registry, &rotated), status(&registry, &stranger)),
            (200, 401)
        );
        if registry
            .log()
            .contains("cannot fetch the JWKS; using the last known keys")
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{}", registry.log());
}
