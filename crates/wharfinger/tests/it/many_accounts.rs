//! A thousand users, each with a rule and a robot, beside a running server: each has what is its own,
//! and nothing else.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use accounts::{AccountStore, DatabaseAccounts};
use common::{Clock, Secret, SystemClock, SystemEntropy};
use data_encoding::BASE64;
use database::{Administrator, Database, DatabaseLocation};
use identity::{AuthenticatorChain, PasswordVerifier, WorkerPool};
use peers::{Server, TestCertificate, TestKeyKind, run, wait_until};
use personal_tokens::{NewToken, NewTokenHolder, PersonalTokens, TokenPolicy, parse_ceiling};

use crate::wire::Connection;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

const USERS: usize = 1000;

/// bcrypt of `sesame` at its lowest cost. What is tested is not the time of a hash.
const HASH: &str = "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW";

/// Users and rules as the commands write them, in one transaction.
fn insert_users_and_rules(database: &Path) {
    let mut connection = rusqlite::Connection::open(database).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    let transaction = connection.transaction().unwrap();
    for number in 0..USERS {
        let user = "INSERT INTO accounts (name, password, labels, created_at, changed_at)
                    VALUES (?1, ?2, '{}', 0, 0)";
        let name = format!("user{number}");
        transaction.execute(user, (&name, HASH)).unwrap();
        let rule = serde_json::json!({
            "match": {"account": name, "type": "repository", "name": format!("team{number}/*")},
            "actions": ["pull", "push"],
        });
        let insert = "INSERT INTO rules (position, rule, created_at) VALUES (?1, ?2, 0)";
        transaction
            .execute(insert, (number, rule.to_string()))
            .unwrap();
    }
    transaction.commit().unwrap();
}

/// A robot of each user, which may only pull, whatever its owner may.
fn create_robots(database: &Path) -> Vec<Secret> {
    let database = Database::open(&DatabaseLocation::at(database)).unwrap();
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let store = AccountStore::new(database.clone(), clock, entropy.clone());
    let verifier = PasswordVerifier::new(Arc::new(WorkerPool::new(NonZeroUsize::MIN)), []);
    let accounts = DatabaseAccounts::new(store, Arc::new(verifier));
    let owners = AuthenticatorChain::new(vec![Box::new(accounts)]);
    let tokens = PersonalTokens::new(database, TokenPolicy::default(), entropy);
    let by = Administrator::SystemUser("test".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut secrets = Vec::new();
        for number in 0..USERS {
            let robot = NewToken {
                holder: NewTokenHolder::Robot {
                    name: format!("ci{number}").parse().unwrap(),
                    owner: Some(format!("user{number}")),
                },
                ceiling: parse_ceiling(&["repository:*/app:pull"]).unwrap(),
                networks: Vec::new(),
                lifetime: None,
            };
            let created = tokens.create(robot, &owners, &by, SystemClock.now());
            secrets.push(created.await.unwrap().secret);
        }
        secrets
    })
}

/// The status, and what is granted of the repository of this user and of the next one.
fn ask(connection: &mut Connection, login: &str, number: usize) -> (u16, String) {
    let next = (number + 1) % USERS;
    let url = format!(
        "/auth?service=reg&scope=repository:team{number}/app:pull,push\
         &scope=repository:team{next}/app:pull,push"
    );
    let authorization = format!("Basic {}", BASE64.encode(login.as_bytes()));
    let headers = [("Authorization", authorization.as_str())];
    let answer = connection.request("GET", &url, &headers, None);
    let granted = answer.json()["scope"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (answer.status, granted)
}

#[test]
fn a_thousand_users_with_rules_and_robots_have_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let database = folder.path().join("wharfinger.db");
    let config = format!(
        "server: {{addr: '@addr@'}}\n\
         token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         database: {{url: 'sqlite://{}'}}\naccounts: {{}}\n",
        pair.certificate.display(),
        pair.key.display(),
        database.display(),
    );
    let server = Server::start(Path::new(PROGRAM), &config);
    insert_users_and_rules(&database);
    let robots = create_robots(&database);
    let mut connection = Connection::open(&server.host_port());
    let last = USERS - 1;
    let of_user = |number: usize| format!("user{number}:sesame");
    // The rules are loaded within a second.
    wait_until(|| !ask(&mut connection, &of_user(last), last).1.is_empty());
    for (number, robot) in robots.iter().enumerate() {
        assert_eq!(
            ask(&mut connection, &of_user(number), number),
            (200, format!("repository:team{number}/app:pull,push")),
            "user{number}"
        );
        let robot = format!("robot+ci{number}:{}", robot.expose());
        assert_eq!(
            ask(&mut connection, &robot, number),
            (200, format!("repository:team{number}/app:pull")),
            "robot+ci{number}"
        );
    }
    // One of them goes, and its robot with it. All others stay as they are.
    let mut remove = Command::new(PROGRAM);
    let remove = remove.args(["user", "remove"]).arg(server.config());
    run(remove.arg("user500")).succeeded();
    wait_until(|| ask(&mut connection, &of_user(500), 500).0 == 401);
    let robot = |number: usize| format!("robot+ci{number}:{}", robots[number].expose());
    assert_eq!(ask(&mut connection, &robot(500), 500).0, 401);
    for number in [0, 499, 501, last] {
        assert_eq!(ask(&mut connection, &of_user(number), number).0, 200);
        assert_eq!(ask(&mut connection, &robot(number), number).0, 200);
    }
}
