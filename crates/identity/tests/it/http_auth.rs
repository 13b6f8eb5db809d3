//! `http_auth` against servers, good and bad.

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use identity::http::{HttpClient, HttpClientSettings};
use identity::tls::ClientTls;
use identity::{
    AuthenticationError, AuthenticationOutcome, Authenticator, BackendFault, CredentialFingerprint,
    CurrentCredentials, HttpAuth, LoginSource, PasswordVerifier, Recheck, SourceAddress,
};
use peers::{HttpStub, Nginx, StubAnswer, StubRequest, TestCertificate, TestKeyKind};
use policy::Labels;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::support::{HeldClock, account, accounts, proof, verifier};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

fn settings(url: &str) -> HttpClientSettings {
    HttpClientSettings {
        section: "http_auth",
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        tls: ClientTls::default(),
        timeout: LONG,
        concurrency: NonZeroUsize::new(16).unwrap(),
    }
}

fn backend(settings: HttpClientSettings, clock: &Arc<HeldClock>) -> HttpAuth {
    let client = HttpClient::new(settings, clock.clone()).unwrap();
    HttpAuth::new(client, verifier(&accounts(&[])))
}

fn backend_at(url: &str) -> HttpAuth {
    backend(settings(url), &HeldClock::new())
}

/// A backend whose server always answers this.
fn answering(answer: StubAnswer) -> (HttpStub, HttpAuth) {
    let stub = HttpStub::start(move |_| answer.clone());
    let backend = backend_at(&stub.url("/login"));
    (stub, backend)
}

async fn ask(backend: &HttpAuth) -> Result<AuthenticationOutcome, AuthenticationError> {
    let source = LoginSource::new("192.0.2.7".parse().ok(), "ann");
    backend.authenticate(&proof("ann", "sesame"), &source).await
}

/// Whether the failure may pass, and its text with its causes.
async fn failure(backend: &HttpAuth) -> (BackendFault, String) {
    match ask(backend).await {
        Err(AuthenticationError::Backend(error)) => {
            let causes = std::iter::successors(Some(&error as &dyn Error), |&error| error.source());
            let causes: Vec<_> = causes.map(ToString::to_string).collect();
            let text = causes.join(": ");
            assert!(
                !text.contains("sesame") && !text.contains("TOKEN"),
                "{text}"
            );
            (error.fault, text)
        }
        other => panic!("{other:?}"),
    }
}

fn body(request: &StubRequest) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

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
        let backend = HttpAuth::new(client, verifier.clone()).rechecking(rechecks);
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
                    AuthenticationOutcome::Rejected(_) => "rejected",
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
async fn an_answer_without_end_is_cut_off() {
    let long = "x".repeat(70_000);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n",
        long.len()
    );
    for answer in [
        StubAnswer::Status(200, long),
        StubAnswer::Raw(chunked.into_bytes()),
    ] {
        let (_stub, backend) = answering(answer);
        let (fault, text) = failure(&backend).await;
        assert_eq!(fault, BackendFault::Broken);
        assert!(
            text.contains("answered with more than 65536 bytes"),
            "{text}"
        );
    }
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
async fn a_slow_server_is_not_waited_for() {
    let stub = HttpStub::start(|_| StubAnswer::Silence);
    let settings = HttpClientSettings {
        timeout: SHORT,
        ..settings(&stub.url("/login"))
    };
    let backend = backend(settings, &HeldClock::new());
    let (fault, text) = failure(&backend).await;
    assert_eq!(fault, BackendFault::Unavailable);
    assert!(text.contains("did not answer within 200ms"), "{text}");
    assert_eq!(
        stub.requests().len(),
        1,
        "what may have been read is not sent again"
    );
}

#[tokio::test]
async fn only_a_connection_is_tried_again_and_once() {
    for (answer, requests) in [
        (StubAnswer::Close, 2),
        (StubAnswer::Status(500, String::new()), 1),
        (StubAnswer::Status(503, String::new()), 1),
        (
            StubAnswer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()),
            1,
        ),
    ] {
        let (stub, backend) = answering(answer.clone());
        failure(&backend).await;
        assert_eq!(stub.requests().len(), requests, "{answer:?}");
    }
}

/// An idle connection that the server closed costs no login.
#[tokio::test]
async fn a_server_that_was_restarted_costs_no_login() {
    let accept = |_: &StubRequest| StubAnswer::Status(200, "{}".into());
    let stub = HttpStub::start(accept);
    let backend = backend_at(&stub.url("/login"));
    ask(&backend).await.unwrap();
    ask(&backend).await.unwrap();
    assert_eq!(stub.connections(), 1, "the connection is used again");
    let address = stub.address();
    drop(stub);
    let _again = HttpStub::start_at(address, accept);
    ask(&backend).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_down_is_not_asked_until_it_may_be_back() {
    let status = Arc::new(AtomicU16::new(503));
    let answer = status.clone();
    let stub =
        HttpStub::start(move |_| StubAnswer::Status(answer.load(Ordering::SeqCst), "{}".into()));
    let clock = HeldClock::new();
    let backend = backend(settings(&stub.url("/login")), &clock);
    for _ in 0..5 {
        assert!(failure(&backend).await.1.contains("answered 503"));
    }
    for _ in 0..5 {
        let (fault, text) = failure(&backend).await;
        assert_eq!(fault, BackendFault::Unavailable);
        assert!(text.contains("keeps failing"), "{text}");
    }
    assert_eq!(stub.requests().len(), 5);
    clock.pass(Duration::from_secs(1));
    assert!(failure(&backend).await.1.contains("answered 503"));
    clock.pass(Duration::from_secs(1));
    assert!(
        failure(&backend).await.1.contains("keeps failing"),
        "the pause doubles"
    );
    status.store(200, Ordering::SeqCst);
    clock.pass(Duration::from_secs(1));
    for _ in 0..3 {
        ask(&backend).await.unwrap();
    }
    assert_eq!(stub.requests().len(), 9);
}

/// A client that sends what the server cannot handle does not shut out the others.
#[tokio::test]
async fn errors_of_single_logins_do_not_open_the_circuit() {
    let (stub, backend) = answering(StubAnswer::Status(500, String::new()));
    for _ in 0..20 {
        assert!(failure(&backend).await.1.contains("answered 500"));
    }
    assert_eq!(stub.requests().len(), 20);
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable_and_one_that_is_back_is_asked() {
    let accept = |_: &StubRequest| StubAnswer::Status(200, "{}".into());
    let stub = HttpStub::start(accept);
    let (address, url) = (stub.address(), stub.url("/login"));
    drop(stub);
    let backend = backend_at(&url);
    let (fault, text) = failure(&backend).await;
    assert_eq!(fault, BackendFault::Unavailable);
    assert!(text.contains("the connection to"), "{text}");
    let _stub = HttpStub::start_at(address, accept);
    ask(&backend).await.unwrap();
}

#[tokio::test]
async fn so_many_requests_at_once_and_so_many_wait() {
    let stub = HttpStub::start(|_| {
        std::thread::sleep(Duration::from_millis(20));
        StubAnswer::Status(200, "{}".into())
    });
    let settings = HttpClientSettings {
        concurrency: NonZeroUsize::new(4).unwrap(),
        ..settings(&stub.url("/login"))
    };
    let backend = Arc::new(backend(settings, &HeldClock::new()));
    let logins: Vec<_> = (0..64)
        .map(|n| {
            let backend = backend.clone();
            tokio::spawn(async move {
                let account = n.to_string();
                let address = format!("192.0.2.{n}").parse().ok();
                let source = LoginSource::new(address, &account);
                let outcome = backend.authenticate(&proof(&account, "x"), &source).await;
                match outcome {
                    Ok(AuthenticationOutcome::Accepted(identity)) => {
                        assert_eq!(identity.subject.account, account);
                        true
                    }
                    Err(AuthenticationError::Busy(_)) => false,
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    let mut accepted = 0;
    for login in logins {
        accepted += usize::from(login.await.unwrap());
    }
    assert_eq!(accepted, 4 + 4 * 4, "the others are told to come back");
    assert!(stub.most_at_once() <= 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_place() {
    let stub = HttpStub::start(|request| match body(request)["account"].as_str() {
        Some("slow") => StubAnswer::Silence,
        _ => StubAnswer::Status(200, "{}".into()),
    });
    let settings = HttpClientSettings {
        concurrency: NonZeroUsize::MIN,
        ..settings(&stub.url("/login"))
    };
    let backend = Arc::new(backend(settings, &HeldClock::new()));
    for _ in 0..3 {
        let waiting = backend.clone();
        let gives_up = tokio::spawn(async move {
            let source = LoginSource::new(None, "slow");
            drop(waiting.authenticate(&proof("slow", "x"), &source).await);
        });
        let asked = stub.requests().len();
        while stub.requests().len() == asked {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        gives_up.abort();
        assert!(gives_up.await.unwrap_err().is_cancelled());
    }
    ask(&backend).await.unwrap();
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

/// nginx speaks TLS, and asks for a certificate.
#[tokio::test]
async fn a_server_and_this_client_know_each_other_by_certificates() {
    let stub = HttpStub::start(|_| StubAnswer::Status(200, "{}".into()));
    let directory = tempfile::tempdir().unwrap();
    let new = |name| TestCertificate::new(TestKeyKind::P256, directory.path(), name);
    let (server, client, stranger) = (new("server"), new("client"), new("stranger"));
    let nginx = Nginx::start(&format!(
        "listen @listen@ ssl; ssl_certificate {}; ssl_certificate_key {}; \
         ssl_client_certificate {}; ssl_verify_client on; \
         location / {{ proxy_pass http://{}; }}",
        server.certificate.display(),
        server.key.display(),
        client.certificate.display(),
        stub.address(),
    ));
    let read = |path: &std::path::Path| std::fs::read(path).unwrap();
    let trusting = |pair: &TestCertificate| {
        let pem = read(&pair.certificate);
        ClientTls::default().trusting(&pem).unwrap()
    };
    let showing = |tls: ClientTls, pair: &TestCertificate| {
        let (chain, key) = (read(&pair.certificate), read(&pair.key));
        tls.with_certificate(&chain, &key).unwrap()
    };
    let ask_with = async |tls: ClientTls, host: &str| {
        let settings = HttpClientSettings {
            tls,
            ..settings(&format!("https://{host}:{}/login", nginx.port()))
        };
        let backend = backend(settings, &HeldClock::new());
        match ask(&backend).await {
            Ok(AuthenticationOutcome::Accepted(_)) => "accepted".to_owned(),
            Ok(other) => panic!("{other:?}"),
            Err(_) => failure(&backend).await.1,
        }
    };
    let good = || showing(trusting(&server), &client);
    assert_eq!(ask_with(good(), "localhost").await, "accepted");
    assert_eq!(ask_with(good(), "127.0.0.1").await, "accepted");
    let before = stub.requests().len();
    for (tls, part) in [
        (trusting(&server), "answered 400"),
        (showing(trusting(&server), &stranger), "answered 400"),
        (
            showing(trusting(&stranger), &client),
            "invalid peer certificate",
        ),
        (ClientTls::default(), "invalid peer certificate"),
    ] {
        let text = ask_with(tls, "localhost").await;
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(
        stub.requests().len(),
        before,
        "no password reached the server"
    );
}
