//! Limits on failed logins, and the address that they count.

use common::ClientAddress;
use identity::Rate;

use crate::support::{ALICE, BOB, Server, Setup, basic};

fn strict() -> Server {
    let setup = Setup {
        per_address: Rate::per_minute(5),
        per_account: Rate::per_minute(3),
        ..Setup::new()
    };
    setup.start()
}

#[tokio::test]
async fn wrong_passwords_are_limited_and_nothing_else() {
    let server = strict();
    assert_eq!(server.get("/auth", BOB).await.status, 200);
    for expected in [401, 401, 401, 429, 429] {
        let response = server.get("/auth", ("alice", "wrong")).await;
        assert_eq!(response.status, expected);
    }
    let refused = server.get("/auth", ALICE).await;
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!((refused.status.as_u16(), wait), (429, 20));
    assert!(
        refused.json()["details"]
            .as_str()
            .unwrap()
            .contains("too many failed logins")
    );
    for (name, password, what) in [
        ("", "", "anonymous"),
        ("bob", "secret", "a remembered login"),
    ] {
        assert_eq!(
            server.get("/auth", (name, password)).await.status,
            200,
            "{what}"
        );
    }
}

async fn statuses(server: &Server, clients: impl Iterator<Item = ClientAddress>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (n, client) in clients.enumerate() {
        let basic = basic(&format!("user{n}"), "wrong");
        let headers = [("authorization", basic.as_str())];
        let response = server.send_from(client, "GET", "/auth", &headers, "").await;
        statuses.push(response.status.as_u16());
    }
    statuses
}

/// What a client writes into a header may change what rules see, and never whose failures count.
#[tokio::test]
async fn the_address_that_rules_see_does_not_move_a_limit() {
    let server = strict();
    let peer = "192.0.2.9".parse().ok();
    let claimed = (0..8).map(|n| ClientAddress {
        ip: format!("198.51.100.{n}").parse().ok(),
        attributable: peer,
    });
    let seen = statuses(&server, claimed).await;
    assert_eq!(seen, [401, 401, 401, 401, 401, 429, 429, 429]);
}

/// Behind an unlisted proxy clients cannot be distinguished, so one must not lock out the others.
#[tokio::test]
async fn behind_an_unlisted_proxy_only_accounts_are_limited() {
    let server = strict();
    let unknown = (0..8).map(|_| ClientAddress::default());
    assert_eq!(statuses(&server, unknown).await, [401; 8]);
    let basic = basic("alice", "wrong");
    let headers = [("authorization", basic.as_str())];
    for expected in [401, 401, 401, 429] {
        let client = ClientAddress::default();
        let response = server.send_from(client, "GET", "/auth", &headers, "").await;
        assert_eq!(response.status, expected);
    }
}
