//! What a client can and cannot do with a secret.

use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Secret};
use database::Database;
use identity::{
    AcceptedLogin, Account, Accounts, EarlierLogin, Identity, LoginOutcome, OpaqueTokenFault,
    PermissionSource, Recheck, SessionStatus, SourceAddress, StaticUsers, TokenUse,
};
use personal_tokens::{NOTICED_WITHIN, PersonalTokens, Rotation, TokenFilter, TokenPolicy};

use crate::support::{Bench, DAY, Directory, FREE, People, personal, present, robot, root};

const HERE: &str = "192.0.2.7";

fn accepted(outcome: LoginOutcome) -> Identity {
    match outcome {
        LoginOutcome::Accepted(AcceptedLogin {
            identity, backend, ..
        }) => {
            assert_eq!(backend, "personal_tokens");
            identity
        }
        other => panic!("{other:?}"),
    }
}

fn fault(outcome: LoginOutcome) -> OpaqueTokenFault {
    match outcome {
        LoginOutcome::TokenRejected(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_secret_comes_with_its_own_name_or_none() {
    let bench = Bench::new(super::KIND);
    let ann = bench.create(personal("ann", "laptop")).await.unwrap();
    let ci = bench.create(robot("ci", None)).await.unwrap();
    let deploy = bench.create(robot("deploy", Some("ann"))).await.unwrap();
    for name in ["", "<token>", "ann"] {
        let identity = accepted(bench.log_in(name, &ann.secret, HERE).await);
        assert_eq!(identity.subject.account, "ann");
        assert_eq!(identity.subject.labels["team"], ["red"]);
        assert_eq!(identity.permissions, PermissionSource::Account);
        assert_eq!(
            identity.opaque_token.as_deref(),
            Some(ann.token.id.as_str())
        );
        assert_eq!(identity.ceiling, ann.token.ceiling);
    }
    for name in ["", "<token>", "robot+ci"] {
        let identity = accepted(bench.log_in(name, &ci.secret, HERE).await);
        assert_eq!(identity.subject.account, "robot+ci");
        assert_eq!(identity.permissions, PermissionSource::Ceiling);
    }
    let identity = accepted(bench.log_in("robot+deploy", &deploy.secret, HERE).await);
    assert_eq!(identity.subject.account, "robot+deploy");
    let owner = identity.ruled_subject().unwrap();
    assert_eq!(
        (owner.account.as_str(), &owner.labels["team"][0][..]),
        ("ann", "red")
    );
    for (name, secret) in [
        ("bob", &ann.secret),
        ("ci", &ci.secret),
        ("ann", &deploy.secret),
        ("robot+ci", &deploy.secret),
    ] {
        let fault = fault(bench.log_in(name, secret, HERE).await);
        assert_eq!(fault, OpaqueTokenFault::OtherAccount, "{name}");
    }
    assert_eq!(bench.people.proofs_seen(), 0);
}

#[tokio::test]
async fn what_looks_like_a_secret_reaches_no_backend_and_costs_a_rejection() {
    let bench = Bench::new(super::KIND);
    let ann = bench.create(personal("ann", "laptop")).await.unwrap();
    let text = ann.secret.expose();
    let flipped = text.replacen(|c: char| c.is_ascii_digit(), "_", 1);
    let before = bench.passwords.performed();
    let wrong = [
        &text[..52],
        "whp_",
        "whb_secret",
        &flipped,
        &format!("{text}x"),
    ];
    for (index, wrong) in wrong.iter().enumerate() {
        // Each as another account, so that no limit is reached.
        let name = format!("user{index}");
        let fault = fault(bench.log_in(&name, &Secret::from(*wrong), HERE).await);
        assert_eq!(fault, OpaqueTokenFault::Unknown, "{wrong}");
    }
    assert_eq!(bench.people.proofs_seen(), 0);
    let paid = bench.passwords.performed();
    assert_eq!(
        paid - before,
        wrong.len() as u64,
        "a rejection costs what every other does"
    );
    bench.log_in("ann", &Secret::from("no token"), HERE).await;
    assert_eq!(
        bench.people.proofs_seen(),
        1,
        "another password goes to the backends"
    );
}

#[tokio::test]
async fn an_open_account_accepts_no_token() {
    let mut open = Accounts::default();
    open.add(String::new(), Account::default()).unwrap();
    open.add("guest".into(), Account::default()).unwrap();
    let passwords = Bench::new(super::KIND).passwords;
    let users = StaticUsers::new(open, passwords);
    let bench = Bench::with(super::KIND, TokenPolicy::default(), vec![Box::new(users)]);
    for name in ["", "guest"] {
        let fault = fault(bench.log_in(name, &"whp_gone".into(), HERE).await);
        assert_eq!(fault, OpaqueTokenFault::Unknown);
    }
}

#[tokio::test]
async fn no_backend_has_an_account_with_a_robot_s_name() {
    let mut open = Accounts::default();
    open.add("robot+guest".into(), Account::default()).unwrap();
    let passwords = Bench::new(super::KIND).passwords;
    let users = StaticUsers::new(open, passwords);
    let bench = Bench::with(super::KIND, TokenPolicy::default(), vec![Box::new(users)]);
    let outcome = bench.log_in("robot+guest", &"any".into(), HERE).await;
    assert!(
        matches!(outcome, LoginOutcome::Rejected { .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn failures_are_limited_and_a_valid_secret_is_not() {
    let bench = Bench::new(super::KIND);
    let ci = bench.create(robot("ci", None)).await.unwrap();
    for _ in 0..10 {
        fault(bench.log_in("robot+ci", &"whb_wrong".into(), HERE).await);
    }
    let eleventh = bench.log_in("robot+ci", &"whb_wrong".into(), HERE).await;
    assert!(matches!(eleventh, LoginOutcome::TooManyFailures(_)));
    accepted(bench.log_in("robot+ci", &ci.secret, HERE).await);
}

#[tokio::test]
async fn a_secret_that_is_over_says_why() {
    let bench = Bench::new(super::KIND);
    let ci = bench.create(robot("ci", None)).await.unwrap();
    let mut near = personal("ann", "near");
    near.networks = vec![
        "10.0.0.0/8".parse().unwrap(),
        "2001:db8::/32".parse().unwrap(),
    ];
    let near = bench.create(near).await.unwrap();
    accepted(bench.log_in("", &near.secret, "10.1.2.3").await);
    accepted(bench.log_in("", &near.secret, "2001:db8::1").await);
    assert_eq!(
        fault(bench.log_in("", &near.secret, HERE).await),
        OpaqueTokenFault::WrongNetwork
    );

    let disable = |is_disabled| {
        let now = bench.clock.now();
        let (bench, root) = (&bench, root());
        async move {
            let name = "ci".parse().unwrap();
            bench
                .tokens
                .set_disabled(name, is_disabled, FREE, &root, now)
                .await
                .unwrap();
            bench.clock.pass(NOTICED_WITHIN);
        }
    };
    disable(true).await;
    assert_eq!(
        fault(bench.log_in("", &ci.secret, HERE).await),
        OpaqueTokenFault::Disabled
    );
    disable(false).await;
    accepted(bench.log_in("", &ci.secret, HERE).await);
    bench.clock.pass(90 * DAY);
    assert_eq!(
        fault(bench.log_in("", &ci.secret, HERE).await),
        OpaqueTokenFault::Expired
    );
    let now = bench.clock.now();
    let all = TokenFilter::default();
    bench.tokens.revoke(all, &root(), now).await.unwrap();
    bench.clock.pass(NOTICED_WITHIN);
    assert_eq!(
        fault(bench.log_in("", &ci.secret, HERE).await),
        OpaqueTokenFault::Revoked
    );
    bench.clock.pass(31 * DAY);
    bench.create(robot("ci", None)).await.unwrap();
    bench.clock.pass(NOTICED_WITHIN);
    assert_eq!(
        fault(bench.log_in("", &ci.secret, HERE).await),
        OpaqueTokenFault::Unknown,
        "it was removed"
    );
}

#[tokio::test]
async fn a_shorter_max_ttl_counts_for_tokens_that_exist() {
    let bench = Bench::new(super::KIND);
    let ci = bench.create(robot("ci", None)).await.unwrap();
    bench.clock.pass(8 * DAY);
    accepted(bench.log_in("", &ci.secret, HERE).await);
    let policy = TokenPolicy {
        max_ttl: 7 * DAY,
        ..TokenPolicy::default()
    };
    let entropy = Arc::new(common::SystemEntropy);
    let tokens = PersonalTokens::new(bench.database.clone(), policy, entropy);
    let listed = tokens.list(TokenFilter::default()).await.unwrap();
    assert_eq!(
        listed[0].fault(bench.clock.now()),
        Some(OpaqueTokenFault::Expired)
    );
}

#[tokio::test]
async fn a_token_goes_with_its_owner() {
    let elsewhere = Arc::new(People::default());
    let users = Directory("users", Arc::clone(&elsewhere));
    let bench = Bench::with(super::KIND, TokenPolicy::default(), vec![Box::new(users)]);
    let laptop = bench.create(personal("ann", "laptop")).await.unwrap();
    let deploy = bench.create(robot("deploy", Some("ann"))).await.unwrap();
    let both = [&laptop.secret, &deploy.secret];
    bench.people.set("ann", present("ann", "blue"));
    let robot = accepted(bench.log_in("", &deploy.secret, HERE).await);
    assert_eq!(
        robot.ruled_subject().unwrap().labels["team"],
        ["blue"],
        "the labels of today"
    );
    bench.people.set("ann", Recheck::Unknown);
    for secret in both {
        let fault = fault(bench.log_in("", secret, HERE).await);
        assert_eq!(fault, OpaqueTokenFault::OwnerUnverifiable);
    }
    bench.people.set("ann", Recheck::NoMatch);
    for secret in both {
        assert_eq!(
            fault(bench.log_in("", secret, HERE).await),
            OpaqueTokenFault::OwnerGone
        );
    }
    bench.people.set("ann", present("ann", "red"));
    elsewhere.set("ann", present("ann", "green"));
    for secret in both {
        let fault = fault(bench.log_in("", secret, HERE).await);
        assert_eq!(
            fault,
            OpaqueTokenFault::OwnerGone,
            "the account of another backend"
        );
    }
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let bench = Bench::new(super::KIND);
    let mut new = personal("ann", "laptop");
    new.networks = vec!["192.0.2.0/24".parse().unwrap()];
    let laptop = bench.create(new).await.unwrap();
    let identity = accepted(bench.log_in("", &laptop.secret, HERE).await);
    let session = |account| EarlierLogin {
        account,
        credential: identity.credential.as_ref(),
        backend: Some("personal_tokens"),
    };
    let recheck = |account, from: &str| {
        let from = SourceAddress::client(from.parse().unwrap());
        let (login, session) = (&bench.login, session(account));
        async move { login.recheck_token(&session, from).await.unwrap().unwrap() }
    };
    let today = recheck("ann", HERE).await.unwrap();
    assert_eq!(today.ceiling, laptop.token.ceiling);
    assert_eq!(
        recheck("ann", "198.51.100.1").await,
        Err(OpaqueTokenFault::WrongNetwork)
    );
    assert_eq!(
        recheck("bob", HERE).await,
        Err(OpaqueTokenFault::OtherAccount)
    );
    let listed = bench.login.recheck(&session("ann")).await.unwrap();
    assert!(
        matches!(listed, SessionStatus::Valid(_)),
        "a list is used from nowhere"
    );
    let own = EarlierLogin {
        backend: Some("directory"),
        ..session("ann")
    };
    let from = SourceAddress::client(HERE.parse().unwrap());
    assert_eq!(bench.login.recheck_token(&own, from).await.unwrap(), None);

    let rotation = Rotation {
        overlap: Duration::from_secs(60),
        lifetime: None,
    };
    let filter = TokenFilter::default;
    let now = bench.clock.now();
    bench
        .tokens
        .rotate(filter(), rotation, FREE, &root(), now)
        .await
        .unwrap();
    bench.clock.pass(NOTICED_WITHIN);
    recheck("ann", HERE).await.unwrap();
    bench.clock.pass(Duration::from_secs(60));
    assert_eq!(
        recheck("ann", HERE).await,
        Err(OpaqueTokenFault::Expired),
        "the overlap is over"
    );
    let status = bench.login.recheck(&session("ann")).await.unwrap();
    assert_eq!(status, SessionStatus::Ended);
}

#[tokio::test]
async fn a_change_of_another_process_is_noticed() {
    let bench = Bench::new(super::KIND);
    let ci = bench.create(robot("ci", None)).await.unwrap();
    accepted(bench.log_in("", &ci.secret, HERE).await);
    let command = Database::open(&bench.place.location).unwrap();
    let entropy = Arc::new(common::SystemEntropy);
    let tokens = PersonalTokens::new(command, TokenPolicy::default(), entropy);
    let now = bench.clock.now();
    tokens
        .revoke(TokenFilter::default(), &root(), now)
        .await
        .unwrap();
    accepted(bench.log_in("", &ci.secret, HERE).await);
    bench.clock.pass(NOTICED_WITHIN);
    assert_eq!(
        fault(bench.log_in("", &ci.secret, HERE).await),
        OpaqueTokenFault::Revoked
    );
}

#[tokio::test]
async fn a_robot_can_be_looked_up_by_its_name() {
    let bench = Bench::new(super::KIND);
    bench.create(robot("ci", None)).await.unwrap();
    bench.create(robot("deploy", Some("ann"))).await.unwrap();
    let look_up = async |account: &str| bench.login.look_up(account).await.unwrap();
    assert_eq!(
        look_up("robot+ci").await.unwrap().permissions,
        PermissionSource::Ceiling
    );
    assert!(matches!(
        look_up("robot+deploy").await.unwrap().permissions,
        PermissionSource::Owner(owner) if owner.account == "ann"
    ));
    assert_eq!(look_up("robot+none").await, None);
    assert_eq!(look_up("ann").await.unwrap().subject.account, "ann");
    bench.people.set("ann", Recheck::NoMatch);
    assert_eq!(look_up("robot+deploy").await, None);
}

#[tokio::test]
async fn a_use_is_written_once_a_minute() {
    let bench = Bench::new(super::KIND);
    let ci = bench.create(robot("ci", None)).await.unwrap();
    let identity = accepted(bench.log_in("", &ci.secret, HERE).await);
    let used = async |repository: Option<&str>, address: &str, expected: (u64, String, String)| {
        let token_use = TokenUse {
            time: bench.clock.now(),
            address: address.parse().ok(),
            repository: repository.map(str::to_owned),
        };
        bench.login.note_token_use(&identity, token_use);
        // The write is in the background.
        loop {
            tokio::task::yield_now().await;
            let listed = bench.tokens.list(TokenFilter::default()).await.unwrap();
            let Some(last) = listed[0].last_use().cloned() else {
                continue;
            };
            let age = bench.clock.now().duration_since(last.time).unwrap();
            if (age.as_secs(), last.address, last.repository) == expected {
                return;
            }
        }
    };
    let at = |seconds, address: &str, repository: &str| {
        (seconds, address.to_owned(), repository.to_owned())
    };
    used(None, HERE, at(0, HERE, "")).await;
    bench.clock.pass(Duration::from_secs(1));
    used(None, "192.0.2.8", at(1, HERE, "")).await;
    // The first pull of a login.
    used(Some("app"), HERE, at(0, HERE, "app")).await;
    bench.clock.pass(Duration::from_secs(59));
    used(Some("tool"), HERE, at(59, HERE, "app")).await;
    bench.clock.pass(Duration::from_secs(1));
    used(Some("tool"), "192.0.2.9", at(0, "192.0.2.9", "tool")).await;
    bench.clock.pass(Duration::from_secs(60));
    // A login names no repository.
    used(None, HERE, at(0, HERE, "tool")).await;
}
