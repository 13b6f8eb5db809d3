//! A session ends when its account or its credential is gone.

use std::time::Duration;

use common::BoxFuture;
use identity::{
    Account, AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator,
    AuthenticatorChain, BackendError, CredentialFingerprint, CurrentCredentials, LoginOutcome,
    LoginSettings, LoginSource, Proof, Recheck, SessionStatus, StaticUsers,
};
use policy::Subject;

use crate::support::{Bench, account, accounts, proof, script, verifier};

async fn credential(bench: &Bench, account: &str, password: &str) -> Option<CredentialFingerprint> {
    match bench
        .login
        .login(&proof(account, password), None)
        .await
        .unwrap()
    {
        LoginOutcome::Accepted(accepted) => accepted.identity.credential,
        other => panic!("{account} is not let in: {other:?}"),
    }
}

async fn status(
    users: &[(&str, Account)],
    account: &str,
    credential: Option<&CredentialFingerprint>,
) -> &'static str {
    match Bench::new(users)
        .login
        .recheck(account, credential)
        .await
        .unwrap()
    {
        SessionStatus::Valid(_) => "valid",
        SessionStatus::Ended => "ended",
        SessionStatus::Unknown => "unknown",
    }
}

#[tokio::test]
async fn a_session_lives_as_long_as_its_password() {
    let (one, two) = (("one", 4), ("two", 5));
    let before = Bench::new(&[("ann", account(&[one, two])), ("guest", account(&[]))]);
    let with_one = credential(&before, "ann", "one").await;
    let with_two = credential(&before, "ann", "two").await;
    let guest = credential(&before, "guest", "").await;
    let (with_one, with_two, guest) = (with_one.as_ref(), with_two.as_ref(), guest.as_ref());
    assert!(with_one.is_some() && with_two.is_some() && with_one != with_two);

    let both = [("ann", account(&[one, two])), ("guest", account(&[]))];
    assert_eq!(status(&both, "ann", with_one).await, "valid");
    assert_eq!(status(&both, "ann", with_two).await, "valid");
    assert_eq!(status(&both, "guest", guest).await, "valid");
    assert_eq!(status(&both, "guest", with_one).await, "ended");
    assert_eq!(status(&both, "ann", None).await, "ended");

    let rotated = [
        ("ann", account(&[two, ("three", 4)])),
        ("guest", account(&[one])),
    ];
    assert_eq!(status(&rotated, "ann", with_one).await, "ended");
    assert_eq!(status(&rotated, "ann", with_two).await, "valid");
    assert_eq!(status(&rotated, "guest", guest).await, "ended");
    assert_eq!(status(&[], "ann", with_one).await, "ended");
}

#[tokio::test]
async fn a_recheck_tells_the_labels_of_today() {
    let bench = Bench::new(&[("ann", account(&[("one", 4)]))]);
    let credential = credential(&bench, "ann", "one").await;
    let labels = [("team".to_owned(), vec!["red".to_owned()])].into();
    let today = Bench::new(&[(
        "ann",
        Account {
            labels,
            ..account(&[("one", 4)])
        },
    )]);
    let SessionStatus::Valid(subject) = today
        .login
        .recheck("ann", credential.as_ref())
        .await
        .unwrap()
    else {
        panic!("ended")
    };
    assert_eq!(subject.labels["team"], ["red"]);
}

#[tokio::test]
async fn a_program_that_cannot_tell_does_not_keep_a_removed_account() {
    let directory = tempfile::tempdir().unwrap();
    let program = script(directory.path(), "exit 0", Duration::from_secs(60));
    let bench = Bench::with(
        &[("ann", account(&[("one", 4)]))],
        LoginSettings::default(),
        Some(program),
    );
    let ann = credential(&bench, "ann", "one").await;
    assert_eq!(credential(&bench, "ext", "any").await, None);
    assert_eq!(
        bench.login.recheck("ext", None).await.unwrap(),
        SessionStatus::Unknown
    );
    // An account that was in `users`: the program behind it never saw that password.
    assert_eq!(
        bench.login.recheck("left", ann.as_ref()).await.unwrap(),
        SessionStatus::Ended
    );
}

#[tokio::test]
async fn an_account_is_looked_up_by_name_alone() {
    let directory = tempfile::tempdir().unwrap();
    let labels = [("team".to_owned(), vec!["red".to_owned()])].into();
    let accounts = [(
        "ann",
        Account {
            labels,
            ..account(&[("one", 4)])
        },
    )];
    let bench = Bench::new(&accounts);
    assert_eq!(
        bench.login.look_up("ann").await.unwrap().unwrap().labels["team"],
        ["red"]
    );
    assert_eq!(bench.login.look_up("bob").await.unwrap(), None);
    let program = script(directory.path(), "exit 0", Duration::from_secs(60));
    let bench = Bench::with(&accounts, LoginSettings::default(), Some(program));
    assert_eq!(
        bench.login.look_up("bob").await.unwrap(),
        None,
        "the program would need the password"
    );
}

/// A directory: it knows its accounts, and perhaps their credentials.
struct Directory(CurrentCredentials);

impl Authenticator for Directory {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NeedsProof
    }

    fn authenticate<'a>(
        &'a self,
        _: &'a Proof,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(std::future::ready(Ok(AuthenticationOutcome::NoMatch)))
    }

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        let found = match account {
            "ann" => Recheck::Present {
                subject: subject("ann"),
                credentials: self.0.clone(),
            },
            _ => Recheck::NoMatch,
        };
        Box::pin(std::future::ready(Ok(found)))
    }
}

fn subject(account: &str) -> Subject {
    Subject {
        account: account.into(),
        labels: [("team".to_owned(), vec!["red".to_owned()])].into(),
    }
}

/// Status by what the directory knows of the credentials, and what the session kept.
#[tokio::test]
async fn a_directory_keeps_sessions_alive_without_knowing_credentials() {
    let one = CredentialFingerprint::of("one");
    let other = CredentialFingerprint::of("other");
    let known = || CurrentCredentials::Known(vec![one]);
    let valid = || SessionStatus::Valid(subject("ann"));
    for (credentials, session, expected) in [
        (CurrentCredentials::Unknown, None, valid()),
        (CurrentCredentials::Unknown, Some(one), SessionStatus::Ended),
        (known(), Some(one), valid()),
        (known(), Some(other), SessionStatus::Ended),
        (known(), None, SessionStatus::Ended),
        (
            CurrentCredentials::Known(Vec::new()),
            None,
            SessionStatus::Ended,
        ),
    ] {
        let chain = AuthenticatorChain::new(vec![Box::new(Directory(credentials.clone()))]);
        let status = chain.recheck("ann", session.as_ref()).await.unwrap();
        assert_eq!(status, expected, "{credentials:?} {session:?}");
        let left = chain.recheck("bob", session.as_ref()).await.unwrap();
        assert_eq!(left, SessionStatus::Ended);
        assert_eq!(chain.look_up("ann").await.unwrap(), Some(subject("ann")));
    }
}

/// The login names the backend that accepted and the ones that did not know the account.
#[tokio::test]
async fn a_login_names_the_backends_that_were_asked() {
    let accounts = accounts(&[("ann", account(&[("one", 4)])), ("guest", account(&[]))]);
    let verifier = verifier(&accounts);
    let directory = || Box::new(Directory(CurrentCredentials::Unknown));
    let users = StaticUsers::new(accounts, verifier.clone()).named("users_htpasswd");
    let bench = Bench::of(vec![directory(), Box::new(users), directory()], verifier);
    for (name, password) in [("ann", "one"), ("guest", "")] {
        let outcome = bench.login.login(&proof(name, password), None).await;
        let Ok(LoginOutcome::Accepted(accepted)) = outcome else {
            panic!("{name} is not accepted: {outcome:?}")
        };
        assert_eq!(accepted.identity.subject.account, name);
        assert_eq!(accepted.backend, "users_htpasswd");
        assert_eq!(accepted.asked_before, ["directory"]);
    }
    let wrong = bench.login.login(&proof("ann", "two"), None).await.unwrap();
    let backend = Some("users_htpasswd");
    assert_eq!(wrong, LoginOutcome::Rejected { backend });
}
