//! Many logins at once.

use std::num::NonZeroUsize;
use std::sync::Arc;

use ldap::LdapSettings;

use crate::support::{Outcome, accepted, backend, log_in, own, settings};

async fn logins(settings: LdapSettings, count: usize) -> Vec<Outcome> {
    let backend = Arc::new(backend(settings));
    let logins: Vec<_> = (0..count)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { log_in(&backend, "ann", "sesame").await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for login in logins {
        outcomes.push(login.await.unwrap());
    }
    outcomes
}

/// All are accepted, over no more connections than may be open at once: 16 that search and 16 that
/// bind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_logins_share_their_connections() {
    let slapd = own();
    let before = slapd.log().matches(" ACCEPT ").count();
    let outcomes = logins(settings(&slapd.host_port()), 64).await;
    assert!(
        outcomes.iter().all(|outcome| *outcome == accepted("ann")),
        "{outcomes:?}"
    );
    let opened = slapd.log().matches(" ACCEPT ").count() - before;
    assert!((2..=32).contains(&opened), "{opened} connections");
}

/// One is checked, four wait, and the others are turned away at once.
#[tokio::test]
async fn too_many_logins_are_turned_away() {
    let slapd = own();
    let settings = LdapSettings {
        concurrency: NonZeroUsize::MIN,
        ..settings(&slapd.host_port())
    };
    let outcomes = logins(settings, 64).await;
    let count = |outcome: Outcome| outcomes.iter().filter(|it| **it == outcome).count();
    assert_eq!((count(accepted("ann")), count(Outcome::Busy)), (5, 59));
}
