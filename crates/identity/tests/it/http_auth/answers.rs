//! What each answer of a server means.

use std::sync::Arc;

use identity::http::{HttpClient, HttpClientSettings};
use identity::{
    AuthenticationOutcome, Authenticator, BackendFault, CredentialFingerprint, CurrentCredentials,
    ExternalBackend, LoginSource, PasswordVerifier, Recheck, SourceAddress,
};
use peers::{HttpStub, StubAnswer, StubRequest};
use policy::Labels;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::{answering, ask, backend, backend_at, body, failure, settings};
use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::support::{HeldClock, account, accounts, proof, verifier};

/// The accounts of the conformance suite.
fn accounts_of_the_suite(request: &StubRequest) -> StubAnswer {
    let question = body(request);
    let known = matches!(question["account"].as_str(), Some("ann" | "bob"));
    let accepted = question["account"] == "ann" && question["password"] == "sesame";
    let is_recheck = question["recheck"] == true;
    let (status, answer) = match (known, accepted || is_recheck) {
        (false, _) => (404, ""),
        (true, false) => (401, ""),
        (true, true) => (200, r#"{"labels": {"team": ["red", "blue"]}}"#),
    };
    StubAnswer::Status(status, answer.to_owned())
}

#[tokio::test]
async fn http_auth_conforms_with_and_without_rechecks() {
    let stub = HttpStub::start(accounts_of_the_suite);
    let verifier: Arc<PasswordVerifier> = verifier(&accounts(&[("other", account(&[("x", 5)]))]));
    for rechecks in [false, true] {
        let client = HttpClient::new(settings(&stub.url("/login")), HeldClock::new()).unwrap();
        let backend = ExternalBackend::http_auth(client, verifier.clone()).rechecking(rechecks);
        Subject {
            backend: &backend,
            verifier: &verifier,
            labels: Labels::from([("team".into(), vec!["red".into(), "blue".into()])]),
            matching: NameMatching::Exact,
            empty_password: EmptyPassword::Rejected,
        }
        .conforms()
        .await;
    }
    assert!(
        stub.requests()
            .iter()
            .all(|request| body(request)["account"] != ""),
        "an anonymous client costs no request"
    );
}

#[tokio::test]
async fn the_question_has_name_password_and_address() {
    let stub = HttpStub::start(|_| StubAnswer::Status(404, String::new()));
    let mut settings = settings(&stub.url("/login?tenant=1"));
    let token = HeaderValue::from_static("Bearer TOKEN");
    settings.headers.insert(AUTHORIZATION, token);
    let backend = backend(settings, &HeldClock::new());
    let proof = proof("a \"b\"\n", "päß");
    for (address, expected) in [
        (
            SourceAddress::from("2001:db8::1:2".parse().ok()),
            Some("2001:db8::1:2"),
        ),
        (SourceAddress::shared("192.0.2.1".parse().ok()), None),
    ] {
        let source = LoginSource::new(address, "a");
        backend.authenticate(&proof, &source).await.unwrap();
        let requests = stub.requests();
        let request = requests.last().unwrap();
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", "/login?tenant=1")
        );
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("authorization"), Some("Bearer TOKEN"));
        let question = body(request);
        assert_eq!(question["account"], "a \"b\"\n");
        assert_eq!(question["password"], "päß");
        assert_eq!(question["address"].as_str(), expected);
    }
}

/// What each answer means. A status that is no answer fails the login, and no other backend is asked.
#[tokio::test]
async fn every_answer_has_its_outcome() {
    use BackendFault::{Broken, Unavailable};
    let status = |status, body: &str| StubAnswer::Status(status, body.to_owned());
    for (answer, expected) in [
        (status(200, "{}"), Ok("accepted")),
        (
            status(200, r#" {"labels": null, "more": 1}"#),
            Ok("accepted"),
        ),
        (status(401, "sesame"), Ok("rejected")),
        (status(403, "{}"), Ok("rejected")),
        (status(404, "<html>"), Ok("no match")),
        (
            status(200, ""),
            Err((Broken, "its answer is wrong at line 1, column 1")),
        ),
        (
            status(200, "<html>sesame</html>"),
            Err((Broken, "its answer is wrong")),
        ),
        (
            status(200, "[null,null,null]"),
            Err((Broken, "its answer is wrong")),
        ),
        (
            status(200, "{\"labels\":\n{\"a\":\"sesame\"}}"),
            Err((Broken, "line 2, column 13")),
        ),
        (
            status(200, r#"{"account": ""}"#),
            Err((Broken, "an `account` that is empty")),
        ),
        (status(201, "{}"), Err((Broken, "answered 201"))),
        (status(204, ""), Err((Broken, "answered 204"))),
        (status(301, ""), Err((Broken, "redirects are not followed"))),
        (
            status(400, "sesame"),
            Err((Broken, "answered 400, not 200 (accept)")),
        ),
        (status(500, "sesame"), Err((Broken, "answered 500"))),
        (status(429, ""), Err((Unavailable, "answered 429"))),
        (status(502, ""), Err((Unavailable, "answered 502"))),
        (status(503, ""), Err((Unavailable, "answered 503"))),
        (status(504, ""), Err((Unavailable, "answered 504"))),
        (StubAnswer::Close, Err((Unavailable, "the connection to"))),
        (
            StubAnswer::Raw(b"SSH-2.0-x\r\n".to_vec()),
            Err((Unavailable, "the connection to")),
        ),
        (
            StubAnswer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()),
            Err((Unavailable, "the connection to")),
        ),
    ] {
        let (_stub, backend) = answering(answer.clone());
        match expected {
            Ok(word) => {
                let outcome = match ask(&backend).await.unwrap() {
                    AuthenticationOutcome::Accepted(_) => "accepted",
                    AuthenticationOutcome::Rejected(_) | AuthenticationOutcome::TokenRefused(_) => {
                        "rejected"
                    }
                    AuthenticationOutcome::NoMatch => "no match",
                };
                assert_eq!(outcome, word, "{answer:?}");
            }
            Err((fault, part)) => {
                let (found, text) = failure(&backend).await;
                assert!(
                    found == fault && text.contains(part),
                    "{answer:?}: {found:?} {text}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_never_carries_the_password_away() {
    let other = HttpStub::start(|_| StubAnswer::Status(200, "{}".into()));
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}\r\n", other.url("/"));
        let (_stub, backend) = answering(StubAnswer::WithHeaders(status, location, String::new()));
        assert_eq!(failure(&backend).await.0, BackendFault::Broken);
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_refused_token_is_not_a_wrong_password() {
    let challenge = |scheme: &str| {
        let field = format!("WWW-Authenticate: {scheme} realm=\"x\"\r\n");
        StubAnswer::WithHeaders(401, field, String::new())
    };
    let token = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer TOKEN"))]);
    for (scheme, headers, is_refused) in [
        ("Bearer", token.clone(), true),
        ("bearer", token.clone(), true),
        ("Basic", token, false),
        ("Bearer", HeaderMap::new(), false),
    ] {
        let answer = challenge(scheme);
        let stub = HttpStub::start(move |_| answer.clone());
        let settings = HttpClientSettings {
            headers,
            ..settings(&stub.url("/login"))
        };
        let backend = backend(settings, &HeldClock::new());
        if is_refused {
            let (fault, text) = failure(&backend).await;
            assert_eq!(fault, BackendFault::Broken);
            assert!(
                text.contains("refuses the token of the configuration"),
                "{text}"
            );
        } else {
            let outcome = ask(&backend).await.unwrap();
            assert!(matches!(outcome, AuthenticationOutcome::Rejected(_)));
        }
    }
}

#[tokio::test]
async fn a_recheck_asks_without_a_password_and_only_if_configured() {
    let stub = HttpStub::start(|request| {
        let question = body(request);
        assert!(question.get("password").is_none() && question["recheck"] == true);
        match question["account"].as_str() {
            Some("ann") => StubAnswer::Status(200, r#"{"labels": {"team": ["red"]}}"#.into()),
            Some("stamped") => StubAnswer::Status(200, r#"{"credential": "7"}"#.into()),
            Some("locked") => StubAnswer::Status(403, String::new()),
            Some("broken") => StubAnswer::Status(500, String::new()),
            _ => StubAnswer::Status(404, String::new()),
        }
    });
    let silent = backend_at(&stub.url("/login"));
    assert_eq!(silent.recheck("ann").await.unwrap(), Recheck::Unknown);
    assert_eq!(stub.requests().len(), 0);
    let backend = backend_at(&stub.url("/login")).rechecking(true);
    let Recheck::Present {
        subject,
        credentials,
    } = backend.recheck("ann").await.unwrap()
    else {
        panic!("ann is gone")
    };
    assert_eq!(subject.labels["team"], ["red"]);
    assert_eq!(credentials, CurrentCredentials::Unknown);
    let Recheck::Present { credentials, .. } = backend.recheck("stamped").await.unwrap() else {
        panic!("gone")
    };
    let stamp = CredentialFingerprint::of("7");
    assert_eq!(credentials, CurrentCredentials::Known(vec![stamp]));
    assert_eq!(backend.recheck("locked").await.unwrap(), Recheck::NoMatch);
    assert_eq!(backend.recheck("unknown").await.unwrap(), Recheck::NoMatch);
    assert_eq!(backend.recheck("").await.unwrap(), Recheck::NoMatch);
    assert!(backend.recheck("broken").await.is_err());
}

#[tokio::test]
async fn a_probe_says_what_it_found_and_refuses_a_server_that_accepts_all() {
    for (status, expected) in [
        (404, Ok("does not know an empty name")),
        (401, Ok("rejects an empty name")),
        (403, Ok("rejects an empty name")),
        (400, Ok("refuses an empty name (400)")),
        (422, Ok("refuses an empty name (422)")),
        (200, Err("lets everyone in")),
        (302, Err("redirects are not followed")),
        (500, Err("answered 500")),
        (503, Err("answered 503")),
    ] {
        let (stub, backend) = answering(StubAnswer::Status(status, "{}".into()));
        let found = backend.probe().await;
        let question = body(&stub.requests()[0]);
        assert_eq!(
            (&question["account"], &question["password"]),
            (&"".into(), &"".into())
        );
        match (found, expected) {
            (Ok(found), Ok(part)) => {
                let found = found.unwrap();
                assert!(
                    found.contains(part) && found.contains(&stub.url("/login")),
                    "{found}"
                );
            }
            (Err(error), Err(part)) => {
                let text = error.source.to_string();
                assert!(text.contains(part), "{text}");
            }
            (found, _) => panic!("{status}: {found:?}"),
        }
    }
}
