//! The server's certificates from an ACME server, over all reloads.

use std::sync::{Arc, Mutex, PoisonError};

use acme::{AcmeRows, AcmeStore, CacheDirectory, CertificateManager, ServerCertificates};
use common::Clock;
use database::Database;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{Config, LetsEncryptConfig};
use crate::failure::Failure;

/// The certificates, and the task that renews them for the current configuration.
pub(super) struct AcmeCertificates {
    certificates: Arc<ServerCertificates>,
    clock: Arc<dyn Clock>,
    renewal: Mutex<Option<Renewal>>,
    /// Whether this server accepts connections.
    is_listening: watch::Sender<bool>,
}

struct Renewal {
    config: LetsEncryptConfig,
    task: JoinHandle<()>,
}

impl AcmeCertificates {
    /// Without certificates yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            certificates: Arc::new(ServerCertificates::new(Arc::clone(&clock))),
            clock,
            renewal: Mutex::default(),
            is_listening: watch::Sender::new(false),
        }
    }

    /// The server accepts connections. Before, nothing is ordered: an ACME server may verify a host at once, and a
    /// server that cannot listen must not cost an order.
    pub(super) fn begin(&self) {
        self.is_listening.send_replace(true);
    }

    /// The certificates, if `config` has them from an ACME server.
    pub(super) fn of(&self, config: &Config) -> Option<Arc<ServerCertificates>> {
        let section = config.server.letsencrypt.as_ref();
        section.map(|_| Arc::clone(&self.certificates))
    }

    /// Serves what the store has, and renews it from now on as `config` says. Nothing changes if it
    /// says the same as before. Without `cache_dir` the store is `database`; until there is one,
    /// nothing is done.
    pub(super) async fn configure(
        &self,
        config: &Config,
        database: Option<&Database>,
    ) -> Result<(), Failure> {
        let Some(section) = &config.server.letsencrypt else {
            self.replace(None);
            return Ok(());
        };
        let store: Arc<dyn AcmeStore> = match (&section.cache_dir, database) {
            (Some(directory), _) => Arc::new(CacheDirectory::new(directory.clone())),
            (None, Some(database)) => {
                Arc::new(AcmeRows::new(database.clone(), Arc::clone(&self.clock)))
            }
            (None, None) => return Ok(()),
        };
        if self.is_running(section) {
            return Ok(());
        }
        let (certificates, clock) = (Arc::clone(&self.certificates), Arc::clone(&self.clock));
        let manager = CertificateManager::new(section.settings.clone(), store, certificates, clock);
        let manager = manager.map_err(|error| {
            Failure::usage("server.letsencrypt cannot be used").caused_by(&error)
        })?;
        manager.load().await;
        let mut is_listening = self.is_listening.subscribe();
        let task = tokio::spawn(async move {
            if is_listening.wait_for(|listening| *listening).await.is_ok() {
                manager.run().await;
            }
        });
        let config = section.clone();
        self.replace(Some(Renewal { config, task }));
        Ok(())
    }

    fn is_running(&self, section: &LetsEncryptConfig) -> bool {
        let renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        let config = renewal.as_ref().map(|renewal| &renewal.config);
        config == Some(section)
    }

    fn replace(&self, next: Option<Renewal>) {
        let mut renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *renewal, next) {
            before.task.abort();
        }
    }
}

impl Drop for AcmeCertificates {
    fn drop(&mut self) {
        self.replace(None);
    }
}
