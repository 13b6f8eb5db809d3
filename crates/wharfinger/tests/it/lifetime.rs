//! How connections and the server itself begin and end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use h2::client::ResponseFuture;
use peers::{Server, TestCertificate, TestKeyKind, wait_until};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::wire::Connection;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const BOB: [(&str, &str); 1] = [("Authorization", "Basic Ym9iOnNlY3JldA==")];

/// A configuration with an anonymous user, `limits`, and a program that accepts every login once the
/// file `go` is there.
fn config(folder: &TempDir, limits: &str) -> String {
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let [script, go, began] = ["auth.sh", "go", "began"].map(|name| folder.path().join(name));
    let text = format!(
        "#!/bin/sh\ncat > /dev/null\ntouch {}\nwhile [ ! -e {} ]; do sleep 0.02; done\n",
        began.display(),
        go.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    format!(
        "server: {{addr: '@addr@', limits: {limits}}}\ntoken: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         users: {{'': {{}}}}\nacl: [{{match: {{}}, actions: [pull]}}]\next_auth: {{command: {}}}\n",
        pair.certificate.display(),
        pair.key.display(),
        script.display()
    )
}

/// The same with TLS, and a log of everything.
fn tls_config(folder: &TempDir) -> String {
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "tls");
    let tls = format!(
        "server: {{log: {{level: debug}}, certificate: {}, key: {}, ",
        pair.certificate.display(),
        pair.key.display()
    );
    config(folder, "{}").replace("server: {", &tls)
}

#[test]
fn connections_wait_for_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Path::new(PROGRAM), &config(&folder, "{connections: 2}"));
    let address = server.host_port();
    let mut inside = [Connection::open(&address), Connection::open(&address)];
    for connection in &mut inside {
        assert_eq!(connection.request("GET", "/auth", &[], None).status, 200);
    }
    let (answered, answer) = mpsc::channel();
    let third = std::thread::spawn(move || {
        let status = Connection::open(&address)
            .request("GET", "/auth", &[], None)
            .status;
        answered.send(status).unwrap();
    });
    assert!(
        answer.recv_timeout(Duration::from_millis(300)).is_err(),
        "there is no room for a third"
    );
    server.wait_for_log("as many connections are open as server.limits.connections allows");
    drop(inside);
    assert_eq!(answer.recv_timeout(Duration::from_secs(30)), Ok(200));
    third.join().unwrap();
}

#[test]
fn the_end_waits_for_answers_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Path::new(PROGRAM), &config(&folder, "{}"));
    let address = server.host_port();
    let mut idle = Connection::open(&address);
    assert_eq!(idle.request("GET", "/auth", &[], None).status, 200);
    let waiting =
        std::thread::spawn(move || Connection::open(&address).request("GET", "/auth", &BOB, None));
    wait_until(|| folder.path().join("began").exists());
    server.signal_end();
    server.wait_for_log("shutting down");
    assert!(
        idle.is_ended(),
        "a connection with nothing under way is closed at once"
    );
    assert!(
        std::net::TcpStream::connect(server.host_port()).is_err(),
        "a new connection is refused"
    );
    fs::write(folder.path().join("go"), "").unwrap();
    let answer = waiting.join().unwrap();
    assert_eq!(
        (answer.status, answer.claims()["sub"].as_str()),
        (200, Some("bob"))
    );
    assert!(server.terminate().success(), "{}", server.log());
}

/// The server goes on for a while, and says that it is not to get more.
#[test]
fn a_server_that_drains_says_so_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let draining = |time: &str| {
        let server = format!("server: {{drain: {time}, ");
        config(&folder, "{}").replace("server: {", &server)
    };
    let mut server = Server::start(Path::new(PROGRAM), &draining("1h"));
    let address = server.host_port();
    let mut open = Connection::open(&address);
    let ready = open.request("GET", "/readyz", &[], None);
    assert_eq!(ready.status, 200);
    assert_eq!(
        ready.body,
        "{\"ready\":true,\"draining\":false,\"checks\":[]}\n"
    );
    assert_eq!(ready.header("content-type"), Some("application/json"));
    server.signal_end();
    server.wait_for_log("draining");
    let answer = open.request("GET", "/auth?service=s", &[], None);
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    let get = |path| Connection::open(&address).request("GET", path, &[], None);
    let ready = get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.body,
        "{\"ready\":false,\"draining\":true,\"checks\":[]}\n"
    );
    assert_eq!(get("/livez").status, 200);
    // A second signal waits for nothing.
    assert!(server.terminate().success(), "{}", server.log());
    assert!(server.log().contains("stopped at once"), "{}", server.log());

    let mut server = Server::start(Path::new(PROGRAM), &draining("1s"));
    assert!(server.terminate().success(), "{}", server.log());
    assert!(server.log().contains("draining"), "{}", server.log());
    assert!(!server.log().contains("at once"), "{}", server.log());
}

/// One request over HTTP/2.
async fn http2_status(
    send: &mut h2::client::SendRequest<bytes::Bytes>,
    login: bool,
) -> ResponseFuture {
    let mut request = http::Request::get("http://t/auth?service=s");
    if login {
        request = request.header(BOB[0].0, BOB[0].1);
    }
    *send = send.clone().ready().await.unwrap();
    let request = request.body(()).unwrap();
    send.send_request(request, true).unwrap().0
}

/// GOAWAY: the client opens another connection for its next request, and gets the response to the last one.
#[tokio::test]
async fn a_server_that_drains_ends_connections_of_http2() {
    let folder = tempfile::tempdir().unwrap();
    let text = config(&folder, "{}").replace("server: {", "server: {drain: 1h, ");
    let mut server = Server::start(Path::new(PROGRAM), &text);
    let open = async || {
        let stream = TcpStream::connect(server.host_port()).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        (send, tokio::spawn(connection))
    };
    let (mut send, connection) = open().await;
    let waiting = tokio::spawn(http2_status(&mut send, true).await);
    while !folder.path().join("began").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal_end();
    while send.clone().ready().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut another, another_connection) = open().await;
    let answer = http2_status(&mut another, false).await.await.unwrap();
    assert_eq!(answer.status(), 200);
    another_connection.await.unwrap().unwrap();
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    connection.await.unwrap().unwrap();
    // The second signal.
    assert!(server.terminate().success(), "{}", server.log());
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Path::new(PROGRAM), &config(&folder, "{}"));
    let address = server.host_port();
    let waiting = std::thread::spawn(move || {
        let mut connection = Connection::open(&address);
        let request = format!(
            "GET /auth HTTP/1.1\r\nHost: t\r\n{}: {}\r\n\r\n",
            BOB[0].0, BOB[0].1
        );
        connection.send(request.as_bytes()).unwrap();
        connection.answer(false).is_err()
    });
    wait_until(|| folder.path().join("began").exists());
    server.signal_end();
    server.wait_for_log("shutting down");
    assert!(server.terminate().success(), "{}", server.log());
    assert!(server.log().contains("aborted"), "{}", server.log());
    assert!(waiting.join().unwrap());
}

#[test]
fn a_configuration_that_cannot_be_read_to_its_end_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Path::new(PROGRAM), &config(&folder, "{}"));
    // A named pipe without a writer: opening it never ends.
    fs::remove_file(server.config()).unwrap();
    peers::run(std::process::Command::new("mkfifo").arg(server.config())).succeeded();
    server.hang_up();
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.terminate().success(), "{}", server.log());
}

#[test]
fn a_handshake_that_never_comes_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Path::new(PROGRAM), &tls_config(&folder));
    let mut silent = Connection::open(&server.host_port());
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.terminate().success(), "{}", server.log());
    assert!(silent.is_ended());
    assert!(!server.log().contains("aborted"), "{}", server.log());
}

#[test]
fn a_client_with_the_wrong_scheme_is_told_and_named_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Path::new(PROGRAM), &tls_config(&folder));
    let mut plain = Connection::open(&server.host_port());
    let answer = plain.request("GET", "/auth", &[], None);
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (400, "Client sent an HTTP request to an HTTPS server.\n")
    );
    assert!(plain.is_ended());
    server.wait_for_log("a client sent an HTTP request to a port that takes TLS only");

    let folder = tempfile::tempdir().unwrap();
    let text = config(&folder, "{}").replace("server: {", "server: {log: {level: debug}, ");
    let mut server = Server::start(Path::new(PROGRAM), &text);
    let url = format!("https://{}/auth", server.host_port());
    let curl = peers::run(std::process::Command::new("curl").args(["-sSk", &url]));
    assert!(!curl.status.success());
    server.wait_for_log("a client began a TLS handshake on a port without TLS");
    assert!(server.log().contains("peer=127.0.0.1"), "{}", server.log());
}
