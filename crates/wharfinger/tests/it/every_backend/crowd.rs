//! 64 clients that log in at once while the configuration is read again and again; a backend whose
//! server is away; and after all that, a log without a secret.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use peers::{ReservedAddress, wait_until};

use super::cases::{ACCOUNT, BackendCase};
use super::running::{RunningBackend, basic, log_in};
use crate::wire::Answer;

super::test_of_each_backend!(super::crowd::check);

const CLIENTS: usize = 64;
const WRONG: &str = "wr0ng";
const SHORTLY: Duration = Duration::from_millis(10);

fn check(case: &BackendCase) {
    let running = RunningBackend::start(case);
    logins_during_reloads(&running);
    let token = a_session(&running);
    let away = away(case);
    let logs = [Some(running.server.log()), away];
    let mut secrets = case.secrets.clone();
    secrets.extend([
        running.password.clone(),
        WRONG.to_owned(),
        basic(ACCOUNT, &running.password),
        basic(ACCOUNT, WRONG),
        token,
    ]);
    let encoded: Vec<String> = secrets
        .iter()
        .map(|secret| form_urlencoded::byte_serialize(secret.as_bytes()).collect())
        .collect();
    secrets.extend(encoded);
    for log in logs.iter().flatten() {
        assert!(log.contains(ACCOUNT), "{log}");
        for secret in &secrets {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{secret} is in the log");
        }
    }
}

/// No login fails that must succeed, and none succeeds that must fail.
fn logins_during_reloads(running: &RunningBackend) {
    let (address, password) = (&running.server.host_port(), running.password.as_str());
    let logins = &AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let client = |client: usize| {
            scope.spawn(move || {
                let (password, expected) = match client % 2 {
                    0 => (password, 200),
                    _ => (WRONG, 401),
                };
                let answer = log_in_when_there_is_room(address, password);
                assert_eq!(answer.status, expected, "{}", answer.body);
                if expected == 200 {
                    assert_eq!(answer.json()["scope"], "repository:red/a:pull,push");
                }
                logins.fetch_add(1, Ordering::SeqCst);
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        for reload in 1..=3 {
            let is_due = || logins.load(Ordering::SeqCst) >= reload * CLIENTS / 4;
            wait_until(|| is_due() || clients.iter().all(ScopedJoinHandle::is_finished));
            running.server.hang_up();
            let log = || running.server.log();
            wait_until(|| log().matches("configuration reloaded").count() >= reload);
        }
    });
}

/// A busy machine may have no room for another login, which clients are told to try again.
fn log_in_when_there_is_room(address: &str, password: &str) -> Answer {
    loop {
        let answer = log_in(address, ACCOUNT, password);
        if answer.status != 429 {
            return answer;
        }
        std::thread::sleep(SHORTLY);
    }
}

/// A refresh token is good, and is returned.
fn a_session(running: &RunningBackend) -> String {
    let login = running.log_in(ACCOUNT, &running.password);
    let token = login.json()["refresh_token"].as_str().unwrap().to_owned();
    let refreshed = running.refresh(&token);
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert_eq!(refreshed.json()["scope"], "repository:red/a:pull");
    assert_eq!(running.log_in("unknown", &running.password).status, 401);
    token
}

/// What a server logs whose backend is asked at an address where nothing listens.
fn away(case: &BackendCase) -> Option<String> {
    let port = case.port?;
    let reserved = ReservedAddress::new();
    let nowhere = reserved.port();
    let sections = case
        .sections
        .replace(&port.to_string(), &nowhere.to_string());
    let mut away = RunningBackend::with(&sections, super::cases::PASSWORD);
    let answer = away.log_in(ACCOUNT, &away.password);
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    assert!(
        !answer.body.contains(&nowhere.to_string()),
        "{}",
        answer.body
    );
    away.server.wait_for_log("account=\"ann\"");
    Some(away.server.log())
}
