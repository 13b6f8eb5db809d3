//! Malformed requests: a table with the response to each. After each of them the server answers the
//! next request.

mod bodies;
mod heads;
mod logins;
mod queries;

use std::path::Path;

use peers::Server;

use crate::wire::{Connection, get};

/// Anonymous callers get in; `alice` has the password `secret`. Limits are small where the usual ones
/// would take long to reach.
const CONFIG: &str = r#"
server:
  addr: "@addr@"
  limits: {request_timeout: 1s, idle_timeout: 2s}
token: {issuer: Acme, expiration: 900}
users:
  "": {}
  alice: {password: "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay"}
acl:
  - {match: {account: alice}, actions: ["*"]}
  - {match: {account: ""}, actions: [pull]}
refresh_tokens: {}
database: {url: "sqlite://@folder@/wharfinger.db"}
login: {per_address: 100000/s, per_account: 100000/s}
"#;

/// A request, what its status must be, and what its body must hold.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    request: Vec<u8>,
    status: u16,
    holds: &'static str,
}

fn row(name: &'static str, request: impl Into<Vec<u8>>, status: u16, holds: &'static str) -> Row {
    Row {
        name,
        request: request.into(),
        status,
        holds,
    }
}

fn get_url(url: &str) -> String {
    with(url, "")
}

fn with(url: &str, headers: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nHost: t\r\n{headers}\r\n")
}

/// All requests, in the order in which they are sent.
pub(crate) fn table() -> Vec<Row> {
    let mut table = logins::rows();
    table.extend(queries::rows());
    table.extend(queries::scopes());
    table.extend(bodies::forms());
    table.extend(bodies::lengths());
    table.extend(heads::hosts());
    table.push(bodies::never_complete());
    table.extend(heads::paths_and_methods());
    table.extend(heads::hardly_http());
    table.extend(logins::repeated());
    table
}

#[test]
fn every_bad_request_has_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let key = peers::TestCertificate::new(peers::TestKeyKind::P256, folder.path(), "token");
    let token = format!(
        "token: {{certificate: {}, key: {}, ",
        key.certificate.to_str().unwrap(),
        key.key.to_str().unwrap()
    );
    let config = CONFIG
        .replace("token: {", &token)
        .replace("@folder@", folder.path().to_str().unwrap());
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &config);
    let table = table();
    assert!(table.len() >= 80);
    let mut wrong = Vec::new();
    for row in &table {
        let mut connection = Connection::open(&server.host_port());
        // A server that has seen enough may answer and hang up before all is sent.
        let _ = connection.send(&row.request);
        match connection.answer(false) {
            Ok(answer) if answer.status == row.status && answer.body.contains(row.holds) => {}
            Ok(answer) => wrong.push(format!("{}: {} {}", row.name, answer.status, answer.body)),
            Err(error) => wrong.push(format!("{}: {error}", row.name)),
        }
        assert_eq!(
            get(&server.host_port(), "/auth").status,
            200,
            "after {:?}",
            row.name
        );
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), server.log());
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains("secret"), "a password is in the log:\n{log}");
}

#[test]
fn a_silent_connection_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let key = peers::TestCertificate::new(peers::TestKeyKind::P256, folder.path(), "token");
    let config = format!(
        "server: {{addr: '@addr@', limits: {{idle_timeout: 1s}}}}\ntoken: {{issuer: i, expiration: 900, \
         certificate: {}, key: {}}}\nusers: {{'': {{}}}}\nacl: [{{match: {{}}, actions: []}}]\n",
        key.certificate.display(),
        key.key.display()
    );
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &config);
    let mut silent = Connection::open(&server.host_port());
    let mut slow = Connection::open(&server.host_port());
    slow.send(b"GET /auth HTTP/1.1\r\nHost: t\r\nX: ").unwrap();
    let mut quiet = Connection::open(&server.host_port());
    assert_eq!(quiet.request("GET", "/auth", &[], None).status, 200);
    assert!(silent.is_ended(), "nothing was ever sent");
    assert!(
        slow.answer(false).is_err() || slow.is_ended(),
        "a header that never ends"
    );
    assert!(quiet.is_ended(), "nothing more was asked");
}
