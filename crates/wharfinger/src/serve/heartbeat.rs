//! A server among several notes itself in the database, and warns of those that are different.
//!
//! Each server reads its configuration by itself. If one of them has missed a change, clients get
//! different answers, so the log says so after a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use database::{ClusterSecret, Database};
use postgresql::{PostgresError, PostgresPool};
use storage::{PostgresMetadata, PostgresSettings};

use crate::config::{Config, LoadedConfig, read_bounded};
use crate::failure::Failure;
use crate::replicas::{DifferentReplica, Replica, look_periods};

/// How often a server notes itself.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long the end of a server waits for the database to forget it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Notes this server in the database. A clone is the same server.
#[derive(Clone)]
pub(super) struct Heartbeat {
    pool: PostgresPool,
    replica: Arc<Mutex<Replica>>,
    key: Arc<hmac::Key>,
    looks: Option<SharedLook>,
}

/// Metadata that several servers remember, each for a period.
#[derive(Clone)]
pub(super) struct SharedLook {
    pub(super) metadata: PostgresMetadata,
    /// The period of this server.
    pub(super) period: Duration,
}

impl Heartbeat {
    /// For a server whose database others can have, too.
    pub(super) fn new(
        database: &Database,
        secret: &ClusterSecret,
        entropy: &dyn common::Entropy,
        looks: Option<SharedLook>,
    ) -> Result<Option<Self>, Failure> {
        let Some(pool) = database.postgres() else {
            return Ok(None);
        };
        let mut id = [0; 16];
        entropy.fill(&mut id)?;
        let machine = rustix::system::uname();
        let replica = Replica {
            id,
            name: machine.nodename().to_string_lossy().into_owned(),
            version: env!("CARGO_PKG_VERSION"),
            schema: database::SCHEMA_VERSION,
            config_hash: [0; 32],
            look: looks
                .as_ref()
                .map_or(PostgresSettings::LOOK, |looks| looks.period),
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*secret.derive("configuration"));
        Ok(Some(Self {
            pool: pool.clone(),
            replica: Arc::new(Mutex::new(replica)),
            key: Arc::new(key),
            looks,
        }))
    }

    /// Notes from now on that the server has this configuration.
    pub(super) fn has_configuration(&self, loaded: &LoadedConfig) {
        let mut hash = hmac::Context::with_key(&self.key);
        let mut add = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        // Values that come from variables are in no file. Where a server listens is its own matter.
        add(without_addresses(&loaded.config, loaded.effective.to_string()).as_bytes());
        for (place, file) in loaded.files.iter().enumerate() {
            let content = read_bounded(file).unwrap_or_default();
            match String::from_utf8(content) {
                // The first one is the configuration itself.
                Ok(text) if place == 0 => add(without_addresses(&loaded.config, text).as_bytes()),
                Ok(text) => add(text.as_bytes()),
                Err(error) => add(error.as_bytes()),
            }
        }
        let mut replica = self.replica.lock().unwrap_or_else(PoisonError::into_inner);
        replica.config_hash.copy_from_slice(hash.sign().as_ref());
    }

    /// Notes the server again and again.
    pub(super) async fn run(self) {
        let mut known = Vec::new();
        loop {
            match self.note().await {
                Ok(different) => {
                    if different != known {
                        warn_of(&different);
                    }
                    known = different;
                }
                // `/readyz` says it.
                Err(error) => tracing::debug!(%error, "this server was not noted in the database"),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Notes the server, and then asks for the periods of all.
    async fn note(&self) -> Result<Vec<DifferentReplica>, PostgresError> {
        let different = self.replica().note(&self.pool).await?;
        if let Some(SharedLook { metadata, period }) = &self.looks {
            metadata.set_look(look_periods(&self.pool, *period).await?);
        }
        Ok(different)
    }

    /// Removes the note: the server ends.
    pub(super) async fn end(self) {
        let replica = self.replica();
        let leaving = replica.leave(&self.pool);
        let _ = tokio::time::timeout(FAREWELL, leaving).await;
    }

    fn replica(&self) -> Replica {
        let replica = self.replica.lock().unwrap_or_else(PoisonError::into_inner);
        replica.clone()
    }
}

/// A text of the configuration without the addresses on which the server listens.
fn without_addresses(config: &Config, text: String) -> String {
    let registry = config.registry.as_ref();
    let own = registry.and_then(|registry| registry.listen.as_ref());
    let all = config.server.listen.iter().chain(own);
    all.fold(text, |text, address| text.replace(&address.to_string(), ""))
}

fn warn_of(different: &[DifferentReplica]) {
    if different.is_empty() {
        tracing::info!(
            "all servers of this database have the same version and configuration again"
        );
    }
    for other in different {
        let (replica, version) = (&*other.name, &*other.version);
        if version != env!("CARGO_PKG_VERSION") {
            tracing::warn!(
                replica,
                version,
                "another server of this database has had another version for more than a minute"
            );
        }
        if other.has_other_configuration {
            tracing::warn!(
                replica,
                "another server of this database has had another configuration for more than a \
                 minute: compare their files, and look into its log"
            );
        }
    }
}
