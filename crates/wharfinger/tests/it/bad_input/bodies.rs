//! Forms (RFC 6749), and how a body is delimited (RFC 9112 §6).

use super::{Row, row};

pub(super) fn forms() -> Vec<Row> {
    let form = |name, body, status, holds| row(name, post(body), status, holds);
    let unsupported = |name, body| form(name, body, 400, "unsupported_grant_type");
    let invalid_grant = |name, body| form(name, body, 401, "invalid_grant");
    let accepted = |name, body| form(name, body, 200, "token");
    let of_another_type = |name, content_type, body| {
        let holds = "application/x-www-form-urlencoded";
        row(name, post_as(content_type, body), 400, holds)
    };
    let long_password = format!("username=alice&password={}", "x".repeat(60_000));
    vec![
        unsupported(
            "an unknown grant type",
            "grant_type=authorization_code&code=x",
        ),
        unsupported(
            "a grant type in capitals",
            "grant_type=PASSWORD&username=alice&password=secret",
        ),
        form(
            "refresh without a token",
            "grant_type=refresh_token&service=s",
            400,
            "invalid_request",
        ),
        invalid_grant(
            "refresh with an invented token",
            "grant_type=refresh_token&service=s&refresh_token=abc",
        ),
        invalid_grant(
            "refresh with a nul byte",
            "grant_type=refresh_token&service=s&refresh_token=%00",
        ),
        invalid_grant(
            "refresh with SQL",
            "grant_type=refresh_token&refresh_token=%27%20OR%201%3D1%20--",
        ),
        invalid_grant(
            "a wrong password",
            "grant_type=password&username=alice&password=wrong",
        ),
        accepted(
            "a password without user",
            "grant_type=password&password=secret",
        ),
        accepted(
            "a user without password",
            "grant_type=password&username=alice",
        ),
        form(
            "a password of 60,000 letters",
            &long_password,
            401,
            "incorrect",
        ),
        form(
            "a malformed escape in the body",
            "username=alice&password=%zz",
            400,
            "hexadecimal",
        ),
        of_another_type("JSON", "application/json", "{}"),
        of_another_type("multipart", "multipart/form-data; boundary=x", "--x--"),
        row(
            "no content type",
            "POST /auth HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\na=b",
            400,
            "application/x-www-form",
        ),
    ]
}

/// Lengths and codings.
pub(super) fn lengths() -> Vec<Row> {
    let coded = |name, codings, status, holds| {
        let request = transfer_encoding(codings);
        row(name, request, status, holds)
    };
    vec![
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
        coded("a compressed body", "gzip, chunked", 501, ""),
        coded(
            "a compressed body in two headers",
            "gzip\r\nTransfer-Encoding: chunked",
            501,
            "",
        ),
        coded(
            "a body with the coding identity",
            "identity, chunked",
            501,
            "",
        ),
        coded("a body that is chunked twice", "chunked, chunked", 501, ""),
        coded(
            "a body that is chunked in capital letters",
            "Chunked",
            200,
            "token",
        ),
    ]
}

/// It takes as long as a request may take.
pub(super) fn never_complete() -> Row {
    row(
        "a body that never comes",
        "POST /auth HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc",
        408,
        "in time",
    )
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
