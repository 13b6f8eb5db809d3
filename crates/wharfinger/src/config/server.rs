//! The section `server`: where to listen, who the client is, and how much it may send.

use std::time::Duration;

use common::IpNetwork;
use http::{HeaderName, HeaderValue, Uri};

use super::address::{ListenAddress, Net};
use super::diagnostics::Problem;
use super::effective::Effective;
use super::health::{self, HealthConfig};
use super::hsts;
use super::keys::KeyPairFiles;
use super::letsencrypt::{self, LetsEncryptConfig};
use super::log::LogConfig;
use super::metrics::{self, MetricsConfig};
use super::schema::Kind;
use super::schema::key;
use super::section::Section;
use super::setting::Setting;
use super::tls::{Tls, TlsSettings};

/// How the server is reached and how it treats clients.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfig {
    /// Where it listens; never empty.
    pub(crate) listen: Vec<ListenAddress>,
    pub(crate) tls: Option<Tls>,
    /// The ACME server that the certificates of TLS are from.
    pub(crate) letsencrypt: Option<LetsEncryptConfig>,
    /// The prefix of every path: empty, or a path that begins with `/`.
    pub(crate) path_prefix: String,
    /// The header that holds the client's address, and the place of the address among several;
    /// negative counts from the end.
    pub(crate) real_ip_header: Option<HeaderName>,
    pub(crate) real_ip_pos: i32,
    /// The proxies whose forwarded headers count.
    pub(crate) trusted_proxies: Option<Vec<IpNetwork>>,
    /// The value of `Strict-Transport-Security`.
    pub(crate) hsts: Option<HeaderValue>,
    /// The URL that clients use, without a slash at its end.
    pub(crate) public_url: Option<String>,
    /// How long requests are still taken after SIGTERM, while `/readyz` says no.
    pub(crate) drain: Duration,
    pub(crate) limits: ServerLimits,
    pub(crate) log: LogConfig,
    /// Metrics, if they are on.
    pub(crate) metrics: Option<MetricsConfig>,
    pub(crate) health: HealthConfig,
}

/// How much a client may ask of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerLimits {
    /// The largest head of a request, in bytes.
    pub(crate) header: usize,
    /// A request's body, in bytes.
    pub(crate) body: usize,
    /// How long a token request's body, each 64 KiB of a registry request's body, and a TLS handshake
    /// may take.
    pub(crate) request_timeout: Duration,
    /// How long a connection may stay without a request, and a client may pause while it reads a
    /// response.
    pub(crate) idle_timeout: Duration,
    /// How long open requests may take to end when the server shuts down.
    pub(crate) shutdown_timeout: Duration,
    /// Connections at once.
    pub(crate) connections: usize,
    /// Connections at once of one address that is not a trusted proxy's.
    pub(crate) connections_per_address: usize,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl ServerConfig {
    /// Reads the section, and the files of its TLS pair.
    pub(super) fn read<'a>(server: &mut Section<'a>) -> (Option<Self>, KeyPairFiles<'a>) {
        let listen = read_listen(server);
        let mut tls = TlsSettings::read(server);
        let public_url = server.find(
            key::parsed("public_url", "URL", public_url)
                .means(
                    "the URL that clients use: where the registry sends them for a token (with \
                     `path_prefix`), and the beginning of each `Location`. Needed only behind a \
                     proxy that does not send it as `X-Forwarded-Host` and `X-Forwarded-Proto`",
                )
                .otherwise("from the request"),
        );
        let letsencrypt = letsencrypt::read(server, &tls.pair, public_url.as_deref());
        if letsencrypt.is_some() {
            tls.tls = tls.with_acme(server);
        }
        let path_prefix = server.get(
            key::parsed("path_prefix", "text that begins with `/`", path_prefix)
                .docker_auth()
                .means("the prefix of `/auth`, `/auth/token`, `/token`, …")
                .default(String::new()),
        );
        let (real_ip_header, real_ip_pos, trusted_proxies) = read_client_address(server);
        let hsts = hsts::read(server);
        let settings = Self {
            listen: listen.clone().unwrap_or_default(),
            tls: tls.tls,
            letsencrypt,
            path_prefix,
            real_ip_header,
            real_ip_pos,
            trusted_proxies,
            hsts,
            public_url,
            drain: server.get(
                key::duration("drain", Duration::ZERO..=HOUR)
                    .means(
                        "how long requests are still taken after SIGTERM or SIGINT, while `/readyz` \
                         is 503, so that a balancer sends the next ones to other servers",
                    )
                    .default(Duration::ZERO),
            ),
            limits: server.always(
                key::mapping("limits").means("how much a client may ask of the server; below"),
                ServerLimits::read,
            ),
            log: server.always(
                key::mapping("log").means("what the log says; below"),
                LogConfig::read,
            ),
            metrics: metrics::read(server),
            health: health::read(server),
        };
        (listen.map(|_| settings), tls.pair)
    }
}

impl ServerLimits {
    /// Declares `server.limits.*`.
    fn read(limits: &mut Section<'_>) -> Self {
        Self {
            header: limits.get(
                key::size("header", 8 * KIB..=MIB)
                    .means("request line and headers")
                    .default(32 * KIB),
            ),
            body: limits.get(
                key::size("body", KIB..=MIB)
                    .means("the body of a request to the token server")
                    .default(64 * KIB),
            ),
            request_timeout: limits.get(
                key::duration("request_timeout", SECOND..=HOUR)
                    .means(
                        "for a body to arrive (at the registry: every 64 KiB of it), and for a TLS \
                         handshake",
                    )
                    .default(30 * SECOND),
            ),
            idle_timeout: limits.get(
                key::duration("idle_timeout", SECOND..=HOUR)
                    .means(
                        "from one response to the end of the next request's headers, and for a \
                         client to read more of a response",
                    )
                    .default(90 * SECOND),
            ),
            shutdown_timeout: limits.get(
                key::duration("shutdown_timeout", Duration::ZERO..=DAY)
                    .means(
                        "for open requests to end after SIGTERM or SIGINT; a second signal ends \
                         them at once",
                    )
                    .default(30 * SECOND),
            ),
            connections: limits.get(
                key::number("connections", 1..=1_000_000)
                    .means("connections at once")
                    .restart()
                    .default(10_000),
            ),
            connections_per_address: limits.get(
                key::number("connections_per_address", 1..=1_000_000)
                    .means("connections at once of one address that is not a trusted proxy's")
                    .restart()
                    .default(2_500),
            ),
        }
    }
}

/// One address, or a list of them.
fn read_listen(server: &mut Section<'_>) -> Option<Vec<ListenAddress>> {
    let setting = server.setting(
        key::custom("addr", Kind::OneOrMany(Box::new(Kind::Form("address"))))
            .not(&["address", "listen", "port"])
            .docker_auth()
            .restart()
            .required("write addr: \":5001\" to listen on every address of this machine")
            .means(
                "where to listen: `HOST:PORT`, `:PORT` for every address, `/path` for a Unix \
                 socket; + several as a list",
            ),
    );
    let net: Option<Net> = server.find(
        key::word("net")
            .docker_auth()
            .restart()
            .means("`unix` makes `addr` a path, whatever it begins with")
            .otherwise("`tcp`, or `unix` for an address that begins with `/`"),
    );
    let setting = setting?;
    let mut listen = Vec::new();
    for item in setting.one_or_many()? {
        match item.parse(|text| ListenAddress::parse(text, net)) {
            Some(address) if listen.contains(&address) => {
                item.error("this address is in the list already");
            }
            Some(address) => listen.push(address),
            None => {}
        }
    }
    if listen.is_empty() && setting.is_sequence() {
        setting.error("the list is empty; write an address, such as \":5001\"");
    }
    server.show(
        "addr",
        Effective::List(listen.iter().map(Effective::quoted).collect()),
    );
    (!listen.is_empty()).then_some(listen)
}

/// `real_ip_header`, `real_ip_pos` and `trusted_proxies`: whose word counts for the client's
/// address.
fn read_client_address(
    server: &mut Section<'_>,
) -> (Option<HeaderName>, i32, Option<Vec<IpNetwork>>) {
    let header = server.locate(
        key::parsed_as(
            "real_ip_header",
            Kind::Text,
            header_name,
            |name: &Option<HeaderName>| {
                Effective::quoted(name.as_ref().map_or("", HeaderName::as_str))
            },
        )
        .docker_auth()
        .means("the header that holds the client's address. A request without it is 400")
        .otherwise("none; see below"),
    );
    let position = server.locate(
        key::number::<i32>("real_ip_pos", i32::MIN.into()..=i32::MAX.into())
            .docker_auth()
            .means("which of its comma-separated addresses; negative counts from the end")
            .otherwise("0"),
    );
    let proxies = server.setting(
        key::custom(
            "trusted_proxies",
            Kind::List(Box::new(Kind::Form("addresses and networks"))),
        )
        .means(
            "addresses and networks of proxies whose headers count; see below. A client of a Unix \
             socket is trusted",
        )
        .otherwise("`[]`; for `real_ip_header` every peer, with a warning"),
    );
    let proxies = proxies.and_then(|setting| read_networks(&setting));
    if let Some(networks) = &proxies {
        let networks = networks.iter().map(Effective::quoted).collect();
        server.show("trusted_proxies", Effective::List(networks));
    }
    let has_header = header.as_ref().is_some_and(|header| header.value.is_some());
    if let (Some(header), true, None) = (&header, has_header, &proxies) {
        header.setting.warn(
            Problem::Insecure,
            "without trusted_proxies any client can send this header, claim any address and pass \
             rules that match on ip; list the addresses of your proxies in server.trusted_proxies",
        );
    }
    if let (Some(position), false) = (&position, has_header) {
        let message = "no effect without real_ip_header";
        position.setting.warn(Problem::NoEffect, message);
    }
    let position = position.map_or(0, |position| position.value);
    (header.and_then(|header| header.value), position, proxies)
}

pub(super) fn read_networks(setting: &Setting<'_>) -> Option<Vec<IpNetwork>> {
    let items = setting.items()?;
    Some(
        items
            .iter()
            .filter_map(|item| item.parse(str::parse))
            .collect(),
    )
}

/// An empty name is none, as in `docker_auth`.
fn header_name(text: &str) -> Result<Option<HeaderName>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("`{text}` is not a header's name"))
}

pub(super) fn path_prefix(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("a path begins with /".to_owned())
    }
}

fn public_url(text: &str) -> Result<String, String> {
    let wrong = || "must be a URL without a query, such as https://auth.example.com".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri
        .authority()
        .is_some_and(|authority| !authority.as_str().contains('@'));
    if is_http && has_host && uri.query().is_none() {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(wrong())
    }
}
