//! What operators and their programs read: metrics and health.

use std::sync::Arc;

use identity::{Login, WorkerPool};
use registry::Registry;

use super::audit::AuditLog;
use super::health::{DebugHealth, driver_name};
use super::metrics::{CredentialExpiry, MeasuredQuotas, MetricsService, ScrapeSources};
use super::mounts::{MountRole, OperatorServices};
use super::persistent_state::PersistentState;
use super::quotas::ServedQuotas;
use crate::config::{Config, MetricsConfig, Tls};

/// The parts of one configuration that count their own work.
pub(super) struct MeasuredParts {
    pub(super) registry: Option<Arc<Registry>>,
    pub(super) login: Option<Arc<Login>>,
    pub(super) workers: Arc<WorkerPool>,
}

/// What `config` gives operators to read.
pub(super) fn services(
    config: &Config,
    persistent: &PersistentState,
    parts: MeasuredParts,
) -> OperatorServices {
    let section = config.server.metrics.as_ref();
    let metrics = section.and_then(|section| metrics(config, section, persistent, parts));
    OperatorServices {
        metrics,
        health: DebugHealth(Arc::clone(&persistent.health)),
    }
}

fn metrics(
    config: &Config,
    section: &MetricsConfig,
    persistent: &PersistentState,
    parts: MeasuredParts,
) -> Option<(String, MountRole, MetricsService)> {
    let server = Arc::clone(persistent.metrics.as_ref()?);
    let driver = config.registry.as_ref();
    let driver = driver.map(|registry| driver_name(&registry.storage));
    let storage = persistent.registry.as_ref();
    let storage = storage.map(|state| state.storage.clone());
    let quotas = persistent.registry.as_ref().zip(config.registry.as_ref());
    let quotas = quotas.map(|(state, registry)| MeasuredQuotas {
        quotas: ServedQuotas {
            storage: state.storage.clone(),
            quotas: registry.quotas.clone(),
        },
        most: section.names.quota_prefixes,
    });
    let sources = ScrapeSources {
        server,
        database: persistent.database.clone(),
        storage: driver.zip(storage),
        registry: parts.registry,
        quotas,
        login: parts.login,
        workers: parts.workers,
        audit: persistent.audit.as_ref().map(AuditLog::recorder),
        notifications: persistent.notifications.clone(),
        traces: persistent.traces.clone(),
        expiries: expiries(config),
        acme: persistent.acme.of(config),
        clock: Arc::clone(&persistent.clock),
    };
    // Without an address of its own, a token is required by the configuration. That is checked again
    // here, because nothing else keeps strangers from reading.
    let role = match (&section.listen, &section.token) {
        (Some(_), _) => MountRole::Operators,
        (None, Some(_)) => MountRole::Clients,
        (None, None) => return None,
    };
    let service = MetricsService::new(sources, section.token.clone());
    Some((section.path.clone(), role, service))
}

/// When our own certificates and keys end.
fn expiries(config: &Config) -> Vec<CredentialExpiry> {
    let mut expiries = Vec::new();
    if let Some(certificate) = config.server.tls.as_ref().and_then(Tls::certificate) {
        expiries.push(CredentialExpiry {
            purpose: "tls",
            name: certificate.subject().to_owned(),
            not_after: certificate.not_after(),
        });
    }
    for key in config.token.iter().flat_map(|token| &token.keys) {
        let certificate = key.chain.first().map(token::Certificate::not_after);
        let ends = key.not_after.into_iter().chain(certificate).min();
        expiries.extend(ends.map(|not_after| CredentialExpiry {
            purpose: "token",
            name: key.key.public().thumbprint(),
            not_after,
        }));
    }
    expiries
}
