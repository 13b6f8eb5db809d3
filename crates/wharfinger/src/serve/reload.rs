//! A new configuration while the server runs.
//!
//! A valid configuration replaces the old one at once. Open requests finish with the one that they
//! began with, and connections stay open. An invalid one is logged once, and the old one stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::file_snapshot::FileSnapshot;
use super::persistent_state::PersistentState;
use super::services::Services;
use crate::config::{self, Effective, LoadedConfig};

/// How often the files are polled.
const INTERVAL: Duration = Duration::from_secs(1);

/// Watches the configuration's files and puts new ones into force.
pub(super) struct Reloader {
    path: PathBuf,
    snapshot: FileSnapshot,
    services: Arc<ArcSwap<Services>>,
    persistent: PersistentState,
    /// The values in effect when the server started.
    started_with: Effective,
}

impl Reloader {
    pub(super) fn new(
        path: &Path,
        loaded: LoadedConfig,
        services: Arc<ArcSwap<Services>>,
        persistent: PersistentState,
    ) -> Self {
        let snapshot = FileSnapshot::at(&loaded.files);
        Self {
            path: path.to_owned(),
            snapshot,
            services,
            persistent,
            started_with: loaded.effective,
        }
    }

    /// Returns when a file has changed and has stopped changing.
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
        // Taken before the files are read, so that a change in the meantime counts as the next one.
        self.snapshot = self.snapshot.again();
        let path = self.path.clone();
        let loaded = match tokio::task::spawn_blocking(move || config::load(&path)).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(diagnostics)) => {
                tracing::error!(
                    why,
                    "new configuration rejected; keeping the old one\n{diagnostics}"
                );
                self.snapshot = self.snapshot.widened(&diagnostics.files);
                return;
            }
            Err(error) => {
                tracing::error!(why, %error, "the configuration cannot be read; keeping the old one");
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
                tracing::error!(why, %failure, "the new configuration cannot be used; keeping the old one");
                return;
            }
        };
        let (acme, database) = (&self.persistent.acme, self.persistent.database.as_ref());
        if let Err(failure) = acme.configure(&loaded.config, database).await {
            tracing::error!(why, %failure, "the new configuration cannot be used; keeping the old one");
            return;
        }
        for warning in &loaded.warnings {
            warning.log();
        }
        // What the server was started with stays what the next reload is compared with.
        for key in config::changes_for_restart(&self.started_with, &loaded.effective) {
            tracing::warn!("{key} has changed: restart the server to apply it");
        }
        self.snapshot = self.snapshot.narrowed(&loaded.files);
        self.services.store(Arc::new(services));
        if let (Some(state), Some(section)) = (&self.persistent.registry, &loaded.config.registry) {
            state.count_quotas(section).await;
        }
        if let Some(heartbeat) = &self.persistent.heartbeat {
            heartbeat.has_configuration(&loaded);
        }
        tracing::info!(why, "configuration reloaded");
    }
}
