//! Where a client believes this registry to be, and where the client is itself.
//!
//! Behind a proxy neither is what the connection shows; the proxy says both in headers that anybody
//! else can write, too. So they count from trusted peers only. Where a stranger sends them, nobody
//! here knows the outer address, and a `Location` without one is always right.

use std::net::IpAddr;

use common::{IpNetwork, parse_ip};
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Uri};

const PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";
const PREFIX: &str = "x-forwarded-prefix";
const FOR: &str = "x-forwarded-for";

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer {
    /// Its address; none for a Unix socket.
    pub address: Option<IpAddr>,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// How it is found out where clients believe us to be.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// The URL that clients use, without a slash at its end; none to take what each request says.
    pub public_url: Option<String>,
    /// The proxies whose `X-Forwarded-…` headers count; without a list, everybody's do.
    pub trusted_proxies: Option<Vec<IpNetwork>>,
    /// Whether every `Location` is a path only.
    pub relative: bool,
}

/// Where one client believes us to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `https://registry.example.com`; none where it is not known for sure, or not to be said.
    base: Option<String>,
    /// What the proxy takes away from the path: nothing, or a path that begins with a slash.
    prefix: String,
}

/// Where one client is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// None for the peer of a Unix socket that no proxy tells more of.
    pub(crate) address: Option<IpAddr>,
    /// Whether the address cannot have been made up, nor is it shared by everyone behind some
    /// proxy.
    pub(crate) attributable: bool,
}

impl Origins {
    pub(crate) fn origin(&self, peer: &Peer, uri: &Uri, headers: &HeaderMap) -> Origin {
        if let Some(url) = &self.public_url {
            return Origin {
                base: Some(url.clone()).filter(|_| !self.relative),
                prefix: String::new(),
            };
        }
        let forwarded = [PROTO, FORWARDED_HOST, PREFIX]
            .iter()
            .any(|name| headers.contains_key(*name));
        let trusted = self.trusts(peer).unwrap_or(true);
        let header = |name| first(headers, name).filter(|_| trusted);
        let prefix = header(PREFIX).and_then(path_prefix).unwrap_or_default();
        let is_known = trusted || !forwarded;
        let base = url(peer, uri, headers, header(PROTO), header(FORWARDED_HOST))
            .filter(|_| is_known && !self.relative);
        Origin { base, prefix }
    }

    /// The URL of a path as the client must ask for it, as surely as can be told: a realm has to be
    /// absolute.
    pub(crate) fn absolute(
        &self,
        peer: &Peer,
        uri: &Uri,
        headers: &HeaderMap,
        path: &str,
    ) -> String {
        let origin = Self {
            relative: false,
            ..self.clone()
        }
        .origin(peer, uri, headers);
        let base = origin.base.or_else(|| url(peer, uri, headers, None, None));
        format!("{}{}{path}", base.unwrap_or_default(), origin.prefix)
    }

    pub(crate) fn client(&self, peer: &Peer, headers: &HeaderMap) -> Client {
        let address = peer.address.map(|address| address.to_canonical());
        match self.trusts(peer) {
            Some(true) => {
                let forwarded = self.forwarded_for(headers);
                Client {
                    address: forwarded.or(address),
                    attributable: forwarded.or(address).is_some(),
                }
            }
            Some(false) => Client {
                address,
                attributable: address.is_some(),
            },
            // What came through a proxy that nobody told us of has the proxy's address, which all
            // its clients share.
            None => Client {
                address,
                attributable: address.is_some() && !headers.contains_key(FOR),
            },
        }
    }

    /// The last address that no trusted proxy has: what stands before it, anybody may have written.
    fn forwarded_for(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let lines: Vec<&str> = headers
            .get_all(FOR)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .collect();
        let mut addresses = lines
            .iter()
            .flat_map(|line| line.split(','))
            .rev()
            .map(|text| parse_ip(text.trim()));
        addresses
            .find(|address| address.is_none_or(|ip| !self.lists(ip)))
            .flatten()
    }

    /// Whether `peer` is a trusted proxy; none where no list says so. Who may open a Unix socket
    /// passed its file's permissions: that is a proxy of ours.
    fn trusts(&self, peer: &Peer) -> Option<bool> {
        self.trusted_proxies.as_ref()?;
        Some(peer.address.is_none_or(|address| self.lists(address)))
    }

    fn lists(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .flatten()
            .any(|network| network.contains(address))
    }
}

impl Origin {
    /// Where to find `path`, which begins with a slash.
    pub(crate) fn location(&self, path: &str) -> String {
        format!(
            "{}{}{path}",
            self.base.as_deref().unwrap_or_default(),
            self.prefix
        )
    }

    /// As [`location`](Self::location), without a host: some clients look at nothing but the path
    /// of a `Link`.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

/// The scheme and host that a request was made to; none where it does not say or says nonsense.
fn url(
    peer: &Peer,
    uri: &Uri,
    headers: &HeaderMap,
    proto: Option<&str>,
    host: Option<&str>,
) -> Option<String> {
    let scheme = match proto {
        Some("https" | "wss") => "https",
        Some(_) => "http",
        None if peer.tls => "https",
        None => "http",
    };
    let asked = || {
        uri.authority()
            .map(Authority::as_str)
            .or_else(|| first(headers, HOST.as_str()))
    };
    let authority: Authority = host.or_else(asked)?.parse().ok()?;
    Some(format!(
        "{scheme}://{}",
        authority.as_str().rsplit('@').next()?
    ))
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
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    fn peer(address: &str) -> Peer {
        Peer {
            address: Some(address.parse().unwrap()),
            tls: false,
        }
    }

    fn trusting(networks: &[&str]) -> Origins {
        let networks = networks.iter().map(|text| text.parse().unwrap()).collect();
        Origins {
            trusted_proxies: Some(networks),
            ..Origins::default()
        }
    }

    fn location(origins: &Origins, peer: &Peer, pairs: &[(&'static str, &'static str)]) -> String {
        origins
            .origin(peer, &Uri::from_static("/v2/"), &headers(pairs))
            .location("/v2/")
    }

    const PROXIED: [(&str, &str); 4] = [
        ("host", "backend:5000"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "registry.example.com, other"),
        ("x-forwarded-prefix", "/cargo/"),
    ];

    #[test]
    fn a_location_is_where_the_client_asked() {
        let origins = Origins::default();
        assert_eq!(
            location(&origins, &peer("::1"), &[("host", "r.example:5000")]),
            "http://r.example:5000/v2/"
        );
        let tls = Peer {
            tls: true,
            ..peer("::1")
        };
        assert_eq!(
            location(&origins, &tls, &[("host", "r.example")]),
            "https://r.example/v2/"
        );
        let over_http2 = origins.origin(
            &tls,
            &Uri::from_static("https://h2.example/v2/"),
            &headers(&[]),
        );
        assert_eq!(over_http2.location("/v2/"), "https://h2.example/v2/");
        assert_eq!(location(&origins, &tls, &[]), "/v2/");
        assert_eq!(location(&origins, &tls, &[("host", "a b")]), "/v2/");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_nobody_else() {
        let outside = "https://registry.example.com/cargo/v2/";
        assert_eq!(
            location(&Origins::default(), &peer("192.0.2.1"), &PROXIED),
            outside
        );
        let origins = trusting(&["192.0.2.0/24"]);
        assert_eq!(location(&origins, &peer("192.0.2.1"), &PROXIED), outside);
        assert_eq!(
            location(&origins, &Peer::default(), &PROXIED),
            outside,
            "a Unix socket"
        );
        assert_eq!(location(&origins, &peer("198.51.100.1"), &PROXIED), "/v2/");
        assert_eq!(
            location(&origins, &peer("198.51.100.1"), &PROXIED[..1]),
            "http://backend:5000/v2/"
        );
    }

    #[test]
    fn what_is_configured_comes_first() {
        let public = Origins {
            public_url: Some("https://hub.example".into()),
            ..Origins::default()
        };
        assert_eq!(
            location(&public, &peer("::1"), &PROXIED),
            "https://hub.example/v2/"
        );
        let relative = Origins {
            relative: true,
            ..Origins::default()
        };
        assert_eq!(location(&relative, &peer("::1"), &PROXIED), "/cargo/v2/");
    }

    #[test]
    fn a_realm_is_absolute_even_so() {
        let absolute = |origins: &Origins, pairs| {
            origins.absolute(
                &peer("198.51.100.1"),
                &Uri::from_static("/v2/"),
                &headers(pairs),
                "/token",
            )
        };
        assert_eq!(
            absolute(&trusting(&[]), &PROXIED),
            "http://backend:5000/token"
        );
        let relative = Origins {
            relative: true,
            ..Origins::default()
        };
        assert_eq!(
            absolute(&relative, &PROXIED),
            "https://registry.example.com/cargo/token"
        );
    }

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
    fn a_client_is_where_no_proxy_of_ours_is() {
        let origins = trusting(&["192.0.2.0/24"]);
        let client = |origins: &Origins, peer: &Peer, value| {
            let client = origins.client(peer, &headers(&[("x-forwarded-for", value)]));
            (
                client
                    .address
                    .map(|address| address.to_string())
                    .unwrap_or_default(),
                client.attributable,
            )
        };
        let said = |text: &str| (text.to_owned(), true);
        assert_eq!(
            client(
                &origins,
                &peer("192.0.2.1"),
                "10.9.9.9, 203.0.113.5, 192.0.2.7"
            ),
            said("203.0.113.5")
        );
        assert_eq!(
            client(&origins, &peer("192.0.2.1"), "junk"),
            said("192.0.2.1")
        );
        assert_eq!(
            client(&origins, &peer("198.51.100.1"), "203.0.113.5"),
            said("198.51.100.1")
        );
        assert_eq!(
            client(&Origins::default(), &peer("192.0.2.1"), "203.0.113.5"),
            ("192.0.2.1".to_owned(), false)
        );
        assert!(
            Origins::default()
                .client(&peer("192.0.2.1"), &headers(&[]))
                .attributable
        );
    }
}
