//! Malformed requests: a table with the response to each. After each of them the server answers the
//! next request.

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
struct Row {
    name: &'static str,
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

fn authorization(value: &str) -> String {
    with("/auth?service=s", &format!("Authorization: {value}\r\n"))
}

fn post(body: &str) -> String {
    post_as("application/x-www-form-urlencoded", body)
}

fn post_as(content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /auth HTTP/1.1\r\nHost: t\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn latin1(before: &str, after: &str) -> Vec<u8> {
    [before.as_bytes(), b"\xe9\xff", after.as_bytes()].concat()
}

fn table() -> Vec<Row> {
    let scopes = |count: usize| {
        format!(
            "/auth?scope={}",
            vec!["repository:a:pull"; count].join("%20")
        )
    };
    let mut table = vec![
        // Authorization (RFC 7617).
        row(
            "Basic without credentials",
            authorization("Basic"),
            401,
            "valid Basic credentials",
        ),
        row(
            "Basic with a space only",
            authorization("Basic "),
            401,
            "valid Basic credentials",
        ),
        row(
            "Basic, not base64",
            authorization("Basic !!!"),
            401,
            "valid Basic credentials",
        ),
        row(
            "Basic without padding",
            authorization("Basic YWxpY2U6c2VjcmV"),
            401,
            "valid Basic credentials",
        ),
        row(
            "Basic without colon",
            authorization("Basic YWxpY2U="),
            401,
            "valid Basic credentials",
        ),
        row(
            "Basic in base64url",
            authorization("Basic YTo_Pz8="),
            401,
            "valid Basic credentials",
        ),
        row(
            "Basic with two values",
            authorization("Basic YTpi, Basic YTpi"),
            401,
            "valid Basic credentials",
        ),
        row(
            "Basic, a user that is not UTF-8",
            authorization("Basic /zph"),
            401,
            "valid Basic credentials",
        ),
        row(
            "Basic, wrong password",
            authorization("Basic YWxpY2U6d3Jvbmc="),
            401,
            "incorrect username or password",
        ),
        row(
            "Basic, empty password",
            authorization("Basic YWxpY2U6"),
            401,
            "incorrect username or password",
        ),
        row(
            "Basic, unknown user",
            authorization("Basic bm9ib2R5OnNlY3JldA=="),
            401,
            "incorrect username or password",
        ),
        row(
            "Basic, a nul byte in the user",
            authorization("Basic YQBiOmM="),
            401,
            "control character",
        ),
        row(
            "Basic, a nul byte in the password",
            authorization("Basic YWxpY2U6c2VjcmV0AA=="),
            401,
            "incorrect",
        ),
        row(
            "Basic, a newline in the user",
            authorization("Basic YQpiOmM="),
            401,
            "control character",
        ),
        row(
            "Bearer is not for here",
            authorization("Bearer abc"),
            200,
            "token",
        ),
        row(
            "an unknown scheme",
            authorization("Negotiate abc"),
            200,
            "token",
        ),
        row(
            "a header that is not UTF-8",
            latin1(
                "GET /auth HTTP/1.1\r\nHost: t\r\nAuthorization: Basic ",
                "\r\n\r\n",
            ),
            401,
            "valid Basic credentials",
        ),
        row(
            "Basic and another account",
            with(
                "/auth?account=bob",
                "Authorization: Basic YWxpY2U6c2VjcmV0\r\n",
            ),
            400,
            "not the same",
        ),
        // The query.
        row(
            "a lone percent",
            get_url("/auth?service=%"),
            400,
            "hexadecimal",
        ),
        row(
            "half an escape",
            get_url("/auth?service=%4"),
            400,
            "hexadecimal",
        ),
        row(
            "an escape of letters",
            get_url("/auth?service=%zz"),
            400,
            "hexadecimal",
        ),
        row(
            "an escape in a name",
            get_url("/auth?%zz=1"),
            400,
            "hexadecimal",
        ),
        row(
            "a nul byte in the service",
            get_url("/auth?service=a%00b"),
            200,
            "token",
        ),
        row(
            "a newline in the service",
            get_url("/auth?service=a%0d%0ab"),
            200,
            "token",
        ),
        row(
            "a service that is not UTF-8",
            get_url("/auth?service=%ff%fe"),
            200,
            "token",
        ),
        row(
            "the same parameter twice",
            get_url("/auth?service=a&service=b"),
            200,
            "token",
        ),
        row(
            "an account without password",
            get_url("/auth?account=alice"),
            401,
            "incorrect",
        ),
        row("only separators", get_url("/auth?&&&==&"), 200, "token"),
        // Scopes.
        row(
            "a scope of one part",
            get_url("/auth?scope=repository"),
            400,
            "type:name:actions",
        ),
        row(
            "a scope of two parts",
            get_url("/auth?scope=repository:a"),
            400,
            "type:name:actions",
        ),
        row(
            "a scope of five parts",
            get_url("/auth?scope=a:b:c:d:e"),
            400,
            "type:name:actions",
        ),
        row(
            "a scope without type",
            get_url("/auth?scope=:a:pull"),
            400,
            "no resource type",
        ),
        row(
            "a scope whose type is upper case",
            get_url("/auth?scope=REPO:a:pull"),
            400,
            "no resource type",
        ),
        row(
            "a trailing space",
            get_url("/auth?scope=repository:a:pull%20"),
            400,
            "type:name:actions",
        ),
        row(
            "a double space",
            get_url("/auth?scope=repository:a:pull++repository:b:pull"),
            400,
            "type:name:actions",
        ),
        row(
            "an empty second scope",
            get_url("/auth?scope=repository:a:pull&scope="),
            400,
            "type:name:actions",
        ),
        row("a hundred scopes", get_url(&scopes(100)), 200, "token"),
        row(
            "a hundred and one scopes",
            get_url(&scopes(101)),
            400,
            "at most 100",
        ),
        row(
            "a scope without name",
            get_url("/auth?scope=repository::pull"),
            200,
            "token",
        ),
        row(
            "a scope without actions",
            get_url("/auth?scope=repository:a:"),
            200,
            "token",
        ),
        row(
            "a path for a name",
            get_url("/auth?scope=repository:../../etc/passwd:pull"),
            200,
            "token",
        ),
        row(
            "a nul byte in a name",
            get_url("/auth?scope=repository:a%00b:pull"),
            200,
            "token",
        ),
        row(
            "a name of 20,000 letters",
            get_url(&format!(
                "/auth?scope=repository:{}:pull",
                "a".repeat(20_000)
            )),
            200,
            "token",
        ),
        row(
            "ten thousand actions",
            get_url(&format!(
                "/auth?scope=repository:a:{}",
                "pull,".repeat(4_000)
            )),
            200,
            "token",
        ),
        // Forms (RFC 6749).
        row(
            "an unknown grant type",
            post("grant_type=authorization_code&code=x"),
            400,
            "unsupported_grant_type",
        ),
        row(
            "a grant type in capitals",
            post("grant_type=PASSWORD&username=alice&password=secret"),
            400,
            "unsupported_grant_type",
        ),
        row(
            "refresh without a token",
            post("grant_type=refresh_token&service=s"),
            400,
            "invalid_request",
        ),
        row(
            "refresh with an invented token",
            post("grant_type=refresh_token&service=s&refresh_token=abc"),
            401,
            "invalid_grant",
        ),
        row(
            "refresh with a nul byte",
            post("grant_type=refresh_token&service=s&refresh_token=%00"),
            401,
            "invalid_grant",
        ),
        row(
            "refresh with SQL",
            post("grant_type=refresh_token&refresh_token=%27%20OR%201%3D1%20--"),
            401,
            "invalid_grant",
        ),
        row(
            "a wrong password",
            post("grant_type=password&username=alice&password=wrong"),
            401,
            "invalid_grant",
        ),
        row(
            "a password without user",
            post("grant_type=password&password=secret"),
            200,
            "token",
        ),
        row(
            "a user without password",
            post("grant_type=password&username=alice"),
            200,
            "token",
        ),
        row(
            "a password of 60,000 letters",
            post(&format!("username=alice&password={}", "x".repeat(60_000))),
            401,
            "incorrect",
        ),
        row(
            "a malformed escape in the body",
            post("username=alice&password=%zz"),
            400,
            "hexadecimal",
        ),
        row(
            "JSON",
            post_as("application/json", "{}"),
            400,
            "application/x-www-form-urlencoded",
        ),
        row(
            "multipart",
            post_as("multipart/form-data; boundary=x", "--x--"),
            400,
            "application/x-www-form-urlencoded",
        ),
        row(
            "no content type",
            "POST /auth HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\na=b",
            400,
            "application/x-www-form",
        ),
        row(
            "a body of 64 KiB",
            post(&"a".repeat(64 * 1024)),
            200,
            "token",
        ),
        row(
            "a body a byte larger",
            post(&"a".repeat(64 * 1024 + 1)),
            413,
            "larger than 65536",
        ),
        row(
            "a GET with a body that is too large",
            "GET /auth HTTP/1.1\r\nHost: t\r\nContent-Length: 70000\r\n\r\n",
            413,
            "larger",
        ),
        row(
            "a chunk that is too large",
            chunked(&"a".repeat(70_000)),
            413,
            "larger than 65536",
        ),
        row(
            "a chunk without length",
            "POST /auth HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "",
        ),
        row(
            "a length that is no number",
            "POST /auth HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n",
            400,
            "",
        ),
        row(
            "two lengths",
            "POST /auth HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            400,
            "",
        ),
        row(
            "a compressed body",
            transfer_encoding("gzip, chunked"),
            501,
            "",
        ),
        row(
            "a compressed body in two headers",
            transfer_encoding("gzip\r\nTransfer-Encoding: chunked"),
            501,
            "",
        ),
        row(
            "a body with the coding identity",
            transfer_encoding("identity, chunked"),
            501,
            "",
        ),
        row(
            "a body that is chunked twice",
            transfer_encoding("chunked, chunked"),
            501,
            "",
        ),
        row(
            "a body that is chunked in capital letters",
            transfer_encoding("Chunked"),
            200,
            "token",
        ),
        row("no host", "GET /auth HTTP/1.1\r\n\r\n", 400, ""),
        row("two hosts", with("/auth", "Host: u\r\n"), 400, ""),
        row(
            "a host with a path",
            "GET /auth HTTP/1.1\r\nHost: t/u\r\n\r\n",
            400,
            "",
        ),
        row(
            "a host with a user",
            "GET /auth HTTP/1.1\r\nHost: a@t\r\n\r\n",
            400,
            "",
        ),
        row(
            "a body that never comes",
            "POST /auth HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc",
            408,
            "in time",
        ),
        // Paths and methods.
        row("an unknown path", get_url("/nope"), 404, "not found"),
        row("a slash too many", get_url("//auth"), 404, "not found"),
        row("a slash behind", get_url("/auth/"), 404, "not found"),
        row(
            "a climbing path",
            get_url("/../../etc/passwd"),
            404,
            "not found",
        ),
        row(
            "an escaped climbing path",
            get_url("/%2e%2e/auth"),
            404,
            "not found",
        ),
        row(
            "a path that is not UTF-8",
            get_url("/%ff"),
            404,
            "not found",
        ),
        row(
            "DELETE",
            "DELETE /auth HTTP/1.1\r\nHost: t\r\n\r\n",
            405,
            "method",
        ),
        row(
            "a method of one's own",
            "BREW /auth HTTP/1.1\r\nHost: t\r\n\r\n",
            405,
            "method",
        ),
        row(
            "POST to the keys",
            "POST /.well-known/jwks.json HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n",
            405,
            "method",
        ),
        // Not HTTP, or hardly.
        row(
            "a header of 1 MB",
            with("/auth", &format!("X: {}\r\n", "x".repeat(1 << 20))),
            431,
            "",
        ),
        row(
            "a URL of 1 MB",
            get_url(&format!("/auth?service={}", "s".repeat(1 << 20))),
            431,
            "",
        ),
        row(
            "a thousand headers",
            with("/auth", &"X: y\r\n".repeat(1000)),
            431,
            "",
        ),
        row(
            "a header without colon",
            with("/auth", "nonsense\r\n"),
            400,
            "",
        ),
        row(
            "a nul byte in a header",
            with("/auth", "X: a\0b\r\n"),
            400,
            "",
        ),
        row("a URL with a space", get_url("/auth?a b"), 400, ""),
        row(
            "a TLS handshake",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            400,
            "",
        ),
        row("nonsense", "\0\0\0\0\r\n\r\n", 400, ""),
    ];
    // The same Basic header again and again must not wear anything out.
    table.extend((0..5).map(|_| {
        row(
            "again",
            authorization("Basic YWxpY2U6c2VjcmV0"),
            200,
            "token",
        )
    }));
    table
}

fn chunked(body: &str) -> String {
    let head =
        "POST /auth HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

/// A chunked form whose header says `codings`.
fn transfer_encoding(codings: &str) -> String {
    chunked("service=reg").replace(": chunked", &format!(": {codings}"))
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
