//! Where clients reach this process.

use common::Origin;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Uri};

use super::forwarded::Element;
use super::{ContextRule, Peer};

const PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";
const PREFIX: &str = "x-forwarded-prefix";

/// The URL that clients use, as the configuration tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct PublicUrl(Origin);

impl PublicUrl {
    pub(super) fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        Some(Self(Origin {
            scheme: scheme(uri.scheme_str()?),
            host: Some(uri.authority()?.to_string()),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            certain: true,
        }))
    }
}

impl ContextRule {
    /// The origin by the connection and the request's own host.
    pub(super) fn origin_of_request(
        &self,
        peer: Peer,
        uri: &Uri,
        headers: &HeaderMap,
        certain: bool,
    ) -> Origin {
        if let Some(PublicUrl(origin)) = &self.public_url {
            return origin.clone();
        }
        Origin {
            scheme: own_scheme(peer),
            host: requested_host(uri, headers),
            prefix: String::new(),
            certain,
        }
    }

    /// The origin by a trusted proxy's headers; `outermost` is what the proxy that the client asked
    /// wrote into `Forwarded`.
    pub(super) fn origin_by_proxy(
        &self,
        peer: Peer,
        uri: &Uri,
        headers: &HeaderMap,
        outermost: Option<&Element>,
    ) -> Origin {
        if let Some(PublicUrl(origin)) = &self.public_url {
            return origin.clone();
        }
        let proto = outermost.and_then(|element| element.proto.as_deref());
        let host = outermost.and_then(|element| element.host.as_deref());
        Origin {
            scheme: proto
                .or_else(|| first(headers, PROTO))
                .map_or(own_scheme(peer), scheme),
            host: host
                .or_else(|| first(headers, FORWARDED_HOST))
                .and_then(authority)
                .or_else(|| requested_host(uri, headers)),
            prefix: first(headers, PREFIX)
                .and_then(path_prefix)
                .unwrap_or_default(),
            certain: true,
        }
    }
}

fn own_scheme(peer: Peer) -> &'static str {
    if peer.tls { "https" } else { "http" }
}

/// The scheme that a proxy names. WebSocket's are HTTP's (RFC 6455 §3).
fn scheme(name: &str) -> &'static str {
    if name.eq_ignore_ascii_case("https") || name.eq_ignore_ascii_case("wss") {
        "https"
    } else {
        "http"
    }
}

/// The host that a request names.
fn requested_host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    uri.authority()
        .map(Authority::as_str)
        .or_else(|| first(headers, HOST.as_str()))
        .and_then(authority)
}

/// A host with or without a port, without user information.
fn authority(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.as_str().rsplit('@').next()?;
    (!host.is_empty()).then(|| host.to_owned())
}

/// The first of a header's comma-separated values: what the outermost proxy says.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get(name)?.to_str().ok()?;
    line.split(',')
        .next()
        .map(str::trim)
        .filter(|value| !value.is_empty())
}

/// A prefix without a slash at its end. One that begins with two would name another host in a
/// relative `Location`.
fn path_prefix(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'?'));
    (is_path && is_plain).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_path() {
        for text in [
            "//evil.example",
            "evil",
            "",
            "/",
            "/a\"b",
            "/a b",
            "/a?b",
            "/\\evil.example",
        ] {
            assert_eq!(path_prefix(text), None, "{text}");
        }
        assert_eq!(path_prefix("/a/b/").as_deref(), Some("/a/b"));
    }

    #[test]
    fn a_public_url_may_have_a_path() {
        let PublicUrl(origin) = PublicUrl::parse("https://hub.example:8443/r").unwrap();
        assert_eq!(origin.location("/v2/"), "https://hub.example:8443/r/v2/");
        assert_eq!(origin.path("/v2/"), "/r/v2/");
    }
}
