//! Clients over HTTP/1.1 that stop, or nearly.

use std::thread;
use std::time::Duration;

use super::{MIB, Open, content, head};

/// The shortest that can be configured.
const IMPATIENT: &str = ", limits: {request_timeout: 1s}";

#[test]
fn an_upload_that_stops_is_told_and_kept() {
    let open = Open::start(IMPATIENT);
    let (content, upload) = (content(3 * MIB), open.begin());
    let mut connection = open.connect();
    connection
        .send(head("PATCH", &upload, content.len()).as_bytes())
        .unwrap();
    connection.send(&content[..MIB + 1]).unwrap();
    let answer = connection.answer(false).unwrap();
    assert_eq!(
        (
            answer.status,
            answer.json()["errors"][0]["message"].as_str()
        ),
        (408, Some("the body stopped arriving"))
    );
    assert!(
        connection.is_ended(),
        "what still arrives cannot be distinguished from a new request"
    );
    assert_eq!(open.received(&upload), MIB + 1, "all that came is kept");
    open.go_on(&upload, &content);
}

#[test]
fn an_upload_that_drips_is_told_and_kept() {
    let open = Open::start(IMPATIENT);
    let (content, upload) = (content(MIB), open.begin());
    let mut connection = open.connect();
    connection
        .send(
            head(
                "PUT",
                &format!("{upload}?digest={}", super::digest(&content)),
                MIB,
            )
            .as_bytes(),
        )
        .unwrap();
    // Never silent for as long as a body may stop; it ends when the server has closed the connection.
    let mut sent = 0;
    while sent < 1000 && connection.send(&content[sent..=sent]).is_ok() {
        sent += 1;
        thread::sleep(Duration::from_millis(50));
    }
    assert!(sent < 1000, "{sent} bytes were waited for");
    let received = open.received(&upload);
    assert!((1..=sent).contains(&received), "{received} of {sent}");
    open.go_on(&upload, &content);
}

#[test]
fn a_manifest_that_stops_is_told() {
    let open = Open::start(IMPATIENT);
    let mut connection = open.connect();
    connection
        .send(head("PUT", "/v2/a/manifests/1", 1000).as_bytes())
        .unwrap();
    connection.send(b"{").unwrap();
    assert_eq!(connection.answer(false).unwrap().status, 408);
}

#[test]
fn who_stops_reading_loses_the_connection() {
    let open = Open::start(", limits: {idle_timeout: 1s, connections: 1}");
    let blob = open.push(&content(64 * MIB));
    let mut deaf = open.connect();
    deaf.send(format!("GET {blob} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
        .unwrap();
    // There is room for one connection, so the next is answered when the first was given up.
    assert_eq!(open.ask("GET", "/v2/", &[]).status, 200);
    assert!(deaf.answer(false).is_err(), "the rest never comes");
}
