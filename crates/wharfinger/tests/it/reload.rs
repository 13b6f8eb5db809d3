//! A new configuration while the server runs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use peers::{Server, TestCertificate, TestKeyKind, wait_until};

use crate::wire::{Connection, get};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// How often something is tried: `scripts/soak` does it in full.
fn rounds(short: u32, full: u32) -> u32 {
    if std::env::var_os("WHARFINGER_SOAK").is_some() {
        full
    } else {
        short
    }
}

/// A configuration with an anonymous user whose tokens live for `expiration` seconds.
fn config(pair: &TestCertificate, expiration: u32) -> String {
    format!(
        "server: {{addr: '@addr@'}}\ntoken: {{issuer: i, expiration: {expiration}, certificate: {}, key: {}}}\n\
         users: {{'': {{}}}}\nacl: [{{match: {{account: ''}}, actions: [pull]}}]\n",
        pair.certificate.display(),
        pair.key.display()
    )
}

fn expires_in(server: &Server) -> u64 {
    get(&server.host_port(), "/auth").json()["expires_in"]
        .as_u64()
        .unwrap()
}

#[test]
fn a_hundred_reloads_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let mut server = Server::start(Path::new(PROGRAM), &config(&pair, 900));
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = server.host_port();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // One connection for all: it must survive every reload.
                let mut connection = Connection::open(&address);
                while !stop.load(Ordering::Relaxed) {
                    let answer =
                        connection.request("GET", "/auth?scope=repository:a:pull", &[], None);
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=rounds(100, 2_000) {
            server.rewrite(&config(&pair, 900 + round));
            let before = answered.load(Ordering::Relaxed);
            server.hang_up();
            wait_until(|| expires_in(&server) == u64::from(900 + round));
            assert!(answered.load(Ordering::Relaxed) >= before);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(answered.into_inner() > 100);
    assert!(server.terminate().success(), "{}", server.log());
}

#[test]
fn an_answer_under_way_completes_under_the_old_rules() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    // Says yes once the file `go` is there.
    let (script, go, began) = (
        folder.path().join("auth.sh"),
        folder.path().join("go"),
        folder.path().join("began"),
    );
    let text = format!(
        "#!/bin/sh\ncat > /dev/null\ntouch {}\nwhile [ ! -e {} ]; do sleep 0.05; done\nexit 0\n",
        began.display(),
        go.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let with_program =
        config(&pair, 900) + &format!("ext_auth: {{command: {}}}\n", script.display());
    let mut server = Server::start(Path::new(PROGRAM), &with_program);
    let address = server.host_port();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let basic = [("Authorization", "Basic Ym9iOnNlY3JldA==")];
            Connection::open(&address).request("GET", "/auth", &basic, None)
        });
        wait_until(|| began.exists());
        server.rewrite(&config(&pair, 901));
        server.hang_up();
        server.wait_for_log("configuration reloaded");
        assert_eq!(expires_in(&server), 901);
        fs::write(&go, "").unwrap();
        let answer = waiting.join().unwrap();
        assert_eq!(
            (answer.status, answer.claims()["sub"].as_str()),
            (200, Some("bob")),
            "{}",
            answer.body
        );
    });
}

#[test]
fn a_bad_file_keeps_the_old_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let mut server = Server::start(Path::new(PROGRAM), &config(&pair, 900));
    server.rewrite(&config(&pair, 901).replace("actions", "action"));
    server.hang_up();
    server.wait_for_log("keeping the old one");
    assert_eq!(expires_in(&server), 900);
    assert!(
        server.log().contains("wharfinger.yml:4:"),
        "the log says where:\n{}",
        server.log()
    );
    // And without a signal the next good one is found by itself.
    server.rewrite(&config(&pair, 902));
    server.wait_for_log("configuration reloaded");
    assert_eq!(expires_in(&server), 902);
}

#[test]
fn a_key_that_is_replaced_signs_the_next_token() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let mut server = Server::start(Path::new(PROGRAM), &config(&pair, 900));
    let published = || get(&server.host_port(), "/.well-known/jwks.json").body;
    let before = published();
    let next = TestCertificate::new(TestKeyKind::P256, folder.path(), "next");
    // One file at a time, as a person would: in between the two do not fit, and the old pair stays.
    fs::rename(&next.certificate, &pair.certificate).unwrap();
    fs::rename(&next.key, &pair.key).unwrap();
    server.wait_for_log("configuration reloaded");
    assert_ne!(
        get(&server.host_port(), "/.well-known/jwks.json").body,
        before
    );
}

#[test]
fn a_kubernetes_config_map_is_swapped() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    for (version, expiration) in [("..1", 900), ("..2", 901)] {
        fs::create_dir(at(version)).unwrap();
        let port = "127.0.0.1:0";
        fs::write(
            at(version).join("auth.yml"),
            config(&pair, expiration).replace("@addr@", port),
        )
        .unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/auth.yml", at("auth.yml")).unwrap();
    // The server reads its file through the links.
    let mut server = Server::start(Path::new(PROGRAM), &config(&pair, 900));
    let mounted = server.config();
    for version in ["..1", "..2"] {
        let text = fs::read_to_string(at(version).join("auth.yml")).unwrap();
        fs::write(
            at(version).join("auth.yml"),
            text.replace("127.0.0.1:0", &server.host_port()),
        )
        .unwrap();
    }
    fs::remove_file(&mounted).unwrap();
    symlink(at("auth.yml"), &mounted).unwrap();
    server.wait_for_log("configuration reloaded");
    assert_eq!(expires_in(&server), 900);
    symlink("..2", at("..new")).unwrap();
    fs::rename(at("..new"), at("..data")).unwrap();
    wait_until(|| expires_in(&server) == 901);
}
