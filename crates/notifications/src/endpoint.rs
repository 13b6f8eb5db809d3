//! What a configuration says of an endpoint.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use client_tls::ClientTls;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::{NotificationFilter, SigningSecret};

/// A receiver of notifications.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// Its name, which no other endpoint has.
    pub name: String,
    /// Where notifications are sent.
    pub url: EndpointUrl,
    /// What each request carries besides its own headers. The values are never shown.
    pub headers: HeaderMap,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How many failures in a row are followed by the next attempt at once.
    pub threshold: u32,
    /// How long to wait after each further failure.
    pub backoff: Duration,
    /// Which notifications it does not get.
    pub filter: NotificationFilter,
}

/// Which events may share a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventBatching {
    /// Each has its own, as in Distribution.
    None,
    /// Those that wait in memory: pulls, and what happens to blobs. A receiver that reads only the first
    /// event misses some of these, but no push and no deletion of a manifest or a tag.
    #[default]
    PullsAndBlobs,
    /// All.
    All,
}

/// What all endpoints share.
#[derive(Clone, Debug)]
pub struct NotificationSettings {
    /// The receivers.
    pub endpoints: Vec<EndpointSettings>,
    /// Whether a manifest's notification lists what the manifest refers to.
    pub include_references: bool,
    /// Which events may share a request.
    pub batching: EventBatching,
    /// What bodies are signed with.
    pub secret: Option<SigningSecret>,
    /// Which servers are trusted, and what they are shown.
    pub tls: ClientTls,
    /// How many notifications may wait for an endpoint in the database, and how many that are done are
    /// kept there.
    pub queue: usize,
    /// How many notifications of pulls and of blobs may wait for an endpoint in memory.
    pub memory_queue: usize,
    /// How long a notification is tried before it is set aside.
    pub give_up: Duration,
    /// How long notifications that were delivered or set aside are kept.
    pub keep: Duration,
}

/// The address of an endpoint: `http` or `https`, perhaps with a user name and a password, which are
/// sent as `Authorization: Basic`. It prints without these and without its query, which may hold a
/// secret.
///
/// ```
/// use notifications::EndpointUrl;
///
/// let url: EndpointUrl = "http://registry-ui:8000/event-receiver?key=SECRET".parse().unwrap();
/// assert_eq!(url.to_string(), "http://registry-ui:8000/event-receiver");
/// assert!("ftp://registry-ui/".parse::<EndpointUrl>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl(Url);

/// An address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    /// It is not a URL.
    #[error("not a URL ({0}); write https://HOST/PATH")]
    Malformed(String),
    /// It is a URL of another kind.
    #[error("`{0}` is not supported; write https://HOST/PATH")]
    Scheme(String),
}

impl EndpointUrl {
    /// The address without a login.
    pub(crate) fn url(&self) -> Url {
        let mut url = self.0.clone();
        // A URL with a host can do without both.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url
    }

    /// The value of `Authorization` that its login makes, if it has one.
    pub(crate) fn basic_authorization(&self) -> Option<HeaderValue> {
        if !self.has_login() {
            return None;
        }
        let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
        let mut login = decoded(self.0.username());
        login.push(b':');
        login.extend(decoded(self.0.password().unwrap_or_default()));
        let value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(&login)));
        let mut value = value.ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Whether it has a user name or a password.
    #[must_use]
    pub fn has_login(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// Whether what is sent there is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || address
                .parse()
                .is_ok_and(|address: std::net::IpAddr| address.to_canonical().is_loopback())
    }
}

impl FromStr for EndpointUrl {
    type Err = EndpointUrlError;

    fn from_str(text: &str) -> Result<Self, EndpointUrlError> {
        let url: Url = text
            .parse()
            .map_err(|error| EndpointUrlError::Malformed(format!("{error}")))?;
        match (url.scheme(), url.host_str()) {
            ("http" | "https", Some(_)) => Ok(Self(url)),
            (scheme, _) => Err(EndpointUrlError::Scheme(scheme.to_owned())),
        }
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.url();
        shown.set_query(None);
        shown.set_fragment(None);
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_and_https_are_taken() {
        for (url, is_encrypted, is_loopback) in [
            ("https://a.example", true, false),
            ("http://registry-ui:8000/event-receiver", false, false),
            ("http://localhost/", false, true),
            ("http://[::1]:80/?a=b#c", false, true),
            ("http://127.3.4.5/", false, true),
        ] {
            let url: EndpointUrl = url.parse().unwrap();
            assert_eq!(
                (url.is_encrypted(), url.is_loopback()),
                (is_encrypted, is_loopback),
                "{url}"
            );
            assert!(!url.to_string().contains(['?', '#']));
        }
        use EndpointUrlError as Wrong;
        let expected = Wrong::Scheme("ftp".into());
        assert_eq!("ftp://a/".parse::<EndpointUrl>(), Err(expected));
        let url: EndpointUrl = "https://ann:s%40x@a/e?x=y".parse().unwrap();
        assert!(url.has_login() && url.to_string() == "https://a/e");
        let basic = url.basic_authorization().unwrap();
        // `ann:s@x`
        assert_eq!(basic.to_str().unwrap(), "Basic YW5uOnNAeA==");
        for url in ["", "listener", "//a/", "https://", "http://a b/"] {
            let wrong = url.parse::<EndpointUrl>();
            assert!(matches!(wrong, Err(Wrong::Malformed(_))), "{url}");
        }
    }
}
