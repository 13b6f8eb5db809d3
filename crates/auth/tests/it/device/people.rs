//! What people may do on the page, and how often.

use auth::device::{DeviceDecision, DeviceLoginPolicy, DeviceSignIn, FoundDeviceLogin, UserCode};
use common::ClientAddress;
use database::params;
use identity::SourceAddress;

use super::{Bench, SECOND, assert_error, context, proof};
use crate::support::{ALICE, BOB};

#[tokio::test]
async fn only_the_browser_in_which_the_person_signed_in_decides() {
    let bench = Bench::new();
    let codes = bench.begin().await;
    let logins = bench.server.devices.as_ref().unwrap();
    let stranger = logins.browser_secret().unwrap();
    assert!(
        !bench
            .decide(&codes, &stranger, DeviceDecision::Approve)
            .await
    );
    let first = bench.sign_in(&codes, BOB).await;
    assert!(
        !bench
            .decide(&codes, &stranger, DeviceDecision::Approve)
            .await
    );
    assert_eq!(
        logins.signed_in(&codes.user_code, &stranger).await.unwrap(),
        None
    );
    // The last to sign in decides.
    let second = bench.sign_in(&codes, ALICE).await;
    assert!(!bench.decide(&codes, &first, DeviceDecision::Approve).await);
    assert!(bench.decide(&codes, &second, DeviceDecision::Approve).await);
    assert_eq!(bench.poll(&codes).await.claims()["sub"], "alice");
}

#[tokio::test]
async fn a_wrong_password_and_an_anonymous_person_approve_nothing() {
    let bench = Bench::new();
    let codes = bench.begin().await;
    let logins = bench.server.devices.as_ref().unwrap();
    let browser = logins.browser_secret().unwrap();
    let sign_in = async |credentials| {
        let (code, proof, context) = (&codes.user_code, proof(credentials), context());
        let signed_in = logins.sign_in(code, &browser, &proof, &context, "");
        signed_in.await.unwrap()
    };
    assert_eq!(sign_in(("", "")).await, DeviceSignIn::NoSession);
    for _ in 0..10 {
        assert_eq!(sign_in(("alice", "wrong")).await, DeviceSignIn::Rejected);
    }
    let limited = sign_in(ALICE).await;
    assert!(
        matches!(limited, DeviceSignIn::TooManyFailures(_)),
        "{limited:?}"
    );
    assert!(
        !bench
            .decide(&codes, &browser, DeviceDecision::Approve)
            .await
    );
    let unknown = "BBBB-BBBB".parse().unwrap();
    let (bob, context) = (proof(BOB), context());
    let over = logins.sign_in(&unknown, &browser, &bob, &context, "");
    assert_eq!(over.await.unwrap(), DeviceSignIn::Over);
    let refused = bench.server.observer.events();
    let refused = refused
        .iter()
        .filter(|event| event["event"] == "login_refused");
    assert_eq!(refused.count(), 10);
}

#[tokio::test]
async fn wrong_user_codes_are_limited_for_each_client_and_together() {
    let bench = Bench::new();
    let codes = bench.begin().await;
    let logins = bench.server.devices.as_ref().unwrap();
    let wrong: UserCode = "BBBB-BBBB".parse().unwrap();
    let from = |address: &str| SourceAddress::client(address.parse().unwrap());
    let find = async |code: &UserCode, address| logins.find(code, address).await.unwrap();
    for _ in 0..10 {
        // A right code costs nothing.
        let found = find(&codes.user_code, from("192.0.2.1")).await;
        assert!(matches!(found, FoundDeviceLogin::Pending(_)), "{found:?}");
        let found = find(&wrong, from("192.0.2.1")).await;
        assert_eq!(found, FoundDeviceLogin::Unknown);
    }
    let limited = |found: FoundDeviceLogin| matches!(found, FoundDeviceLogin::TooManyWrongCodes(_));
    assert!(limited(find(&codes.user_code, from("192.0.2.1")).await));
    assert!(!limited(find(&codes.user_code, from("192.0.2.2")).await));
    // 600 a minute from everywhere.
    for n in 0..590_u32 {
        let address = format!("10.0.{}.{}", n / 250, n % 250);
        assert_eq!(
            find(&wrong, from(&address)).await,
            FoundDeviceLogin::Unknown
        );
    }
    assert!(limited(find(&codes.user_code, from("192.0.2.2")).await));
    bench.server.clock.pass(60 * SECOND);
    assert!(!limited(find(&codes.user_code, from("192.0.2.1")).await));
}

#[tokio::test]
async fn there_are_only_so_many_at_once() {
    let bench = Bench::with(DeviceLoginPolicy {
        max_logins: 5,
        per_network: 2,
        ..DeviceLoginPolicy::default()
    });
    let begin = async |address: Option<&str>| {
        let ip = address.map(|address| address.parse().unwrap());
        let client = ClientAddress {
            ip,
            attributable: ip,
        };
        let body = "client_id=cli";
        let server = &bench.server;
        server
            .send_from(client, "POST", "/p/auth/device", &[], body)
            .await
    };
    for address in ["2001:db8::1", "2001:db8::2", "192.0.2.1"] {
        assert_eq!(begin(Some(address)).await.status, 200);
    }
    let full = begin(Some("2001:db8::3")).await;
    assert_error(&full, 429, "temporarily_unavailable");
    assert_eq!(full.header("retry-after"), Some("600"));
    // Clients whose addresses cannot be told apart share the whole number only.
    for _ in 0..2 {
        assert_eq!(begin(None).await.status, 200);
    }
    assert_error(
        &begin(Some("192.0.2.9")).await,
        429,
        "temporarily_unavailable",
    );
    bench.server.clock.pass(600 * SECOND);
    assert_eq!(begin(Some("2001:db8::3")).await.status, 200);
    // What has been over for long is removed.
    bench.server.clock.pass(600 * SECOND);
    assert_eq!(begin(Some("192.0.2.1")).await.status, 200);
    let rows = bench.database.read(|connection| {
        let sql = "SELECT count(*) FROM device_logins";
        connection.query_one(sql, params![], |row| row.get::<u32>(0))
    });
    assert_eq!(rows.await.unwrap(), 2);
}
