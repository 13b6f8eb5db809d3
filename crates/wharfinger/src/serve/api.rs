//! The API that a configuration makes.

use std::sync::Arc;

use accounts::RuleList;
use api::{Api, ApiRules, ApiSettings, ApiStores, QuotaReader, ResponseKey};
use auth::TokenServer;
use auth::sessions::Sessions;
use database::Database;
use identity::{Rate, RequestLimiter};
use immutable_tags::ImmutableTagList;
use notifications::{DeliveryList, DeliveryStore, EndpointNames};
use token::{JwkSet, Verifier};
use workload_identity::TrustAuth;

use super::audit::AuditLog;
use super::backends::Backends;
use super::managed_accounts::ManagedAccounts;
use super::persistent_state::PersistentState;
use super::quotas::ServedQuotas;
use crate::config::{Config, TokenConfig};
use crate::failure::Failure;

/// What the API shares with other services.
pub(super) struct ApiParts<'a> {
    pub(super) token_server: Arc<TokenServer>,
    pub(super) sessions: Option<Sessions>,
    pub(super) trust: Option<TrustAuth>,
    pub(super) managed: &'a ManagedAccounts,
    pub(super) limiter: Arc<RequestLimiter>,
}

/// The API of `config`, if it has one. It takes the tokens of its own token server.
pub(super) fn api(
    config: &Config,
    persistent: &PersistentState,
    parts: ApiParts<'_>,
) -> Result<Option<Api>, Failure> {
    let (Some(section), Some(token), Some(database)) =
        (&config.api, &config.token, persistent.database.clone())
    else {
        return Ok(None);
    };
    let personal_tokens = Backends::personal_tokens(config, Some(&database), &persistent.entropy);
    // The first key signs.
    let Some(signing) = token.keys.first() else {
        return Ok(None);
    };
    let secret = signing.key.to_pkcs8_pem().map_err(|error| {
        Failure::usage("token.key cannot be used for the API").caused_by(&error)
    })?;
    let users = config.users.iter();
    let htpasswd = config.htpasswd.iter().map(|file| &file.accounts);
    Ok(Some(Api::new(ApiSettings {
        path_prefix: config.server.path_prefix.clone(),
        service: section.service.clone(),
        verifier: own_tokens(token, &section.service),
        limiter: parts.limiter,
        hsts: config.server.hsts.clone(),
        body_timeout: config.server.limits.request_timeout,
        stores: ApiStores {
            accounts: parts.managed.accounts().clone(),
            configured: users.chain(htpasswd).cloned().collect(),
            rules: rules(config, persistent, &database),
            immutable_tags: ImmutableTagList::new(database.clone(), Arc::clone(&persistent.clock)),
            quotas: quotas(config, persistent),
            token_server: parts.token_server,
            sessions: parts.sessions,
            personal_tokens,
            trust: parts.trust,
            audit: AuditLog::reader(persistent.audit.as_ref(), &database),
            notifications: notifications(persistent, &database),
            database,
        },
        registry: config.registry_host(),
        response_key: ResponseKey::derived_from(secret.as_bytes()),
        clock: Arc::clone(&persistent.clock),
        entropy: Arc::clone(&persistent.entropy),
    })))
}

/// The quotas of the registry, if there is one in the same configuration.
fn quotas(config: &Config, persistent: &PersistentState) -> Option<Arc<dyn QuotaReader>> {
    let (state, section) = (persistent.registry.as_ref()?, config.registry.as_ref()?);
    Some(Arc::new(ServedQuotas {
        storage: state.storage.clone(),
        quotas: section.quotas.clone(),
    }))
}

/// The notifications that it manages. Their endpoints are those of the running server, which a reload does
/// not change.
fn notifications(persistent: &PersistentState, database: &Database) -> DeliveryList {
    let endpoints = match (&persistent.notifications, &persistent.registry) {
        (Some(notifications), _) => notifications.endpoint_names(),
        (None, Some(_)) => EndpointNames::Configured(Vec::new()),
        (None, None) => EndpointNames::Elsewhere,
    };
    DeliveryList::new(DeliveryStore::new(database.clone()), endpoints)
}

/// The rules that it manages, and what is known of them from the configuration.
fn rules(config: &Config, persistent: &PersistentState, database: &Database) -> ApiRules {
    let options = config.accounts.map(|section| section.options);
    let shadowed_by = config.acl.as_ref().and_then(|rules| {
        let rule = rules.acl.catch_all()?;
        Some(rules.locations[rule].to_string())
    });
    ApiRules {
        list: RuleList::new(database.clone(), Arc::clone(&persistent.clock)),
        options: options.unwrap_or_default(),
        shadowed_by,
    }
}

/// Verifies the tokens that `token` makes for `service`.
pub(super) fn own_tokens(token: &TokenConfig, service: &str) -> Verifier {
    let keys: JwkSet = token
        .keys
        .iter()
        .map(|key| key.key.public().jwk())
        .collect();
    Verifier::new(service, [token.issuer.clone()]).trusting_keys(&keys)
}

/// Counts requests. It goes on counting after a reload that does not change its rate.
pub(super) fn limiter(
    rate: Rate,
    persistent: &PersistentState,
    before: Option<&Arc<RequestLimiter>>,
) -> Result<Arc<RequestLimiter>, Failure> {
    match before.filter(|limiter| limiter.has_rate(rate)) {
        Some(limiter) => Ok(Arc::clone(limiter)),
        None => {
            let clock = Arc::clone(&persistent.clock);
            let limiter = RequestLimiter::new(rate, clock, persistent.entropy.as_ref());
            limiter.map(Arc::new).map_err(Failure::from)
        }
    }
}
