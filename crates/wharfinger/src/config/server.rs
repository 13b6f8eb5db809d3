//! The section `server`: where to listen, how to find out who calls, and how much a caller may
//! send.

use std::time::Duration;

use common::IpNetwork;
use http::{HeaderName, HeaderValue, Uri};
use tracing::Level;

use super::address::{ListenAddress, Net};
use super::section::Section;
use super::setting::Setting;
use super::tls::Tls;
use crate::log::LogFormat;

/// How the server is reached and how it treats those who come.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    /// Where it listens; never empty.
    pub(crate) listen: Vec<ListenAddress>,
    pub(crate) tls: Option<Tls>,
    /// What stands before every path: nothing, or a path that begins with `/`.
    pub(crate) path_prefix: String,
    /// The header that holds the client's address, and its place among several there; negative
    /// counts from the end.
    pub(crate) real_ip_header: Option<HeaderName>,
    pub(crate) real_ip_pos: i32,
    /// Whose forwarded headers count; without a list, everybody's.
    pub(crate) trusted_proxies: Option<Vec<IpNetwork>>,
    /// The value of `Strict-Transport-Security`.
    pub(crate) hsts: Option<HeaderValue>,
    /// The URL that clients use, without a slash at its end.
    pub(crate) public_url: Option<String>,
    pub(crate) limits: ServerLimits,
    pub(crate) log: LogSettings,
}

/// How much a stranger may ask of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerLimits {
    /// All headers of a request, in bytes.
    pub(crate) header: usize,
    /// A request's body, in bytes.
    pub(crate) body: usize,
    /// For the body of a request to the token server, 64 KiB of one to the registry, and a TLS
    /// handshake.
    pub(crate) request_timeout: Duration,
    /// How long a connection may stay without a request, and a client away from an answer that it
    /// is sent.
    pub(crate) idle_timeout: Duration,
    /// How long requests under way may take to end after the server was told to.
    pub(crate) shutdown_timeout: Duration,
    /// Connections at once.
    pub(crate) connections: usize,
}

/// What the log says and how.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    pub(crate) level: Level,
    pub(crate) format: LogFormat,
}

const KIB: usize = 1024;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Two years, which `docker_auth` sends for `hsts: true`.
const HSTS_AGE: Duration = Duration::from_secs(63_072_000);

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header: 32 * KIB,
            body: 64 * KIB,
            request_timeout: 30 * SECOND,
            idle_timeout: 90 * SECOND,
            shutdown_timeout: 30 * SECOND,
            connections: 10_000,
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: Level::INFO,
            format: LogFormat::Text,
        }
    }
}

impl ServerSettings {
    pub(super) fn read(server: &mut Section<'_>) -> Option<Self> {
        if let Some(letsencrypt) = server.setting("letsencrypt") {
            letsencrypt.error(
                "certificates from Let's Encrypt are not supported yet; use certificate and key (certbot or lego keep \
                 them fresh, and they are read again when they change), or a proxy that does TLS",
            );
        }
        server.require(
            "addr",
            "write addr: \":5001\" to listen on every address of this machine",
        );
        let net = server.parse("net", str::parse);
        let listen = server
            .setting("addr")
            .and_then(|setting| read_listen(&setting, net));
        let tls = Tls::read(server);
        let real_ip_header = server.parse("real_ip_header", header_name).flatten();
        let real_ip_pos = server.setting("real_ip_pos");
        let trusted_proxies = server
            .setting("trusted_proxies")
            .and_then(|setting| read_networks(&setting));
        if real_ip_header.is_some() && trusted_proxies.is_none() {
            warn_of_strangers(server);
        }
        if let (None, Some(setting)) = (&real_ip_header, &real_ip_pos) {
            setting.warn("without real_ip_header this has no effect");
        }
        Some(Self {
            tls,
            path_prefix: server.parse("path_prefix", path_prefix).unwrap_or_default(),
            real_ip_header,
            real_ip_pos: real_ip_pos
                .and_then(|setting| setting.number(i32::MIN, i32::MAX))
                .unwrap_or(0),
            trusted_proxies,
            hsts: server
                .setting("hsts")
                .and_then(|setting| read_hsts(&setting)),
            public_url: server.parse("public_url", public_url),
            limits: server
                .section("limits", ServerLimits::read)
                .unwrap_or_default(),
            log: server.section("log", LogSettings::read).unwrap_or_default(),
            listen: listen?,
        })
    }
}

impl ServerLimits {
    fn read(limits: &mut Section<'_>) -> Option<Self> {
        let default = Self::default();
        Some(Self {
            header: limits
                .size_within("header", 8 * KIB, 1024 * KIB)
                .unwrap_or(default.header),
            body: limits
                .size_within("body", KIB, 1024 * KIB)
                .unwrap_or(default.body),
            request_timeout: limits
                .duration_within("request_timeout", SECOND, HOUR)
                .unwrap_or(default.request_timeout),
            idle_timeout: limits
                .duration_within("idle_timeout", SECOND, HOUR)
                .unwrap_or(default.idle_timeout),
            shutdown_timeout: limits
                .duration_within("shutdown_timeout", Duration::ZERO, 24 * HOUR)
                .unwrap_or(default.shutdown_timeout),
            connections: limits
                .number("connections", 1, 1_000_000)
                .unwrap_or(default.connections),
        })
    }
}

impl LogSettings {
    fn read(log: &mut Section<'_>) -> Option<Self> {
        let default = Self::default();
        let format = log.parse("format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("this must be text or json"),
        });
        let level = log.parse("level", |text| match text {
            "error" | "warn" | "info" | "debug" | "trace" => text.parse().map_err(|_| ""),
            _ => Err("this must be error, warn, info, debug or trace"),
        });
        Some(Self {
            level: level.unwrap_or(default.level),
            format: format.unwrap_or(default.format),
        })
    }
}

/// One address, or a list of them.
fn read_listen(setting: &Setting<'_>, net: Option<Net>) -> Option<Vec<ListenAddress>> {
    let items = if setting.is_sequence() {
        setting.items()?
    } else {
        vec![setting.clone()]
    };
    let mut listen = Vec::new();
    for item in items {
        match item.parse(|text| ListenAddress::parse(text, net)) {
            Some(address) if listen.contains(&address) => {
                item.error("this address is in the list already");
            }
            Some(address) => listen.push(address),
            None => {}
        }
    }
    if listen.is_empty() && setting.is_sequence() {
        setting.error("there must be an address in the list");
    }
    (!listen.is_empty()).then_some(listen)
}

fn read_networks(setting: &Setting<'_>) -> Option<Vec<IpNetwork>> {
    Some(
        setting
            .items()?
            .iter()
            .filter_map(|item| item.parse(str::parse))
            .collect(),
    )
}

fn warn_of_strangers(server: &mut Section<'_>) {
    if let Some(setting) = server.setting("real_ip_header") {
        setting.warn(
            "without trusted_proxies, whoever reaches this server can put any address there and pass rules that match \
             on ip; list the addresses of your proxies in server.trusted_proxies",
        );
    }
}

/// An empty name is none, as in `docker_auth`.
fn header_name(text: &str) -> Result<Option<HeaderName>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("`{text}` cannot be the name of a header"))
}

fn path_prefix(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("a path begins with /")
    }
}

fn public_url(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "this must be a URL without a query, as https://auth.example.com";
    let uri: Uri = text.parse().map_err(|_| WRONG)?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri
        .authority()
        .is_some_and(|authority| !authority.as_str().contains('@'));
    if scheme && host && uri.query().is_none() {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(WRONG)
    }
}

/// `true`, or what the header is to say.
fn read_hsts(setting: &Setting<'_>) -> Option<HeaderValue> {
    let value = if setting.is_mapping() {
        setting.section(|hsts| {
            let age = hsts.duration("max_age").unwrap_or(HSTS_AGE);
            let subdomains = hsts.flag("include_subdomains").unwrap_or(true);
            let preload = hsts.flag("preload").unwrap_or(false);
            // https://hstspreload.org takes no other.
            if preload && (age < Duration::from_secs(31_536_000) || !subdomains) {
                setting
                    .warn("preload lists want include_subdomains and a max_age of a year or more");
            }
            hsts.flag("enabled")
                .unwrap_or(true)
                .then(|| hsts_value(age, subdomains, preload))
        })
    } else {
        setting.flag()?.then(|| hsts_value(HSTS_AGE, true, false))
    };
    value.and_then(|value| HeaderValue::from_str(&value).ok())
}

/// RFC 6797 §6.1.
fn hsts_value(age: Duration, subdomains: bool, preload: bool) -> String {
    let subdomains = if subdomains {
        "; includeSubDomains"
    } else {
        ""
    };
    let preload = if preload { "; preload" } else { "" };
    format!("max-age={}{subdomains}{preload}", age.as_secs())
}
