//! 64 clients that log in at once while the configuration is read again and again; a backend whose
//! server is away; and after all that, a log without a secret.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::cases::{ACCOUNT, BackendCase, TestUser};
use super::running::{RunningBackend, basic, log_in};

super::test_of_each_backend!(super::crowd::check);

const WRONG: &str = "wr0ng";

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
    let (address, password) = (running.server.host_port(), &running.password);
    let logins = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..64 {
            let (address, logins) = (&address, &logins);
            scope.spawn(move || {
                for _ in 0..3 {
                    let (password, expected) = match client % 2 {
                        0 => (password.as_str(), 200),
                        _ => (WRONG, 401),
                    };
                    let answer = log_in(address, ACCOUNT, password);
                    assert_eq!(answer.status, expected, "{}", answer.body);
                    if expected == 200 {
                        assert_eq!(answer.json()["scope"], "repository:red/a:pull,push");
                    }
                    logins.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for reload in 1..=3 {
            while logins.load(Ordering::SeqCst) < 40 * reload {
                std::thread::yield_now();
            }
            running.server.hang_up();
            while running
                .server
                .log()
                .matches("configuration reloaded")
                .count()
                < reload
            {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    });
    assert_eq!(logins.into_inner(), 3 * 64);
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
    let (port, TestUser::HasPassword) = (case.port?, &case.user) else {
        return None;
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = listener.local_addr().unwrap().port();
    drop(listener);
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
