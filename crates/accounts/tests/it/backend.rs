//! The accounts as a backend of logins.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use accounts::{ChangeCounter, DatabaseAccounts};
use common::{Secret, SystemEntropy};
use database::Precondition;
use identity::{
    AuthenticationOutcome, Authenticator, AuthenticatorChain, CredentialFingerprint, Credentials,
    EarlierLogin, Login, LoginCache, LoginLimiter, LoginOutcome, PasswordVerifier, Proof, Rate,
    Recheck, SessionStatus, WorkerPool,
};
use policy::Labels;

use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::support::{Bench, labels, root};
use crate::test_database::DatabaseKind;

fn verifier() -> Arc<PasswordVerifier> {
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    Arc::new(PasswordVerifier::new(workers, []).expecting(&DatabaseAccounts::cost()))
}

fn subject<'a>(backend: &'a DatabaseAccounts, verifier: &'a PasswordVerifier) -> Subject<'a> {
    Subject {
        backend,
        verifier,
        labels: labels("team", &["red", "blue"]),
        matching: NameMatching::Exact,
        empty_password: EmptyPassword::Rejected,
    }
}

#[tokio::test]
async fn conforms() {
    let bench = Bench::new(DatabaseKind::Sqlite);
    bench
        .add("ann", "sesame", labels("team", &["red", "blue"]))
        .await;
    bench.add("bob", "other", Labels::new()).await;
    let verifier = verifier();
    let backend = DatabaseAccounts::new(bench.store.clone(), verifier.clone());
    subject(&backend, &verifier).conforms().await;
    let found = backend.probe().await.unwrap();
    assert_eq!(found.as_deref(), Some("2 accounts in the database"));
}

/// A server with a database pays for its accounts from the first one on.
#[tokio::test]
async fn without_accounts_a_rejection_costs_nothing_for_them() {
    let bench = Bench::new(DatabaseKind::Sqlite);
    let changes = ChangeCounter::start(bench.database.clone());
    let counter = changes.clone();
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    let verifier = PasswordVerifier::new(workers, [])
        .expecting_if(DatabaseAccounts::cost(), move || counter.accounts() > 0);
    assert!(verifier.rejection_cost().is_none());
    bench.add("ann", "sesame", Labels::new()).await;
    while verifier.rejection_cost().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(*verifier.rejection_cost(), DatabaseAccounts::cost());
}

#[tokio::test]
async fn a_disabled_account_is_rejected_at_the_cost_of_every_rejection() {
    let bench = Bench::new(DatabaseKind::Sqlite);
    bench.add("ann", "sesame", Labels::new()).await;
    bench.store.disable(&root(), "ann").await.unwrap();
    let verifier = verifier();
    let backend = DatabaseAccounts::new(bench.store.clone(), verifier.clone());
    for password in ["sesame", "wrong"] {
        let before = verifier.spent();
        let outcome = subject(&backend, &verifier).ask("ann", password).await;
        assert!(matches!(outcome, AuthenticationOutcome::Rejected(_)));
        let cost = verifier.rejection_cost().as_ref().clone();
        assert_eq!(verifier.spent(), [before, cost].into_iter().sum());
    }
}

/// A chain of this backend, and the credential of `ann`'s login.
async fn logged_in(bench: &Bench) -> (AuthenticatorChain, CredentialFingerprint) {
    let verifier = verifier();
    let backend = DatabaseAccounts::new(bench.store.clone(), verifier.clone());
    let outcome = subject(&backend, &verifier).ask("ann", "sesame").await;
    let AuthenticationOutcome::Accepted(identity) = outcome else {
        panic!("{outcome:?}")
    };
    let credential = identity.credential.unwrap();
    (AuthenticatorChain::new(vec![Box::new(backend)]), credential)
}

async fn goes_on(chain: &AuthenticatorChain, credential: &CredentialFingerprint) -> bool {
    let login = EarlierLogin {
        account: "ann",
        credential: Some(credential),
        backend: Some("accounts"),
    };
    matches!(chain.recheck(&login).await, Ok(SessionStatus::Valid(_)))
}

#[tokio::test]
async fn sessions_end_with_the_account_its_password_and_for_good() {
    let bench = Bench::new(DatabaseKind::Sqlite);
    let store = &bench.store;
    bench.add("ann", "sesame", Labels::new()).await;
    let (chain, credential) = logged_in(&bench).await;
    assert!(goes_on(&chain, &credential).await);
    // Another label, and not another login.
    let change = accounts::LabelChange {
        set: labels("team", &["red"]),
        ..Default::default()
    };
    store.set_labels(&root(), "ann", change).await.unwrap();
    assert!(goes_on(&chain, &credential).await);
    assert_eq!(
        chain.look_up("ann").await.unwrap().unwrap().subject.labels,
        labels("team", &["red"])
    );

    store.disable(&root(), "ann").await.unwrap();
    assert!(!goes_on(&chain, &credential).await);
    assert_eq!(chain.look_up("ann").await.unwrap(), None);
    store.enable(&root(), "ann").await.unwrap();
    assert!(!goes_on(&chain, &credential).await, "it has ended for good");

    let (chain, credential) = logged_in(&bench).await;
    let same = Secret::from("sesame");
    store.set_password(&root(), "ann", &same).await.unwrap();
    assert!(!goes_on(&chain, &credential).await);

    let (chain, credential) = logged_in(&bench).await;
    store
        .remove(&root(), "ann", Precondition::Unconditional)
        .await
        .unwrap();
    assert!(!goes_on(&chain, &credential).await);
    let gone = chain.backends().next().unwrap().recheck("ann").await;
    assert_eq!(gone.unwrap(), Recheck::NoMatch);
    bench.add("ann", "sesame", Labels::new()).await;
    assert!(!goes_on(&chain, &credential).await, "it is another account");
}

/// A login as in a server, which remembers what it accepted.
fn remembering(bench: &Bench) -> Login {
    let verifier = verifier();
    let backend = DatabaseAccounts::new(bench.store.clone(), verifier.clone())
        .noticing(ChangeCounter::start(bench.database.clone()));
    let chain = AuthenticatorChain::new(vec![Box::new(backend)]);
    let hour = Duration::from_secs(3600);
    let cache = LoginCache::new(hour, bench.clock.clone(), &SystemEntropy).unwrap();
    let rate = || Rate::per_minute(1_000_000);
    let limiter = LoginLimiter::new(rate(), rate(), bench.clock.clone(), &SystemEntropy).unwrap();
    Login::new(chain, cache, Arc::new(limiter), verifier)
}

async fn accepts(login: &Login, password: &str) -> bool {
    let proof = Proof::Password(Credentials {
        account: "ann".into(),
        password: password.into(),
    });
    let outcome = login.login(&proof, None).await.unwrap();
    matches!(outcome, LoginOutcome::Accepted(_))
}

#[tokio::test]
async fn a_remembered_login_ends_with_a_change_by_a_command() {
    let bench = Bench::new(DatabaseKind::Sqlite);
    let (command, _) = bench.of_a_command();
    bench.add("ann", "sesame", Labels::new()).await;
    let login = remembering(&bench);
    assert!(accepts(&login, "sesame").await);
    let other = Secret::from("other");
    command.set_password(&root(), "ann", &other).await.unwrap();
    // A few times a second the server looks; without that, the login is remembered for an hour.
    while accepts(&login, "sesame").await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(accepts(&login, "other").await);
    command
        .remove(&root(), "ann", Precondition::Unconditional)
        .await
        .unwrap();
    while accepts(&login, "other").await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_owner_of_a_token_is_known_until_a_change_is_counted() {
    let bench = Bench::new(DatabaseKind::Sqlite);
    bench.add("ann", "sesame", Labels::new()).await;
    let backend = DatabaseAccounts::new(bench.store.clone(), verifier())
        .noticing(ChangeCounter::start(bench.database.clone()));
    let is_there = async || {
        matches!(
            backend.recheck_owner("ann").await.unwrap(),
            Recheck::Present { .. }
        )
    };
    while backend.revision() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_there().await);
    bench.store.disable(&root(), "ann").await.unwrap();
    while is_there().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(backend.recheck("ann").await.unwrap(), Recheck::Disabled);
    assert_eq!(
        backend.recheck_owner("bob").await.unwrap(),
        Recheck::NoMatch
    );
}
