//! A request that is refused before its body was read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use peers::{Server, TestCertificate, TestKeyKind, http};

use super::{Both, PROGRAM};
use crate::wire::Connection;

/// Sends a request that the server refuses before it has read the body, all of it before reading
/// the response, as many clients do.
fn refused_early<S: Read + Write>(mut stream: S, head: &str, length: usize) -> String {
    let head = format!("{head}\r\nHost: test\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let piece = [b'x'; 64 << 10];
    let mut left = length;
    while left > 0 {
        let piece = &piece[..left.min(piece.len())];
        stream.write_all(piece).unwrap();
        left -= piece.len();
    }
    let mut response = [0; 64];
    let read = stream.read(&mut response).unwrap();
    String::from_utf8_lossy(&response[..read]).into_owned()
}

#[test]
fn an_early_refusal_reaches_a_client_that_still_sends() {
    let both = Both::start(", real_ip_header: X-Forwarded-For", "[]");
    let tcp = || TcpStream::connect(both.server.host_port()).unwrap();
    let form = "Content-Type: application/x-www-form-urlencoded";
    for (head, status) in [
        ("POST /nowhere HTTP/1.1".to_owned(), "404"),
        ("PUT /auth HTTP/1.1".to_owned(), "405"),
        (
            format!("POST /auth HTTP/1.1\r\nX-Forwarded-For: junk\r\n{form}"),
            "400",
        ),
        (
            format!("POST /auth HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4\r\n{form}"),
            "413",
        ),
        ("PATCH /v2/a/blobs/uploads/x HTTP/1.1".to_owned(), "404"),
        ("PUT /v2/a/manifests/x HTTP/1.1".to_owned(), "401"),
    ] {
        for length in [1, 200 << 10, 4 << 20, 100 << 20] {
            if status == "413" && length == 1 {
                continue;
            }
            let response = refused_early(tcp(), &head, length);
            let expected = format!("HTTP/1.1 {status}");
            assert!(response.starts_with(&expected), "{head}: {response}");
        }
    }
}

/// With and without waiting for permission to send, and without a length.
#[test]
fn curl_reads_an_early_refusal_of_a_hundred_megabytes() {
    let both = Both::start("", "[]");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    let url = both.server.url("/v2/a/blobs/uploads/x");
    let file = file.to_str().unwrap();
    for header in [
        "Expect:",
        "Expect: 100-continue",
        "Transfer-Encoding: chunked",
    ] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let answer = http::request(&[version, "-X", "PATCH", "-H", header, "-T", file, &url]);
            assert_eq!(answer.status, 404, "{header} {version}");
        }
    }
}

#[test]
fn a_connection_lives_on_after_a_short_body_that_was_refused() {
    let both = Both::start("", "[]");
    let mut connection = Connection::open(&both.server.host_port());
    let body = "x".repeat(100 << 10);
    for _ in 0..3 {
        let answer = connection.request("PATCH", "/v2/a/blobs/uploads/x", &[], Some(&body));
        assert_eq!((answer.status, answer.header("connection")), (404, None));
    }
    let body = "x".repeat(2 << 20);
    let answer = connection.request("PATCH", "/v2/a/blobs/uploads/x", &[], Some(&body));
    assert_eq!(
        (answer.status, answer.header("connection")),
        (404, Some("close"))
    );
    assert!(connection.is_ended());
}

#[test]
fn a_unix_socket_s_client_gets_early_refusals_too() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("w.sock");
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let config = format!(
        "server: {{addr: [\"@addr@\", \"{socket}\"], trusted_proxies: []}}\n\
         token: {{issuer: i, expiration: 900, certificate: {certificate}, key: {key}}}\n\
         users: {{\"\": {{}}}}\nacl: []\n",
        socket = socket.display(),
        certificate = pair.certificate.display(),
        key = pair.key.display(),
    );
    let _server = Server::start(Path::new(PROGRAM), &config);
    for (head, status) in [
        ("POST /nowhere HTTP/1.1", "404"),
        ("POST /auth HTTP/1.1\r\nX-Forwarded-For: junk", "400"),
    ] {
        for length in [1, 200 << 10, 4 << 20, 100 << 20] {
            let stream = UnixStream::connect(&socket).unwrap();
            let response = refused_early(stream, head, length);
            let expected = format!("HTTP/1.1 {status}");
            assert!(response.starts_with(&expected), "{head}: {response}");
        }
    }
}
