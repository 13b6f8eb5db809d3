//! Refresh tokens: reused, bound, revoked, and accepted as passwords.

use std::time::Duration;

use auth::sessions::{RevokedBy, Selection};

use crate::support::{ALICE, BOB, Setup, logged_in};

const UNKNOWN: &str = "whr_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyCuIWwu";

#[tokio::test]
async fn refresh_tokens_are_reused_and_bound() {
    let (server, token) = logged_in().await;
    for _ in 0..3 {
        let again = server
            .refresh(&token, "service=reg&scope=repository:a:push")
            .await;
        assert_eq!(again.status, 200, "{}", again.body);
        assert_eq!(again.refresh_token(), token, "reused, not rotated");
        assert_eq!(again.claims()["sub"], "alice");
        assert_eq!(again.json()["scope"], "repository:a:push");
    }
    let elsewhere = server.refresh(&token, "service=other").await;
    assert_eq!(elsewhere.status, 401);
    assert_eq!(elsewhere.json()["error"], "invalid_grant");
    for wrong in [UNKNOWN, "nonsense", &token[..51]] {
        assert_eq!(server.refresh(wrong, "service=reg").await.status, 401);
    }
    let by_password =
        "grant_type=password&username=alice&password=secret&service=reg&access_type=offline";
    assert_ne!(server.post(by_password).await.refresh_token(), token);
}

#[tokio::test]
async fn anonymous_logins_and_servers_without_sessions_have_none() {
    let url = "/auth?service=reg&offline_token=true";
    let server = Setup::with_sessions().start();
    let anonymous = server.get(url, ("", "")).await;
    assert_eq!(
        (
            anonymous.status.as_u16(),
            anonymous.json().get("refresh_token")
        ),
        (200, None)
    );
    let bare = Setup::new().start();
    let login = bare.get(url, ALICE).await;
    assert_eq!(
        (login.status.as_u16(), login.json().get("refresh_token")),
        (200, None)
    );
    assert_eq!(bare.refresh("whatever", "service=reg").await.status, 401);
}

/// BuildKit sends the token without a name, other clients with `<token>` or the account's own.
#[tokio::test]
async fn a_refresh_token_works_as_a_password() {
    let (server, token) = logged_in().await;
    for (user, query) in [
        ("", ""),
        ("", "&account=alice"),
        ("<token>", ""),
        ("<token>", "&account=alice"),
        ("alice", ""),
        ("alice", "&account=alice"),
    ] {
        let url = format!("/auth?service=reg&scope=repository:a:push{query}");
        let response = server.get(&url, (user, &token)).await;
        assert_eq!(response.status, 200, "{user} {query} {}", response.body);
        assert_eq!(response.claims()["sub"], "alice");
        assert_eq!(response.json()["scope"], "repository:a:push");
    }
    let elsewhere = server.get("/auth?service=other", ("", &token)).await;
    assert_eq!(elsewhere.status, 401);
    let form = format!("grant_type=password&username=alice&password={token}&service=reg");
    assert_eq!(server.post(&form).await.claims()["sub"], "alice");
}

#[tokio::test]
async fn an_unknown_secret_is_never_anonymous() {
    let (server, token) = logged_in().await;
    for credentials in [
        ("", UNKNOWN),
        ("", "nonsense"),
        ("", "secret"),
        ("", " "),
        ("<token>", UNKNOWN),
        ("<token>", "nonsense"),
        ("bob", token.as_str()),
        // The names that other registries and clouds have for tokens.
        ("<Token>", token.as_str()),
        ("oauth2accesstoken", token.as_str()),
        ("AWS", token.as_str()),
        ("00000000-0000-0000-0000-000000000000", token.as_str()),
        ("alice", UNKNOWN),
    ] {
        let response = server
            .get("/auth?service=reg&scope=repository:a:pull", credentials)
            .await;
        assert_eq!(response.status, 401, "{credentials:?}");
    }
    // A header that cannot be read is a failed login.
    for header in ["Basic", "Basic !!!", "Basic YWxpY2U=", "Basic 5DpzZWNyZXQ="] {
        let headers = [("authorization", header)];
        let url = "/auth?service=reg&scope=repository:a:pull";
        let response = server.send("GET", url, &headers, "").await;
        assert_eq!(response.status, 401, "{header}");
    }
    // Without sessions too, as long as the secret looks like a refresh token.
    let bare = Setup::new().start();
    assert_eq!(
        bare.get("/auth?service=reg", ("", &token)).await.status,
        401
    );
    let as_docker_auth = bare.get("/auth?service=reg", ("", "secret")).await;
    assert_eq!(as_docker_auth.claims()["sub"], "");
}

#[tokio::test]
async fn a_client_revokes_its_own_token() {
    let server = Setup::with_sessions().start();
    for path in ["/auth/revoke", "/auth/token/revoke", "/token/revoke"] {
        let [token, other] = [server.log_in(ALICE).await, server.log_in(ALICE).await];
        let revoke = async |token: &str| {
            let body = format!("token={token}&token_type_hint=refresh_token");
            let response = server.send("POST", path, &[], &body).await;
            (response.status.as_u16(), response.body)
        };
        let nothing = (200, String::new());
        assert_eq!(revoke(&token).await, nothing);
        assert_eq!(server.refresh(&token, "service=reg").await.status, 401);
        assert_eq!(server.refresh(&other, "service=reg").await.status, 200);
        // RFC 7009 §2.2: it does not tell which tokens exist.
        for unknown in [&token, UNKNOWN, "nonsense"] {
            assert_eq!(revoke(unknown).await, nothing);
        }
        let missing = server
            .send("POST", path, &[], "token_type_hint=refresh_token")
            .await;
        assert_eq!(missing.json()["error"], "invalid_request");
    }
    let bare = Setup::new().start();
    let response = bare.send("POST", "/auth/revoke", &[], "token=x").await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn a_session_ends_with_its_account_its_password_and_its_revocation() {
    let (server, alice) = logged_in().await;
    let bob = server.log_in(BOB).await;
    // bob is gone, and alice has fewer rights.
    let mut fewer = Setup::changed_from(&server, &[ALICE]);
    fewer.rules = vec![("alice", &["pull"])];
    let fewer = fewer.start();
    assert_eq!(fewer.refresh(&bob, "service=reg").await.status, 401);
    let alice_now = fewer
        .refresh(&alice, "service=reg&scope=repository:a:pull,push")
        .await;
    assert_eq!(
        alice_now.json()["scope"],
        "repository:a:pull",
        "the rules are asked again"
    );

    let changed = Setup::changed_from(&server, &[("alice", "new")]).start();
    assert_eq!(changed.refresh(&alice, "service=reg").await.status, 401);

    let (server, token) = logged_in().await;
    let sessions = server.sessions.as_ref().unwrap();
    let now = common::Clock::now(&*server.clock);
    let alice = Selection::Account("alice".into());
    let revoked = sessions.revoke(alice, RevokedBy::Client, now).await;
    assert_eq!(revoked.unwrap(), 1);
    assert_eq!(server.refresh(&token, "service=reg").await.status, 401);
}

#[tokio::test]
async fn a_session_that_is_not_used_ends() {
    let (server, token) = logged_in().await;
    let day = Duration::from_secs(86_400);
    server.clock.pass(29 * day);
    assert_eq!(server.refresh(&token, "service=reg").await.status, 200);
    server.clock.pass(30 * day);
    assert_eq!(server.refresh(&token, "service=reg").await.status, 401);
}
