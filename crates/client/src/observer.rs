//! Observing what a client and a registry say to each other: the seam behind `--trace`.
//!
//! The exchange has six steps (Distribution, "Token Authentication Specification"). An
//! [`ExchangeObserver`] sees every request and response of a session, with the step that it belongs
//! to and without its secrets.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode, Url};
use token::{Challenge, UnverifiedToken};

use crate::{Error, Step};

/// Sees each exchange.
pub trait ExchangeObserver: Send + Sync {
    /// Something happened. Called from any thread; the exchange waits until it returns.
    fn observe(&self, event: &ExchangeEvent<'_>);
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExchangeEvent<'a> {
    /// A request is about to be sent.
    Request {
        /// What it is for.
        step: Step,
        /// Its method.
        method: &'a Method,
        /// Its URL, secrets hidden.
        url: &'a Url,
        /// Its headers, secrets hidden.
        headers: &'a [(String, String)],
        /// The fields of a body that is a form, secrets hidden; else empty.
        form: &'a [(String, String)],
    },
    /// A response has begun to arrive.
    Response {
        /// What the request was for.
        step: Step,
        /// Its status.
        status: StatusCode,
        /// Its headers, secrets hidden.
        headers: &'a [(String, String)],
    },
    /// No response came.
    Failed(&'a Error),
    /// The registry asks for a token or a password.
    Challenged(&'a Challenge),
    /// The token server gave a token.
    Granted {
        /// The requested scopes, separated by spaces.
        asked: &'a str,
        /// The token, if it is a JWT.
        token: Option<&'a UnverifiedToken>,
        /// How long it may be used.
        lifetime: Duration,
        /// Whether a refresh token came with it.
        refresh_token: bool,
    },
    /// The request will be sent again.
    Retry {
        /// After this time.
        after: Duration,
        /// Why.
        reason: &'a str,
    },
    /// The server redirects to another URL.
    Redirected {
        /// The other URL, secrets hidden.
        to: &'a Url,
        /// Whether the `Authorization` header goes along: only to the same origin.
        with_authorization: bool,
    },
}

/// What is shown instead of a secret. Even the length of a password would help to guess it.
pub(crate) const HIDDEN: &str = "[hidden]";

/// The headers that matter between registries and clients; the rest is transport.
const SHOWN: [&str; 26] = [
    "accept",
    "authorization",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-distribution-api-version",
    "docker-upload-uuid",
    "etag",
    "host",
    "link",
    "location",
    "oci-chunk-min-length",
    "oci-filters-applied",
    "oci-subject",
    "oci-tag",
    "proxy-authenticate",
    "range",
    "ratelimit-limit",
    "ratelimit-remaining",
    "retry-after",
    "server",
    "user-agent",
    "via",
    "www-authenticate",
];

/// The headers that matter, secrets hidden.
pub(crate) fn seen(headers: &HeaderMap) -> Vec<(String, String)> {
    let is_shown = |name: &HeaderName| SHOWN.contains(&name.as_str());
    let shown = |name: &HeaderName, value: &str| match name.as_str() {
        "authorization" => hide_credentials(value),
        // The query of a redirect may be signed. Every reader of the trace could fetch the content.
        "location" => hide_query(value),
        _ => value.to_owned(),
    };
    headers
        .iter()
        .filter(|(name, _)| is_shown(name))
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), shown(name, &value))
        })
        .collect()
}

/// A URL, secrets hidden: user name and password, and the query when another host than registry and
/// token server is asked.
pub(crate) fn seen_url(step: Step, url: &Url) -> Url {
    let mut seen = url.clone();
    let _ = seen.set_username("");
    let _ = seen.set_password(None);
    if step == Step::Redirected && url.query().is_some() {
        seen.set_query(Some(HIDDEN));
    }
    seen
}

fn hide_credentials(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, _)) => format!("{scheme} {HIDDEN}"),
        None => HIDDEN.to_owned(),
    }
}

fn hide_query(value: &str) -> String {
    match value.split_once('?') {
        Some((path, _)) => format!("{path}?{HIDDEN}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn secrets_are_hidden_whatever_their_length() {
        for secret in [
            "x",
            "dXNlcjpwYXNzd29yZA==",
            &"eyJhbGciOiJFUzI1NiJ9".repeat(9),
        ] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_str(&format!("Bearer {secret}")).unwrap();
            headers.insert("authorization", value);
            let location = format!("https://s3.example/a?X-Amz-Signature={secret}");
            headers.insert("location", HeaderValue::from_str(&location).unwrap());
            headers.insert("x-private", HeaderValue::from_static("never shown"));
            assert_eq!(
                seen(&headers),
                [
                    ("authorization".to_owned(), "Bearer [hidden]".to_owned()),
                    (
                        "location".to_owned(),
                        "https://s3.example/a?[hidden]".to_owned()
                    )
                ]
            );
            let url = format!("https://ann:{secret}@s3.example/a?signature={secret}");
            let seen = seen_url(Step::Redirected, &url.parse().unwrap()).to_string();
            assert_eq!(seen, "https://s3.example/a?[hidden]");
        }
    }
}
