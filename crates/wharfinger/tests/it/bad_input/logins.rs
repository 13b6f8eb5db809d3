//! `Authorization` (RFC 7617).

use super::{Row, row, with};

fn authorization(value: &str) -> String {
    with("/auth?service=s", &format!("Authorization: {value}\r\n"))
}

fn latin1(before: &str, after: &str) -> Vec<u8> {
    [before.as_bytes(), b"\xe9\xff", after.as_bytes()].concat()
}

pub(super) fn rows() -> Vec<Row> {
    let malformed = |name, value| row(name, authorization(value), 401, "valid Basic credentials");
    let forbidden = |name, value| row(name, authorization(value), 401, "control character");
    let incorrect = |name, value| {
        let holds = "incorrect username or password";
        row(name, authorization(value), 401, holds)
    };
    let ignored = |name, value| row(name, authorization(value), 200, "token");
    vec![
        malformed("Basic without credentials", "Basic"),
        malformed("Basic with a space only", "Basic "),
        malformed("Basic, not base64", "Basic !!!"),
        malformed("Basic without padding", "Basic YWxpY2U6c2VjcmV"),
        malformed("Basic without colon", "Basic YWxpY2U="),
        malformed("Basic in base64url", "Basic YTo_Pz8="),
        malformed("Basic with two values", "Basic YTpi, Basic YTpi"),
        malformed("Basic, a user that is not UTF-8", "Basic /zph"),
        incorrect("Basic, wrong password", "Basic YWxpY2U6d3Jvbmc="),
        incorrect("Basic, empty password", "Basic YWxpY2U6"),
        incorrect("Basic, unknown user", "Basic bm9ib2R5OnNlY3JldA=="),
        forbidden("Basic, a nul byte in the user", "Basic YQBiOmM="),
        row(
            "Basic, a nul byte in the password",
            authorization("Basic YWxpY2U6c2VjcmV0AA=="),
            401,
            "incorrect",
        ),
        forbidden("Basic, a newline in the user", "Basic YQpiOmM="),
        ignored("Bearer is not for here", "Bearer abc"),
        ignored("an unknown scheme", "Negotiate abc"),
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
    ]
}

/// The same Basic header again and again must not wear anything out.
pub(super) fn repeated() -> impl Iterator<Item = Row> {
    let valid = || authorization("Basic YWxpY2U6c2VjcmV0");
    (0..5).map(move |_| row("again", valid(), 200, "token"))
}
