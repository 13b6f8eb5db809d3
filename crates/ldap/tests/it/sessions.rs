//! A session lives on while the directory says so, with the labels of today.

use std::time::Duration;

use identity::{
    AuthenticationOutcome, Authenticator, AuthenticatorChain, CredentialFingerprint, EarlierLogin,
    LoginSource, SessionStatus,
};
use ldap::{LabelRule, LdapSettings, ValueChange};
use peers::Slapd;

use crate::support::{backend, own, person, proof, settings};

/// A directory, a chain that asks it, and the credential of a login.
struct Session {
    slapd: Slapd,
    chain: AuthenticatorChain,
    account: &'static str,
    credential: CredentialFingerprint,
}

impl Session {
    /// The session of a login as `account`.
    async fn open(account: &'static str, password: &str) -> Self {
        let slapd = own();
        let settings = LdapSettings {
            labels: vec![LabelRule {
                label: "team".to_owned(),
                attribute: "title".to_owned(),
                change: ValueChange::default(),
            }],
            ..settings(&slapd.host_port())
        };
        let backend = backend(settings);
        let source = LoginSource::new(None, account);
        let outcome = backend
            .authenticate(&proof(account, password), &source)
            .await;
        let AuthenticationOutcome::Accepted(identity) = outcome.unwrap() else {
            panic!("{account} is not accepted")
        };
        Self {
            slapd,
            chain: AuthenticatorChain::new(vec![Box::new(backend)]),
            account,
            credential: identity.credential.unwrap(),
        }
    }

    async fn status(&self) -> SessionStatus {
        let login = EarlierLogin {
            account: self.account,
            credential: Some(&self.credential),
            backend: Some("ldap_auth"),
        };
        self.chain.recheck(&login).await.unwrap()
    }

    /// The labels of a session that goes on.
    async fn teams(&self) -> Vec<String> {
        match self.status().await {
            SessionStatus::Valid(subject) => subject.labels["team"].clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn ann() -> String {
    person("ann")
}

#[tokio::test]
async fn labels_are_those_of_today() {
    let session = Session::open("ann", "sesame").await;
    assert_eq!(session.teams().await, ["red", "blue"]);
    session.slapd.replace(&ann(), "title", "green");
    assert_eq!(session.teams().await, ["green"]);
}

#[tokio::test]
async fn a_changed_password_ends_it() {
    let session = Session::open("ann", "sesame").await;
    // The time of a change counts seconds, and the entry may have been made in this one.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    session.slapd.replace(&ann(), "userPassword", "sesame-2");
    assert_eq!(session.status().await, SessionStatus::Ended);
}

#[tokio::test]
async fn a_removed_account_ends_it_and_a_new_one_of_the_same_name_does_not_go_on() {
    let session = Session::open("ann", "sesame").await;
    session.slapd.delete(&ann());
    assert_eq!(session.status().await, SessionStatus::Ended);
    let again = format!(
        "dn: {}\nobjectClass: inetOrgPerson\nuid: ann\ncn: Other Ann\nsn: x\nuserPassword: sesame\n",
        ann()
    );
    session.slapd.change(&again);
    assert_eq!(session.status().await, SessionStatus::Ended);
}

/// A lock that only an administrator removes. One after wrong passwords does not end a session, or
/// any client could end the sessions of others.
#[tokio::test]
async fn a_disabled_account_ends_it_and_wrong_passwords_do_not() {
    let session = Session::open("ann", "sesame").await;
    session
        .slapd
        .replace(&ann(), "pwdAccountLockedTime", "20260101000000Z");
    assert_eq!(session.teams().await, ["red", "blue"]);
    session
        .slapd
        .replace(&ann(), "pwdAccountLockedTime", "000001010000Z");
    assert_eq!(session.status().await, SessionStatus::Ended);
}

/// With an ID, an entry may be moved or renamed: the account is still the same.
#[tokio::test]
async fn a_moved_entry_keeps_it() {
    let session = Session::open("ann", "sesame").await;
    session.slapd.change(&format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: cn=Ann\ndeleteoldrdn: 0\n",
        ann()
    ));
    assert_eq!(session.teams().await, ["red", "blue"]);
}

#[tokio::test]
async fn a_directory_that_is_down_cannot_tell() {
    let mut session = Session::open("ann", "sesame").await;
    session.slapd.kill();
    let login = EarlierLogin {
        account: "ann",
        credential: Some(&session.credential),
        backend: Some("ldap_auth"),
    };
    assert!(session.chain.recheck(&login).await.is_err());
    session.slapd.start_again();
    // Connecting is tried again after a second.
    while session.chain.recheck(&login).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(session.teams().await, ["red", "blue"]);
}

/// The other names of a session's account do not open it.
#[tokio::test]
async fn the_name_is_the_stored_one() {
    let mut session = Session::open("ann", "sesame").await;
    session.account = "ANN";
    assert_eq!(session.status().await, SessionStatus::Ended);
}
