//! Directories that are down, slow, or set up in another way than the configuration says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use identity::Authenticator;
use ldap::{DirectoryTimeouts, LdapAuth, LdapSettings, SearchIdentity};
use peers::{Relay, ReservedAddress, Slapd};

use crate::support::{
    HeldClock, Log, Outcome, accepted, backend, log_in, own, reader, server, settings, shared,
    verifier,
};

const SHORT: DirectoryTimeouts = DirectoryTimeouts {
    connect: Duration::from_millis(300),
    operation: Duration::from_millis(300),
};

#[tokio::test]
async fn the_reader_s_new_password_counts_for_new_connections() {
    let slapd = own();
    let old = backend(settings(&slapd.host_port()));
    assert_eq!(log_in(&old, "ann", "sesame").await, accepted("ann"));
    slapd.replace(Slapd::READER, "userPassword", "reader-new");
    // The connection that is bound already goes on.
    assert_eq!(log_in(&old, "ann", "sesame").await, accepted("ann"));
    let same = backend(settings(&slapd.host_port()));
    let told = log_in(&same, "ann", "sesame").await.broken();
    assert!(
        told.contains("while binding the reader was code 49 (invalidCredentials)")
            && told.contains("are bind_dn and its password right?"),
        "{told}"
    );
    let new = LdapSettings {
        search_as: reader("reader-new"),
        ..settings(&slapd.host_port())
    };
    assert_eq!(
        log_in(&backend(new), "ann", "sesame").await,
        accepted("ann")
    );
}

/// Ten wrong passwords lock an account of this directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_with_a_wrong_password_is_not_locked() {
    let (slapd, clock) = (own(), HeldClock::new());
    let settings = LdapSettings {
        search_as: reader("reader-new"),
        ..settings(&slapd.host_port())
    };
    let backend = Arc::new(LdapAuth::new(settings, verifier(), clock.clone()));
    let binds = || {
        let bind = format!(" BIND dn=\"{}\" method=128", Slapd::READER);
        slapd.log().matches(&bind).count()
    };
    let mut expected = 0;
    for pause in [30, 150, 750, 900, 900] {
        expected += 1;
        for _ in 0..2 {
            let logins: Vec<_> = (0..64)
                .map(|_| {
                    let backend = Arc::clone(&backend);
                    tokio::spawn(async move { log_in(&backend, "ann", "sesame").await })
                })
                .collect();
            for login in logins {
                let told = login.await.unwrap().broken();
                let rest = format!("the password is not tried again within {pause}s of this");
                assert!(told.contains(&rest), "{told}");
            }
            assert_eq!(binds(), expected);
            clock.pass(Duration::from_secs(pause / 2));
        }
    }
    slapd.replace(Slapd::READER, "userPassword", "reader-new");
    assert_eq!(log_in(&backend, "ann", "sesame").await, accepted("ann"));
    // The next refusal is a new one, of another connection.
    slapd.replace(Slapd::READER, "userPassword", "reader-newer");
    clock.pass(Duration::from_secs(61));
    let told = log_in(&backend, "ann", "sesame").await.broken();
    assert!(told.contains("within 30s of this"), "{told}");
}

#[tokio::test]
async fn a_server_that_was_killed_comes_back() {
    let (mut slapd, clock) = (own(), HeldClock::new());
    let backend = LdapAuth::new(settings(&slapd.host_port()), verifier(), clock.clone());
    assert_eq!(log_in(&backend, "ann", "sesame").await, accepted("ann"));
    slapd.kill();
    let told = log_in(&backend, "ann", "sesame").await.unavailable();
    assert!(
        told.contains("no server can be reached: ldap://127.0.0.1:"),
        "{told}"
    );
    slapd.start_again();
    // Connecting is tried again after a second.
    assert_eq!(log_in(&backend, "ann", "sesame").await.unavailable(), told);
    clock.pass(Duration::from_secs(1));
    assert_eq!(log_in(&backend, "ann", "sesame").await, accepted("ann"));
    // No login notices this time: the idle connections are dead.
    slapd.kill();
    slapd.start_again();
    assert_eq!(log_in(&backend, "ann", "sesame").await, accepted("ann"));
    assert_eq!(log_in(&backend, "ann", "wrong").await, Outcome::Rejected);
}

#[tokio::test]
async fn a_slow_server_is_given_up_and_used_again() {
    // The reader's bind is 100 bytes or so in both directions.
    let relay = Relay::stopping(&shared().host_port(), 150);
    let settings = LdapSettings {
        timeouts: SHORT,
        ..settings(&relay.host_port())
    };
    let backend = backend(settings);
    let told = log_in(&backend, "ann", "sesame").await.unavailable();
    assert!(told.contains("no answer within 300ms while"), "{told}");
    relay.mend();
    // A busy machine may be slow itself.
    for _ in 0..50 {
        if log_in(&backend, "ann", "sesame").await == accepted("ann") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the directory is not used again");
}

#[tokio::test]
async fn a_connection_that_breaks_is_an_error_that_may_pass() {
    let relay = Relay::breaking(&shared().host_port(), 150);
    let backend = backend(settings(&relay.host_port()));
    let told = log_in(&backend, "ann", "sesame").await.unavailable();
    assert!(told.contains("the connection was lost while"), "{told}");
}

#[tokio::test]
async fn servers_are_tried_in_order() {
    let (log, _guard) = Log::begin();
    let (dead, alive) = (ReservedAddress::new(), shared().host_port());
    let several = LdapSettings {
        servers: vec![server(&dead.to_string()), server(&alive)],
        ..settings(&alive)
    };
    let several = backend(several);
    assert_eq!(log_in(&several, "ann", "sesame").await, accepted("ann"));
    let told =
        format!("ldap_auth: ldap://{alive} is used, because of ldap://{dead}: Connection refused");
    assert!(log.text().contains(&told), "{}", log.text());
    let other = ReservedAddress::new();
    let none = LdapSettings {
        servers: vec![server(&dead.to_string()), server(&other.to_string())],
        ..settings(&alive)
    };
    let told = log_in(&backend(none), "ann", "sesame").await.unavailable();
    let all = format!("ldap://{dead}: Connection refused (os error 111); ldap://{other}: ");
    assert!(told.contains(&all), "{told}");
}

#[tokio::test]
async fn a_base_that_is_not_there_and_one_elsewhere_are_told() {
    let searching = |base: &str| {
        backend(LdapSettings {
            base: base.to_owned(),
            ..settings(&shared().host_port())
        })
    };
    let missing = searching("ou=nowhere,dc=example,dc=com");
    let told = log_in(&missing, "ann", "sesame").await.broken();
    assert!(
        told.contains("code 32 (noSuchObject)") && told.ends_with("is the base right?"),
        "{told}"
    );
    let elsewhere = searching("ou=other,dc=example,dc=com");
    let told = log_in(&elsewhere, "ann", "sesame").await.broken();
    assert!(
        told.contains(
            "it refers to ldap://other.example.com/ou=other,dc=example,dc=com??sub while searching"
        ) && told.contains("referrals are not followed"),
        "{told}"
    );
    let (log, _guard) = Log::begin();
    let above = searching("dc=example,dc=com");
    assert_eq!(log_in(&above, "ann", "sesame").await, accepted("ann"));
    assert!(!log.text().contains("refers to"), "{}", log.text());
    assert_eq!(log_in(&above, "unknown", "sesame").await, Outcome::NoMatch);
    let told = "no entry; the directory refers to ldap://other.example.com/";
    assert!(log.text().contains(told), "{}", log.text());
    let not_a_name = searching("people");
    let told = log_in(&not_a_name, "ann", "sesame").await.broken();
    assert!(told.contains("code 34 (invalidDNSyntax)"), "{told}");
}

/// This directory shows nothing to a search without a bind.
#[tokio::test]
async fn an_anonymous_search_sees_what_the_directory_shows() {
    let anonymous = LdapSettings {
        search_as: SearchIdentity::Anonymous,
        ..settings(&shared().host_port())
    };
    let told = log_in(&backend(anonymous), "ann", "sesame").await.broken();
    assert!(told.contains("noSuchObject"), "{told}");
}

#[tokio::test]
async fn a_probe_says_what_was_reached() {
    let probe = |settings| async { backend(settings).probe().await };
    let reached = probe(settings(&shared().host_port())).await.unwrap();
    let expected = format!("connected; entries below {} can be searched", Slapd::PEOPLE);
    assert_eq!(reached, Some(expected));
    let wrong = LdapSettings {
        search_as: reader("wrong"),
        ..settings(&shared().host_port())
    };
    assert!(probe(wrong).await.is_err());
    let nowhere = ReservedAddress::new();
    assert!(probe(settings(&nowhere.to_string())).await.is_err());
}

/// A server that answers each connection with `bytes`, whatever it is asked.
fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut question = [0; 1024];
            let _ = client.read(&mut question);
            let _ = client.write_all(bytes);
        }
    });
    address
}

/// Some of these make the LDAP library panic.
#[tokio::test]
async fn what_is_no_ldap_is_an_error_and_nothing_worse() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        // A sequence without a message.
        b"\x30\x00",
        // The response to a bind: its text is not UTF-8.
        b"\x30\x0d\x02\x01\x01\x61\x08\x0a\x01\x31\x04\x00\x04\x01\xff",
        // It has no members.
        b"\x30\x05\x02\x01\x01\x61\x00",
        // It is not a sequence.
        b"\x30\x05\x02\x01\x01\x42\x00",
    ] {
        let backend = backend(settings(&answering(bytes)));
        let outcome = log_in(&backend, "ann", "sesame").await;
        let is_error = matches!(outcome, Outcome::Broken(_) | Outcome::Unavailable(_));
        assert!(is_error, "{bytes:?}: {outcome:?}");
    }
}
