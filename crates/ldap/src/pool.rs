//! Connections that are used again.
//!
//! A login costs a search and a bind. Without a pool it would also cost two connections with their
//! TLS handshakes, and a bind of the reader. Readers and binds of accounts have pools of their own:
//! a bind changes for whom a connection searches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use common::{Clock, Secret};

use crate::connection::{DirectoryConnection, DirectoryServer, DirectoryTimeouts};
use crate::error::DirectoryError;

/// How long a connection may be idle. Servers and firewalls drop idle connections without a word
/// after some minutes.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// How long a server that could not be reached is tried after the others.
const AVOIDED: Duration = Duration::from_secs(30);

/// The account that searches, and its password.
#[derive(Clone, Debug)]
pub struct ReaderCredentials {
    /// Its distinguished name.
    pub bind_dn: String,
    /// Its password.
    pub password: Secret,
}

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
    reader: Option<ReaderCredentials>,
    idle: Mutex<Vec<IdleConnection>>,
    most_idle: usize,
}

struct IdleConnection {
    connection: DirectoryConnection,
    since: SystemTime,
}

impl ConnectionPool {
    /// A pool without connections. It keeps `most_idle` of them.
    pub(crate) fn new(
        servers: Arc<ServerList>,
        reader: Option<ReaderCredentials>,
        most_idle: usize,
    ) -> Self {
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
        let mut connection = self.servers.open().await?;
        if let Some(ReaderCredentials { bind_dn, password }) = &self.reader {
            connection.bind_reader(bind_dn, password).await?;
        }
        let outcome = exchange.run(&mut connection).await?;
        self.keep(connection);
        Ok(outcome)
    }

    /// The connection that was used last, if it can still be used.
    fn take_idle(&self) -> Option<DirectoryConnection> {
        let now = self.servers.clock.now();
        let mut idle = lock(&self.idle);
        // If the clock was set back, all are too old.
        idle.retain(|idle| {
            let age = now.duration_since(idle.since);
            age.is_ok_and(|age| age < LONGEST_IDLE)
        });
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
        }
    }

    /// A connection to the first server that can be reached. Servers that failed a short time ago
    /// are tried last.
    pub(crate) async fn open(&self) -> Result<DirectoryConnection, DirectoryError> {
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
        Err(DirectoryError::Unreachable(failures.join("; ")))
    }

    fn order(&self) -> Vec<usize> {
        let now = self.clock.now();
        let failed = lock(&self.failed);
        let has_failed = |index: &usize| {
            let age = failed[*index].map(|failed| now.duration_since(failed));
            age.is_some_and(|age| age.is_ok_and(|age| age < AVOIDED))
        };
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        order.sort_by_key(has_failed);
        order
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds the lock, so the value is whole even if it is poisoned.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
