//! What a client can and cannot do by logging in. Verifications are counted, never timed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use identity::password::HashCost;
use identity::{Account, Credentials, Login, LoginOutcome, LoginSettings, Rate};

use crate::support::{Bench, account, proof, script};

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

async fn log_in(login: &Login, account: &str, password: &str, from: &str) -> LoginOutcome {
    login
        .login(&proof(account, password), ip(from))
        .await
        .unwrap()
}

fn name(outcome: &LoginOutcome) -> Option<&str> {
    match outcome {
        LoginOutcome::Accepted(accepted) => Some(&accepted.identity.subject.account),
        LoginOutcome::Rejected { .. }
        | LoginOutcome::TooManyFailures(_)
        | LoginOutcome::TokenRejected(_)
        | LoginOutcome::Busy(_) => None,
    }
}

/// So many at once, and how many of them came to each outcome: accepted, refused, too many.
async fn all_at_once(
    login: &Arc<Login>,
    attempts: Vec<(String, String, Option<IpAddr>)>,
) -> (usize, usize, usize) {
    let logins: Vec<_> = attempts
        .into_iter()
        .map(|(account, password, address)| {
            let login = login.clone();
            tokio::spawn(async move {
                login
                    .login(&proof(&account, &password), address)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut outcomes = (0, 0, 0);
    for one in logins {
        match one.await.unwrap() {
            LoginOutcome::Accepted(_) => outcomes.0 += 1,
            LoginOutcome::Rejected { .. } => outcomes.1 += 1,
            LoginOutcome::TooManyFailures(_) => outcomes.2 += 1,
            LoginOutcome::Busy(_) => panic!("the queue is full"),
            LoginOutcome::TokenRejected(fault) => panic!("{fault}"),
        }
    }
    outcomes
}

fn users() -> Vec<(&'static str, Account)> {
    vec![
        ("ann", account(&[("sesame", 4)])),
        ("bob", account(&[("one", 5), ("two", 4)])),
        ("guest", account(&[])),
    ]
}

fn users_and_anonymous() -> Vec<(&'static str, Account)> {
    [users(), vec![("", account(&[]))]].concat()
}

#[tokio::test]
async fn a_success_is_verified_once_and_then_remembered() {
    let bench = Bench::new(&users());
    for _ in 0..100 {
        assert_eq!(
            name(&log_in(&bench.login, "ann", "sesame", "192.0.2.1").await),
            Some("ann")
        );
    }
    assert_eq!(bench.verifier.performed(), 1);
    assert!(matches!(
        log_in(&bench.login, "ann", "Sesame", "192.0.2.1").await,
        LoginOutcome::Rejected { .. }
    ));
    assert!(matches!(
        log_in(&bench.login, "bob", "sesame", "192.0.2.1").await,
        LoginOutcome::Rejected { .. }
    ));
    assert_eq!(bench.verifier.performed(), 3);
    bench.clock.pass(Duration::from_secs(60));
    assert_eq!(
        name(&log_in(&bench.login, "ann", "sesame", "192.0.2.1").await),
        Some("ann")
    );
    assert_eq!(bench.verifier.performed(), 4);
}

#[tokio::test]
async fn a_reload_forgets() {
    let bench = Bench::new(&users());
    log_in(&bench.login, "ann", "sesame", "192.0.2.1").await;
    assert_eq!(
        name(&log_in(&bench.reloaded(), "ann", "sesame", "192.0.2.1").await),
        Some("ann")
    );
    assert_eq!(bench.verifier.performed(), 2);
}

#[tokio::test]
async fn remembering_can_be_off() {
    let settings = LoginSettings {
        remember: Duration::ZERO,
        ..LoginSettings::default()
    };
    let bench = Bench::with(&users(), settings, None);
    for _ in 0..5 {
        assert_eq!(
            name(&log_in(&bench.login, "ann", "sesame", "192.0.2.1").await),
            Some("ann")
        );
    }
    assert_eq!(bench.verifier.performed(), 5);
}

#[tokio::test]
async fn every_rejection_costs_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let program = "case $(cat) in 'ext '*) exit 1;; esac; exit 2";
    let program = script(directory.path(), program, Duration::from_secs(60));
    let bench = Bench::with(&users(), LoginSettings::default(), Some(program));
    let each = HashCost::bcrypt(32 + 16);
    assert_eq!(*bench.verifier.rejection_cost(), each, "bob's two hashes");
    let attempts = [
        ("ann", "no"),
        ("bob", "no"),
        ("ext", "no"),
        ("unknown", "no"),
        ("unknown", ""),
        ("", "no"),
    ];
    let mut spent = HashCost::default();
    for (n, (account, password)) in (1..).zip(attempts) {
        let outcome = log_in(&bench.login, account, password, "192.0.2.1").await;
        assert!(matches!(outcome, LoginOutcome::Rejected { .. }));
        spent += &each;
        assert_eq!(
            (bench.verifier.performed(), bench.verifier.spent()),
            (n, spent.clone()),
            "{account:?}"
        );
    }
}

#[tokio::test]
async fn an_anonymous_request_that_is_not_allowed_costs_nothing_and_is_never_limited() {
    let bench = Bench::new(&users());
    for _ in 0..100 {
        let outcome = bench
            .login
            .login(&Credentials::anonymous().into(), ip("192.0.2.1"))
            .await
            .unwrap();
        assert!(matches!(outcome, LoginOutcome::Rejected { .. }));
    }
    assert_eq!(bench.verifier.performed(), 0);
}

#[tokio::test]
async fn guesses_at_once_are_limited_like_guesses_in_turn() {
    let bench = Bench::new(&users());
    let guesses = (0..64)
        .map(|n| ("ann".into(), format!("guess {n}"), ip("192.0.2.1")))
        .collect();
    assert_eq!(all_at_once(&bench.login, guesses).await, (0, 10, 54));
    assert_eq!(bench.verifier.performed(), 10);
    let names = (0..64)
        .map(|n| (format!("user {n}"), "guess".into(), ip("192.0.2.2")))
        .collect();
    assert_eq!(all_at_once(&bench.login, names).await, (0, 20, 44));
    let same = (0..64)
        .map(|_| ("bob".into(), "guess".into(), ip("192.0.2.3")))
        .collect();
    assert_eq!(all_at_once(&bench.login, same).await, (0, 10, 54));
    assert_eq!(bench.verifier.performed(), 40);
}

#[tokio::test]
async fn an_attacker_who_guesses_holds_up_no_other_client() {
    let bench = Bench::new(&users_and_anonymous());
    let attacker = "192.0.2.66";
    assert_eq!(
        name(&log_in(&bench.login, "bob", "one", attacker).await),
        Some("bob")
    );
    let guesses = (0..64)
        .map(|n| ("ann".into(), format!("guess {n}"), ip(attacker)))
        .collect();
    assert_eq!(all_at_once(&bench.login, guesses).await, (0, 10, 54));
    let others = (0..64)
        .map(|n| (format!("user {n}"), "guess".into(), ip(attacker)))
        .collect();
    assert_eq!(all_at_once(&bench.login, others).await, (0, 10, 54));
    let performed = bench.verifier.performed();
    // At the attacker's own address: anonymous, accounts without a password, remembered logins.
    assert_eq!(
        name(&log_in(&bench.login, "", "", attacker).await),
        Some("")
    );
    assert_eq!(
        name(&log_in(&bench.login, "guest", "whatever", attacker).await),
        Some("guest")
    );
    assert_eq!(
        name(&log_in(&bench.login, "bob", "one", attacker).await),
        Some("bob")
    );
    assert_eq!(bench.verifier.performed(), performed);
    // From elsewhere: the real user.
    assert_eq!(
        name(&log_in(&bench.login, "ann", "sesame", "192.0.2.1").await),
        Some("ann")
    );
    // The attacker, now even with the right password, has to wait, and no longer than the server says.
    let LoginOutcome::TooManyFailures(wait) = log_in(&bench.login, "bob", "two", attacker).await
    else {
        panic!("admitted too soon")
    };
    assert_eq!(wait, Duration::from_secs(3));
    bench.clock.pass(wait);
    assert_eq!(
        name(&log_in(&bench.login, "bob", "two", attacker).await),
        Some("bob")
    );
}

#[tokio::test]
async fn behind_a_proxy_that_is_not_trusted_the_account_counts() {
    let bench = Bench::new(&users());
    let guesses = (0..64)
        .map(|n| ("ann".into(), format!("guess {n}"), None))
        .collect();
    assert_eq!(all_at_once(&bench.login, guesses).await, (0, 10, 54));
    let bob = bench.login.login(&proof("bob", "two"), None).await.unwrap();
    assert_eq!(name(&bob), Some("bob"));
    let names = (0..64)
        .map(|n| (format!("user {n}"), "guess".into(), None))
        .collect();
    assert_eq!(all_at_once(&bench.login, names).await, (0, 64, 0));
}

#[tokio::test]
async fn a_fleet_with_one_password_costs_one_verification() {
    let bench = Bench::new(&users());
    let fleet = (0..64)
        .map(|n| ("ann".into(), "sesame".into(), ip(&format!("192.0.2.{n}"))))
        .collect();
    assert_eq!(all_at_once(&bench.login, fleet).await, (64, 0, 0));
    assert_eq!(bench.verifier.performed(), 1);
}

#[tokio::test]
async fn successes_at_once_are_never_limited() {
    let names: Vec<String> = (0..64).map(|n| format!("user {n}")).collect();
    let users: Vec<(&str, Account)> = names
        .iter()
        .map(|name| (name.as_str(), account(&[("sesame", 4)])))
        .collect();
    let settings = LoginSettings {
        per_address: Rate::per_minute(3),
        ..LoginSettings::default()
    };
    let bench = Bench::with(&users, settings, None);
    let all = names
        .iter()
        .map(|name| (name.clone(), "sesame".into(), ip("192.0.2.1")))
        .collect();
    assert_eq!(all_at_once(&bench.login, all).await, (64, 0, 0));
}

#[tokio::test]
async fn an_account_without_a_password_takes_any_and_is_never_verified() {
    let bench = Bench::new(&users_and_anonymous());
    for n in 0..100 {
        assert_eq!(
            name(&log_in(&bench.login, "guest", &n.to_string(), "192.0.2.1").await),
            Some("guest")
        );
        assert_eq!(
            name(&log_in(&bench.login, "", &n.to_string(), "192.0.2.1").await),
            Some("")
        );
    }
    assert_eq!(bench.verifier.performed(), 0);
}
