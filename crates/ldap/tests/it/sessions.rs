//! A session lives on while the directory says so, with the labels of today.

use std::time::Duration;

use identity::SessionStatus;
use ldap::{LabelRule, LdapSettings, ValueChange};
use peers::Slapd;

use crate::support::{Session, backend, own, person, settings};

/// A directory, and the session of a login as `ann`.
async fn open() -> (Slapd, Session) {
    let slapd = own();
    let settings = LdapSettings {
        labels: vec![LabelRule {
            label: "team".to_owned(),
            attribute: "title".to_owned(),
            change: ValueChange::default(),
        }],
        ..settings(&slapd.host_port())
    };
    let session = Session::open(backend(settings), "ann", "sesame").await;
    (slapd, session)
}

/// The labels of a session that goes on.
async fn teams(session: &Session) -> Vec<String> {
    match session.status().await.unwrap() {
        SessionStatus::Valid(subject) => subject.labels["team"].clone(),
        other => panic!("{other:?}"),
    }
}

fn ann() -> String {
    person("ann")
}

#[tokio::test]
async fn labels_are_those_of_today() {
    let (slapd, session) = open().await;
    assert_eq!(teams(&session).await, ["red", "blue"]);
    slapd.replace(&ann(), "title", "green");
    assert_eq!(teams(&session).await, ["green"]);
}

#[tokio::test]
async fn a_changed_password_ends_it() {
    let (slapd, session) = open().await;
    // The time of a change counts seconds, and the entry may have been made in this one.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    slapd.replace(&ann(), "userPassword", "sesame-2");
    assert_eq!(session.status().await.unwrap(), SessionStatus::Ended);
}

#[tokio::test]
async fn a_removed_account_ends_it_and_a_new_one_of_the_same_name_does_not_go_on() {
    let (slapd, session) = open().await;
    slapd.delete(&ann());
    assert_eq!(session.status().await.unwrap(), SessionStatus::Ended);
    let again = format!(
        "dn: {}\nobjectClass: inetOrgPerson\nuid: ann\ncn: Other Ann\nsn: x\nuserPassword: sesame\n",
        ann()
    );
    slapd.change(&again);
    assert_eq!(session.status().await.unwrap(), SessionStatus::Ended);
}

/// A lock that only an administrator removes. One after wrong passwords does not end a session, or
/// any client could end the sessions of others.
#[tokio::test]
async fn a_disabled_account_ends_it_and_wrong_passwords_do_not() {
    let (slapd, session) = open().await;
    slapd.replace(&ann(), "pwdAccountLockedTime", "20260101000000Z");
    assert_eq!(teams(&session).await, ["red", "blue"]);
    slapd.replace(&ann(), "pwdAccountLockedTime", "000001010000Z");
    assert_eq!(session.status().await.unwrap(), SessionStatus::Ended);
}

/// With an ID, an entry may be moved or renamed: the account is still the same.
#[tokio::test]
async fn a_moved_entry_keeps_it() {
    let (slapd, session) = open().await;
    slapd.change(&format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: cn=Ann\ndeleteoldrdn: 0\n",
        ann()
    ));
    assert_eq!(teams(&session).await, ["red", "blue"]);
}

#[tokio::test]
async fn a_directory_that_is_down_cannot_tell() {
    let (mut slapd, session) = open().await;
    slapd.kill();
    assert!(session.status().await.is_err());
    slapd.start_again();
    // Connecting is tried again after a second.
    while session.status().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(teams(&session).await, ["red", "blue"]);
}

/// The other names of a session's account do not open it.
#[tokio::test]
async fn the_name_is_the_stored_one() {
    let (_slapd, mut session) = open().await;
    session.account = "ANN";
    assert_eq!(session.status().await.unwrap(), SessionStatus::Ended);
}
