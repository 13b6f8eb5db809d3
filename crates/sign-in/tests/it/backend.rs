//! The backend of logins: passwords of ours and of `docker_auth`, listed and revoked.

use common::Secret;
use identity::password::Bcrypt;
use identity::{
    AuthenticationOutcome, Authenticator, CurrentCredentials, Identity, PasswordHash, Recheck,
};
use sign_in::{DocumentKind, ProviderUser, TokenRecord};

use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::oidc_stub::OidcStub;
use crate::support::{Bench, START, hourly_policy, label, tokens};

/// Accounts of a provider that is never asked.
fn unasked() -> Bench {
    Bench::oidc(&OidcStub::start(START))
}

/// One of its users.
fn user(name: &str, subject: &str) -> ProviderUser {
    ProviderUser {
        name: name.to_owned(),
        issuer: "https://provider.example".to_owned(),
        subject: subject.to_owned(),
        labels: Some(label("team", &["red", "blue"])),
    }
}

/// A record as `docker_auth` writes it, with its bcrypt of cost 5 or 10.
fn of_docker_auth(password: &str, cost: u32, valid_until: &str) -> Vec<u8> {
    let hash = Bcrypt::hash(password.as_bytes(), [7; 16], cost).unwrap();
    let hash = hash.replacen("$2b$", "$2a$", 1);
    format!(
        r#"{{"token_type":"Bearer","access_token":"at","refresh_token":"rt-0","valid_until":"{valid_until}","docker_password":"{hash}","labels":{{"team":["red","blue"]}}}}"#
    )
    .into_bytes()
}

async fn put(bench: &Bench, name: &str, json: &[u8]) {
    let written = bench
        .store
        .write(DocumentKind::Record, name, None, Some(json));
    assert!(written.await.unwrap());
}

async fn record(bench: &Bench, name: &str) -> TokenRecord {
    let json = bench.store.read(DocumentKind::Record, name).await.unwrap();
    TokenRecord::from_json(&json.unwrap()).unwrap()
}

async fn identity(bench: &Bench, name: &str, password: &Secret) -> Identity {
    match bench.log_in(name, password).await.unwrap() {
        AuthenticationOutcome::Accepted(identity) => identity,
        other => panic!("{other:?}"),
    }
}

async fn is_rejected(bench: &Bench, name: &str, password: &Secret) -> bool {
    let outcome = bench.log_in(name, password).await.unwrap();
    matches!(outcome, AuthenticationOutcome::Rejected(_))
}

/// The suite of every backend, over records that `docker_auth` wrote.
#[tokio::test]
async fn the_conformance_suite_of_backends() {
    let bench = unasked();
    put(
        &bench,
        "ann",
        &of_docker_auth("sesame", 5, "2030-01-01T00:00:00Z"),
    )
    .await;
    put(
        &bench,
        "bob",
        &of_docker_auth("other", 10, "2030-01-01T00:00:00.5+02:00"),
    )
    .await;
    Subject {
        backend: bench.backend.as_ref(),
        verifier: &bench.verifier,
        labels: label("team", &["red", "blue"]),
        matching: NameMatching::Exact,
        empty_password: EmptyPassword::Rejected,
    }
    .conforms()
    .await;
}

#[tokio::test]
async fn our_record_is_one_that_docker_auth_accepts() {
    let bench = unasked();
    let password = bench
        .store_user(&tokens("at", "rt-0"), &user("ann", "7"))
        .await;
    let record = record(&bench, "ann").await;
    assert!(record.docker_password.starts_with("$2a$10$"));
    let hash: PasswordHash = record.docker_password.parse().unwrap();
    assert!(hash.verify(password.expose()));
    let json = bench
        .store
        .read(DocumentKind::Record, "ann")
        .await
        .unwrap()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let members: Vec<_> = json.as_object().unwrap().keys().collect();
    let expected = [
        "token_type",
        "access_token",
        "refresh_token",
        "valid_until",
        "docker_password",
        "labels",
    ];
    assert_eq!(members, expected);
}

/// To verify it would take a day.
#[tokio::test]
async fn a_record_s_hash_that_is_too_costly_matches_nothing() {
    let bench = unasked();
    let json = of_docker_auth("theirs", 5, "2030-01-01T00:00:00Z");
    let json = String::from_utf8(json).unwrap().replace("$05$", "$31$");
    put(&bench, "ann", json.as_bytes()).await;
    assert!(is_rejected(&bench, "ann", &"theirs".into()).await);
}

#[tokio::test]
async fn a_user_has_several_passwords_and_revokes_one() {
    let bench = unasked();
    put(
        &bench,
        "ann",
        &of_docker_auth("theirs", 5, "2030-01-01T00:00:00Z"),
    )
    .await;
    let laptop = bench
        .store_user(&tokens("at", "rt-0"), &user("ann", "7"))
        .await;
    let server = bench
        .accounts
        .add_password("ann", "server")
        .await
        .unwrap()
        .unwrap();
    let all = [
        Secret::from("theirs"),
        laptop.clone(),
        server.password.clone(),
    ];
    let mut credentials = Vec::new();
    for password in &all {
        credentials.push(identity(&bench, "ann", password).await.credential.unwrap());
    }
    let Recheck::Present {
        credentials: CurrentCredentials::Known(listed),
        ..
    } = bench.backend.recheck("ann").await.unwrap()
    else {
        panic!("not present")
    };
    assert_eq!(listed, credentials);
    // The newest stands in the record, and goes from there, too.
    assert!(
        bench
            .accounts
            .revoke_password("ann", &server.id)
            .await
            .unwrap()
    );
    assert!(is_rejected(&bench, "ann", &server.password).await);
    assert_eq!(record(&bench, "ann").await.docker_password, "");
    assert!(
        !bench
            .accounts
            .revoke_password("ann", &server.id)
            .await
            .unwrap()
    );
    for password in &all[..2] {
        identity(&bench, "ann", password).await;
    }
    let theirs = bench
        .accounts
        .find("ann")
        .await
        .unwrap()
        .unwrap()
        .passwords();
    let theirs = theirs
        .iter()
        .find(|password| password.name == "docker_auth")
        .unwrap();
    assert!(
        bench
            .accounts
            .revoke_password("ann", &theirs.id)
            .await
            .unwrap()
    );
    assert!(is_rejected(&bench, "ann", &"theirs".into()).await);
    identity(&bench, "ann", &laptop).await;
    assert!(bench.accounts.remove("ann").await.unwrap());
    let gone = bench.log_in("ann", &laptop).await.unwrap();
    assert!(matches!(gone, AuthenticationOutcome::NoMatch));
}

#[tokio::test]
async fn a_password_of_docker_auth_s_record_is_revoked_there() {
    let bench = unasked();
    put(
        &bench,
        "ann",
        &of_docker_auth("theirs", 5, "2030-01-01T00:00:00Z"),
    )
    .await;
    let listed = bench
        .accounts
        .find("ann")
        .await
        .unwrap()
        .unwrap()
        .passwords();
    assert_eq!(listed.len(), 1);
    assert!(
        bench
            .accounts
            .revoke_password("ann", &listed[0].id)
            .await
            .unwrap()
    );
    assert!(is_rejected(&bench, "ann", &"theirs".into()).await);
    assert_eq!(record(&bench, "ann").await.docker_password, "");
}

#[tokio::test]
async fn the_name_of_another_person_opens_nothing() {
    let bench = unasked();
    let first = bench
        .store_user(&tokens("at", "rt-0"), &user("ann", "7"))
        .await;
    let other = bench
        .accounts
        .sign_in(&tokens("x", "y"), &user("ann", "8"), "n")
        .await;
    let message = other.unwrap_err().to_string();
    assert!(message.contains("belonged to another person"), "{message}");
    identity(&bench, "ann", &first).await;
    // Until an operator forgets the first one.
    assert!(bench.accounts.remove("ann").await.unwrap());
    let second = bench.store_user(&tokens("x", "y"), &user("ann", "8")).await;
    identity(&bench, "ann", &second).await;
    assert!(is_rejected(&bench, "ann", &first).await);
}

#[tokio::test]
async fn a_name_that_a_log_could_misread_is_refused() {
    let bench = unasked();
    for name in ["", "ann\n", "ann\0", &"a".repeat(256)] {
        let outcome = bench
            .accounts
            .sign_in(&tokens("at", ""), &user(name, "7"), "n")
            .await;
        assert!(outcome.is_err(), "{name:?}");
    }
    assert!(bench.accounts.users().await.unwrap().is_empty());
}

#[tokio::test]
async fn names_without_case_are_found_in_their_spelling() {
    let stub = OidcStub::start(START);
    let oidc = Bench::oidc(&stub);
    let bench = Bench::new("github_auth", hourly_policy(), |_, _| oidc.provider.clone());
    let password = bench
        .store_user(&tokens("at", ""), &user("Octo-Cat", "1"))
        .await;
    for typed in ["Octo-Cat", "octo-cat", "OCTO-CAT"] {
        let identity = identity(&bench, typed, &password).await;
        assert_eq!(identity.subject.account, "Octo-Cat", "{typed}");
    }
    let other = bench.log_in("octo_cat", &password).await.unwrap();
    assert!(matches!(other, AuthenticationOutcome::NoMatch));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_an_error() {
    let bench = unasked();
    put(&bench, "ann", b"{\"access_token\":\"SECRET\"}").await;
    let error = bench.log_in("ann", &"x".into()).await.unwrap_err();
    let shown = format!("{error:?}");
    assert!(
        shown.contains("ann") && !shown.contains("SECRET"),
        "{shown}"
    );
}
