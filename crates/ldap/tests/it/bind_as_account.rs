//! `initial_bind_as_user`: the account itself binds first, and searches.

use identity::{AuthenticationOutcome, Authenticator, LoginSource, Recheck};
use ldap::{FilterTemplate, LdapSettings};
use peers::Slapd;

use crate::support::{
    Outcome, accepted, as_account, backend, log_in, person, proof, settings, shared,
};

fn searching(filter: &str) -> LdapSettings {
    LdapSettings {
        search_as: as_account(&person("${account}")),
        filter: FilterTemplate::of_account(filter).unwrap(),
        ..settings(&shared().host_port())
    }
}

/// A name that is no account cannot be told from a wrong password, so it is rejected.
#[tokio::test]
async fn no_name_leaves_its_place_in_the_distinguished_name() {
    let backend = backend(searching("(uid=${account})"));
    let (sesame, other) = Slapd::PASSWORDS;
    for (account, password, expected) in [
        ("ann", sesame, accepted("ann")),
        ("ANN", sesame, accepted("ann")),
        ("é", other, accepted("é")),
        ("a+b,c", other, accepted("a+b,c")),
        ("ann", "wrong", Outcome::Rejected),
        ("unknown", sesame, Outcome::Rejected),
        ("*", sesame, Outcome::Rejected),
        ("a)(uid=*", sesame, Outcome::Rejected),
        ("x,ou=admins,dc=example,dc=com", other, Outcome::Rejected),
        ("x,ou=admins", other, Outcome::Rejected),
        ("ann,ou=people", sesame, Outcome::Rejected),
        ("", sesame, Outcome::NoMatch),
        ("ann", "", Outcome::NoMatch),
        ("ann\0", sesame, Outcome::NoMatch),
    ] {
        assert_eq!(
            log_in(&backend, account, password).await,
            expected,
            "{account:?}"
        );
    }
}

/// The entry that the filter finds must take the password, too.
#[tokio::test]
async fn the_entry_of_another_account_is_not_taken() {
    let backend = backend(searching("(&(uid=ann)(!(description=${account})))"));
    let (sesame, other) = Slapd::PASSWORDS;
    assert_eq!(log_in(&backend, "ann", sesame).await, accepted("ann"));
    assert_eq!(log_in(&backend, "é", other).await, Outcome::Rejected);
}

#[tokio::test]
async fn an_account_that_the_filter_does_not_find_is_not_known() {
    let backend = backend(searching("(&(uid=${account})(title=green))"));
    assert_eq!(log_in(&backend, "ann", "sesame").await, Outcome::NoMatch);
}

/// Without its password such an account cannot be looked up, so its sessions end after a time.
#[tokio::test]
async fn sessions_cannot_be_checked() {
    let backend = backend(searching("(uid=${account})"));
    assert_eq!(backend.recheck("ann").await.unwrap(), Recheck::Unknown);
    let source = LoginSource::new(None, "ann");
    let outcome = backend.authenticate(&proof("ann", "sesame"), &source).await;
    let AuthenticationOutcome::Accepted(identity) = outcome.unwrap() else {
        panic!("ann is not accepted")
    };
    assert_eq!(identity.credential, None);
}
