//! Who gets in, and under which name.

use std::sync::Arc;

use common::SystemClock;
use identity::Authenticator;
use ldap::{FilterTemplate, LabelRule, LdapAuth, LdapSettings, ValueChange};
use peers::Slapd;
use policy::Labels;

use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::support::{
    Log, Outcome, accepted, as_account, backend, log_in, own, person, reader, settings, shared,
    verifier,
};

#[tokio::test]
async fn it_conforms() {
    let verifier = verifier();
    let slapd = own();
    let settings = LdapSettings {
        labels: vec![LabelRule {
            label: "team".to_owned(),
            attribute: "TITLE".to_owned(),
            change: ValueChange::default(),
        }],
        ..settings(&slapd.host_port())
    };
    let backend = LdapAuth::new(settings, verifier.clone(), Arc::new(SystemClock));
    let teams = vec!["red".to_owned(), "blue".to_owned()];
    Subject {
        backend: &backend,
        verifier: &verifier,
        labels: Labels::from([("team".to_owned(), teams)]),
        matching: NameMatching::IgnoresCase,
        empty_password: EmptyPassword::NoMatch,
    }
    .conforms()
    .await;
}

/// Whatever a client writes is one value of the filter: it finds the entry of that name or none.
#[tokio::test]
async fn no_name_leaves_its_place_in_the_filter() {
    let backend = backend(settings(&shared().host_port()));
    let (sesame, other) = Slapd::PASSWORDS;
    for (account, password, expected) in [
        ("ann", sesame, accepted("ann")),
        ("é", other, accepted("é")),
        ("a+b,c", other, accepted("a+b,c")),
        ("*", sesame, Outcome::NoMatch),
        ("a*", sesame, Outcome::NoMatch),
        ("a)(uid=*", sesame, Outcome::NoMatch),
        ("ann)(cn=*", sesame, Outcome::NoMatch),
        ("x,ou=admins", other, Outcome::NoMatch),
        ("x", other, Outcome::NoMatch),
        (r"\61nn", sesame, Outcome::NoMatch),
        ("ann\0", sesame, Outcome::NoMatch),
        ("${account}", sesame, Outcome::NoMatch),
    ] {
        assert_eq!(
            log_in(&backend, account, password).await,
            expected,
            "{account:?}"
        );
    }
}

/// A name that no directory has costs no search. The address is one where nothing listens.
#[tokio::test]
async fn an_empty_a_huge_and_a_broken_name_are_not_looked_up() {
    let backend = backend(settings("127.0.0.1:1"));
    let huge = "x".repeat(1 << 20);
    for (account, password) in [
        ("", ""),
        ("", "sesame"),
        ("ann", ""),
        ("a\0", "sesame"),
        (huge.as_str(), "sesame"),
    ] {
        assert_eq!(log_in(&backend, account, password).await, Outcome::NoMatch);
    }
    log_in(&backend, "ann", "sesame").await.unavailable();
}

/// Without `account_attribute` an account has the name that the client wrote, as in `docker_auth`.
#[tokio::test]
async fn the_account_is_what_the_client_wrote_or_what_is_stored() {
    let typed = LdapSettings {
        account_attribute: None,
        ..settings(&shared().host_port())
    };
    let typed = backend(typed);
    for account in ["ann", "ANN"] {
        assert_eq!(log_in(&typed, account, "sesame").await, accepted(account));
    }
    let by_mail = LdapSettings {
        filter: FilterTemplate::of_account("(|(uid=${account})(mail=${account}))").unwrap(),
        ..settings(&shared().host_port())
    };
    let by_mail = backend(by_mail);
    for account in ["ann", "ANN", "ann@example.com"] {
        assert_eq!(log_in(&by_mail, account, "sesame").await, accepted("ann"));
    }
    let without_name = LdapSettings {
        account_attribute: Some("description".to_owned()),
        ..settings(&shared().host_port())
    };
    let outcome = log_in(&backend(without_name), "ann", "sesame").await;
    assert_eq!(outcome, Outcome::Rejected);
}

#[tokio::test]
async fn a_locked_account_is_rejected_and_the_log_says_why() {
    let slapd = own();
    let backend = backend(settings(&slapd.host_port()));
    let (log, _guard) = Log::begin();
    for _ in 0..10 {
        assert_eq!(log_in(&backend, "bob", "wrong").await, Outcome::Rejected);
    }
    assert!(
        log.text().contains("the password is wrong"),
        "{}",
        log.text()
    );
    assert!(!log.text().contains("locked"), "{}", log.text());
    let (_, right) = Slapd::PASSWORDS;
    assert_eq!(log_in(&backend, "bob", right).await, Outcome::Rejected);
    let text = log.text();
    let reason = "INFO ldap::refusal: ldap_auth: the account is locked (code 49, \"\") account=bob";
    assert!(text.contains(reason), "{text}");
    assert_eq!(log_in(&backend, "nopass", right).await, Outcome::Rejected);
    assert_eq!(log_in(&backend, "ann", "sesame").await, accepted("ann"));
}

#[tokio::test]
async fn a_name_with_two_entries_is_rejected() {
    let backend = backend(settings(&shared().host_port()));
    let (log, _guard) = Log::begin();
    let (_, right) = Slapd::PASSWORDS;
    assert_eq!(log_in(&backend, "twin", right).await, Outcome::Rejected);
    let text = log.text();
    assert!(
        text.contains("the filter finds more than one entry"),
        "{text}"
    );
}

/// A failed bind leaves a connection anonymous; the next login on it must not profit from the last.
#[tokio::test]
async fn connections_that_bound_before_prove_nothing() {
    let backend = backend(settings(&shared().host_port()));
    for _ in 0..3 {
        assert_eq!(log_in(&backend, "ann", "sesame").await, accepted("ann"));
        assert_eq!(log_in(&backend, "ann", "wrong").await, Outcome::Rejected);
        assert_eq!(log_in(&backend, "é", "sesame").await, Outcome::Rejected);
    }
}

/// Whatever happens, no password is logged at any level.
#[tokio::test]
async fn no_secret_is_logged() {
    let mut slapd = own();
    let (log, _guard) = Log::begin();
    let reading = backend(settings(&slapd.host_port()));
    let wrong_reader = LdapSettings {
        search_as: reader("reader-wr0ng"),
        ..settings(&slapd.host_port())
    };
    let (sesame, other) = Slapd::PASSWORDS;
    log_in(&reading, "ann", sesame).await;
    log_in(&reading, "ann", "gu3ssed").await;
    log_in(&reading, "twin", other).await;
    log_in(&backend(wrong_reader), "ann", sesame).await.broken();
    let searching = LdapSettings {
        search_as: as_account(&person("${account}")),
        ..settings(&slapd.host_port())
    };
    log_in(&backend(searching), "bob", other).await;
    reading.recheck("ann").await.unwrap();
    slapd.kill();
    log_in(&reading, "ann", sesame).await.unavailable();
    let text = log.text();
    assert!(text.contains("ldap_auth"), "{text}");
    for secret in [
        sesame,
        other,
        "gu3ssed",
        "reader-wr0ng",
        Slapd::READER_PASSWORD,
    ] {
        assert!(!text.contains(secret), "{secret}:\n{text}");
    }
}
