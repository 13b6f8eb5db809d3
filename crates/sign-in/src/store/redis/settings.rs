//! How Redis is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use common::Secret;

/// A Redis, or a Redis Cluster.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Which servers.
    pub servers: RedisServers,
    /// The user of Redis 6 and later; `None` is `default`.
    pub username: Option<String>,
    /// Its password, or `requirepass`.
    pub password: Option<Secret>,
    /// TLS; `None` speaks in clear text.
    pub tls: Option<RedisTls>,
    /// How long a connection may take to be made.
    pub dial_timeout: Duration,
    /// How long an answer may take.
    pub response_timeout: Duration,
    /// How often a read is repeated whose connection broke. A change is not repeated: it may have
    /// happened.
    pub retries: u32,
    /// How long to wait before the first repetition; twice as long before each further one.
    pub min_backoff: Duration,
    /// How long to wait at most.
    pub max_backoff: Duration,
}

/// Which servers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisServers {
    /// One server.
    Single {
        /// Where it is.
        address: RedisAddress,
        /// The number of its database.
        database: u16,
    },
    /// A cluster.
    Cluster {
        /// Some of its nodes; they name the others.
        nodes: Vec<HostPort>,
        /// How often a command follows the cluster to another node.
        max_redirects: u32,
    },
}

/// Where one server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddress {
    /// At a port.
    Tcp(HostPort),
    /// At a socket in the file system.
    Unix(PathBuf),
}

/// A host with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How the server is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTls {
    /// By an authority and its name.
    Verified {
        /// The only authorities, as PEM; `None` trusts the system's.
        authorities: Option<Vec<u8>>,
        /// The name in its certificate; `None` is the host of its address. One server only: each
        /// node of a cluster has a name of its own.
        server_name: Option<String>,
    },
    /// Not at all.
    Unverified,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
