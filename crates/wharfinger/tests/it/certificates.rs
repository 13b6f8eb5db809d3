//! Certificates from an ACME server, as operators get them: by a configuration, without a cron job.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use peers::http::{request, try_request};
use peers::{
    Output, Pebble, PebbleConfig, ReservedAddress, Server, TestCertificate, TestKeyKind,
    TestPostgresDatabase, run, wait_until,
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const HOST: &str = "registry.example.com";
const STATUS: [&str; 3] = ["certs", "acme", "status"];

/// A token server, whose `server` section has `more`.
fn config(folder: &TempDir, more: &str) -> String {
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    format!(
        "server: {{addr: '@addr@', {more}}}\ntoken: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         users: {{'': {{}}}}\nacl: [{{match: {{}}, actions: [pull]}}]\n",
        pair.certificate.display(),
        pair.key.display()
    )
}

/// The section for the hosts of the tests, with `more` in it.
fn section(pebble: &Pebble, more: &str) -> String {
    format!(
        "letsencrypt: {{email: w@example.com, host: {HOST}, directory: '{}', ca_certificate: {}, {more}}}",
        pebble.directory(),
        pebble.certificate().display(),
    )
}

fn port(server: &Server) -> u16 {
    server
        .host_port()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// What a client gets that trusts the authority of `pebble` alone, and verifies the host.
fn get(pebble: &Pebble, server: &Server, path: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    fs::write(&root, pebble.root()).unwrap();
    let address = server.host_port();
    run(Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", "--cacert"])
        .arg(&root)
        .args(["--connect-to", &format!("{HOST}:443:{address}")])
        .arg(format!("https://{HOST}{path}")))
}

fn wharfinger(arguments: &[&str], file: &Path) -> Output {
    run(Command::new(PROGRAM).args(arguments).arg(file))
}

#[test]
fn tls_is_served_with_a_certificate_that_the_server_obtained_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Path::new(PROGRAM), &config(&folder, ""));
    let pebble = Pebble::start(&PebbleConfig {
        tls_port: port(&server),
        ..PebbleConfig::default()
    });
    let cache = folder.path().join("cache");
    let more = format!("cache_dir: {}", cache.display());
    let with_acme = config(&folder, &section(&pebble, &more));
    server.rewrite(&with_acme);
    let checked = wharfinger(&["check"], &server.config());
    checked.succeeded();
    let status = wharfinger(&STATUS, &server.config());
    assert_eq!(status.refused(), format!("{HOST}: no certificate yet\n"));
    server.hang_up();
    server.wait_for_log("obtained a certificate");
    let ready = get(&pebble, &server, "/readyz");
    assert!(
        ready.succeeded().contains(r#""certificates","ok":true}"#),
        "{ready}"
    );
    let status = wharfinger(&STATUS, &server.config());
    assert!(
        status
            .succeeded()
            .contains(&format!("{HOST}: valid until ")),
        "{status}"
    );
    // A reload, and a server that is killed and started again, serve it at once and order nothing.
    server.rewrite(&with_acme.replace("actions: [pull]", "actions: [push]"));
    server.hang_up();
    wait_until(|| server.log().matches("configuration reloaded").count() >= 2);
    get(&pebble, &server, "/livez").succeeded();
    server.kill();
    server.start_again();
    server.wait_for_log("serving a certificate of the ACME store");
    wait_until(|| get(&pebble, &server, "/livez").status.success());
    assert_eq!(pebble.orders(), 1, "{}", pebble.log());
    // Both ends of a wrong configuration: it is kept out, and the old one goes on.
    server.rewrite(&with_acme.replace(HOST, "'*.example.com'"));
    server.hang_up();
    server.wait_for_log("new configuration rejected");
    get(&pebble, &server, "/livez").succeeded();
}

#[test]
fn challenges_over_http_have_a_listener_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Path::new(PROGRAM), &config(&folder, ""));
    let address = ReservedAddress::new();
    let plain = address.port();
    let pebble = Pebble::start(&PebbleConfig {
        http_port: plain,
        ..PebbleConfig::default()
    });
    let more = format!(
        "cache_dir: {}, challenge: http-01, http_addr: '127.0.0.1:{plain}'",
        folder.path().join("cache").display()
    );
    server.rewrite(&config(&folder, &section(&pebble, &more)));
    server.terminate();
    server.start_again();
    server.wait_for_log("obtained a certificate");
    get(&pebble, &server, "/livez").succeeded();
    let ask = |arguments: &[&str], path: &str| {
        let url = format!("http://127.0.0.1:{plain}{path}");
        request(&[arguments, &[&url]].concat())
    };
    // No challenge is open any more.
    let challenge = "/.well-known/acme-challenge/abc";
    assert_eq!(ask(&[], challenge).status, 404);
    let host = format!("Host: {HOST}");
    let sent = ask(&["-H", &host], "/v2/a?b=c");
    assert_eq!(sent.status, 308);
    assert_eq!(
        sent.header("location"),
        Some("https://registry.example.com/v2/a?b=c")
    );
    // Not to wherever a stranger wants.
    for other in ["evil.example", "evil.example:80", "a@evil.example", ""] {
        let sent = ask(&["-H", &format!("Host: {other}")], "/");
        assert_eq!(
            sent.header("location"),
            Some("https://registry.example.com/"),
            "{other}"
        );
    }
    assert_eq!(ask(&["-d", "secret"], "/auth").status, 405);
    // What strangers send has a bound, and so have their connections.
    let long = format!("X-Long: {}", "x".repeat(20_000));
    let refused = try_request(&["-H", &long, &format!("http://127.0.0.1:{plain}/")]);
    assert!(
        refused.is_none_or(|answer| answer.status == 431),
        "it was read"
    );
    assert_eq!(ask(&[], challenge).status, 404);
}

/// A server that is killed in an order: the attempt counts, an operator can have the next one at once.
#[test]
fn a_server_that_is_killed_in_an_order_obtains_the_certificate_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Path::new(PROGRAM), &config(&folder, ""));
    let pebble = Pebble::start(&PebbleConfig {
        tls_port: port(&server),
        environment: vec![("PEBBLE_VA_NOSLEEP", "0"), ("PEBBLE_VA_SLEEPTIME", "10")],
        ..PebbleConfig::default()
    });
    let cache = folder.path().join("cache");
    let more = format!("cache_dir: {}", cache.display());
    server.rewrite(&config(&folder, &section(&pebble, &more)));
    server.hang_up();
    wait_until(|| cache.join("acme_challenges+json").exists());
    let status = wharfinger(&STATUS, &server.config()).refused();
    assert!(
        status.contains("attempt 1 began") && status.contains("is under way"),
        "{status}"
    );
    server.kill();
    let status = wharfinger(&STATUS, &server.config()).refused();
    assert!(
        status.contains("attempt 1 ") && status.contains("was interrupted"),
        "{status}"
    );
    let checked = wharfinger(&["check"], &server.config());
    assert!(checked.succeeded().contains("1 warning"), "{checked}");
    let retried = wharfinger(&["certs", "acme", "retry"], &server.config());
    retried.succeeded();
    server.start_again();
    server.wait_for_log("obtained a certificate");
    get(&pebble, &server, "/livez").succeeded();
    wharfinger(&STATUS, &server.config()).succeeded();
}

/// Replicas of a database: one orders, the other one's listener is asked, both serve.
#[test]
fn replicas_share_one_certificate_by_their_database() {
    let folder = tempfile::tempdir().unwrap();
    let database = TestPostgresDatabase::create();
    let with_database = |more: &str| {
        format!(
            "{}database: {{url: '{}'}}\n",
            config(&folder, more),
            database.url()
        )
    };
    let start = || Server::start(Path::new(PROGRAM), &with_database(""));
    let mut servers = [start(), start()];
    let pebble = Pebble::start(&PebbleConfig {
        tls_port: port(&servers[0]),
        ..PebbleConfig::default()
    });
    for server in &servers {
        server.rewrite(&with_database(&section(&pebble, "")));
    }
    for server in &servers {
        server.hang_up();
    }
    for server in &mut servers {
        server.wait_for_log("a certificate");
        wait_until(|| get(&pebble, server, "/livez").status.success());
    }
    assert_eq!(
        (pebble.orders(), pebble.accounts()),
        (1, 1),
        "{}",
        pebble.log()
    );
    let status = wharfinger(&STATUS, &servers[1].config());
    assert!(status.succeeded().contains("valid until "), "{status}");
}

#[test]
fn a_server_that_cannot_listen_orders_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let acme = TcpListener::bind("127.0.0.1:0").unwrap();
    let section = format!(
        "letsencrypt: {{email: w@example.com, host: {HOST}, cache_dir: {}, directory: 'https://{}/dir'}}",
        folder.path().join("acme").display(),
        acme.local_addr().unwrap()
    );
    let config = config(&folder, &section);
    let file = folder.path().join("wharfinger.yml");
    let address = taken.local_addr().unwrap().to_string();
    fs::write(&file, config.replace("@addr@", &address)).unwrap();
    let output = run(Command::new(PROGRAM).arg("serve").arg(&file));
    assert_eq!(output.status.code(), Some(3), "{output}");
    assert!(output.stderr.contains("cannot listen on"), "{output}");
    acme.set_nonblocking(true).unwrap();
    let asked = acme.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(asked, Err(std::io::ErrorKind::WouldBlock));
}
