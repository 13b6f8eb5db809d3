//! The services that a configuration makes, replaced as a whole when it changes.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use acme::ServerCertificates;
use common::{Clock, SystemClock, SystemEntropy};
use http::Uri;
use http::uri::Authority;
use identity::{LoginLimiter, Rate, RequestLimiter, WorkerPool};
use traces::Tracer;

use super::access_log::AccessLog;
use super::api::{self, ApiParts};
use super::certificates::AcmeCertificates;
use super::context::{ContextRule, RequestIds};
use super::draining::Draining;
use super::health::HealthChecks;
use super::managed_accounts::ManagedAccounts;
use super::metrics::ServerMetrics;
use super::mounts::Mounts;
use super::operators::{self, MeasuredParts};
use super::persistent_state::PersistentState;
use super::readiness::Readiness;
use super::registry::{self, SharedServices};
use super::retention::RetentionConditions;
use super::sign_in_pages;
use super::stored_policies::StoredPolicies;
use super::token_services::{LoginParts, TokenServices, sessions};
use crate::config::{Config, ServerLimits};
use crate::failure::Failure;

/// The application protocols offered over TLS, the preferred one first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Everything that one configuration makes.
pub(super) struct Services {
    pub(super) mounts: Mounts,
    pub(super) access_log: AccessLog,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    /// The certificates of TLS, if they are from an ACME server.
    pub(super) acme: Option<Arc<ServerCertificates>>,
    /// The URL that clients use, if the configuration says it.
    public_url: Option<String>,
    pub(super) limits: ServerLimits,
    /// How long requests are taken after the server was told to end.
    pub(super) drain: Duration,
    pub(super) draining: Arc<Draining>,
    /// How each request's client and origin are found.
    pub(super) context: ContextRule,
    pub(super) request_ids: Arc<RequestIds>,
    /// What is counted, if there are metrics.
    pub(super) metrics: Option<Arc<ServerMetrics>>,
    /// What begins spans, if there are traces.
    pub(super) tracer: Option<Arc<Tracer>>,
    /// The checks beside the requests.
    pub(super) health: Arc<HealthChecks>,
    /// What retention must follow, if there is a registry.
    pub(super) retention: Option<RetentionConditions>,
    guard: Arc<LoginLimiter>,
    workers: Arc<WorkerPool>,
    stored: StoredPolicies,
    managed: Option<ManagedAccounts>,
    /// Counts the requests to the API.
    api_limiter: Option<Arc<RequestLimiter>>,
}

impl Services {
    /// What responds until the database was reached.
    pub(super) fn waiting(config: &Config, acme: &AcmeCertificates) -> Result<Self, Failure> {
        let acme = acme.of(config);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let off = Rate::OFF;
        Ok(Self {
            mounts: Mounts::waiting(),
            access_log: access_log(config),
            tls: tls(config, acme.as_ref())?,
            acme,
            public_url: config.server.public_url.clone(),
            limits: config.server.limits.clone(),
            context: ContextRule::new(&config.server),
            request_ids: Arc::new(RequestIds::new(&SystemEntropy)?),
            guard: Arc::new(LoginLimiter::new(off, off, clock, &SystemEntropy)?),
            workers: workers(config.login.parallel, None),
            stored: StoredPolicies::default(),
            managed: None,
            api_limiter: None,
            drain: Duration::ZERO,
            draining: Arc::default(),
            metrics: None,
            tracer: None,
            health: Arc::default(),
            retention: None,
        })
    }

    /// What `config` makes. Failed logins go on being counted where `before` counted them at the
    /// same rates; remembered logins are forgotten. Rules from a database stay loaded.
    pub(super) fn new(
        config: &Config,
        persistent: &PersistentState,
        before: Option<&Self>,
    ) -> Result<Self, Failure> {
        let acme = persistent.acme.of(config);
        let tls = tls(config, acme.as_ref())?;
        let guard = guard(&config.login, persistent, before)?;
        let workers = workers(config.login.parallel, before);
        let accounts = sign_in_pages::accounts(config, persistent)?;
        let stored = stored(config, persistent, before);
        let api_limiter = api_limiter(config, persistent, before)?;
        let before = before.and_then(|services| services.managed.as_ref());
        let managed = ManagedAccounts::running(config, persistent, before);
        let logins = LoginParts {
            guard: &guard,
            workers: &workers,
            stored: &stored,
            managed: managed.as_ref(),
            sign_ins: &accounts,
        };
        let token = match &config.token {
            Some(token) => TokenServices::new(config, token, persistent, &logins)?,
            None => TokenServices::default(),
        };
        let pages = sign_in_pages::pages(
            config,
            accounts,
            token.device_logins,
            persistent.observers.clone(),
        )?;
        let api = match (&token.server, &managed, &api_limiter) {
            (Some(token_server), Some(managed), Some(limiter)) => {
                let parts = ApiParts {
                    token_server: Arc::clone(token_server),
                    sessions: sessions(config, persistent),
                    trust: token.trust,
                    managed,
                    limiter: Arc::clone(limiter),
                };
                api::api(config, persistent, parts)?.map(Arc::new)
            }
            _ => None,
        };
        let shared = SharedServices {
            token_server: token.server.as_ref(),
            guard: &guard,
            workers: &workers,
            jwks: &persistent.jwks,
        };
        let (registry, retention) = match (&persistent.registry, &config.registry) {
            (Some(state), Some(section)) => {
                let registry = registry::registry(state, config, section, persistent, &shared)?;
                let retention = RetentionConditions::new(section, &state.immutable_tags);
                (Some(Arc::new(registry)), Some(retention))
            }
            _ => (None, None),
        };
        let parts = MeasuredParts {
            registry: registry.clone(),
            login: token.login,
            workers: Arc::clone(&workers),
        };
        let operators = operators::services(config, persistent, parts);
        Ok(Self {
            mounts: Mounts::new(
                pages,
                api,
                token.server,
                registry,
                config
                    .registry
                    .as_ref()
                    .map_or("", |registry| registry.path_prefix.as_str()),
                Readiness::new(persistent, stored.all().collect(), acme.as_ref()),
                operators,
            ),
            access_log: access_log(config),
            tls,
            acme,
            public_url: config.server.public_url.clone(),
            limits: config.server.limits.clone(),
            drain: config.server.drain,
            draining: Arc::clone(&persistent.draining),
            context: ContextRule::new(&config.server),
            request_ids: Arc::clone(&persistent.request_ids),
            metrics: persistent.metrics.clone(),
            tracer: tracer(persistent),
            health: Arc::clone(&persistent.health),
            retention,
            guard,
            workers,
            stored,
            managed,
            api_limiter,
        })
    }

    /// Host and port of the URL that clients use, if the configuration says it.
    pub(super) fn public_authority(&self) -> Option<Authority> {
        let url = self.public_url.as_deref()?.parse::<Uri>().ok()?;
        url.authority().cloned()
    }
}

fn access_log(config: &Config) -> AccessLog {
    let log = &config.server.log;
    AccessLog::new(log.access, log.access_format, log.access_sample)
}

fn tls(
    config: &Config,
    acme: Option<&Arc<ServerCertificates>>,
) -> Result<Option<Arc<rustls::ServerConfig>>, Failure> {
    let resolver = || acme.map(|acme| Arc::clone(acme) as _);
    let tls = config.server.tls.as_ref();
    let tls = tls.map(|tls| tls.server_config(&PROTOCOLS, resolver()));
    let tls = tls.transpose();
    let tls = tls.map_err(|error| {
        Failure::usage("server.certificate cannot be used for TLS").caused_by(&error)
    })?;
    Ok(tls.map(Arc::new))
}

fn guard(
    rates: &identity::LoginSettings,
    persistent: &PersistentState,
    before: Option<&Services>,
) -> Result<Arc<LoginLimiter>, Failure> {
    let (per_address, per_account) = (rates.per_address, rates.per_account);
    match before {
        Some(services) if services.guard.has_rates(per_address, per_account) => {
            Ok(Arc::clone(&services.guard))
        }
        _ => {
            let (clock, entropy) = (Arc::clone(&persistent.clock), persistent.entropy.as_ref());
            let limiter = LoginLimiter::new(per_address, per_account, clock, entropy)?;
            Ok(Arc::new(match &persistent.failures {
                Some(failures) => {
                    let key = persistent.secret.derive("failed logins");
                    limiter.counting_together(&key, Arc::clone(failures))
                }
                None => limiter,
            }))
        }
    }
}

fn stored(
    config: &Config,
    persistent: &PersistentState,
    before: Option<&Services>,
) -> StoredPolicies {
    if config.token.is_none() {
        return StoredPolicies::default();
    }
    let before = before.map(|services| &services.stored);
    StoredPolicies::running(config, &persistent.clock, before)
}

fn api_limiter(
    config: &Config,
    persistent: &PersistentState,
    before: Option<&Services>,
) -> Result<Option<Arc<RequestLimiter>>, Failure> {
    let Some(section) = &config.api else {
        return Ok(None);
    };
    let before = before.and_then(|services| services.api_limiter.as_ref());
    api::limiter(section.rate, persistent, before).map(Some)
}

fn tracer(persistent: &PersistentState) -> Option<Arc<Tracer>> {
    let traces = persistent.traces.as_ref()?;
    Some(Arc::clone(traces.tracer()))
}

fn workers(parallel: NonZeroUsize, before: Option<&Services>) -> Arc<WorkerPool> {
    match before {
        Some(services) if services.workers.parallel() == parallel.get() => {
            Arc::clone(&services.workers)
        }
        _ => Arc::new(WorkerPool::new(parallel)),
    }
}
