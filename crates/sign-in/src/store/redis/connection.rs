//! The connection to Redis: made when it is needed, made anew when it broke.
//!
//! One connection carries the requests of all logins at the same time, so there is no pool. A
//! cluster has one for each node, which the client library looks after.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::io::AsyncDNSResolver;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisFuture, ServerErrorKind,
    TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::settings::{HostPort, RedisAddress, RedisServers, RedisSettings, RedisTls};
use crate::store::TokenStoreError;

/// Connects to Redis, and asks it.
pub(super) struct RedisConnections {
    connector: Connector,
    settings: RedisSettings,
    current: Mutex<Option<NumberedConnection>>,
    made: AtomicU32,
}

/// Which node of a cluster is asked. There is no choice without one.
#[derive(Clone, Copy, Debug)]
pub(super) enum CommandTarget {
    /// The master that has the command's key.
    OfKey,
    /// The master that has this slot.
    OfSlot(u16),
}

/// Whether a command may be sent again if its connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandRetry {
    Allowed,
    Never,
}

enum Connector {
    Single(Client, Box<AsyncConnectionConfig>),
    Cluster(ClusterClient),
}

/// A connection, and which one it is.
#[derive(Clone)]
struct NumberedConnection {
    number: u32,
    connection: Connection,
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl RedisConnections {
    pub(super) fn new(settings: RedisSettings) -> Result<Self, RedisError> {
        Ok(Self {
            connector: Connector::new(&settings)?,
            settings,
            current: Mutex::default(),
            made: AtomicU32::default(),
        })
    }

    /// The answer to `command`. It takes as long as a connection and an answer may take, however
    /// often it is repeated.
    pub(super) async fn ask(
        &self,
        command: &Cmd,
        target: CommandTarget,
        retry: CommandRetry,
    ) -> Result<Value, TokenStoreError> {
        let limit = self.settings.dial_timeout + self.settings.response_timeout;
        let retries = match retry {
            CommandRetry::Allowed => self.settings.retries,
            CommandRetry::Never => 0,
        };
        let asked = async {
            let mut backoff = self.settings.min_backoff;
            for _ in 0..retries {
                match self.ask_once(command, target).await {
                    Err(error) if error.is_io_error() => {}
                    answer => return answer,
                }
                sleep(backoff).await;
                backoff = (backoff * 2).min(self.settings.max_backoff);
            }
            self.ask_once(command, target).await
        };
        match timeout(limit, asked).await {
            Ok(answer) => Ok(answer?),
            Err(elapsed) => Err(TokenStoreError::Unavailable(elapsed.into())),
        }
    }

    /// One target for each master; together they have all keys.
    pub(super) async fn masters(&self) -> Result<Vec<CommandTarget>, TokenStoreError> {
        if let Connector::Single(..) = self.connector {
            return Ok(vec![CommandTarget::OfKey]);
        }
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        // Any node knows the slots; slot 0 is as good as another.
        let slots = self
            .ask(&slots, CommandTarget::OfSlot(0), CommandRetry::Allowed)
            .await?;
        let ranges: Vec<Vec<Value>> = redis::from_redis_value(slots)
            .map_err(|error| TokenStoreError::Broken(error.into()))?;
        let mut masters: Vec<(Value, u16)> = Vec::new();
        for range in ranges {
            // First slot, last slot, master, replicas.
            let [Value::Int(first), _, master, ..] = &range[..] else {
                continue;
            };
            let is_known = masters.iter().any(|(known, _)| known == master);
            if let (false, Ok(slot)) = (is_known, u16::try_from(*first)) {
                masters.push((master.clone(), slot));
            }
        }
        Ok(masters
            .into_iter()
            .map(|(_, slot)| CommandTarget::OfSlot(slot))
            .collect())
    }

    async fn ask_once(&self, command: &Cmd, target: CommandTarget) -> Result<Value, RedisError> {
        let NumberedConnection { number, connection } = self.connection().await?;
        let answer = timeout(
            self.settings.response_timeout,
            connection.ask(command, target),
        )
        .await;
        let answer = answer.unwrap_or_else(|elapsed| {
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed).into())
        });
        // A connection that does not answer may be one to a machine that is gone.
        if let Err(error) = &answer
            && (error.is_io_error() || error.is_unrecoverable_error())
        {
            let mut current = self.current.lock().await;
            current.take_if(|current| current.number == number);
        }
        answer
    }

    async fn connection(&self) -> Result<NumberedConnection, RedisError> {
        let mut current = self.current.lock().await;
        if let Some(current) = &*current {
            return Ok(current.clone());
        }
        let connected = timeout(self.settings.dial_timeout, self.connector.connect()).await;
        let connected = connected.unwrap_or_else(|elapsed| {
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed).into())
        });
        let connection = NumberedConnection {
            number: self.made.fetch_add(1, Ordering::Relaxed),
            connection: connected?,
        };
        Ok(current.insert(connection).clone())
    }
}

impl Connector {
    fn new(settings: &RedisSettings) -> Result<Self, RedisError> {
        match &settings.servers {
            RedisServers::Single { address, database } => {
                let mut login = login(settings).set_db((*database).into());
                login = login.set_skip_set_lib_name();
                let info = connection_address(address, settings.tls.as_ref())
                    .into_connection_info()?
                    .set_redis_settings(login);
                let mut config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(settings.dial_timeout))
                    .set_response_timeout(Some(settings.response_timeout));
                if let (RedisAddress::Tcp(address), Some(RedisTls::Verified { .. })) =
                    (address, &settings.tls)
                {
                    config = config.set_dns_resolver(FixedServer(address.clone()));
                }
                let client = match certificates(settings.tls.as_ref()) {
                    Some(certificates) => Client::build_with_tls(info, certificates)?,
                    None => Client::open(info)?,
                };
                Ok(Self::Single(client, Box::new(config)))
            }
            RedisServers::Cluster {
                nodes,
                max_redirects,
            } => {
                let nodes = nodes.iter().map(|node| {
                    connection_address(&RedisAddress::Tcp(node.clone()), settings.tls.as_ref())
                        .into_connection_info()
                        .map(|info| info.set_redis_settings(login(settings)))
                });
                let nodes: Vec<ConnectionInfo> = nodes.collect::<Result<_, _>>()?;
                let milliseconds =
                    |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let mut builder = ClusterClient::builder(nodes)
                    .retries(*max_redirects)
                    .min_retry_wait(milliseconds(settings.min_backoff))
                    .max_retry_wait(milliseconds(settings.max_backoff))
                    .retry_wait_formula(1, 2)
                    .connection_timeout(settings.dial_timeout)
                    .response_timeout(settings.response_timeout);
                if let Some(tls) = &settings.tls {
                    builder = builder.tls(match tls {
                        RedisTls::Verified { .. } => TlsMode::Secure,
                        RedisTls::Unverified => TlsMode::Insecure,
                    });
                }
                if let Some(certificates) = certificates(settings.tls.as_ref()) {
                    builder = builder.certs(certificates);
                }
                Ok(Self::Cluster(builder.build()?))
            }
        }
    }

    async fn connect(&self) -> Result<Connection, RedisError> {
        Ok(match self {
            Self::Single(client, config) => Connection::Single(
                client
                    .get_multiplexed_async_connection_with_config(config)
                    .await?,
            ),
            Self::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
        })
    }
}

impl Connection {
    async fn ask(self, command: &Cmd, target: CommandTarget) -> Result<Value, RedisError> {
        match (self, target) {
            (Self::Single(mut connection), _) => connection.req_packed_command(command).await,
            (Self::Cluster(mut connection), CommandTarget::OfKey) => {
                connection.req_packed_command(command).await
            }
            (Self::Cluster(mut connection), CommandTarget::OfSlot(slot)) => {
                let route = Route::new(slot, SlotAddr::Master);
                let node = SingleNodeRoutingInfo::SpecificNode(route);
                connection
                    .route_command(command.clone(), RoutingInfo::SingleNode(node))
                    .await
            }
        }
    }
}

/// Whether Redis may answer later what it does not now.
pub(super) fn may_pass(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ReadOnly
        ),
        _ => false,
    }
}

fn login(settings: &RedisSettings) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default();
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.expose());
    }
    login
}

fn connection_address(address: &RedisAddress, tls: Option<&RedisTls>) -> ConnectionAddr {
    let HostPort { host, port } = match address {
        RedisAddress::Unix(path) => return ConnectionAddr::Unix(path.clone()),
        RedisAddress::Tcp(address) => address.clone(),
    };
    let (host, insecure) = match tls {
        None => return ConnectionAddr::Tcp(host, port),
        Some(RedisTls::Unverified) => (host, true),
        Some(RedisTls::Verified { server_name, .. }) => {
            (server_name.clone().unwrap_or(host), false)
        }
    };
    ConnectionAddr::TcpTls {
        host,
        port,
        insecure,
        tls_params: None,
    }
}

fn certificates(tls: Option<&RedisTls>) -> Option<TlsCertificates> {
    match tls {
        Some(RedisTls::Verified {
            authorities: Some(pem),
            ..
        }) => Some(TlsCertificates {
            client_tls: None,
            root_cert: Some(pem.clone()),
        }),
        _ => None,
    }
}

/// Finds the server, whatever name its certificate has. The client library knows one name for both.
struct FixedServer(HostPort);

impl AsyncDNSResolver for FixedServer {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((self.0.host.as_str(), port)).await?;
            Ok(Box::new(found) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}
