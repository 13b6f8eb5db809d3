//! Hosts, paths and methods, and what is hardly HTTP.

use super::{Row, get_url, row, with};

pub(super) fn hosts() -> Vec<Row> {
    vec![
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
    ]
}

pub(super) fn paths_and_methods() -> Vec<Row> {
    let unknown = |name, url| row(name, get_url(url), 404, "not found");
    vec![
        unknown("an unknown path", "/nope"),
        unknown("a slash too many", "//auth"),
        unknown("a slash behind", "/auth/"),
        unknown("a climbing path", "/../../etc/passwd"),
        unknown("an escaped climbing path", "/%2e%2e/auth"),
        unknown("a path that is not UTF-8", "/%ff"),
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
    ]
}

pub(super) fn hardly_http() -> Vec<Row> {
    vec![
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
    ]
}
