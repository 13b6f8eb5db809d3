//! Looking on while a client and a registry speak: the seam behind `--trace`.
//!
//! The exchange has six steps (Distribution, "Token Authentication Specification"). Every request
//! and answer of a session passes an [`ExchangeObserver`], with the step that it belongs to and without
//! anything secret in it.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode, Url};
use token::{Challenge, UnverifiedToken};

use crate::Error;

/// Who looks on.
pub trait ExchangeObserver: Send + Sync {
    /// Something happened. Called from any thread, and waited for.
    fn observe(&self, event: &ExchangeEvent<'_>);
}

/// What a request is for, in the words of the six steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client asks the registry without a token (1) and is answered, or challenged (2).
    Ask,
    /// The client asks for a token (3) and is answered (4).
    Token,
    /// The client asks with a token or a password (5) and is served, or not (6).
    Authorized,
    /// The client fetches from where the registry sent it.
    Elsewhere,
}

impl Step {
    /// The numbers of request and answer among the six.
    #[must_use]
    pub fn numbers(self) -> Option<(u8, u8)> {
        match self {
            Self::Ask => Some((1, 2)),
            Self::Token => Some((3, 4)),
            Self::Authorized => Some((5, 6)),
            Self::Elsewhere => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ask => "asking the registry",
            Self::Token => "asking for a token",
            Self::Authorized => "asking the registry, logged in",
            Self::Elsewhere => "fetching from where the registry sent us",
        })
    }
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
        /// Whom it goes to.
        url: &'a Url,
        /// Its headers, secrets shortened.
        headers: &'a [(String, String)],
        /// The form in its body, secrets shortened; empty where there is none.
        form: &'a [(String, String)],
    },
    /// An answer has begun to arrive.
    Response {
        /// What was asked for.
        step: Step,
        /// How it went.
        status: StatusCode,
        /// Its headers, secrets shortened.
        headers: &'a [(String, String)],
    },
    /// No answer came.
    Failed(&'a Error),
    /// The registry wants papers.
    Challenged(&'a Challenge),
    /// A token came.
    Granted {
        /// What was asked for: scopes, joined by spaces.
        asked: &'a str,
        /// The token, where it is one that can be looked into.
        token: Option<&'a UnverifiedToken>,
        /// How long it may be used.
        lifetime: Duration,
        /// Whether a refresh token came with it.
        refresh_token: bool,
    },
    /// The same is tried again in a while.
    Retry {
        /// In how long.
        after: Duration,
        /// Why.
        reason: &'a str,
    },
    /// The registry sends us to another place.
    Redirected {
        /// Where to.
        to: &'a Url,
        /// Whether the papers go along: only to the same host.
        with_authorization: bool,
    },
}

/// The headers that matter to what registries and clients say to each other; the rest is transport.
const TELLING: [&str; 26] = [
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

/// The headers that matter, fit to be seen.
pub(crate) fn seen(headers: &HeaderMap) -> Vec<(String, String)> {
    let tells = |name: &HeaderName| TELLING.contains(&name.as_str());
    let shown = |name: &HeaderName, value: &str| match name.as_str() {
        "authorization" => authorization(value),
        // A redirect's query may carry a signature that opens the content to whoever has it.
        "location" => location(value),
        _ => value.to_owned(),
    };
    headers
        .iter()
        .filter(|(name, _)| tells(name))
        .map(|(name, value)| {
            (
                name.to_string(),
                shown(name, &String::from_utf8_lossy(value.as_bytes())),
            )
        })
        .collect()
}

/// A URL, fit to be seen: elsewhere than at registry and token server, the query may be what opens
/// the content.
pub(crate) fn seen_url(step: Step, url: &Url) -> Url {
    let mut seen = url.clone();
    if let (Step::Elsewhere, Some(query)) = (step, url.query()) {
        let shortened = shortened(query);
        seen.set_query(Some(&shortened));
    }
    seen
}

fn authorization(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, secret)) => format!("{scheme} {}", shortened(secret)),
        None => shortened(value),
    }
}

fn location(value: &str) -> String {
    value.split_once('?').map_or_else(
        || value.to_owned(),
        |(path, query)| format!("{path}?{}", shortened(query)),
    )
}

/// Enough of a secret to tell it from another, and too little to use it: nothing of a short one.
pub(crate) fn shortened(secret: &str) -> String {
    let visible = if secret.len() < 40 || !secret.is_ascii() {
        ""
    } else {
        &secret[..8]
    };
    format!("{visible}… ({} characters)", secret.chars().count())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn secrets_are_not_seen_whole() {
        let mut headers = HeaderMap::new();
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJBY21lIn0.c2lnbmF0dXJl";
        headers.insert(
            "authorization",
            HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
        );
        headers.insert(
            "location",
            HeaderValue::from_static("https://s3.example/a?X-Amz-Signature=0123456789"),
        );
        headers.insert("x-private", HeaderValue::from_static("never shown"));
        let seen = seen(&headers);
        assert_eq!(
            seen,
            [
                (
                    "authorization".to_owned(),
                    "Bearer eyJhbGci… (53 characters)".to_owned()
                ),
                (
                    "location".to_owned(),
                    "https://s3.example/a?… (26 characters)".to_owned()
                )
            ]
        );
    }

    #[test]
    fn of_a_password_nothing_is_seen() {
        assert_eq!(
            authorization("Basic dXNlcjpwYXNzd29yZA=="),
            "Basic … (20 characters)"
        );
    }
}
