//! Token exchange (RFC 8693), and the bounds that a backend sets for what its logins give.

use std::time::Duration;

use common::BoxFuture;
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    CredentialFingerprint, Identity, LifetimeBound, LoginSource, LoginTerms, Proof, Recheck,
    RecheckedCredential, SessionAllowance,
};
use policy::{Labels, Subject};
use serde_json::Value;

use crate::support::{Response, Server, Setup};

const EXCHANGE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
                        &subject_token_type=urn:ietf:params:oauth:token-type:jwt";

/// A backend that takes the token `job` of another issuer.
struct Jobs {
    session: SessionAllowance,
}

const LIFETIME: LifetimeBound = LifetimeBound::AtMost(Duration::from_secs(120));

impl Authenticator for Jobs {
    fn name(&self) -> &'static str {
        "jobs"
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NoMatch
    }

    fn recognizes(&self, proof: &Proof) -> bool {
        proof.secret().expose() == "job"
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        let outcome = if self.recognizes(proof) {
            let subject = Subject {
                account: "alice".to_owned(),
                labels: Labels::from([("run".to_owned(), vec!["7".to_owned()])]),
            };
            let terms = LoginTerms {
                token_lifetime: LIFETIME,
                session: self.session,
                origin: "auth.yml:7 run=\"7\"".to_owned(),
                ..LoginTerms::default()
            };
            AuthenticationOutcome::Accepted(Identity {
                terms,
                ..Identity::new(subject).with_credential(CredentialFingerprint::of("rule"))
            })
        } else {
            AuthenticationOutcome::NoMatch
        };
        Box::pin(std::future::ready(Ok(outcome)))
    }

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        let rule = RecheckedCredential {
            credential: CredentialFingerprint::of("rule"),
            token_lifetime: LIFETIME,
        };
        let found = match account {
            "alice" => Recheck::ByCredential(vec![rule]),
            _ => Recheck::NoMatch,
        };
        Box::pin(std::future::ready(Ok(found)))
    }
}

fn server(session: SessionAllowance) -> Server {
    let mut setup = Setup::with_sessions();
    setup.backends.push(Box::new(Jobs { session }));
    setup.start()
}

fn allowed(seconds: u64) -> SessionAllowance {
    SessionAllowance::Allowed(LifetimeBound::AtMost(Duration::from_secs(seconds)))
}

fn members(response: &Response) -> Value {
    let json = response.json();
    Value::from(
        [
            json["issued_token_type"].clone(),
            json["token_type"].clone(),
            json["expires_in"].clone(),
            json["scope"].clone(),
        ]
        .to_vec(),
    )
}

#[tokio::test]
async fn a_token_of_another_issuer_becomes_one_of_this_server() {
    let server = server(allowed(3600));
    let form = format!("{EXCHANGE}&subject_token=job&audience=reg&scope=repository:a:pull");
    let response = server.post(&form).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let expected = serde_json::json!([
        "urn:ietf:params:oauth:token-type:access_token",
        "Bearer",
        120,
        "repository:a:pull"
    ]);
    assert_eq!(members(&response), expected);
    let claims = response.claims();
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&"alice".into(), &"reg".into())
    );
    let seconds = |name: &str| claims[name].as_u64().unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 120);
    assert_eq!(
        response.json().get("refresh_token"),
        None,
        "it was not asked for"
    );
    // Other responses keep their members.
    let login = server.get("/auth?service=reg", ("", "job")).await.json();
    assert_eq!(login["expires_in"], 120);
    assert!(login.get("issued_token_type").is_none() && login.get("token_type").is_none());
}

#[tokio::test]
async fn a_token_that_is_not_accepted_makes_the_request_invalid() {
    let server = server(allowed(3600));
    for (form, code) in [
        (
            format!("{EXCHANGE}&subject_token=other&service=reg"),
            "invalid_request",
        ),
        (format!("{EXCHANGE}&service=reg"), "invalid_request"),
        (
            format!("{EXCHANGE}&subject_token=job&actor_token=job"),
            "invalid_request",
        ),
        (
            format!("{EXCHANGE}&subject_token=job&audience=a&audience=b"),
            "invalid_target",
        ),
    ] {
        let response = server.post(&form).await;
        assert_eq!(response.status, 400, "{form}");
        assert_eq!(response.json()["error"], code, "{form}");
        assert_eq!(response.header("www-authenticate"), None);
    }
}

/// A session of a backend without accounts lives by its rule, as long as the rule allows.
#[tokio::test]
async fn a_refresh_token_has_an_end_of_its_own() {
    let server = server(allowed(600));
    let form = format!("{EXCHANGE}&subject_token=job&service=reg&access_type=offline");
    let token = server.post(&form).await.refresh_token();
    server.clock.pass(Duration::from_secs(599));
    let again = server
        .refresh(&token, "service=reg&scope=repository:a:push")
        .await;
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(again.claims()["sub"], "alice");
    assert_eq!(
        again.json()["expires_in"],
        120,
        "the rule's bound counts here, too"
    );
    server.clock.pass(Duration::from_secs(1));
    assert_eq!(server.refresh(&token, "service=reg").await.status, 401);
}

#[tokio::test]
async fn a_rule_may_allow_no_refresh_token() {
    let server = server(SessionAllowance::Refused);
    let form = format!("{EXCHANGE}&subject_token=job&service=reg&access_type=offline");
    let response = server.post(&form).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.json().get("refresh_token"), None);
}

/// The log says which rule accepted, and what was refused.
#[tokio::test]
async fn the_origin_of_a_login_is_in_its_event() {
    let server = server(allowed(600));
    server
        .post(&format!("{EXCHANGE}&subject_token=job&service=reg"))
        .await;
    server
        .post(&format!("{EXCHANGE}&subject_token=other&service=reg"))
        .await;
    let events: Vec<Value> = server.observer.take();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "login_accepted",
            "token_issued",
            "login_refused",
            "token_refused"
        ]
    );
    let issued = &events[1];
    assert_eq!(issued["origin"], "auth.yml:7 run=\"7\"");
    assert_eq!(
        (&issued["grant"], &issued["backend"]),
        (&"federated_token".into(), &"jobs".into())
    );
    assert_eq!(issued["labels"], "run=7");
}
