//! The token endpoint: what it responds, and where.

use std::sync::Arc;

use auth::{AuthorizeError, Authorizer, DecidedBy, Decision};
use common::BoxFuture;
use identity::{
    AccountHint, Accounts, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    BackendFault, CurrentCredentials, Identity, LoginSource, Proof, Recheck,
};
use policy::{AclQuery, CeilingEntry, CeilingRules, ScopeCeiling, Subject};
use serde_json::{Value, json};
use token::{KeyIdKind, KeyKind, PrivateKey};

use crate::support::{ALICE, BOB, Setup, service};

const ANONYMOUS: (&str, &str) = ("", "");

#[tokio::test]
async fn a_response_has_what_every_client_reads() {
    let server = Setup::new().start();
    let url = "/auth?service=reg&scope=repository:a:pull,push&scope=repository:b:delete";
    let response = server.get(url, BOB).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let json = response.json();
    assert_eq!(json["token"], json["access_token"]);
    assert_eq!(json["expires_in"], 900);
    assert_eq!(json["scope"], "repository:a:pull");
    assert!(json["issued_at"].as_str().unwrap().ends_with('Z'));
    assert!(json.get("refresh_token").is_none());
    let claims = response.claims();
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["aud"]),
        (&"Acme".into(), &"bob".into(), &"reg".into())
    );
    let seconds = |name: &str| claims[name].as_u64().unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 900);
    assert_eq!(seconds("iat") - seconds("nbf"), 10);
    assert_eq!(
        claims["access"].to_string(),
        r#"[{"type":"repository","name":"a","actions":["pull"]}]"#
    );
    let login = server.get("/auth?service=reg", BOB).await.claims();
    let access = login["access"].to_string();
    assert_eq!(access, "[]", "a login's token opens GET /v2/ all the same");
    assert_ne!(login["jti"], claims["jti"]);
}

/// Each address with the methods that it takes.
const ADDRESSES: [(&str, &[&str]); 9] = [
    ("/auth", &["GET", "HEAD", "POST"]),
    ("/auth/token", &["GET", "HEAD", "POST"]),
    ("/token", &["GET", "HEAD", "POST"]),
    ("/auth/revoke", &["POST"]),
    ("/auth/token/revoke", &["POST"]),
    ("/token/revoke", &["POST"]),
    ("/", &["GET", "HEAD"]),
    ("/healthz", &["GET", "HEAD"]),
    ("/.well-known/jwks.json", &["GET", "HEAD"]),
];

#[tokio::test]
async fn every_address_responds_to_its_methods() {
    for prefix in ["", "/acme"] {
        let setup = Setup {
            path_prefix: prefix,
            ..Setup::with_sessions()
        };
        let server = setup.start();
        for (path, allowed) in ADDRESSES {
            let url = format!("{prefix}{path}");
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
                let body = if method == "POST" { "token=x" } else { "" };
                let response = server.send(method, &url, &[], body).await;
                let is_allowed = allowed.contains(&method);
                assert_eq!(
                    response.status,
                    if is_allowed { 200 } else { 405 },
                    "{method} {url}"
                );
                let allow = (!is_allowed).then(|| allowed.join(", "));
                assert_eq!(response.header("allow"), allow.as_deref());
            }
            let has_no_prefix = ["/", "/healthz", "/.well-known/jwks.json"].contains(&path);
            let without = server.send("GET", path, &[], "").await.status;
            assert_eq!(
                without == 404,
                !prefix.is_empty() && !has_no_prefix,
                "{path}"
            );
        }
        for path in ["//auth", "/auth/", "/revoke", "/auth/revoke/"] {
            let url = format!("{prefix}{path}");
            assert_eq!(server.send("GET", &url, &[], "").await.status, 404, "{url}");
        }
    }
}

#[tokio::test]
async fn the_keys_are_published_under_both_ids() {
    let server = Setup::new().start();
    let keys = server.get("/.well-known/jwks.json", ANONYMOUS).await.json();
    let keys = keys["keys"].as_array().unwrap().clone();
    let mut lengths: Vec<usize> = keys
        .iter()
        .map(|key| key["kid"].as_str().unwrap().len())
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [43, 59], "a thumbprint and a libtrust id");
}

#[tokio::test]
async fn each_service_gets_its_own_key_id_and_expiration() {
    let mut setup = Setup::new();
    let key = Arc::new(PrivateKey::generate(KeyKind::P256).unwrap());
    let new = service(&key, KeyIdKind::Thumbprint, 120);
    setup.services.insert("new".into(), new);
    let server = setup.start();
    for (name, length, expires_in) in [("new", 43, 120), ("other", 59, 900), ("", 59, 900)] {
        let response = server
            .get(&format!("/auth?service={name}"), ANONYMOUS)
            .await;
        let kid = response.token_header()["kid"].as_str().unwrap().len();
        assert_eq!(
            (kid, &response.json()["expires_in"]),
            (length, &expires_in.into())
        );
    }
}

#[tokio::test]
async fn errors_are_oauth_s_and_distribution_s() {
    let server = Setup::with_sessions().start();
    for (url, credentials, status, error) in [
        ("/auth", ("alice", "wrong"), 401, "invalid_grant"),
        ("/auth", ("unknown", "x"), 401, "invalid_grant"),
        ("/auth", ("al\nice", "x"), 401, "invalid_grant"),
        ("/auth", ("", "secret"), 401, "invalid_grant"),
        ("/auth?account=bob", ALICE, 400, "invalid_request"),
        ("/auth?scope=junk", ALICE, 400, "invalid_scope"),
        ("/auth?scope=%zz", ALICE, 400, "invalid_request"),
    ] {
        let response = server.get(url, credentials).await;
        let json = response.json();
        assert_eq!(
            (response.status.as_u16(), json["error"].as_str()),
            (status, Some(error)),
            "{url}"
        );
        assert_eq!(json["error_description"], json["details"]);
        let errors = match status {
            401 => json!([{"code": "UNAUTHORIZED", "message": json["details"]}]),
            _ => Value::Null,
        };
        assert_eq!(json["errors"], errors);
        let challenge = (status == 401).then_some("Basic realm=\"Acme\"");
        assert_eq!(response.header("www-authenticate"), challenge);
    }
}

#[tokio::test]
async fn a_client_that_sent_no_login_is_not_told_that_its_password_is_wrong() {
    let mut setup = Setup::new();
    setup.accounts = Accounts::default();
    let server = setup.start();
    for credentials in [ANONYMOUS, ("", "secret"), ("alice", "")] {
        let response = server.get("/auth", credentials).await;
        let (error, details) = match credentials {
            ANONYMOUS => (
                "invalid_client",
                "authentication required: no user name and no password were sent",
            ),
            _ => ("invalid_grant", "incorrect username or password"),
        };
        let json = response.json();
        assert_eq!(
            (response.status.as_u16(), &json["error"], &json["details"]),
            (401, &error.into(), &details.into()),
            "{credentials:?}"
        );
    }
}

/// A backend for robots: an opaque token that may only pull `a`.
struct Robots;

impl Authenticator for Robots {
    fn name(&self) -> &'static str {
        "robots"
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NeedsProof
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        let outcome = match proof.password() {
            Some(credentials) if credentials.account == "robot" => {
                let mut identity = Identity::new(robot());
                let ceiling = CeilingRules::compile(vec![CeilingEntry {
                    resource_type: "repository".into(),
                    name: "a".into(),
                    actions: vec!["pull".into()],
                }]);
                identity.ceiling = ScopeCeiling::Limited(ceiling.unwrap());
                AuthenticationOutcome::Accepted(identity)
            }
            _ => AuthenticationOutcome::NoMatch,
        };
        Box::pin(std::future::ready(Ok(outcome)))
    }

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        let found = match account {
            "robot" => Recheck::Present {
                subject: robot(),
                credentials: CurrentCredentials::Unknown,
            },
            _ => Recheck::NoMatch,
        };
        Box::pin(std::future::ready(Ok(found)))
    }
}

fn robot() -> Subject {
    Subject {
        account: "robot".into(),
        ..Subject::default()
    }
}

/// What is granted = asked ∩ allowed ∩ ceiling.
#[tokio::test]
async fn a_ceiling_bounds_what_the_rules_allow() {
    let mut setup = Setup::with_sessions();
    setup.backends.push(Box::new(Robots));
    setup.rules = vec![("/^(alice|robot)$/", &["*"])];
    let server = setup.start();
    let url =
        "/auth?service=reg&offline_token=true&scope=repository:a:pull,push&scope=repository:b:pull";
    let robot = server.get(url, ("robot", "x")).await;
    assert_eq!(robot.json()["scope"], "repository:a:pull");
    assert_eq!(robot.claims()["sub"], "robot");
    // Its session keeps the ceiling, and is rechecked with the backend that accepted the login.
    let scopes = "service=reg&scope=repository:a:pull,push&scope=repository:b:pull";
    let refreshed = server.refresh(&robot.refresh_token(), scopes).await;
    assert_eq!(refreshed.json()["scope"], "repository:a:pull");
    assert_eq!(refreshed.claims()["sub"], "robot");
    let alice = server.get(url, ALICE).await;
    assert_eq!(
        alice.json()["scope"],
        "repository:a:pull,push repository:b:pull"
    );
}

/// A policy that is asked about each repository, as a program is.
struct External;

impl Authorizer for External {
    fn name(&self) -> &'static str {
        "external"
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        assert_eq!(source.account, query.account);
        let decision = match query.name {
            "external" => Ok(Some(Decision {
                granted: vec!["push".into()],
                by: DecidedBy {
                    policy: Some("external"),
                    rule: None,
                },
            })),
            "denied" => Ok(Some(Decision {
                granted: Vec::new(),
                by: DecidedBy::default(),
            })),
            "broken" => Err(AuthorizeError::Policy {
                policy: "external",
                source: "on purpose".into(),
            }),
            "away" => Err(AuthorizeError::Unavailable {
                policy: "external",
                source: "on purpose".into(),
            }),
            "busy" => Err(AuthorizeError::Busy { policy: "external" }),
            _ => Ok(None),
        };
        Box::pin(std::future::ready(decision))
    }
}

#[tokio::test]
async fn policies_are_asked_in_order_and_a_broken_one_ends_the_request() {
    let mut setup = Setup::new();
    setup.authorizers.push(Box::new(External));
    let server = setup.start();
    for (name, status, scope) in [
        ("external", 200, Some("repository:external:push")),
        ("denied", 200, Some("")),
        ("other", 200, Some("repository:other:pull,push")),
        ("broken", 500, None),
        ("away", 503, None),
        ("busy", 429, None),
    ] {
        let url = format!("/auth?service=reg&scope=repository:{name}:pull,push");
        let response = server.get(&url, ALICE).await;
        assert_eq!(response.status, status, "{name}");
        assert_eq!(response.json()["scope"].as_str(), scope);
        let may_try_again = matches!(status, 429 | 503);
        assert_eq!(response.header("retry-after").is_some(), may_try_again);
        assert!(!response.body.contains("on purpose"), "{}", response.body);
        let has_request_id = response.body.contains("request-1");
        assert_eq!(has_request_id, status >= 500, "{name}");
    }
}

/// A backend that fails in this way.
struct Failing(BackendFault);

impl Authenticator for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NeedsProof
    }

    fn authenticate<'a>(
        &'a self,
        _: &'a Proof,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        let error = match self.0 {
            BackendFault::Broken => BackendError::broken("failing", "on purpose"),
            BackendFault::Unavailable => BackendError::unavailable("failing", "on purpose"),
        };
        Box::pin(std::future::ready(Err(error.into())))
    }

    fn recheck<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(std::future::ready(Ok(Recheck::Unknown)))
    }
}

#[tokio::test]
async fn a_backend_that_may_come_back_is_503_and_a_broken_one_is_500() {
    for (fault, status, code, retry_after) in [
        (BackendFault::Broken, 500, "server_error", None),
        (
            BackendFault::Unavailable,
            503,
            "temporarily_unavailable",
            Some("5"),
        ),
    ] {
        let mut setup = Setup::new();
        setup.backends.push(Box::new(Failing(fault)));
        let response = setup.start().get("/auth?service=reg", ALICE).await;
        assert_eq!(response.status, status);
        assert_eq!(response.json()["error"], code);
        assert_eq!(response.header("retry-after"), retry_after);
        assert!(
            response.body.contains("request-1") && !response.body.contains("on purpose"),
            "{}",
            response.body
        );
    }
}

#[tokio::test]
async fn a_catalog_is_filtered_by_rules_in_memory_only() {
    let server = Setup::new().start();
    let filter = server
        .server
        .repository_filter("bob", "pull", "reg", None)
        .await
        .unwrap();
    assert!(filter.unwrap()("any"));
    assert!(
        server
            .server
            .repository_filter("unknown", "pull", "reg", None)
            .await
            .unwrap()
            .is_none()
    );
    let mut setup = Setup::new();
    setup.authorizers.push(Box::new(External));
    let server = setup.start();
    assert!(
        server
            .server
            .repository_filter("bob", "pull", "reg", None)
            .await
            .unwrap()
            .is_none()
    );
}
