//! HTTP/2: transfers by curl, and single streams that stop.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Method, Request};
use peers::{TestCertificate, TestKeyKind, http as curl};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{MIB, Open, content, digest};

/// Transfers of this many bytes, each in every way that curl knows.
const LARGE: usize = 48 * MIB;

#[test]
fn transfers_by_curl() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "tls");
    let tls = format!(
        ", certificate: {}, key: {}",
        pair.certificate.display(),
        pair.key.display()
    );
    for (settings, version) in [("", "--http2-prior-knowledge"), (tls.as_str(), "--http2")] {
        let open = Open::start(settings);
        let before = memory(&open, "VmRSS:");
        everything(&open, version, &folder);
        let grown = memory(&open, "VmHWM:").saturating_sub(before);
        assert!(grown < 32 << 10, "the server grew by {grown} KiB");
    }
}

/// A blob in one go, one in a chunk and its end, one without a length; each is read back.
fn everything(open: &Open, version: &str, folder: &TempDir) {
    let file = |name: &str| folder.path().join(name).display().to_string();
    let ask = |arguments: &[&str]| curl::request(&[&[version], arguments].concat());
    let begin = || {
        let answer = ask(&["-X", "POST", &open.server.url("/v2/a/blobs/uploads/")]);
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.header("location").unwrap().to_owned()
    };
    for way in 0..3_u8 {
        let content = vec![way; LARGE];
        fs::write(file("blob"), &content).unwrap();
        let digest = digest(&content);
        let whole = format!("digest={digest}");
        let made = match way {
            0 => ask(&["-T", &file("blob"), &format!("{}?{whole}", begin())]),
            1 => {
                let chunk = ask(&["-X", "PATCH", "-T", &file("blob"), &begin()]);
                assert_eq!(
                    (chunk.status, chunk.header("range")),
                    (202, Some(format!("0-{}", LARGE - 1).as_str()))
                );
                ask(&[
                    "-X",
                    "PUT",
                    &format!("{}?{whole}", chunk.header("location").unwrap()),
                ])
            }
            _ => {
                let url = format!("{}?{whole}", begin());
                let pipe = [
                    "sh",
                    "-c",
                    "cat \"$1\" | curl -sSik \"$2\" -T - \"$3\"",
                    "sh",
                    &file("blob"),
                    version,
                    &url,
                ];
                let output = peers::run(std::process::Command::new(pipe[0]).args(&pipe[1..]));
                assert!(output.succeeded().contains("HTTP/2 201"), "{output}");
                ask(&["-I", &open.server.url(&format!("/v2/a/blobs/{digest}"))])
            }
        };
        assert!(matches!(made.status, 200 | 201), "{made:?}");
        let blob = open.server.url(&format!("/v2/a/blobs/{digest}"));
        let head = ask(&["-o", &file("back"), "-D", "-", &blob]);
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some(LARGE.to_string().as_str()))
        );
        // Behind what `--include` prints.
        assert!(fs::read(file("back")).unwrap().ends_with(&content));
        fs::remove_file(file("back")).unwrap();
    }
}

/// A response over HTTP/2 says what it says over HTTP/1.1, and `HEAD` has the headers of `GET`
/// and no body.
#[test]
fn head_is_get_without_a_body() {
    let open = Open::start("");
    let blob = open.push(b"content");
    let ask = |arguments: &[&str], path: &str| {
        let answer = curl::request(&[arguments, &[&open.server.url(path)]].concat());
        let headers = [
            "content-length",
            "content-type",
            "docker-content-digest",
            "location",
        ];
        // Nothing has the length 0, whether or not that is said.
        let headers = headers.map(|name| {
            answer
                .header(name)
                .filter(|value| *value != "0")
                .map(str::to_owned)
        });
        (answer.status, headers, answer.body)
    };
    for path in [
        "/",
        "/healthz",
        "/v2",
        "/v2/",
        "/v2/_catalog",
        &blob,
        "/v2/a/tags/list",
        "/v2/a/manifests/no",
        "/no",
    ] {
        let (status, headers, body) = ask(&["--http1.1"], path);
        assert_eq!(
            ask(&["--http2-prior-knowledge"], path),
            (status, headers.clone(), body),
            "{path}"
        );
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            assert_eq!(
                ask(&["-I", version], path),
                (status, headers.clone(), String::new()),
                "{version} {path}"
            );
        }
    }
}

/// A figure of the server's memory in KiB.
fn memory(open: &Open, field: &str) -> u64 {
    let text = fs::read_to_string(
        Path::new("/proc")
            .join(open.server.id().to_string())
            .join("status"),
    )
    .unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits until the server's memory has stopped growing, and returns it in KiB.
async fn settled(open: &Open) -> u64 {
    let mut before = 0;
    loop {
        let now = memory(open, "VmRSS:");
        if now <= before {
            return now;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// How many connections over HTTP/1.1 do not read, and how many streams over HTTP/2.
const DEAF: (usize, usize) = (300, 500);

/// How much the server may grow for them, in KiB. The buffers of blobs have 128 MiB at most for so
/// many; the rest is for the connections.
const BUDGET: u64 = 192 << 10;

#[tokio::test]
async fn clients_that_do_not_read_share_a_budget() {
    let open = Open::start("");
    let blob = open.push(&content(16 * MIB));
    let before = settled(&open).await;
    let mut streams = Vec::new();
    for _ in 0..DEAF.0 {
        let mut stream = TcpStream::connect(open.server.host_port()).await.unwrap();
        let request = format!("GET {blob} HTTP/1.1\r\nHost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    let http1 = settled(&open).await;
    let (mut clients, mut bodies) = (Vec::new(), Vec::new());
    for _ in 0..DEAF.1 / 100 {
        let mut client = Client::connect(&open).await;
        for _ in 0..100 {
            let (status, body) = client.get(&blob).await;
            assert_eq!(status, 200);
            bodies.push(body);
        }
        clients.push(client);
    }
    let both = settled(&open).await;
    println!("KiB: {before} before, {http1} with HTTP/1.1, {both} with HTTP/2, too");
    let grown = both.saturating_sub(before);
    assert!(grown < BUDGET, "the server grew by {grown} KiB");
    // A client that reads is served meanwhile.
    let mut client = Client::connect(&open).await;
    let (status, mut body) = client.get(&blob).await;
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap().len();
        length += piece;
        body.flow_control().release_capacity(piece).unwrap();
    }
    assert_eq!((status, length), (200, 16 * MIB));
}

/// A connection whose streams a test moves by hand.
struct Client(SendRequest<Bytes>);

impl Client {
    async fn connect(open: &Open) -> Self {
        let stream = TcpStream::connect(open.server.host_port()).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    /// Sends the head of a request; with `has_body` the body is still to come.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        has_body: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://test{path}"))
            .body(())
            .unwrap();
        let mut ready = self.0.clone().ready().await.unwrap();
        ready.send_request(request, !has_body).unwrap()
    }

    async fn get(&mut self, path: &str) -> (u16, RecvStream) {
        let (answer, _) = self.send(Method::GET, path, false).await;
        let answer = answer.await.unwrap();
        (answer.status().as_u16(), answer.into_body())
    }
}

#[tokio::test]
async fn a_stream_that_is_not_read_ends_and_the_others_go_on() {
    let open = Open::start(", limits: {idle_timeout: 1s}");
    let blob = open.push(&content(4 * MIB));
    let mut client = Client::connect(&open).await;
    // What a client may be sent unasked is 65,535 bytes (RFC 9113 §6.9.2), and this one never asks
    // for more.
    let (status, mut deaf) = client.get(&blob).await;
    assert_eq!(status, 200);
    let deaf = tokio::spawn(async move {
        loop {
            match deaf.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.reason(),
                None => panic!("it came to its end"),
            }
        }
    });
    let mut others = 0;
    while !deaf.is_finished() {
        assert_eq!(client.get("/v2/").await.0, 200);
        others += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(deaf.await.unwrap(), Some(h2::Reason::CANCEL));
    assert!(others > 1, "the connection was in use all the time");
    assert_eq!(client.get("/v2/").await.0, 200);
}

#[tokio::test]
async fn a_stream_that_stops_or_drips_is_told_and_its_upload_kept() {
    let open = Open::start(", limits: {request_timeout: 1s}");
    let mut client = Client::connect(&open).await;
    for drips in [false, true] {
        let (content, upload) = (content(MIB), open.begin());
        let (answer, mut body) = client.send(Method::PATCH, &upload, true).await;
        body.send_data(Bytes::copy_from_slice(&content[..1000]), false)
            .unwrap();
        let answer = tokio::spawn(answer);
        let mut sent = 1000;
        while !answer.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if drips
                && body
                    .send_data(Bytes::copy_from_slice(&content[sent..=sent]), false)
                    .is_ok()
            {
                sent += 1;
            }
        }
        assert_eq!(answer.await.unwrap().unwrap().status(), 408);
        let received = open.received(&upload);
        assert!((1000..=sent).contains(&received), "{received} of {sent}");
        open.go_on(&upload, &content);
    }
}

/// As much as the server may have to keep: what it lets a stream send before it has read it.
const WINDOW: usize = 2 * MIB;

#[tokio::test]
async fn what_cannot_be_written_yet_is_not_taken_in() {
    let open = Open::start("");
    let upload = open.begin();
    let mut client = Client::connect(&open).await;
    // The first request has the upload and stops; the second waits for it, and its body must wait
    // with the client.
    let (_first, mut first) = client.send(Method::PATCH, &upload, true).await;
    first
        .send_data(Bytes::from_static(b"content"), false)
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (answer, mut second) = client.send(Method::PATCH, &upload, true).await;
    let mut sent = 0;
    loop {
        second.reserve_capacity(MIB);
        let room = tokio::time::timeout(
            Duration::from_millis(500),
            std::future::poll_fn(|c| second.poll_capacity(c)),
        );
        let Ok(Some(Ok(room))) = room.await else {
            break;
        };
        second.send_data(Bytes::from(vec![0; room]), false).unwrap();
        sent += room;
        assert!(sent <= WINDOW, "{sent} bytes were taken in");
    }
    assert!(
        sent > 65_535,
        "an upload that is read has a larger window than the usual one"
    );
    assert_eq!(answer.await.unwrap().status(), 429);
}
