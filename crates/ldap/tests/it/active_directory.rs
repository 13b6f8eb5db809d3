//! What Active Directory does in its own way, with Samba as its domain controller.

use std::fs;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::{Clock, SystemClock};
use identity::tls::ClientTls;
use identity::{Authenticator, Recheck, SessionStatus};
use ldap::{
    DirectoryAddress, DirectoryServer, FilterTemplate, GroupSearch, LabelRule, LdapAuth,
    LdapSettings, ReaderCredentials, SearchIdentity, TlsMode, ValueChange,
};
use peers::Samba;
use policy::Labels;

use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::support::{
    HeldClock, Log, Outcome, Session, accepted, as_account, backend, log_in, settings, verifier,
};

/// The one domain. Each test changes only accounts that it made.
fn domain() -> &'static Samba {
    static DOMAIN: OnceLock<Samba> = OnceLock::new();
    DOMAIN.get_or_init(Samba::start)
}

fn server(mode: TlsMode) -> DirectoryServer {
    let pem = fs::read(domain().certificate()).unwrap();
    let tls = ClientTls::default().trusting(&pem).unwrap();
    let address = DirectoryAddress::parse(&domain().host(), Some(mode)).unwrap();
    DirectoryServer::new(address, &tls).unwrap()
}

fn reader(name: &str, password: &str) -> SearchIdentity {
    SearchIdentity::Reader(ReaderCredentials {
        bind_dn: name.to_owned(),
        password: password.into(),
    })
}

/// A reader who searches the whole domain, as most configurations for Active Directory do.
fn domain_settings() -> LdapSettings {
    let name = "(|(sAMAccountName=${account})(userPrincipalName=${account}))";
    LdapSettings {
        servers: vec![server(TlsMode::StartTls)],
        search_as: reader(Samba::READER, Samba::PASSWORD),
        base: Samba::DOMAIN.to_owned(),
        filter: FilterTemplate::of_account(&format!("(&(objectClass=user){name})")).unwrap(),
        account_attribute: Some("sAMAccountName".to_owned()),
        ..settings("127.0.0.1")
    }
}

#[tokio::test]
async fn it_conforms() {
    let verifier = verifier();
    let clock = Arc::new(SystemClock);
    let backend = LdapAuth::new(domain_settings(), verifier.clone(), clock);
    Subject {
        backend: &backend,
        verifier: &verifier,
        labels: Labels::new(),
        matching: NameMatching::IgnoresCase,
        empty_password: EmptyPassword::NoMatch,
    }
    .conforms()
    .await;
}

#[tokio::test]
async fn names_have_no_case_and_the_stored_one_counts() {
    for mode in [TlsMode::StartTls, TlsMode::Always] {
        let backend = backend(LdapSettings {
            servers: vec![server(mode)],
            ..domain_settings()
        });
        for (account, password, expected) in [
            ("ann", Samba::PASSWORD, accepted("ann")),
            ("ANN", Samba::PASSWORD, accepted("ann")),
            (
                "Ann.Example@AD.example.com",
                Samba::PASSWORD,
                accepted("ann"),
            ),
            ("jo", Samba::PASSWORD, accepted("jo")),
            ("jo", "wrong", Outcome::Rejected),
            ("jo", Samba::PASSWORD, accepted("jo")),
            ("unknown", Samba::PASSWORD, Outcome::NoMatch),
            ("*", Samba::PASSWORD, Outcome::NoMatch),
            ("ann)(cn=*", Samba::PASSWORD, Outcome::NoMatch),
            ("ann", "", Outcome::NoMatch),
        ] {
            let outcome = log_in(&backend, account, password).await;
            assert_eq!(outcome, expected, "{account} over {mode:?}");
        }
    }
}

/// A reader, and an account that binds for itself, may have a name that is not distinguished.
#[tokio::test]
async fn names_that_are_not_distinguished_can_bind() {
    for name in ["reader@ad.example.com", r"AD\reader"] {
        let settings = LdapSettings {
            search_as: reader(name, Samba::PASSWORD),
            ..domain_settings()
        };
        let outcome = log_in(&backend(settings), "ann", Samba::PASSWORD).await;
        assert_eq!(outcome, accepted("ann"), "{name}");
    }
    for template in ["${account}@ad.example.com", r"AD\${account}"] {
        let backend = backend(LdapSettings {
            search_as: as_account(template),
            ..domain_settings()
        });
        for (account, password, expected) in [
            ("jo", Samba::PASSWORD, accepted("jo")),
            ("JO", Samba::PASSWORD, accepted("jo")),
            ("jo", "wrong", Outcome::Rejected),
            ("unknown", Samba::PASSWORD, Outcome::Rejected),
            (r"AD\jo", Samba::PASSWORD, Outcome::NoMatch),
            ("jo", Samba::PASSWORD, accepted("jo")),
        ] {
            let outcome = log_in(&backend, account, password).await;
            assert_eq!(outcome, expected, "{account} as {template}");
        }
    }
}

/// The code of the answer is the same for all of them. Only its text says why.
#[tokio::test]
async fn the_log_says_why_an_account_is_rejected() {
    let (log, _guard) = Log::begin();
    let backend = backend(domain_settings());
    let _ = domain().add_person("guessed");
    for _ in 0..5 {
        let outcome = log_in(&backend, "guessed", "wrong").await;
        assert_eq!(outcome, Outcome::Rejected);
    }
    assert!(log.text().contains("data 52e"), "{}", log.text());
    assert!(!log.text().contains("INFO"), "{}", log.text());
    for (account, reason) in [
        ("guessed", "the account is locked"),
        ("disabled", "the account is disabled"),
        ("expired", "the account has expired"),
        ("mustchange", "the password must be changed first"),
    ] {
        let outcome = log_in(&backend, account, Samba::PASSWORD).await;
        assert_eq!(outcome, Outcome::Rejected, "{account}");
        let text = log.text();
        let line = text.lines().find(|line| line.contains(reason));
        let line = line.unwrap_or_else(|| panic!("{account}: {text}"));
        assert!(
            line.contains("INFO") && line.ends_with(&format!("account={account}")),
            "{line}"
        );
    }
    assert!(!log.text().contains(Samba::PASSWORD), "{}", log.text());
}

fn names() -> ValueChange {
    ValueChange {
        parse_cn: true,
        ..ValueChange::default()
    }
}

/// `dev` is in `staff`, and `staff` in `everyone`. `memberOf` has direct groups only. Active
/// Directory can follow the others by itself.
#[tokio::test]
async fn groups_are_direct_or_followed_by_a_matching_rule() {
    let searching = |filter: &str, nested| GroupSearch {
        label: "groups".to_owned(),
        base: Samba::GROUPS.to_owned(),
        filter: FilterTemplate::of_groups(filter).unwrap(),
        attribute: "cn".to_owned(),
        nested,
        change: ValueChange::default(),
    };
    let (direct, chain) = ("(member=${dn})", "(member:1.2.840.113556.1.4.1941:=${dn})");
    let all = ["Registry Push (all)", "dev", "everyone", "staff"];
    for (account, filter, nested, expected) in [
        ("ann", direct, false, &["Registry Push (all)", "dev"][..]),
        ("ann", direct, true, &all),
        ("ann", chain, false, &all),
        ("jo", chain, false, &["Registry Push (all)"]),
    ] {
        let backend = backend(LdapSettings {
            labels: vec![LabelRule {
                label: "direct".to_owned(),
                attribute: "MEMBEROF".to_owned(),
                change: names(),
            }],
            groups: Some(searching(filter, nested)),
            ..domain_settings()
        });
        let Recheck::Present { subject, .. } = backend.recheck(account).await.unwrap() else {
            panic!("{account} is not found")
        };
        let mut groups = subject.labels["groups"].clone();
        groups.sort();
        assert_eq!(groups, expected, "{account} {filter} {nested}");
        assert!(subject.labels["direct"].contains(&"Registry Push (all)".to_owned()));
        assert!(!subject.labels["direct"].contains(&"staff".to_owned()));
    }
}

/// Every search in a whole domain refers to partitions in which there are no accounts.
#[tokio::test]
async fn the_domain_s_other_partitions_are_no_news() {
    let (log, _guard) = Log::begin();
    let backend = backend(domain_settings());
    let outcome = log_in(&backend, "unknown", Samba::PASSWORD).await;
    assert_eq!(outcome, Outcome::NoMatch);
    assert!(!log.text().contains("refers to"), "{}", log.text());
}

#[tokio::test]
async fn what_the_operator_must_change_is_told() {
    let clear = LdapSettings {
        servers: vec![server(TlsMode::None)],
        ..domain_settings()
    };
    let anonymous = LdapSettings {
        search_as: SearchIdentity::Anonymous,
        ..domain_settings()
    };
    let elsewhere = LdapSettings {
        base: "OU=Nowhere,DC=ad,DC=example,DC=com".to_owned(),
        ..domain_settings()
    };
    for (settings, code, hint) in [
        (clear, "code 8 (strongerAuthRequired)", "set ldap_auth.tls"),
        (anonymous, "code 1 (operationsError)", "set bind_dn"),
        (elsewhere, "code 32 (noSuchObject)", "is the base right?"),
    ] {
        let told = log_in(&backend(settings), "ann", Samba::PASSWORD).await;
        let told = told.broken();
        assert!(told.contains(code) && told.ends_with(hint), "{told}");
    }
}

/// A session of an account that was made for it.
async fn session(account: &'static str) -> (String, Session) {
    let entry = domain().add_person(account);
    let backend = backend(domain_settings());
    let session = Session::open(backend, account, Samba::PASSWORD).await;
    assert!(is_valid(&session).await);
    (entry, session)
}

async fn is_valid(session: &Session) -> bool {
    matches!(session.status().await.unwrap(), SessionStatus::Valid(_))
}

#[tokio::test]
async fn a_new_password_or_the_demand_for_one_ends_a_session() {
    let (entry, session) = session("changing").await;
    domain().set_password(&entry, "sesame-new");
    assert!(!is_valid(&session).await);
    let backend = backend(domain_settings());
    let session = Session::open(backend, "changing", "sesame-new").await;
    assert!(is_valid(&session).await);
    domain().replace(&entry, "pwdLastSet", "0");
    assert!(!is_valid(&session).await);
}

#[tokio::test]
async fn a_disabled_an_expired_and_a_removed_account_end_it() {
    let (entry, session) = session("leaving").await;
    domain().replace(&entry, "userAccountControl", "514");
    assert!(!is_valid(&session).await);
    domain().replace(&entry, "userAccountControl", "512");
    assert!(is_valid(&session).await);
    domain().replace(&entry, "accountExpires", "132000000000000000");
    assert!(!is_valid(&session).await);
    domain().replace(&entry, "accountExpires", "9223372036854775807");
    assert!(is_valid(&session).await);
    domain().change(&format!("dn: {entry}\nchangetype: delete\n"));
    assert!(!is_valid(&session).await);
    // Another account of the same name has another `objectGUID`.
    let _ = domain().add_person("leaving");
    assert!(!is_valid(&session).await);
}

/// Otherwise, any client could end the sessions of others.
#[tokio::test]
async fn wrong_passwords_do_not_end_it() {
    let (_, session) = session("attacked").await;
    let backend = backend(domain_settings());
    for _ in 0..6 {
        log_in(&backend, "attacked", "wrong").await;
    }
    let outcome = log_in(&backend, "attacked", Samba::PASSWORD).await;
    assert_eq!(outcome, Outcome::Rejected);
    assert!(is_valid(&session).await);
}

#[tokio::test]
async fn a_moved_account_keeps_it() {
    let (entry, session) = session("moving").await;
    domain().change(&format!(
        "dn: {entry}\nchangetype: modrdn\nnewrdn: CN=Moved\ndeleteoldrdn: 1\nnewsuperior: {}\n",
        Samba::GROUPS
    ));
    assert!(is_valid(&session).await);
}

/// Five wrong passwords would lock it.
#[tokio::test]
async fn a_reader_with_a_wrong_password_is_not_locked() {
    let entry = domain().add_person("second-reader");
    let clock = HeldClock::new();
    let settings = LdapSettings {
        search_as: reader(&entry, "sesame-new"),
        ..domain_settings()
    };
    let backend = Arc::new(LdapAuth::new(settings, verifier(), clock.clone()));
    // As many as Active Directory counts, with all that come in half an hour.
    for _ in 0..60 {
        let logins: Vec<_> = (0..8)
            .map(|_| {
                let backend = Arc::clone(&backend);
                tokio::spawn(async move { log_in(&backend, "ann", Samba::PASSWORD).await })
            })
            .collect();
        for login in logins {
            login.await.unwrap().broken();
        }
        clock.pass(Duration::from_secs(30));
    }
    assert!(clock.now() > HeldClock::new().now() + Duration::from_secs(25 * 60));
    domain().set_password(&entry, "sesame-new");
    clock.pass(Duration::from_secs(15 * 60));
    let outcome = log_in(&backend, "ann", Samba::PASSWORD).await;
    assert_eq!(outcome, accepted("ann"));
}

#[tokio::test]
async fn sixty_four_logins_at_once() {
    let backend = Arc::new(backend(domain_settings()));
    let logins: Vec<_> = (0..64)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { log_in(&backend, "ann", Samba::PASSWORD).await })
        })
        .collect();
    for login in logins {
        assert_eq!(login.await.unwrap(), accepted("ann"));
    }
}
