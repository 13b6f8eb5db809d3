//! What a device asks, and what it gets: the endpoint, and each error of a poll.

use auth::device::{DeviceDecision, FoundDeviceLogin};
use auth::sessions::Selection;
use common::Clock;
use identity::SourceAddress;

use super::{Bench, GRANT, SECOND, assert_error, begin, poll};
use crate::support::{ALICE, BOB, Setup};

/// RFC 8628 §3.2.
#[tokio::test]
async fn a_device_gets_two_codes_and_an_address() {
    let bench = Bench::new();
    for path in ["/p/auth/device", "/p/auth/token/device", "/p/token/device"] {
        let body = "client_id=cli&service=reg&scope=repository:a:pull&device_name=box";
        let response = bench.server.send("POST", path, &[], body).await;
        let json = response.json();
        assert_eq!(response.status, 200, "{path} {json}");
        assert_eq!(
            json["verification_uri"],
            "https://auth.example.com/p/device"
        );
        let user_code = json["user_code"].as_str().unwrap();
        assert_eq!(
            json["verification_uri_complete"],
            format!("https://auth.example.com/p/device?user_code={user_code}")
        );
        assert_eq!(
            (&json["expires_in"], &json["interval"]),
            (&600.into(), &5.into())
        );
        assert_eq!(json["device_code"].as_str().unwrap().len(), 43);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let wrong_method = bench.server.send("GET", path, &[], "").await;
        assert_eq!(wrong_method.status, 405);
        assert_eq!(wrong_method.header("allow"), Some("POST"));
    }
}

/// RFC 8628 §3.1, RFC 6749 §5.2.
#[tokio::test]
async fn a_request_for_codes_that_is_wrong_is_refused() {
    let bench = Bench::new();
    let long = "x".repeat(256);
    for body in [
        String::new(),
        "service=reg".to_owned(),
        "client_id=".to_owned(),
        format!("client_id={long}"),
        format!("client_id=cli&service={long}"),
        "client_id=%".to_owned(),
    ] {
        let response = begin(&bench.server, &body).await;
        assert_error(&response, 400, "invalid_request");
    }
    let server = Setup::with_sessions().start();
    let off = server
        .send("POST", "/auth/device", &[], "client_id=cli")
        .await;
    assert_error(&off, 400, "unsupported_grant_type");
    assert!(off.body.contains("device login is off"), "{}", off.body);
    let poll = server.post(&format!("{GRANT}&device_code=x")).await;
    assert_error(&poll, 400, "unsupported_grant_type");
}

#[tokio::test]
async fn what_a_device_says_of_itself_is_cut_off() {
    let bench = Bench::new();
    let agent = "a".repeat(1000);
    let body = format!("client_id=cli&device_name={}", "%C3%BC".repeat(1000));
    let headers = [("user-agent", agent.as_str())];
    let server = &bench.server;
    let begun = server.send("POST", "/p/auth/device", &headers, &body).await;
    let json = begun.json();
    let code = json["user_code"].as_str().unwrap().parse().unwrap();
    let logins = server.devices.as_ref().unwrap();
    let address = SourceAddress::client("192.0.2.7".parse().unwrap());
    match logins.find(&code, address).await.unwrap() {
        FoundDeviceLogin::Pending(login) => {
            assert_eq!(login.device.device_name, "ü".repeat(64));
            assert_eq!(login.device.user_agent, "a".repeat(200));
            assert_eq!(login.device.address, "192.0.2.7");
        }
        other => panic!("{other:?}"),
    }
}

/// RFC 8628 §3.5: every error, and the token.
#[tokio::test]
async fn a_poll_gets_what_the_person_decided() {
    let bench = Bench::new();
    let codes = bench.begin().await;
    assert_error(&bench.poll(&codes).await, 400, "authorization_pending");
    assert_error(&bench.poll(&codes).await, 400, "slow_down");
    bench.server.clock.pass(5 * SECOND);
    assert_error(&bench.poll(&codes).await, 400, "slow_down");
    bench.server.clock.pass(15 * SECOND);
    assert_error(&bench.poll(&codes).await, 400, "authorization_pending");

    let browser = bench.sign_in(&codes, ALICE).await;
    bench.server.clock.pass(15 * SECOND);
    assert_error(&bench.poll(&codes).await, 400, "authorization_pending");
    assert!(
        bench
            .decide(&codes, &browser, DeviceDecision::Approve)
            .await
    );
    let token = bench.poll(&codes).await;
    assert_eq!(
        token.status, 200,
        "an answer is never too early: {}",
        token.body
    );
    assert_eq!(
        (&token.claims()["sub"], &token.claims()["aud"]),
        (&"alice".into(), &"reg".into())
    );
    let again = bench.poll(&codes).await;
    assert_error(&again, 400, "invalid_grant");

    let denied = bench.begin().await;
    let browser = bench.sign_in(&denied, ALICE).await;
    assert!(bench.decide(&denied, &browser, DeviceDecision::Deny).await);
    assert!(
        !bench
            .decide(&denied, &browser, DeviceDecision::Approve)
            .await
    );
    assert_error(&bench.poll(&denied).await, 400, "access_denied");

    let late = bench.approved(ALICE).await;
    bench.server.clock.pass(600 * SECOND);
    assert_error(&bench.poll(&late).await, 400, "expired_token");
}

#[tokio::test]
async fn a_code_is_good_for_its_client_and_service_only() {
    let bench = Bench::new();
    let codes = bench.approved(ALICE).await;
    let code = &codes.device_code;
    for (body, error) in [
        (format!("{GRANT}&device_code={code}x"), "invalid_grant"),
        (
            format!("{GRANT}&device_code={code}&service=other"),
            "invalid_grant",
        ),
        (GRANT.to_owned(), "invalid_request"),
        (
            format!("{}&device_code={code}", GRANT.replace("&client_id=cli", "")),
            "invalid_request",
        ),
        (
            format!("{}&device_code={code}", GRANT.replace("=cli", "=other")),
            "invalid_grant",
        ),
        (
            format!("{GRANT}&device_code={}", codes.user_code),
            "invalid_grant",
        ),
    ] {
        let response = bench.server.send("POST", "/p/auth", &[], &body).await;
        assert_error(&response, 400, error);
    }
    // The service is that of the code, and a scope is granted as ever.
    let body = format!("{GRANT}&device_code={code}&scope=repository:a:pull,push");
    let token = bench.server.send("POST", "/p/auth", &[], &body).await;
    assert_eq!(token.claims()["aud"], "reg");
    assert_eq!(token.json()["scope"], "repository:a:pull,push");
    let refreshed = format!(
        "grant_type=refresh_token&service=reg&refresh_token={}",
        token.refresh_token()
    );
    let refreshed = bench.server.send("POST", "/p/auth", &[], &refreshed).await;
    assert_eq!(refreshed.claims()["sub"], "alice", "{}", refreshed.body);
}

#[tokio::test]
async fn of_two_polls_at_once_one_gets_the_session() {
    let bench = Bench::new();
    for _ in 0..20 {
        let codes = bench.approved(ALICE).await;
        let (one, other) = tokio::join!(bench.poll(&codes), bench.poll(&codes));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "{} {}", one.body, other.body);
        let lost = if one.status == 400 { one } else { other };
        assert_error(&lost, 400, "invalid_grant");
    }
    let sessions = bench.server.sessions.as_ref().unwrap();
    let sessions = sessions
        .list(Selection::All, bench.server.clock.now())
        .await;
    assert_eq!(sessions.unwrap().len(), 20);
}

#[tokio::test]
async fn a_reload_forgets_nothing_and_checks_the_account_again() {
    let bench = Bench::new();
    let [kept, gone, changed] = [
        bench.approved(ALICE).await,
        bench.approved(BOB).await,
        bench.approved(ALICE).await,
    ];
    let same = bench.reloaded(&[ALICE]);
    assert_eq!(poll(&same, &kept).await.status, 200);
    let refused = poll(&same, &gone).await;
    assert_error(&refused, 400, "access_denied");
    assert!(
        refused.body.contains("changed or disabled"),
        "{}",
        refused.body
    );
    let other_password = bench.reloaded(&[("alice", "another")]);
    assert_error(&poll(&other_password, &changed).await, 400, "access_denied");
    // Nothing is used up by a poll that gets nothing.
    assert_eq!(poll(&same, &changed).await.status, 200);
}

/// Polls that wait are not events; a refusal and a token are.
#[tokio::test]
async fn the_decision_is_an_event_and_no_code_is_in_it() {
    let bench = Bench::new();
    let codes = bench.begin().await;
    for _ in 0..3 {
        bench.poll(&codes).await;
    }
    let browser = bench.sign_in(&codes, ALICE).await;
    bench
        .decide(&codes, &browser, DeviceDecision::Approve)
        .await;
    let token = bench.poll(&codes).await.refresh_token();
    bench.poll(&codes).await;
    let events = bench.server.observer.events();
    let names: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "login_accepted",
            "login_accepted",
            "session_begun",
            "token_issued",
            "login_refused",
            "token_refused"
        ]
    );
    assert_eq!(events[3]["grant"], "device_code");
    assert_eq!(
        (&events[3]["backend"], &events[3]["account"]),
        (&"users".into(), &"alice".into())
    );
    let text = format!("{events:?}");
    for secret in [&codes.device_code, &codes.user_code.to_string(), &token] {
        assert!(!text.contains(secret.as_str()), "{text}");
    }
}
