//! The events of the token endpoint.

use common::BoxFuture;
use identity::{
    Account, AccountHint, Accounts, AuthenticationError, AuthenticationOutcome, Authenticator,
    BackendError, LoginSource, Proof, Recheck,
};
use serde_json::Value;

use crate::support::{Server, Setup, account, logged_in};

/// A backend without accounts.
struct Elsewhere;

impl Authenticator for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NoMatch
    }

    fn authenticate<'a>(
        &'a self,
        _: &'a Proof,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(std::future::ready(Ok(AuthenticationOutcome::NoMatch)))
    }

    fn recheck<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(std::future::ready(Ok(Recheck::NoMatch)))
    }
}

/// The kinds of events since the last call, and the events.
fn take_events(server: &Server) -> (Vec<String>, Vec<Value>) {
    let events = server.observer.take();
    let kinds = events
        .iter()
        .map(|event| event["event"].as_str().unwrap().to_owned())
        .collect();
    (kinds, events)
}

#[tokio::test]
async fn a_token_has_an_event_with_its_decisions_and_without_secrets() {
    let mut setup = Setup::with_sessions();
    setup.backends.push(Box::new(Elsewhere));
    setup.accounts = Accounts::default();
    let labels = [("team".to_owned(), vec!["red".to_owned(), "blue".to_owned()])];
    let alice = Account {
        labels: labels.into(),
        ..account("secret")
    };
    setup.accounts.add("alice".into(), alice).unwrap();
    let server = setup.start();
    let url = "/auth?service=reg&client_id=docker&offline_token=true&scope=repository:a:pull,push";
    let headers = [
        ("authorization", "Basic YWxpY2U6c2VjcmV0"),
        ("user-agent", "test/1"),
    ];
    let response = server.send("GET", url, &headers, "").await;
    let (kinds, events) = take_events(&server);
    assert_eq!(kinds, ["login_accepted", "session_begun", "token_issued"]);
    let issued = &events[2];
    for (name, value) in [
        ("account", "alice"),
        ("address", "192.0.2.7"),
        ("user_agent", "test/1"),
        ("request_id", "request-1"),
        ("service", "reg"),
        ("client_id", "docker"),
        ("grant", "password"),
        ("backend", "users"),
        ("asked_before", "elsewhere"),
        ("labels", "team=red,blue"),
        ("requested", "repository:a:pull,push"),
        ("granted", "repository:a:pull,push"),
        ("rules", "auth.yml:10"),
    ] {
        assert_eq!(issued[name], value, "{name}");
    }
    assert_eq!(events[1]["session"], issued["session"]);
    let text = Value::from(events).to_string();
    for secret in [
        "secret",
        &response.refresh_token(),
        response.json()["token"].as_str().unwrap(),
    ] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn refusals_have_events_with_their_reason() {
    let (server, token) = logged_in().await;
    take_events(&server);
    server.get("/auth?service=reg", ("alice", "wrong")).await;
    let (kinds, events) = take_events(&server);
    assert_eq!(kinds, ["login_refused", "token_refused"]);
    assert_eq!(
        (&events[1]["status"], &events[1]["backend"]),
        (&401.into(), &"users".into())
    );

    server.refresh(&token, "service=other").await;
    let (kinds, events) = take_events(&server);
    assert_eq!(kinds, ["token_refused"]);
    assert_eq!(
        events[0]["reason"],
        "the refresh token is for another service"
    );

    server.get("/auth?service=reg", ("", "")).await;
    assert_eq!(
        take_events(&server).0,
        ["token_issued"],
        "an anonymous token is no login"
    );

    let body = format!("token={token}");
    server.send("POST", "/auth/revoke", &[], &body).await;
    let (kinds, events) = take_events(&server);
    assert_eq!(kinds, ["session_ended"]);
    assert_eq!(
        (&events[0]["account"], &events[0]["reason"]),
        (&"alice".into(), &"revoked".into())
    );
}
