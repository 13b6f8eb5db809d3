//! Servers that are slow, away, back, full or of another identity.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use identity::http::HttpClientSettings;
use identity::tls::ClientTls;
use identity::{
    AuthenticationError, AuthenticationOutcome, Authenticator, BackendFault, LoginSource,
};
use peers::{HttpStub, Nginx, StubAnswer, StubRequest, TestCertificate, TestKeyKind};

use super::{answering, ask, backend, backend_at, body, failure, settings};
use crate::support::{HeldClock, proof};

const SHORT: Duration = Duration::from_millis(200);

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
    let address = stub.stop();
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
    let url = stub.url("/login");
    let address = stub.stop();
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
