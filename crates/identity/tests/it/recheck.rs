//! A session ends when its account or its credential is gone.

use std::time::Duration;

use common::BoxFuture;
use identity::{
    Account, AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator,
    AuthenticatorChain, BackendError, CredentialFingerprint, CurrentCredentials, EarlierLogin,
    LoginOutcome, LoginSettings, LoginSource, Proof, Recheck, SessionStatus, StaticUsers,
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
        other => panic!("{account} is rejected: {other:?}"),
    }
}

/// A login whose backend is not known.
fn earlier<'a>(
    account: &'a str,
    credential: Option<&'a CredentialFingerprint>,
) -> EarlierLogin<'a> {
    EarlierLogin {
        account,
        credential,
        backend: None,
    }
}

async fn status(
    users: &[(&str, Account)],
    account: &str,
    credential: Option<&CredentialFingerprint>,
) -> &'static str {
    match Bench::new(users)
        .login
        .recheck(&earlier(account, credential))
        .await
        .unwrap()
    {
        SessionStatus::Valid(_) => "valid",
        SessionStatus::Unchanged { .. } => "unchanged",
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
        .recheck(&earlier("ann", credential.as_ref()))
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
        bench.login.recheck(&earlier("ext", None)).await.unwrap(),
        SessionStatus::Unknown
    );
    // An account that was in `users`: the program behind it never saw that password.
    assert_eq!(
        bench
            .login
            .recheck(&earlier("left", ann.as_ref()))
            .await
            .unwrap(),
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
        bench
            .login
            .look_up("ann")
            .await
            .unwrap()
            .unwrap()
            .subject
            .labels["team"],
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

/// A backend that says this of `ann`, and has no other account.
struct Fixed(&'static str, Recheck);

/// A directory: it knows its accounts, and perhaps their credentials.
fn directory(credentials: CurrentCredentials) -> Box<Fixed> {
    let subject = subject("ann");
    Box::new(Fixed(
        "directory",
        Recheck::Present {
            subject,
            credentials,
        },
    ))
}

impl Authenticator for Fixed {
    fn name(&self) -> &'static str {
        self.0
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
            "ann" => self.1.clone(),
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
        let chain = AuthenticatorChain::new(vec![directory(credentials.clone())]);
        let status = chain
            .recheck(&earlier("ann", session.as_ref()))
            .await
            .unwrap();
        assert_eq!(status, expected, "{credentials:?} {session:?}");
        let left = chain
            .recheck(&earlier("bob", session.as_ref()))
            .await
            .unwrap();
        assert_eq!(left, SessionStatus::Ended);
        let found = chain.look_up("ann").await.unwrap();
        assert_eq!(found.unwrap().subject, subject("ann"));
    }
}

/// Status by what each backend in order says of the account, and what the session kept.
#[tokio::test]
async fn the_backend_that_accepted_is_asked_first() {
    let (one, other) = (
        CredentialFingerprint::of("one"),
        CredentialFingerprint::of("other"),
    );
    let present = |credentials| Recheck::Present {
        subject: subject("ann"),
        credentials,
    };
    let unlisted = || present(CurrentCredentials::Unknown);
    let listed = || present(CurrentCredentials::Known(vec![one]));
    let valid = || SessionStatus::Valid(subject("ann"));
    let ended = || SessionStatus::Ended;
    for (case, first, second, credential, backend, expected) in [
        (
            "a program that cannot tell does not hide the directory behind it",
            Recheck::Unknown,
            unlisted(),
            None,
            "second",
            valid(),
        ),
        (
            "the directory does not answer for the program",
            Recheck::Unknown,
            unlisted(),
            None,
            "first",
            SessionStatus::Unknown,
        ),
        (
            "a list before the backend has the name now",
            listed(),
            Recheck::Unknown,
            None,
            "second",
            ended(),
        ),
        (
            "a directory before the backend has the name now",
            unlisted(),
            Recheck::Unknown,
            None,
            "second",
            ended(),
        ),
        (
            "the account moved to another list with its password",
            listed(),
            Recheck::NoMatch,
            Some(one),
            "second",
            valid(),
        ),
        (
            "the account moved, and has another password there",
            listed(),
            Recheck::NoMatch,
            Some(other),
            "second",
            ended(),
        ),
        (
            "the account is gone, and another backend has one of its name",
            Recheck::NoMatch,
            unlisted(),
            None,
            "first",
            ended(),
        ),
        (
            "the backend is gone from the configuration",
            Recheck::NoMatch,
            unlisted(),
            None,
            "third",
            ended(),
        ),
    ] {
        let chain = AuthenticatorChain::new(vec![
            Box::new(Fixed("first", first)),
            Box::new(Fixed("second", second)),
        ]);
        let login = EarlierLogin {
            backend: Some(backend),
            ..earlier("ann", credential.as_ref())
        };
        assert_eq!(chain.recheck(&login).await.unwrap(), expected, "{case}");
    }
}

/// The login names the backend that accepted and the ones that did not know the account.
#[tokio::test]
async fn a_login_names_the_backends_that_were_asked() {
    let accounts = accounts(&[("ann", account(&[("one", 4)])), ("guest", account(&[]))]);
    let verifier = verifier(&accounts);
    let directory = || directory(CurrentCredentials::Unknown);
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
