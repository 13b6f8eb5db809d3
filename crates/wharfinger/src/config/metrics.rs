//! `server.metrics`: where metrics are, and who may read them.

use ::metrics::NameLimits;
use common::Secret;

use super::address::ListenAddress;
use super::diagnostics::Problem;
use super::schema::key;
use super::section::Section;

/// Metrics for Prometheus, and the address for operators.
#[derive(Clone, Debug)]
pub(crate) struct MetricsConfig {
    /// Whether there are metrics. Without them, the address has health checks only.
    pub(crate) is_enabled: bool,
    /// An address of its own, without TLS. `None`: the addresses of `server.addr`.
    pub(crate) listen: Option<ListenAddress>,
    /// The path of the metrics.
    pub(crate) path: String,
    /// What a client must send as its bearer token. It is there if there is no own address.
    pub(crate) token: Option<Secret>,
    /// How many repositories, and prefixes with a quota, are shown by name.
    pub(crate) names: NameLimits,
}

/// The shortest token: with 64 symbols, 96 random bits.
const SHORTEST_TOKEN: usize = 16;

/// First parts of paths that have an answer already.
const TAKEN: [&str; 7] = [
    "v2",
    "auth",
    "api",
    "livez",
    "readyz",
    "healthz",
    ".well-known",
];

/// Declares `server.metrics`.
pub(super) fn read(server: &mut Section<'_>) -> Option<MetricsConfig> {
    let key = key::mapping("metrics")
        .means("metrics for Prometheus, and health checks for operators, below")
        .otherwise("off");
    server.optional(key, read_section)
}

fn read_section(section: &mut Section<'_>) -> Option<MetricsConfig> {
    let is_enabled = section.get(
        key::switch("enabled")
            .means("whether there are metrics; without them, `addr` has `/debug/health` only")
            .restart()
            .default(true),
    );
    let listen = section.locate(
        key::parsed("addr", "address", |text| {
            ListenAddress::parse(text, None).map_err(|error| error.to_string())
        })
        .means(
            "where to listen for operators, without TLS: `127.0.0.1:9090`, `:9090`, `/path` for a \
             Unix socket. It has the metrics, `/debug/health`, `/livez` and `/readyz`",
        )
        .restart()
        .otherwise("the metrics are on the server's own addresses, and need `token`"),
    );
    let path = section.get(
        key::parsed("path", "text that begins with `/`", path)
            .means("the path of the metrics")
            .default("/metrics".to_owned()),
    );
    let token = section.locate(
        key::parsed_as("token", super::schema::Kind::Text, token, |_| {
            super::effective::Effective::plain("")
        })
        .secret()
        .means(
            "what Prometheus must send as `Authorization: Bearer TOKEN`; at least 16 characters. \
             Required without `addr`",
        ),
    );
    let repositories = section.get(
        key::number("repositories", 0..=10_000)
            .means(
                "how many repositories have a counter of their own for pulls: those that are pulled \
                 most. All others are counted together",
            )
            .restart()
            .default(100),
    );
    let quota_prefixes = section.get(
        key::number("quota_prefixes", 0..=10_000)
            .means(
                "how many prefixes of `registry.quotas` are shown: those that are nearest to a limit",
            )
            .restart()
            .default(100),
    );
    let listen = listen.map(|located| located.value);
    if is_enabled && listen.is_none() && token.is_none() && !section.context.is_describing() {
        section.error(
            Problem::Insecure,
            "everyone could read the metrics on the server's own addresses: write addr: \
             \"127.0.0.1:9090\" for an address of their own, or token_file: FILE",
        );
        return None;
    }
    Some(MetricsConfig {
        is_enabled,
        listen,
        path,
        token: token.map(|located| located.value),
        names: NameLimits {
            repositories,
            quota_prefixes,
        },
    })
}

fn path(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\"\\".contains(&byte);
    let first = text.split('/').nth(1).unwrap_or_default();
    if TAKEN.contains(&first) || text == "/debug/health" {
        return Err(
            "the server has other answers there: write another path, such as /metrics".to_owned(),
        );
    }
    match text.strip_prefix('/') {
        Some(rest) if !rest.is_empty() && rest.bytes().all(is_plain) && !rest.ends_with('/') => {
            Ok(text.to_owned())
        }
        _ => Err("must be a path such as /metrics".to_owned()),
    }
}

fn token(text: &str) -> Result<Secret, String> {
    let text = text.trim_end_matches(['\r', '\n']);
    if text.len() < SHORTEST_TOKEN {
        return Err(format!(
            "too short: write at least {SHORTEST_TOKEN} random characters (`openssl rand -hex 16`)"
        ));
    }
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Secret::from(text)),
        false => Err("must be letters, digits and signs without spaces".to_owned()),
    }
}
