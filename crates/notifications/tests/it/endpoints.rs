//! Endpoints that misbehave, and what they learn.

use std::time::Duration;

use data_encoding::HEXLOWER;
use http::HeaderValue;
use notifications::{DeliveryState, SigningSecret};
use peers::{HttpStub, StubAnswer, StubRequest};

use crate::bench::{Bench, endpoint, received, wait_for_events};
use crate::test_database::DatabaseKind;

/// What an endpoint does with the first notification before it accepts the next attempt.
async fn attempts_with(
    first: impl Fn(&StubRequest) -> StubAnswer + Send + Sync + 'static,
) -> (usize, String) {
    let stub = HttpStub::start({
        let count = std::sync::atomic::AtomicUsize::new(0);
        move |request| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => first(request),
            _ => StubAnswer::Status(200, String::new()),
        }
    });
    let mut settings = endpoint("one", &stub.url("/event"));
    settings.timeout = Duration::from_millis(300);
    let mut bench = Bench::new(DatabaseKind::Sqlite, vec![settings]);
    let running = bench.start();
    bench.push(&running.notifier, "a", "1").await;
    bench.wait_for(DeliveryState::Delivered, 1).await;
    let statistics = running.notifier.statistics().endpoints.remove(0);
    let counted = format!(
        "{} successes, {} failures, {} errors",
        statistics.successes, statistics.failures, statistics.errors
    );
    (stub.requests().len(), counted)
}

#[tokio::test]
async fn an_answer_counts_by_its_status_alone() {
    let raw = |text: &str| StubAnswer::Raw(text.as_bytes().to_vec());
    let delivered = (1, "1 successes, 0 failures, 0 errors".to_owned());
    // It closes before its body ends, sends megabytes, or accepts in other words.
    let cut = raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!(attempts_with(move |_| cut.clone()).await, delivered);
    let huge = StubAnswer::Status(200, "x".repeat(8 << 20));
    assert_eq!(attempts_with(move |_| huge.clone()).await, delivered);
    for status in [201, 202, 204, 304] {
        let accepts = move |_: &StubRequest| StubAnswer::Status(status, String::new());
        assert_eq!(attempts_with(accepts).await, delivered, "{status}");
    }
    let failed = (2, "1 successes, 1 failures, 0 errors".to_owned());
    for status in [400, 401, 404, 500, 503] {
        let refuses = move |_: &StubRequest| StubAnswer::Status(status, String::new());
        assert_eq!(attempts_with(refuses).await, failed, "{status}");
    }
    let broken = (2, "1 successes, 0 failures, 1 errors".to_owned());
    for answer in [
        raw("garbage\r\n\r\n"),
        StubAnswer::Close,
        StubAnswer::Silence,
    ] {
        let shown = format!("{answer:?}");
        assert_eq!(
            attempts_with(move |_| answer.clone()).await,
            broken,
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_followed_within_the_origin_only() {
    let redirect = |status: u16, location: &str| {
        let header = format!("Location: {location}\r\n");
        StubAnswer::WithHeaders(status, header, String::new())
    };
    let followed = (2, "1 successes, 0 failures, 0 errors".to_owned());
    for status in [307, 308] {
        let within = redirect(status, "/event/");
        assert_eq!(attempts_with(move |_| within.clone()).await, followed);
    }
    let refused = (2, "1 successes, 1 failures, 0 errors".to_owned());
    let other = HttpStub::start(|_| StubAnswer::Status(200, String::new()));
    for answer in [
        redirect(307, &other.url("/")),
        redirect(302, "/event/"),
        redirect(301, &other.url("/")),
        redirect(308, "http://[/"),
    ] {
        assert_eq!(attempts_with(move |_| answer.clone()).await, refused);
    }
    assert!(other.requests().is_empty(), "headers and events stay here");
}

#[tokio::test]
async fn a_body_is_signed_and_headers_are_sent() {
    let stub = HttpStub::start(|_| StubAnswer::Status(200, String::new()));
    let mut settings = endpoint("one", &stub.url("/"));
    for value in ["a", "b"] {
        settings
            .headers
            .append("x-two", HeaderValue::from_static(value));
    }
    settings
        .headers
        .append("authorization", HeaderValue::from_static("Bearer t"));
    let mut bench = Bench::new(DatabaseKind::Sqlite, vec![settings]);
    bench.settings.secret = Some(SigningSecret::new(b"sesame"));
    let running = bench.start();
    bench.push(&running.notifier, "a", "1").await;
    wait_for_events(&stub, 1).await;
    let request = stub.requests().remove(0);
    let values: Vec<&str> = request
        .headers
        .iter()
        .filter(|(name, _)| name == "x-two")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(values, ["a", "b"]);
    assert_eq!(request.header("authorization"), Some("Bearer t"));
    // As a receiver verifies it: `openssl dgst -sha256 -hmac sesame`.
    let mut verify = std::process::Command::new("openssl");
    let words = ["dgst", "-sha256", "-hmac", "sesame", "-binary"];
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(body.path(), &request.body).unwrap();
    let verified = verify.args(words).arg(body.path()).output().unwrap();
    let expected = format!("sha256={}", HEXLOWER.encode(&verified.stdout));
    assert_eq!(
        request.header("x-hub-signature-256"),
        Some(expected.as_str())
    );
}

#[tokio::test]
async fn an_endpoint_gets_one_request_at_a_time() {
    let stub = HttpStub::start(|_| {
        std::thread::sleep(Duration::from_millis(20));
        StubAnswer::Status(200, String::new())
    });
    let mut bench = Bench::new(DatabaseKind::Sqlite, vec![endpoint("one", &stub.url("/"))]);
    let running = bench.start();
    for number in 0..5 {
        crate::bench::pull(&running.notifier, "a", &number.to_string());
        bench
            .push(&running.notifier, "a", &format!("p{number}"))
            .await;
    }
    wait_for_events(&stub, 10).await;
    assert_eq!(stub.most_at_once(), 1);
    let received = received(&stub);
    let of = |prefix: bool| {
        let tags = received.iter().filter(|tag| tag.starts_with('p') == prefix);
        tags.cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(true), ["p0", "p1", "p2", "p3", "p4"]);
    assert_eq!(of(false), ["0", "1", "2", "3", "4"]);
}
