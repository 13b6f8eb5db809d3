//! A new configuration while the server runs.
//!
//! A good one replaces the old at once: requests under way end under the one they began with,
//! connections stay. A bad one is told to the log, once, and the old one stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::file_snapshot::FileSnapshot;
use super::services::{PersistentState, Services};
use crate::config::{self, Config, ListenAddress, LoadedConfig, RegistrySettings};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Watches the configuration's files and puts new ones into force.
pub(super) struct Reloader {
    path: PathBuf,
    snapshot: FileSnapshot,
    services: Arc<ArcSwap<Services>>,
    persistent: PersistentState,
    listen: Vec<ListenAddress>,
    database: Option<database::DatabaseLocation>,
    registry: Option<RegistrySettings>,
}

impl Reloader {
    pub(super) fn new(
        path: &Path,
        loaded: LoadedConfig,
        services: Arc<ArcSwap<Services>>,
        persistent: PersistentState,
    ) -> Self {
        let snapshot = FileSnapshot::at(&loaded.files);
        let Config {
            server,
            database,
            registry,
            ..
        } = loaded.config;
        Self {
            path: path.to_owned(),
            snapshot,
            services,
            persistent,
            listen: server.listen,
            database,
            registry,
        }
    }

    /// Returns when a file is not what it was, and has stopped changing.
    pub(super) async fn changed(&mut self) {
        let mut last = self.snapshot.clone();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = last.again();
            if now == last && now != self.snapshot {
                return;
            }
            last = now;
        }
    }

    /// Reads everything again and puts it into force if it is good.
    pub(super) async fn reload(&mut self, why: &'static str) {
        // Taken before the files are read: what changes meanwhile is a change still to come.
        self.snapshot = self.snapshot.again();
        let path = self.path.clone();
        let loaded = match tokio::task::spawn_blocking(move || config::load(&path)).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(diagnostics)) => {
                tracing::error!(
                    why,
                    "the new configuration is wrong, the old one stays in force\n{diagnostics}"
                );
                self.snapshot = self.snapshot.widened(&diagnostics.files);
                return;
            }
            Err(error) => {
                tracing::error!(why, %error, "the configuration could not be read, the old one stays in force");
                return;
            }
        };
        let services = match Services::new(
            &loaded.config,
            &self.persistent,
            Some(&self.services.load()),
        ) {
            Ok(services) => services,
            Err(failure) => {
                tracing::error!(why, %failure, "the new configuration cannot be used, the old one stays in force");
                return;
            }
        };
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        if loaded.config.server.listen != self.listen {
            tracing::warn!(
                "server.addr has changed: new addresses are listened on after a restart"
            );
        }
        if loaded.config.database != self.database {
            tracing::warn!("the database has changed: it is opened after a restart");
        }
        if loaded
            .config
            .registry
            .as_ref()
            .map(RegistrySettings::needing_restart)
            != self
                .registry
                .as_ref()
                .map(RegistrySettings::needing_restart)
        {
            tracing::warn!(
                "the registry's address, folder, limits, upload expiry or collection has changed: that needs a restart"
            );
        }
        self.snapshot = self.snapshot.narrowed(&loaded.files);
        self.services.store(Arc::new(services));
        tracing::info!(why, "the new configuration is in force");
    }
}
