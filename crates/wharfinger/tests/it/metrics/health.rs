//! Health checks, beside Distribution's own registry.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use peers::{
    HttpStub, RegistryConfig, ReservedAddress, RunningRegistry, StubAnswer, http, registry_of,
    registry3,
};

use super::PROGRAM;

/// How often the checks run in these tests.
const INTERVAL: &str = "200ms";

/// A registry with these checks, and the address of its second port.
struct Checked {
    registry: RunningRegistry,
    debug: ReservedAddress,
}

/// What a registry says about its health.
#[derive(Debug, PartialEq, Eq)]
struct Health {
    /// The status and the body of `/debug/health`.
    debug: (u16, String),
    /// The status and the body of `/v2/`.
    api: (u16, String),
}

impl Checked {
    fn start(checks: &str, start: impl FnOnce(&RegistryConfig) -> RunningRegistry) -> Self {
        let debug = ReservedAddress::new();
        let config = RegistryConfig {
            more_http: format!("debug: {{addr: '{debug}'}}"),
            more: format!("health: {checks}\n"),
            ..RegistryConfig::default()
        };
        Self {
            registry: start(&config),
            debug,
        }
    }

    fn health(&self) -> Health {
        let of = |url: &str| {
            let answer = http::get(url);
            (answer.status, answer.body)
        };
        Health {
            debug: of(&format!("http://{}/debug/health", self.debug)),
            api: of(&self.registry.url("/v2/")),
        }
    }

    /// What it says when `/debug/health` has this status.
    fn with_status(&self, status: u16) -> Health {
        for _ in 0..100 {
            let health = self.health();
            if health.debug.0 == status && (health.api.0 == 503) == (status == 503) {
                return health;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{:?}\n{}", self.health(), self.registry.log());
    }
}

/// Starts Distribution's registry and ours with the same checks.
fn both(checks: &str) -> [Checked; 2] {
    [
        Checked::start(checks, registry3),
        Checked::start(checks, |config| registry_of(Path::new(PROGRAM), config)),
    ]
}

#[test]
fn a_file_takes_a_registry_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("down");
    let checks = format!(
        "{{file: [{{file: '{}', interval: {INTERVAL}}}]}}",
        file.display()
    );
    let [theirs, ours] = both(&checks);
    assert_eq!(ours.with_status(200).debug, theirs.with_status(200).debug);
    std::fs::write(&file, "").unwrap();
    let failed = ours.with_status(503);
    assert_eq!(failed, theirs.with_status(503));
    assert!(
        failed
            .api
            .1
            .contains("health check failed: please see /debug/health")
    );
    let ready = http::get(&ours.registry.url("/readyz"));
    assert!(ready.status == 503 && ready.body.contains("\"name\":\"health\""));
    assert_eq!(http::get(&ours.registry.url("/livez")).status, 200);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ours.with_status(200).debug, theirs.with_status(200).debug);
}

#[test]
fn a_server_that_refuses_connections_counts_after_the_threshold() {
    let address = ReservedAddress::new();
    let listener = TcpListener::bind(address.address()).unwrap();
    let checks = format!(
        "{{tcp: [{{addr: '{address}', interval: {INTERVAL}, threshold: 3, timeout: 1s}}]}}"
    );
    let [theirs, ours] = both(&checks);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(ours.health().debug, (200, "{}".to_owned()));
    drop(listener);
    for checked in [&theirs, &ours] {
        let failed = checked.with_status(503);
        let begins = format!("{{\"{address}\":\"{address}: connection failed: ");
        assert!(failed.debug.1.starts_with(&begins), "{failed:?}");
    }
    let _again = TcpListener::bind(address.address()).unwrap();
    assert_eq!(ours.with_status(200).debug.1, "{}");
}

#[test]
fn a_server_must_answer_with_the_status() {
    let server = HttpStub::start(|request| {
        let is_head = request.method == "HEAD" && request.path == "/missing";
        StubAnswer::Status(if is_head { 404 } else { 500 }, String::new())
    });
    let url = server.url("/missing");
    let good =
        format!("{{http: [{{uri: '{url}', statuscode: 404, interval: {INTERVAL}, timeout: 2s}}]}}");
    let bad = format!("{{http: [{{uri: '{url}', interval: {INTERVAL}, timeout: 2s}}]}}");
    for checked in both(&good) {
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(checked.health().debug, (200, "{}".to_owned()));
    }
    let [theirs, ours] = both(&bad);
    assert_eq!(ours.with_status(503), theirs.with_status(503));
}

#[test]
fn content_that_is_away_takes_a_registry_out() {
    let checks =
        format!("{{storagedriver: {{enabled: true, interval: {INTERVAL}, threshold: 2}}}}");
    let ours = Checked::start(&checks, |config| registry_of(Path::new(PROGRAM), config));
    assert_eq!(ours.with_status(200).debug.1, "{}");
    let (data, away) = (
        ours.registry.directory().join("data"),
        ours.registry.directory().join("away"),
    );
    std::fs::rename(&data, &away).unwrap();
    let failed = ours.with_status(503);
    assert!(
        failed.debug.1.contains("storagedriver_filesystem"),
        "{failed:?}"
    );
    std::fs::rename(&away, &data).unwrap();
    assert_eq!(ours.with_status(200).debug.1, "{}");
}
