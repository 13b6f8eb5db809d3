//! Connections that are used again.
//!
//! A login costs a search and a bind. Without a pool it would also cost two connections with their
//! TLS handshakes, and a bind of the reader. Readers and binds of accounts have pools of their own:
//! a bind changes for whom a connection searches.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use common::Clock;

use crate::connection::{DirectoryConnection, DirectoryServer, DirectoryTimeouts};
use crate::error::DirectoryError;
use crate::reader::Reader;
use crate::shared_state::{is_younger, lock};

/// How long a connection may be idle. Servers and firewalls drop idle connections without a word
/// after some minutes.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// How long connecting is not tried again after no server could be reached. Otherwise each login in
/// the queue would wait for the time limit.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a server that could not be reached is tried after the others.
const AVOIDED: Duration = Duration::from_secs(30);

/// What is done on one connection, from beginning to end. It may be done twice.
pub(crate) trait Exchange: Sync {
    /// What comes of it.
    type Outcome: Send;

    /// Does it.
    fn run(
        &self,
        connection: &mut DirectoryConnection,
    ) -> impl Future<Output = Result<Self::Outcome, DirectoryError>> + Send;
}

/// Connections to the first server that can be reached.
pub(crate) struct ConnectionPool {
    servers: Arc<ServerList>,
    /// Whom each connection is bound as before it is used.
    reader: Option<Reader>,
    idle: Mutex<Vec<IdleConnection>>,
    most_idle: usize,
}

struct IdleConnection {
    connection: DirectoryConnection,
    since: SystemTime,
}

impl ConnectionPool {
    /// A pool without connections. It keeps `most_idle` of them.
    pub(crate) fn new(servers: Arc<ServerList>, reader: Option<Reader>, most_idle: usize) -> Self {
        Self {
            servers,
            reader,
            idle: Mutex::default(),
            most_idle,
        }
    }

    /// Does `exchange` on a connection. If an idle connection turns out to be dead, it is done once
    /// more on a new one. After an error the connection is closed.
    pub(crate) async fn run<E: Exchange>(
        &self,
        exchange: &E,
    ) -> Result<E::Outcome, DirectoryError> {
        if let Some(mut idle) = self.take_idle() {
            match exchange.run(&mut idle).await {
                Ok(outcome) => {
                    self.keep(idle);
                    return Ok(outcome);
                }
                Err(error) if error.is_of_connection() => {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "an idle connection to a directory was dead");
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(reader) = &self.reader {
            reader.check()?;
        }
        let mut connection = self.servers.open().await?;
        if let Some(reader) = &self.reader {
            reader.bind(&mut connection).await?;
        }
        let outcome = exchange.run(&mut connection).await?;
        self.keep(connection);
        Ok(outcome)
    }

    /// The connection that was used last, if it can still be used.
    fn take_idle(&self) -> Option<DirectoryConnection> {
        let mut idle = lock(&self.idle);
        idle.retain(|idle| self.servers.is_younger(idle.since, LONGEST_IDLE));
        while let Some(IdleConnection { mut connection, .. }) = idle.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: DirectoryConnection) {
        let since = self.servers.clock.now();
        let mut idle = lock(&self.idle);
        if idle.len() < self.most_idle {
            idle.push(IdleConnection { connection, since });
        }
    }
}

/// The servers of a directory, in the order in which they are tried.
pub(crate) struct ServerList {
    servers: Vec<DirectoryServer>,
    timeouts: DirectoryTimeouts,
    clock: Arc<dyn Clock>,
    /// When each could last not be reached.
    failed: Mutex<Vec<Option<SystemTime>>>,
    /// When none could last be reached, and why.
    unreachable: Mutex<Option<(SystemTime, String)>>,
}

impl ServerList {
    pub(crate) fn new(
        servers: Vec<DirectoryServer>,
        timeouts: DirectoryTimeouts,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let failed = Mutex::new(vec![None; servers.len()]);
        Self {
            servers,
            timeouts,
            clock,
            failed,
            unreachable: Mutex::default(),
        }
    }

    /// A connection to the first server that can be reached. Servers that failed a short time ago
    /// are tried last.
    pub(crate) async fn open(&self) -> Result<DirectoryConnection, DirectoryError> {
        if let Some((since, reason)) = &*lock(&self.unreachable)
            && self.is_younger(*since, PAUSE)
        {
            return Err(DirectoryError::Unreachable(reason.clone()));
        }
        let mut failures: Vec<String> = Vec::new();
        for index in self.order() {
            let server = &self.servers[index];
            match DirectoryConnection::open(server, self.timeouts).await {
                Ok(connection) => {
                    lock(&self.failed)[index] = None;
                    if !failures.is_empty() {
                        let failures = failures.join("; ");
                        let name = server.name();
                        tracing::warn!("ldap_auth: {name} is used, because of {failures}");
                    }
                    return Ok(connection);
                }
                Err(reason) => {
                    lock(&self.failed)[index] = Some(self.clock.now());
                    failures.push(format!("{}: {reason}", server.name()));
                }
            }
        }
        let reason = failures.join("; ");
        *lock(&self.unreachable) = Some((self.clock.now(), reason.clone()));
        Err(DirectoryError::Unreachable(reason))
    }

    fn order(&self) -> Vec<usize> {
        let failed = lock(&self.failed);
        let has_failed =
            |index: &usize| failed[*index].is_some_and(|since| self.is_younger(since, AVOIDED));
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        order.sort_by_key(has_failed);
        order
    }

    fn is_younger(&self, since: SystemTime, age: Duration) -> bool {
        is_younger(&*self.clock, since, age)
    }
}
