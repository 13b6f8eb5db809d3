//! The registry over real connections: lengths, bodies without a length, permission to send, and
//! what changes with the configuration.

use std::path::Path;

use peers::Server;
use tempfile::TempDir;

use crate::wire::{Answer, Connection};

struct Open {
    server: Server,
    folder: TempDir,
}

fn config(folder: &TempDir, more: &str) -> String {
    let root = folder.path().display();
    format!(
        "server: {{addr: \"@addr@\"}}\nregistry:\n  auth: {{none: true}}\n  storage: {{filesystem: {{root: \"{root}\"}}{more}}}\n"
    )
}

impl Open {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(
            Path::new(env!("CARGO_BIN_EXE_wharfinger")),
            &config(&folder, ""),
        );
        Self { server, folder }
    }

    /// Sends these bytes over a new connection and reads one answer.
    fn raw(&self, bytes: &[u8]) -> Answer {
        let mut connection = Connection::open(&self.server.host_port());
        connection.send(bytes).unwrap();
        connection.answer(false).unwrap()
    }

    fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        Connection::open(&self.server.host_port()).request(method, url, headers, None)
    }

    /// The path of a new upload.
    fn begin(&self) -> String {
        let answer = self.ask("POST", "/v2/a/blobs/uploads/", &[("Content-Length", "0")]);
        assert_eq!(
            (answer.status, answer.header("content-length")),
            (202, Some("0"))
        );
        answer
            .header("location")
            .unwrap()
            .strip_prefix("http://test")
            .unwrap()
            .to_owned()
    }
}

/// Pushes the text `hello` and returns its path.
fn push_text(open: &Open) -> String {
    let location = open.begin();
    let chunked = format!(
        "PATCH {location} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    );
    let answer = open.raw(chunked.as_bytes());
    assert_eq!(
        (answer.status, answer.header("range")),
        (202, Some("0-4")),
        "{}",
        answer.body
    );
    // For a wrong digest, the server responds with the right one; that ends the upload.
    let wrong = open.ask(
        "PUT",
        &format!("{location}?digest=sha256:{}", "0".repeat(64)),
        &[("Content-Length", "0")],
    );
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    let start = wrong.body.find("sha256:").unwrap();
    let digest = wrong.body[start..start + 71].to_owned();
    let whole = format!(
        "POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello"
    );
    assert_eq!(open.raw(whole.as_bytes()).status, 201);
    format!("/v2/a/blobs/{digest}")
}

#[test]
fn lengths_are_those_of_what_is_sent() {
    let open = Open::start();
    let blob = push_text(&open);
    let head = open.ask("HEAD", &blob, &[]);
    assert_eq!(
        (
            head.status,
            head.header("content-length"),
            head.body.as_str()
        ),
        (200, Some("5"), "")
    );
    let part = open.ask("GET", &blob, &[("Range", "bytes=1-2")]);
    assert_eq!(
        (
            part.status,
            part.header("content-length"),
            part.body.as_str()
        ),
        (206, Some("2"), "el")
    );
    let none = open.ask("GET", &blob, &[("Range", "bytes=9-")]);
    let own = none.body.len().to_string();
    assert_eq!(
        (none.status, none.header("content-length")),
        (416, Some(own.as_str())),
        "its own body's length"
    );
    let missing = open.ask("HEAD", "/v2/a/manifests/never", &[]);
    assert_eq!((missing.status, missing.body.as_str()), (404, ""));
    // One connection serves one request after another, refused ones included.
    let mut connection = Connection::open(&open.server.host_port());
    for _ in 0..3 {
        assert_eq!(
            connection
                .request("GET", "/v2/a/manifests/never", &[], None)
                .status,
            404
        );
        assert_eq!(connection.request("GET", &blob, &[], None).body, "hello");
    }
}

#[test]
fn who_asks_before_sending_is_told() {
    let open = Open::start();
    let refused = "PATCH /v2/a/blobs/uploads/junk HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(open.raw(refused.as_bytes()).status, 404);
    let location = open.begin();
    let mut connection = Connection::open(&open.server.host_port());
    let asked = format!(
        "PATCH {location} HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    );
    connection.send(asked.as_bytes()).unwrap();
    assert_eq!(connection.answer(false).unwrap().status, 100);
    connection.send(b"hello").unwrap();
    assert_eq!(connection.answer(false).unwrap().status, 202);
}

#[test]
fn who_sends_everything_first_hears_no_all_the_same() {
    let open = Open::start();
    let mut request =
        b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: test\r\nContent-Length: 8388608\r\n\r\n".to_vec();
    request.resize(request.len() + (8 << 20), b'x');
    assert_eq!(open.raw(&request).status, 413);
}

#[test]
fn a_body_with_another_coding_is_refused_and_the_connection_closed() {
    let open = Open::start();
    let location = open.begin();
    let mut connection = Connection::open(&open.server.host_port());
    let request = format!(
        "PATCH {location} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    connection.send(request.as_bytes()).unwrap();
    let answer = connection.answer(false).unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (501, Some("close"))
    );
    assert!(connection.is_ended());
    assert_eq!(open.ask("GET", &location, &[]).header("range"), Some("0-0"));
}

#[test]
fn maintenance_begins_without_a_restart() {
    let mut open = Open::start();
    let blob = push_text(&open);
    open.server
        .rewrite(&config(&open.folder, ", maintenance: {readonly: true}"));
    open.server.hang_up();
    open.server.wait_for_log("configuration reloaded");
    assert_eq!(
        open.ask("POST", "/v2/a/blobs/uploads/", &[("Content-Length", "0")])
            .status,
        405
    );
    assert_eq!(open.ask("GET", &blob, &[]).body, "hello");
    // Another folder needs a restart, and that is said.
    let elsewhere = tempfile::tempdir().unwrap();
    open.server.rewrite(&config(&elsewhere, ""));
    open.server.hang_up();
    open.server.wait_for_log(
        "registry.storage.filesystem.root has changed: restart the server to apply it",
    );
    assert_eq!(open.ask("GET", &blob, &[]).body, "hello");
}
