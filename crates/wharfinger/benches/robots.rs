//! What a thousand robots cost: `cargo bench -p wharfinger --bench robots`.
//!
//! Each robot has a secret and a ceiling of its own, and they ask in turn. Beside them, one user of the
//! configuration, whose login is remembered, asks for one repository. The server has the first core and
//! the load the second. The figure is tokens per CPU-second of the server. The two cases are measured
//! in turn, and the ratio is the median of the rounds.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark measures time, and stops at the first error"
)]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ::common::{Clock, SystemClock, SystemEntropy};
use data_encoding::BASE64;
use database::{Administrator, Database, DatabaseLocation};
use identity::AuthenticatorChain;
use peers::{TestCertificate, TestKeyKind};
use personal_tokens::{NewToken, NewTokenHolder, PersonalTokens, TokenPolicy, parse_ceiling};

use common::load::warm_load;
use common::{Process, free_address, pinned};

const ROBOTS: u64 = 1000;
const ROUNDS: usize = 5;
const LOAD: Duration = Duration::from_secs(3);

/// `alice`'s password is `sesame`, at bcrypt's lowest cost: it is verified once.
const CONFIG: &str = r#"
server: {addr: "ADDRESS", log: {level: info}}
token: {issuer: bench, expiration: 900, certificate: CERTIFICATE, key: KEY}
users:
  alice: {password: "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW"}
acl:
  - {match: {account: "/.+/", name: "team/*"}, actions: [pull, push]}
login: {remember: 1h}
database: {url: "sqlite://DATABASE"}
"#;

fn main() {
    // `cargo test --benches` starts this program, too, and wants no measurement.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let pin = Command::new("taskset")
        .args(["-a", "-p", "-c", "1", &std::process::id().to_string()])
        .output();
    assert!(pin.unwrap().status.success());
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("wharfinger.db");
    let robots = create_robots(&database);
    let server = start(folder.path(), &database);
    let user = [authorization("alice", "sesame")];
    let mut rounds: Vec<[f64; 2]> = (0..ROUNDS)
        .map(|_| [rate(&server, &user), rate(&server, &robots)])
        .collect();
    rounds.sort_by(|a, b| (a[1] / a[0]).total_cmp(&(b[1] / b[0])));
    let [user, robots] = rounds[ROUNDS / 2];
    println!("tokens per CPU-second of the server, one core, ES256");
    println!(
        "{:<44} {user:>10.0}",
        "one user of the configuration, remembered"
    );
    println!(
        "{:<44} {robots:>10.0} {:>6.0}%",
        "1,000 robots in turn",
        100.0 * robots / user
    );
}

/// Headers with the secrets of a thousand robots, each of which may use one repository.
fn create_robots(database: &Path) -> Vec<String> {
    let database = Database::open_exclusive(&DatabaseLocation::at(database)).unwrap();
    let tokens = PersonalTokens::new(database, TokenPolicy::default(), Arc::new(SystemEntropy));
    let owners = AuthenticatorChain::new(Vec::new());
    let by = Administrator::SystemUser("bench".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut headers = Vec::new();
        for number in 0..ROBOTS {
            let robot = NewToken {
                holder: NewTokenHolder::Robot {
                    name: format!("r{number}").parse().unwrap(),
                    owner: None,
                },
                ceiling: parse_ceiling(&[format!("repository:team/r{number}:pull,push")]).unwrap(),
                networks: Vec::new(),
                lifetime: None,
            };
            let created = tokens
                .create(robot, &owners, &by, SystemClock.now())
                .await
                .unwrap();
            headers.push(authorization(
                created.token.account(),
                created.secret.expose(),
            ));
        }
        headers
    })
}

fn authorization(account: &str, password: &str) -> String {
    let encoded = BASE64.encode(format!("{account}:{password}").as_bytes());
    format!("Authorization: Basic {encoded}\r\n")
}

fn start(folder: &Path, database: &Path) -> Process {
    let pair = TestCertificate::new(TestKeyKind::P256, folder, "token");
    let address = free_address();
    let config = CONFIG
        .replace("ADDRESS", &address)
        .replace("CERTIFICATE", pair.certificate.to_str().unwrap())
        .replace("KEY", pair.key.to_str().unwrap())
        .replace("DATABASE", database.to_str().unwrap());
    let file = folder.join("bench.yml");
    std::fs::write(&file, config).unwrap();
    let mut command = pinned("0", env!("CARGO_BIN_EXE_wharfinger"));
    Process::start(command.arg("serve").arg(&file), &address, "/healthz")
}

/// Tokens per CPU-second, for these headers in turn, each with a repository of its own.
fn rate(server: &Process, headers: &[String]) -> f64 {
    let figure = warm_load(server, LOAD, |connection, number| {
        let number = number % headers.len() as u64;
        let path =
            format!("/auth?service=registry.example.com&scope=repository:team/r{number}:pull,push");
        let header = &headers[usize::try_from(number).unwrap()];
        let answer = connection.ask("GET", &path, header);
        if answer.status != 200 {
            panic!("{path} is answered with {}", answer.status);
        }
        0
    });
    figure.operations_per_cpu_second()
}
