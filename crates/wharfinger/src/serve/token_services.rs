//! The token server that a configuration makes, and what other services share with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use auth::device::{DeviceLoginSettings, DeviceLogins};
use auth::sessions::{DatabaseSessions, Sessions};
use auth::{PublishedKey, ServiceSettings, TokenServer, TokenServerSettings};
use identity::{Login, LoginLimiter, WorkerPool};
use sign_in::SignInAccounts;
use token::{HeaderOptions, KeyIdKind, Signer};
use workload_identity::TrustAuth;

use super::backends::{Backends, Revalidation, authorizers};
use super::managed_accounts::ManagedAccounts;
use super::persistent_state::PersistentState;
use super::stored_policies::StoredPolicies;
use crate::config::{Config, Location, SigningKey, TokenConfig, TokenOptions};
use crate::failure::Failure;

/// How long a token for the API is valid, if `token.services` does not say so: a client of it can ask
/// for another at any time.
const API_TOKEN_LIFETIME: Duration = Duration::from_secs(300);

/// What logins and rules are checked with.
pub(super) struct LoginParts<'a> {
    pub(super) guard: &'a Arc<LoginLimiter>,
    pub(super) workers: &'a Arc<WorkerPool>,
    pub(super) stored: &'a StoredPolicies,
    pub(super) managed: Option<&'a ManagedAccounts>,
    /// The accounts of users who sign in by a page.
    pub(super) sign_ins: &'a [SignInAccounts],
}

/// The token server, and what other services share with it. Without a token server there is nothing.
#[derive(Default)]
pub(super) struct TokenServices {
    pub(super) server: Option<Arc<TokenServer>>,
    pub(super) login: Option<Arc<Login>>,
    pub(super) device_logins: Option<Arc<DeviceLogins>>,
    /// What checks the tokens of workloads.
    pub(super) trust: Option<TrustAuth>,
}

impl TokenServices {
    pub(super) fn new(
        config: &Config,
        token: &TokenConfig,
        persistent: &PersistentState,
        parts: &LoginParts<'_>,
    ) -> Result<Self, Failure> {
        let (clock, due) = (&persistent.clock, Revalidation::Due);
        let (workers, managed) = (parts.workers, parts.managed);
        let backends =
            Backends::of_token_server(config, workers, clock, managed, parts.sign_ins, due)?;
        let trust = backends.trust(clock);
        let (database, entropy) = (persistent.database.as_ref(), &persistent.entropy);
        let login = backends
            .with_personal_tokens(config, database, clock, entropy)
            .login(config, persistent, Arc::clone(parts.guard))?;
        let login = Arc::new(login);
        let device_logins = devices(config, persistent, &login);
        let authorizers = authorizers(config, clock, parts.stored, managed, Location::short)?;
        let server = TokenServer::new(TokenServerSettings {
            issuer: token.issuer.clone(),
            default: service(token, &token.options)?,
            services: services(config, token)?,
            not_before_skew: token.not_before_skew,
            keys: published(token),
            path_prefix: config.server.path_prefix.clone(),
            hsts: config.server.hsts.clone(),
            login: Arc::clone(&login),
            authorizers,
            sessions: sessions(config, persistent),
            device_logins: device_logins.clone(),
            body_limit: config.server.limits.body,
            body_timeout: config.server.limits.request_timeout,
            clock: Arc::clone(&persistent.clock),
            entropy: Arc::clone(&persistent.entropy),
            observers: persistent.observers.clone(),
        });
        Ok(Self {
            server: Some(Arc::new(server)),
            login: Some(login),
            device_logins,
            trust,
        })
    }
}

pub(super) fn sessions(config: &Config, persistent: &PersistentState) -> Option<Sessions> {
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
