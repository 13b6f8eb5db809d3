//! The end of the server while something large is under way.

use std::net::TcpStream;

use super::{MIB, Open, content, digest, head};
use crate::wire::Connection;

/// The head of a `GET` is sent, and nothing read yet.
fn slow_download(open: &Open, blob: &str) -> Connection {
    let mut connection = open.connect();
    connection
        .send(format!("GET {blob} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
        .unwrap();
    connection
}

/// The first half of an upload is sent.
fn slow_upload(open: &Open, upload: &str, content: &[u8]) -> Connection {
    let mut connection = open.connect();
    let head = head(
        "PUT",
        &format!("{upload}?digest={}", digest(content)),
        content.len(),
    );
    connection.send(head.as_bytes()).unwrap();
    connection.send(&content[..content.len() / 2]).unwrap();
    connection
}

#[test]
fn the_end_waits_for_transfers_under_way() {
    let mut open = Open::start(", limits: {shutdown_timeout: 1m}");
    let (large, content, upload) = (
        "0123456789abcdef".repeat(4 * MIB).into_bytes(),
        content(9 * MIB),
        open.begin(),
    );
    let mut download = slow_download(&open, &open.push(&large));
    let mut uploading = slow_upload(&open, &upload, &content);
    open.server.signal_end();
    open.server.wait_for_log("shutting down");
    assert!(
        TcpStream::connect(open.server.host_port()).is_err(),
        "a new connection is refused"
    );
    uploading.send(&content[content.len() / 2..]).unwrap();
    assert_eq!(uploading.answer(false).unwrap().status, 201);
    assert!(uploading.is_ended(), "no further request is taken");
    let answer = download.answer(false).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, large.len()));
    assert!(open.server.terminate().success());
    assert!(
        !open.server.log().contains("aborted"),
        "{}",
        open.server.log()
    );
    let again = Open::again(open.folder, "");
    assert_eq!(
        again
            .ask("HEAD", &format!("/v2/a/blobs/{}", digest(&content)), &[])
            .status,
        200
    );
}

#[test]
fn what_is_cut_off_at_the_end_goes_on_at_the_next_start() {
    for (settings, signals) in [(", limits: {shutdown_timeout: 1s}", 1), ("", 2)] {
        let mut open = Open::start(settings);
        let (content, upload) = (content(4 * MIB), open.begin());
        let mut connection = open.connect();
        connection
            .send(head("PATCH", &upload, MIB).as_bytes())
            .unwrap();
        connection.send(&content[..MIB]).unwrap();
        assert_eq!(connection.answer(false).unwrap().status, 202);
        let mut uploading = slow_upload(&open, &upload, &content[MIB..]);
        open.server.signal_end();
        open.server.wait_for_log("shutting down");
        if signals == 2 {
            open.server.signal_end();
        }
        assert!(open.server.wait().success(), "{}", open.server.log());
        assert!(
            open.server.log().contains("aborted"),
            "{}",
            open.server.log()
        );
        assert!(uploading.answer(false).is_err());
        let again = Open::again(open.folder, "");
        assert_eq!(again.received(&upload), MIB, "what was acknowledged");
        again.go_on(&upload, &content);
    }
}
