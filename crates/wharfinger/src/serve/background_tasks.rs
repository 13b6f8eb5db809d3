//! What runs beside the requests, from the start of a server to its end.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;

use super::collection::CollectionObservers;
use super::file_access::report_unusable_files;
use super::outbox_writers::outbox_writer;
use super::persistent_state::PersistentState;
use super::registry_state::RetentionTask;
use super::retention::{self, RetentionEvents};
use super::services::Services;
use crate::config::{LoadedConfig, RegistryServerConfig};

/// Spawns all of it into `tasks`. A new task is a line here.
pub(super) fn spawn(
    tasks: &mut JoinSet<()>,
    persistent: &mut PersistentState,
    loaded: &LoadedConfig,
    services: &Arc<ArcSwap<Services>>,
) {
    let section = loaded.config.registry.as_ref();
    if let Some(section) = section {
        spawn_registry(tasks, persistent, section, services);
    }
    if let Some(audit) = &persistent.audit {
        let registry = persistent.registry.as_ref();
        let storage = registry.map(|state| state.storage.clone());
        tasks.spawn(audit.clone().run(storage));
    }
    if let (Some(notifications), Some(state)) = (&persistent.notifications, &persistent.registry) {
        tasks.spawn(notifications.clone().run(state.storage.clone()));
    }
    if let Some(traces) = persistent.traces.clone() {
        tasks.spawn(async move { traces.run().await });
    }
    if let Some(heartbeat) = &persistent.heartbeat {
        heartbeat.has_configuration(loaded);
        tasks.spawn(heartbeat.clone().run());
    }
    tasks.spawn(Arc::clone(&persistent.health).run());
    tasks.spawn(Arc::clone(&persistent.jwks).run());
    tasks.spawn(report_unusable_files(section));
}

/// Garbage collection, retention, and what else the registry does by itself.
fn spawn_registry(
    tasks: &mut JoinSet<()>,
    persistent: &mut PersistentState,
    section: &RegistryServerConfig,
    services: &Arc<ArcSwap<Services>>,
) {
    let clock = &persistent.clock;
    let collection = CollectionObservers {
        observers: persistent.observers.clone(),
        clock: Arc::clone(clock),
    };
    let current = Arc::clone(services);
    let retention = RetentionTask {
        policy: retention::policy(section),
        every: section.retention.every,
        conditions: Arc::new(move || current.load().retention.clone()),
        events: RetentionEvents::new(
            persistent.observers.clone(),
            outbox_writer(persistent),
            section.tags.history.is_some(),
            Arc::clone(clock),
        ),
    };
    let entropy = Arc::clone(&persistent.entropy);
    if let Some(state) = &mut persistent.registry {
        tasks.spawn(state.background_tasks(section, collection, retention, entropy));
    }
}
