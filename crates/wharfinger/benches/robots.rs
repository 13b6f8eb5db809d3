//! What a thousand robots cost: `cargo bench -p wharfinger --bench robots`.
//!
//! Each robot has a secret and a ceiling of its own, and they ask in turn: a thousand of the system, about
//! which no rule is asked, and a thousand of a person each, for each of whom the database has an account
//! and a rule. Beside them, one user of the configuration, whose login is remembered, asks for one
//! repository. The server has the first core and the load the second. The figure is tokens per
//! CPU-second of the server. The cases are measured in turn, and each ratio is the median of the rounds.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark measures time, and stops at the first error"
)]

mod common;

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ::common::{Clock, SystemClock, SystemEntropy};
use accounts::{AccountStore, DatabaseAccounts};
use data_encoding::BASE64;
use database::{Administrator, Database, DatabaseLocation};
use identity::{AuthenticatorChain, PasswordVerifier, WorkerPool};
use peers::{TestCertificate, TestKeyKind};
use personal_tokens::{NewToken, NewTokenHolder, PersonalTokens, TokenPolicy, parse_ceiling};

use common::load::warm_load;
use common::{Process, free_address, pinned};

const ROBOTS: u64 = 1000;
const ROUNDS: usize = 5;
const LOAD: Duration = Duration::from_secs(3);

/// bcrypt of `sesame` at its lowest cost. It is verified once.
const HASH: &str = "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW";

/// `alice`'s password is that of [`HASH`].
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
    let [of_system, of_persons] = create_robots(&database);
    let server = start(folder.path(), &database);
    let user = [authorization("alice", "sesame")];
    let rounds: Vec<[f64; 3]> = (0..ROUNDS)
        .map(|_| {
            [
                rate(&server, &user, "team"),
                rate(&server, &of_system, "team"),
                rate(&server, &of_persons, "shop"),
            ]
        })
        .collect();
    println!("tokens per CPU-second of the server, one core, ES256");
    let name = "one user of the configuration, remembered";
    println!("{name:<52} {:>10.0}", median(&rounds, 0)[0]);
    for (case, name) in [
        (1, "1,000 robots of the system"),
        (2, "1,000 robots of 1,000 persons, with 1,000 rules"),
    ] {
        let round = median(&rounds, case);
        let percent = 100.0 * round[case] / round[0];
        println!("{name:<52} {:>10.0} {percent:>6.0}%", round[case]);
    }
}

/// The round with the median of the ratio of this case to the first one.
fn median(rounds: &[[f64; 3]], case: usize) -> [f64; 3] {
    let mut rounds = rounds.to_vec();
    rounds.sort_by(|a, b| (a[case] / a[0]).total_cmp(&(b[case] / b[0])));
    rounds[ROUNDS / 2]
}

/// Headers with the secrets of a thousand robots of the system, and of a thousand robots of persons.
/// Each may use one repository.
fn create_robots(file: &Path) -> [Vec<String>; 2] {
    let database = Database::open_exclusive(&DatabaseLocation::at(file)).unwrap();
    insert_users_and_rules(file);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let store = AccountStore::new(database.clone(), clock, entropy.clone());
    let verifier = PasswordVerifier::new(Arc::new(WorkerPool::new(NonZeroUsize::MIN)), []);
    let accounts = DatabaseAccounts::new(store, Arc::new(verifier));
    let owners = AuthenticatorChain::new(vec![Box::new(accounts)]);
    let tokens = PersonalTokens::new(database, TokenPolicy::default(), entropy);
    let by = Administrator::SystemUser("bench".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut headers = [Vec::new(), Vec::new()];
        for number in 0..2 * ROBOTS {
            let is_of_person = number >= ROBOTS;
            let repository = match is_of_person {
                true => format!("shop/r{}", number - ROBOTS),
                false => format!("team/r{number}"),
            };
            let robot = NewToken {
                holder: NewTokenHolder::Robot {
                    name: format!("r{number}").parse().unwrap(),
                    owner: is_of_person.then(|| format!("user{}", number - ROBOTS)),
                },
                ceiling: parse_ceiling(&[format!("repository:{repository}:pull,push")]).unwrap(),
                networks: Vec::new(),
                lifetime: None,
            };
            let created = tokens
                .create(robot, &owners, &by, SystemClock.now())
                .await
                .unwrap();
            headers[usize::from(is_of_person)].push(authorization(
                created.token.account(),
                created.secret.expose(),
            ));
        }
        headers
    })
}

/// An account for each person, and a rule about it, as the commands write them.
fn insert_users_and_rules(database: &Path) {
    let mut connection = rusqlite::Connection::open(database).unwrap();
    let transaction = connection.transaction().unwrap();
    for number in 0..ROBOTS {
        let user = "INSERT INTO accounts (name, password, labels, created_at, changed_at)
                    VALUES (?1, ?2, '{}', 0, 0)";
        let name = format!("user{number}");
        transaction.execute(user, [name.as_str(), HASH]).unwrap();
        let rule = serde_json::json!({
            "match": {"account": name, "name": format!("shop/r{number}")},
            "actions": ["pull", "push"],
        });
        let insert = "INSERT INTO rules (position, rule, created_at) VALUES (?1, ?2, 0)";
        let position = i64::try_from(number).unwrap();
        transaction
            .execute(insert, (position, rule.to_string()))
            .unwrap();
    }
    transaction.commit().unwrap();
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

/// Tokens per CPU-second, for these headers in turn, each with a repository of its own below `prefix`.
fn rate(server: &Process, headers: &[String], prefix: &str) -> f64 {
    let figure = warm_load(server, LOAD, |connection, number| {
        let number = number % headers.len() as u64;
        let path = format!(
            "/auth?service=registry.example.com&scope=repository:{prefix}/r{number}:pull,push"
        );
        let header = &headers[usize::try_from(number).unwrap()];
        let answer = connection.ask("GET", &path, header);
        if answer.status != 200 {
            panic!("{path} is answered with {}", answer.status);
        }
        0
    });
    figure.operations_per_cpu_second()
}
