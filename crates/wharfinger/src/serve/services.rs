//! The services that a configuration makes, replaced as a whole when it changes.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use auth::device::{DeviceLoginSettings, DeviceLogins};
use auth::sessions::{DatabaseSessions, Sessions};
use auth::{Authorizer, PublishedKey, ServiceSettings, TokenServer, TokenServerSettings};
use common::{Clock, SystemClock, SystemEntropy};
use identity::{Login, LoginLimiter, Rate, RequestLimiter, WorkerPool};
use token::{HeaderOptions, KeyIdKind, Signer};

use super::access_log::AccessLog;
use super::api::{self, ApiParts};
use super::backends::{Backends, Revalidation, authorizers};
use super::context::{ContextRule, RequestIds};
use super::draining::Draining;
use super::managed_accounts::ManagedAccounts;
use super::mounts::Mounts;
use super::persistent_state::PersistentState;
use super::readiness::Readiness;
use super::registry::{self, SharedServices};
use super::sign_in_pages;
use super::stored_policies::StoredPolicies;
use crate::config::{Config, Location, ServerLimits, SigningKey, TokenConfig, TokenOptions};
use crate::failure::Failure;

/// The application protocols offered over TLS, the preferred one first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How long a token for the API is valid, if `token.services` does not say so: a client of it can ask
/// for another at any time.
const API_TOKEN_LIFETIME: Duration = Duration::from_secs(300);

/// Everything that one configuration makes.
pub(super) struct Services {
    pub(super) mounts: Mounts,
    pub(super) access_log: AccessLog,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) limits: ServerLimits,
    /// How long requests are taken after the server was told to end.
    pub(super) drain: Duration,
    pub(super) draining: Arc<Draining>,
    /// How each request's client and origin are found.
    pub(super) context: ContextRule,
    pub(super) request_ids: Arc<RequestIds>,
    guard: Arc<LoginLimiter>,
    workers: Arc<WorkerPool>,
    stored: StoredPolicies,
    managed: Option<ManagedAccounts>,
    /// Counts the requests to the API.
    api_limiter: Option<Arc<RequestLimiter>>,
}

impl Services {
    /// What responds until the database was reached.
    pub(super) fn waiting(config: &Config) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let off = Rate::OFF;
        Ok(Self {
            mounts: Mounts::waiting(),
            access_log: AccessLog::new(config.server.log.access, config.server.log.access_sample),
            tls: tls(config)?,
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
        })
    }

    /// What `config` makes. Failed logins go on being counted where `before` counted them at the
    /// same rates; remembered logins are forgotten. Rules from a database stay loaded.
    pub(super) fn new(
        config: &Config,
        persistent: &PersistentState,
        before: Option<&Self>,
    ) -> Result<Self, Failure> {
        let tls = tls(config)?;
        let guard = guard(&config.login, persistent, before)?;
        let workers = workers(config.login.parallel, before);
        let accounts = sign_in_pages::accounts(config, persistent)?;
        let stored = match &config.token {
            Some(_) => {
                let before = before.map(|services| &services.stored);
                StoredPolicies::running(config, &persistent.clock, before)
            }
            None => StoredPolicies::default(),
        };
        let api_limiter = before.and_then(|services| services.api_limiter.as_ref());
        let api_limiter = match &config.api {
            Some(section) => Some(api::limiter(section.rate, persistent, api_limiter)?),
            None => None,
        };
        let before = before.and_then(|services| services.managed.as_ref());
        let managed = ManagedAccounts::running(config, persistent, before);
        let (mut device_logins, mut trust) = (None, None);
        let token_server = match &config.token {
            Some(token) => {
                let (clock, due) = (&persistent.clock, Revalidation::Due);
                let managed = managed.as_ref();
                let backends =
                    Backends::of_token_server(config, &workers, clock, managed, &accounts, due)?;
                trust = backends.trust(clock);
                let (database, entropy) = (persistent.database.as_ref(), &persistent.entropy);
                let login = backends
                    .with_personal_tokens(config, database, clock, entropy)
                    .login(config, persistent, Arc::clone(&guard))?;
                let login = Arc::new(login);
                device_logins = devices(config, persistent, &login);
                let authorizers = authorizers(config, clock, &stored, managed, Location::short)?;
                let server = token_server(
                    config,
                    token,
                    persistent,
                    login,
                    device_logins.clone(),
                    authorizers,
                )?;
                Some(Arc::new(server))
            }
            None => None,
        };
        let pages = sign_in_pages::pages(config, accounts, device_logins)?;
        let api = match (&token_server, &managed, &api_limiter) {
            (Some(token_server), Some(managed), Some(limiter)) => {
                let parts = ApiParts {
                    token_server: Arc::clone(token_server),
                    sessions: sessions(config, persistent),
                    trust,
                    managed,
                    limiter: Arc::clone(limiter),
                };
                api::api(config, persistent, parts)?.map(Arc::new)
            }
            _ => None,
        };
        let shared = SharedServices {
            token_server: token_server.as_ref(),
            guard: &guard,
            workers: &workers,
            jwks: &persistent.jwks,
        };
        let registry = match (&persistent.registry, &config.registry) {
            (Some(state), Some(section)) => Some(Arc::new(registry::registry(
                state, config, section, persistent, &shared,
            )?)),
            _ => None,
        };
        let limits = config.server.limits.clone();
        Ok(Self {
            mounts: Mounts::new(
                pages,
                api,
                token_server,
                registry,
                config
                    .registry
                    .as_ref()
                    .map_or("", |registry| registry.path_prefix.as_str()),
                Readiness::new(persistent, stored.all().collect()),
            ),
            access_log: AccessLog::new(config.server.log.access, config.server.log.access_sample),
            tls,
            limits,
            drain: config.server.drain,
            draining: Arc::clone(&persistent.draining),
            context: ContextRule::new(&config.server),
            request_ids: Arc::clone(&persistent.request_ids),
            guard,
            workers,
            stored,
            managed,
            api_limiter,
        })
    }
}

fn tls(config: &Config) -> Result<Option<Arc<rustls::ServerConfig>>, Failure> {
    let tls = config.server.tls.as_ref();
    let tls = tls.map(|tls| tls.server_config(&PROTOCOLS)).transpose();
    let tls = tls.map_err(|error| {
        Failure::usage("server.certificate cannot be used for TLS").caused_by(&error)
    })?;
    Ok(tls.map(Arc::new))
}

fn token_server(
    config: &Config,
    token: &TokenConfig,
    persistent: &PersistentState,
    login: Arc<Login>,
    device_logins: Option<Arc<DeviceLogins>>,
    authorizers: Vec<Box<dyn Authorizer>>,
) -> Result<TokenServer, Failure> {
    Ok(TokenServer::new(TokenServerSettings {
        issuer: token.issuer.clone(),
        default: service(token, &token.options)?,
        services: services(config, token)?,
        not_before_skew: token.not_before_skew,
        keys: published(token),
        path_prefix: config.server.path_prefix.clone(),
        hsts: config.server.hsts.clone(),
        login,
        authorizers,
        sessions: sessions(config, persistent),
        device_logins,
        body_limit: config.server.limits.body,
        body_timeout: config.server.limits.request_timeout,
        clock: Arc::clone(&persistent.clock),
        entropy: Arc::clone(&persistent.entropy),
        observers: persistent.observers.clone(),
    }))
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

fn workers(parallel: NonZeroUsize, before: Option<&Services>) -> Arc<WorkerPool> {
    match before {
        Some(services) if services.workers.parallel() == parallel.get() => {
            Arc::clone(&services.workers)
        }
        _ => Arc::new(WorkerPool::new(parallel)),
    }
}

fn sessions(config: &Config, persistent: &PersistentState) -> Option<Sessions> {
    let store = DatabaseSessions::new(persistent.database.clone()?);
    Some(Sessions::new(
        Arc::new(store),
        config.refresh_tokens?,
        Arc::clone(&persistent.entropy),
    ))
}

/// Logins that a person approves in a browser, if they are on.
fn devices(
    config: &Config,
    persistent: &PersistentState,
    login: &Arc<Login>,
) -> Option<Arc<DeviceLogins>> {
    Some(Arc::new(DeviceLogins::new(DeviceLoginSettings {
        database: persistent.database.clone()?,
        policy: config.device_login?,
        limits: Arc::clone(&persistent.device_logins),
        login: Arc::clone(login),
        clock: Arc::clone(&persistent.clock),
        entropy: Arc::clone(&persistent.entropy),
        observers: persistent.observers.clone(),
    })))
}

/// The first key signs.
fn service(token: &TokenConfig, options: &TokenOptions) -> Result<ServiceSettings, Failure> {
    let signing = token
        .keys
        .first()
        .ok_or_else(|| Failure::usage("token has no key to sign with"))?;
    let header = HeaderOptions {
        members: &options.header,
        key_id: options.key_id,
        chain: &signing.chain,
    };
    let signer = Signer::new(Arc::clone(&signing.key), header)
        .map_err(|error| Failure::usage("token.header cannot be made").caused_by(&error))?;
    Ok(ServiceSettings {
        signer: Arc::new(signer),
        expiration: options.expiration,
    })
}

fn services(
    config: &Config,
    token: &TokenConfig,
) -> Result<HashMap<String, ServiceSettings>, Failure> {
    let mut services = HashMap::new();
    if let Some(api) = &config.api {
        let settings = service(token, &token.options)?;
        let expiration = settings.expiration.min(API_TOKEN_LIFETIME);
        let settings = ServiceSettings {
            expiration,
            ..settings
        };
        services.insert(api.service.clone(), settings);
    }
    for (name, options) in &token.services {
        services.insert(name.clone(), service(token, options)?);
    }
    Ok(services)
}

/// Every key under both of its ids, for a registry reads either.
fn published(token: &TokenConfig) -> Vec<PublishedKey> {
    let both = |signing: &SigningKey| {
        let (jwk, not_after) = (signing.key.public().jwk(), signing.not_after);
        [KeyIdKind::Libtrust, KeyIdKind::Thumbprint].map(|kind| PublishedKey {
            jwk: jwk.clone().with_id(kind),
            not_after,
        })
    };
    token.keys.iter().flat_map(both).collect()
}
