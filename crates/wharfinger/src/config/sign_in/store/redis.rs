//! The key `redis_token_db`: sign-ins in Redis or in a Redis Cluster.
//!
//! Its keys are the fields of go-redis's options in lower case, run together, as docker_auth's
//! library for YAML reads them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use common::Secret;
use identity::tls::ClientTls;
use sign_in::{HostPort, RedisAddress, RedisServers, RedisSettings, RedisTls};

use super::super::super::diagnostics::Problem;
use super::super::super::effective::Effective;
use super::super::super::schema::key::Words;
use super::super::super::schema::{Kind, key};
use super::super::super::section::Section;
use super::super::super::yaml::Value;
use super::super::{SECOND, filled, secret};
use super::read_hash_cost;

const MILLISECOND: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(600);
/// What counts instead of no limit.
const UNLIMITED: Duration = Duration::from_secs(60);
const PORT: u16 = 6379;

/// The key `network`.
#[derive(Clone, Copy, PartialEq)]
enum Network {
    Tcp,
    Unix,
}

impl Words for Network {
    const WORDS: &'static [(&'static str, Self)] = &[("tcp", Self::Tcp), ("unix", Self::Unix)];
}

pub(super) fn read(section: &mut Section<'_>) -> Option<RedisSettings> {
    let single = section.optional(
        key::mapping("redis_options")
            .docker_auth()
            .means("one server; `{}` is the one at `localhost:6379`"),
        read_single,
    );
    let cluster = section.optional(
        key::mapping("redis_cluster_options")
            .docker_auth()
            .means("a Redis Cluster; it counts before `redis_options`"),
        read_cluster,
    );
    read_hash_cost(section);
    match (
        section.has("redis_options"),
        section.has("redis_cluster_options"),
    ) {
        (false, false) => {
            let message = "write redis_options or redis_cluster_options";
            section.error(Problem::Missing, message);
        }
        (true, true) => {
            let message = "no effect: redis_cluster_options counts, as in docker_auth; remove one";
            section.warn_about("redis_options", Problem::NoEffect, message);
        }
        _ => {}
    }
    cluster.or(single)
}

fn read_single(section: &mut Section<'_>) -> Option<RedisSettings> {
    let network = section.get(
        key::word::<Network>("network")
            .docker_auth()
            .means("how the server is reached")
            .default(Network::Tcp),
    );
    let address = section.locate(
        key::text("addr")
            .docker_auth()
            .means("`HOST:PORT`, or with `network: unix` the socket's path")
            .otherwise("localhost:6379"),
    );
    let database = section.get(
        key::number::<u16>("db", 0..=i64::from(u16::MAX))
            .docker_auth()
            .means("the number of the database")
            .default(0),
    );
    let connection = ConnectionKeys::read(section, read_server_tls);
    let address = match (network, address) {
        (Network::Unix, Some(path)) => Some(RedisAddress::Unix(PathBuf::from(path.value))),
        (Network::Unix, None) => {
            section.error_about("addr", Problem::Missing, "write the path of the socket");
            None
        }
        (Network::Tcp, Some(address)) => address
            .setting
            .checked(host_port(&address.value))
            .map(RedisAddress::Tcp),
        (Network::Tcp, None) => host_port("").ok().map(RedisAddress::Tcp),
    }?;
    match &address {
        RedisAddress::Tcp(address) => connection.warn_of_clear_text(section, "addr", address),
        RedisAddress::Unix(_) if connection.tls.is_some() => {
            let message = "a socket has no TLS; remove tlsconfig";
            section.error_about("tlsconfig", Problem::Conflict, message);
        }
        RedisAddress::Unix(_) => {}
    }
    Some(connection.settings(RedisServers::Single { address, database }))
}

fn read_cluster(section: &mut Section<'_>) -> Option<RedisSettings> {
    let addresses = section.locate(
        key::texts("addrs")
            .docker_auth()
            .required("write the `HOST:PORT` of one node or more")
            .means("`HOST:PORT` of some nodes, which name the others"),
    );
    let max_redirects = section.get(
        key::number::<u32>("maxredirects", 0..=100)
            .docker_auth()
            .means("how often a command follows the cluster to another node, or is repeated")
            .default(8),
    );
    for name in ["readonly", "routebylatency", "routerandomly"] {
        let switch = section.locate(key::switch(name).docker_auth().means(
            "no effect: masters are asked, because a replica may still know a revoked password",
        ));
        if let Some(switch) = switch.filter(|switch| switch.value) {
            let message = "no effect: masters are asked, because a replica may still know a \
                           revoked password; remove the key";
            switch.setting.warn(Problem::NoEffect, message);
        }
    }
    let connection = ConnectionKeys::read(section, read_cluster_tls);
    let addresses = addresses?;
    if addresses.value.is_empty() {
        addresses.setting.error("write one node or more");
    }
    let nodes = addresses.value.iter().map(|text| host_port(text));
    let nodes: Vec<HostPort> = addresses.setting.checked(nodes.collect::<Result<_, _>>())?;
    if let Some(first) = nodes.first() {
        connection.warn_of_clear_text(section, "addrs", first);
    }
    Some(connection.settings(RedisServers::Cluster {
        nodes,
        max_redirects,
    }))
}

/// The keys that a server and a cluster have in common.
struct ConnectionKeys {
    username: Option<String>,
    password: Option<Secret>,
    tls: Option<RedisTls>,
    dial_timeout: Duration,
    response_timeout: Duration,
    retries: u32,
    min_backoff: Duration,
    max_backoff: Duration,
}

impl ConnectionKeys {
    fn read(section: &mut Section<'_>, read_tls: fn(&mut Section<'_>) -> Option<RedisTls>) -> Self {
        let username = section.find(
            key::parsed("username", "text", filled)
                .means("the user of Redis 6 and later")
                .otherwise("Redis's `default`"),
        );
        let password = section.find(
            key::parsed_as("password", Kind::Text, secret, |_| Effective::hidden())
                .docker_auth()
                .secret()
                .means("its password, or `requirepass`"),
        );
        let retries = section.get(
            key::number::<u32>("maxretries", 0..=100)
                .docker_auth()
                .means("how often a read is repeated whose connection broke; a change never is")
                .default(1),
        );
        let min_backoff = read_time(
            section,
            "minretrybackoff",
            "the wait before the first repetition; it doubles",
            8 * MILLISECOND,
        );
        let max_backoff = read_time(
            section,
            "maxretrybackoff",
            "the longest wait before a repetition",
            512 * MILLISECOND,
        );
        let dial_timeout = read_time(
            section,
            "dialtimeout",
            "how long a connection may take to be made",
            5 * SECOND,
        );
        let response_timeout = read_time(
            section,
            "readtimeout",
            "how long an answer may take",
            3 * SECOND,
        );
        let keys = Self {
            username,
            password,
            tls: section.optional(
                key::mapping("tlsconfig")
                    .docker_auth()
                    .means("TLS; `{}` verifies the server by the system's authorities"),
                read_tls,
            ),
            dial_timeout,
            response_timeout,
            retries,
            min_backoff,
            max_backoff,
        };
        read_pool(section);
        keys
    }

    fn settings(self, servers: RedisServers) -> RedisSettings {
        RedisSettings {
            servers,
            username: self.username,
            password: self.password,
            tls: self.tls,
            dial_timeout: self.dial_timeout,
            response_timeout: self.response_timeout,
            retries: self.retries,
            min_backoff: self.min_backoff,
            max_backoff: self.max_backoff,
        }
    }

    /// Every user's tokens at the provider go through this connection.
    fn warn_of_clear_text(&self, section: &Section<'_>, name: &str, server: &HostPort) {
        let is_local = server.host == "localhost"
            || server
                .host
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback());
        match &self.tls {
            None if !is_local => {
                let message = "every user's tokens are sent without encryption; use tlsconfig";
                section.warn_about(name, Problem::Insecure, message);
            }
            Some(RedisTls::Unverified) => {
                let message = "any server is accepted; use tlsconfig.ca_certificate";
                section.warn_about("tlsconfig.insecureskipverify", Problem::Insecure, message);
            }
            _ => {}
        }
    }
}

/// A time. What is negative has no limit in go-redis, and [`UNLIMITED`] here.
fn read_time(
    section: &mut Section<'_>,
    name: &'static str,
    means: &'static str,
    default: Duration,
) -> Duration {
    let negative = section.present(name).filter(|setting| {
        matches!(&setting.node().value, Value::Scalar(scalar) if scalar.text().starts_with('-'))
    });
    if let Some(setting) = negative {
        section.know([name]);
        section.show(name, Effective::plain("1m"));
        setting.warn(Problem::NoEffect, "no limit is not possible; 1m counts");
        return UNLIMITED;
    }
    section.get(
        key::duration(name, Duration::ZERO..=LONGEST)
            .docker_auth()
            .means(means)
            .default(default),
    )
}

/// Keys of go-redis that mean nothing here.
fn read_pool(section: &mut Section<'_>) {
    const POOL: &str = "no effect: all requests share one connection to each server";
    const WRITE: &str = "no effect: `readtimeout` counts from the request to its answer";
    for (name, means) in [
        ("writetimeout", WRITE),
        ("poolsize", POOL),
        ("minidleconns", POOL),
        ("maxconnage", POOL),
        ("pooltimeout", POOL),
        ("idletimeout", POOL),
        ("idlecheckfrequency", POOL),
    ] {
        let key = key::custom(name, Kind::Anything).docker_auth();
        if let Some(setting) = section.setting(key.means(means)) {
            if let Some(text) = setting.text() {
                section.show(name, Effective::quoted(text));
            }
            setting.warn(Problem::NoEffect, format!("{means}; remove the key"));
        }
    }
}

fn read_server_tls(section: &mut Section<'_>) -> Option<RedisTls> {
    let server_name = section.find(
        key::parsed("servername", "text", filled)
            .docker_auth()
            .means("the name in the server's certificate")
            .otherwise("the host of `addr`"),
    );
    read_tls(section, server_name)
}

fn read_cluster_tls(section: &mut Section<'_>) -> Option<RedisTls> {
    if let Some(setting) = section.present("servername") {
        section.know(["servername"]);
        let message = "each node of a cluster is verified by its own name; remove this key, and \
                       let the nodes announce names (cluster-announce-hostname)";
        setting.report(Problem::Unsupported, message);
    }
    read_tls(section, None)
}

fn read_tls(section: &mut Section<'_>, server_name: Option<String>) -> Option<RedisTls> {
    let skips = section.get(
        key::switch("insecureskipverify")
            .docker_auth()
            .means("whether any server is accepted")
            .default(false),
    );
    let file = section.locate(
        key::path("ca_certificate")
            .means("PEM: the only authorities that are trusted")
            .otherwise("the system's authorities"),
    );
    if skips {
        return Some(RedisTls::Unverified);
    }
    let authorities = match &file {
        None => None,
        Some(file) => {
            let pem = file.read()?;
            // Whether it has certificates is said here, not at the first sign-in.
            let usable = ClientTls::default().trusting(&pem);
            file.setting.checked_file(&file.value, usable)?;
            Some(pem)
        }
    };
    Some(RedisTls::Verified {
        authorities,
        server_name,
    })
}

/// `HOST:PORT` as Go reads it: without a host this machine is meant.
fn host_port(text: &str) -> Result<HostPort, String> {
    if text.is_empty() {
        return Ok(HostPort {
            host: "localhost".to_owned(),
            port: PORT,
        });
    }
    let (host, port) = text.rsplit_once(':').ok_or("must be HOST:PORT")?;
    let port = port
        .parse()
        .map_err(|_| format!("`{port}` is not a port"))?;
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if inner.is_none() && host.contains(':') {
        return Err(format!(
            "write an IPv6 address in brackets: [{host}]:{port}"
        ));
    }
    let host = match inner.unwrap_or(host) {
        "" => "localhost",
        host => host,
    };
    Ok(HostPort {
        host: host.to_lowercase(),
        port,
    })
}
