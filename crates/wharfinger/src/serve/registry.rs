//! The registry that a configuration makes: who may use it, by which rules.

use std::sync::Arc;

use auth::TokenServer;
use identity::{LoginLimiter, NamedAccount, WorkerPool};
use registry::{
    Authentication, CachingVerifier, Caller, CatalogSettings, PullPermissions, Realm,
    RedirectRules, Registry, RegistrySettings, TokenAuth, VisibleRepositories,
    VisibleRepositoriesFuture,
};
use token::Verifier;

use super::api::own_tokens;
use super::audit::AuditLog;
use super::backends::Backends;
use super::jwks::JwksFetcher;
use super::outbox_writers::outbox_writer;
use super::persistent_state::PersistentState;
use super::registry_state::RegistryState;
use super::tags::tag_settings;
use crate::config::{self, Config, IssuerConfig, IssuerKeysConfig, RegistryAuth, StorageDriver};
use crate::failure::Failure;

/// The registry that `config` makes.
pub(super) fn registry(
    state: &RegistryState,
    config: &Config,
    section: &config::RegistryServerConfig,
    persistent: &PersistentState,
    shared: &SharedServices<'_>,
) -> Result<Registry, Failure> {
    let names = persistent.audit.as_ref().map(AuditLog::names);
    let settings = RegistrySettings {
        auth: auth(config, section, persistent, shared)?,
        relative_urls: section.relative_urls,
        delete: section.delete,
        read_only: section.read_only,
        catalog: CatalogSettings {
            max: section.catalog.max,
            pull_permissions: pull_permissions(section, shared),
            cursors: Arc::clone(&state.cursors),
        },
        manifest_limit: section.limits.manifest,
        stall: config.server.limits.request_timeout,
        headers: section.headers.clone(),
        validation: section.validation.clone(),
        tags: tag_settings(&section.tags, &state.immutable_tags, names),
        quotas: section.quotas.clone(),
        upload_grace: section.uploads.grace,
        redirects: redirects(section),
        upstream: None,
        shared_failures: persistent.failures.clone(),
        observers: persistent.observers.clone(),
        outbox: outbox_writer(persistent),
        pulls: Some(Arc::new(state.pulls.clone())),
        clock: Arc::clone(&persistent.clock),
        entropy: Arc::clone(&persistent.entropy),
    };
    Ok(Registry::new(settings, state.storage.clone()))
}

/// Which clients are sent to the bucket, if there is one.
fn redirects(section: &config::RegistryServerConfig) -> Option<RedirectRules> {
    let StorageDriver::S3(s3) = &section.storage else {
        return None;
    };
    let config = &s3.redirect;
    config.enabled.then(|| RedirectRules {
        from: config.from as u64,
        except: config.except.clone(),
    })
}

/// What the registry shares with the token server.
pub(super) struct SharedServices<'a> {
    pub(super) token_server: Option<&'a Arc<TokenServer>>,
    pub(super) guard: &'a Arc<LoginLimiter>,
    pub(super) workers: &'a Arc<WorkerPool>,
    pub(super) jwks: &'a Arc<JwksFetcher>,
}

fn auth(
    config: &Config,
    section: &config::RegistryServerConfig,
    persistent: &PersistentState,
    shared: &SharedServices<'_>,
) -> Result<Authentication, Failure> {
    match &section.auth {
        RegistryAuth::Open => Ok(Authentication::Open),
        RegistryAuth::Htpasswd { realm, file } => {
            let backends = Backends::of_htpasswd(file, shared.workers);
            let login = backends.login(config, persistent, Arc::clone(shared.guard))?;
            Ok(Authentication::Htpasswd {
                realm: realm.clone(),
                login: Box::new(login),
            })
        }
        RegistryAuth::Token(issuers) => {
            let first = issuers
                .first()
                .ok_or_else(|| Failure::usage("registry.auth.token names no issuer"))?;
            let realm = match &first.realm {
                Some(path) if path.starts_with('/') => Realm::Path(path.clone()),
                Some(url) => Realm::Url(url.clone()),
                None => Realm::Path(format!("{}/auth", config.server.path_prefix)),
            };
            let issuers = issuers
                .iter()
                .map(|issuer| (verifier(config, issuer), url(issuer).map(str::to_owned)));
            let keys = shared.jwks.keys_of(issuers.collect());
            let verifier = Arc::new(CachingVerifier::with_keys_of(keys));
            Ok(Authentication::Token(TokenAuth {
                realm,
                service: first.service.clone(),
                verifier,
            }))
        }
    }
}

/// Verifies one issuer's tokens. Our own token server's keys are taken directly.
fn verifier(config: &Config, issuer: &IssuerConfig) -> Verifier {
    match &issuer.trust {
        IssuerKeysConfig::Other {
            issuer: name,
            certificates,
            keys,
            ..
        } => {
            let verifier = Verifier::new(&issuer.service, [name.clone()]);
            verifier
                .trusting_certificates(certificates)
                .trusting_keys(keys)
        }
        IssuerKeysConfig::Own => match &config.token {
            Some(token) => own_tokens(token, &issuer.service),
            None => Verifier::new(&issuer.service, []),
        },
    }
}

/// Where the issuer's keys are fetched, if they are.
fn url(issuer: &IssuerConfig) -> Option<&str> {
    match &issuer.trust {
        IssuerKeysConfig::Own => None,
        IssuerKeysConfig::Other { url, .. } => url.as_deref(),
    }
}

/// Our own rules as the catalog's filter, if only our own token server issues tokens.
fn pull_permissions(
    section: &config::RegistryServerConfig,
    shared: &SharedServices<'_>,
) -> Option<Arc<dyn PullPermissions>> {
    let RegistryAuth::Token(issuers) = &section.auth else {
        return None;
    };
    let own = issuers
        .iter()
        .find(|issuer| matches!(issuer.trust, IssuerKeysConfig::Own))?;
    // Another issuer may have another account of the same name.
    let is_alone = issuers.len() == 1;
    let token_server = shared
        .token_server
        .filter(|_| section.catalog.filter && is_alone)?;
    Some(Arc::new(OwnRules {
        token_server: Arc::clone(token_server),
        service: own.service.clone(),
    }))
}

/// The rules of the token server in this process.
struct OwnRules {
    token_server: Arc<TokenServer>,
    service: String,
}

impl PullPermissions for OwnRules {
    fn filter<'a>(&'a self, caller: Caller<'a>) -> VisibleRepositoriesFuture<'a> {
        Box::pin(async move {
            let named = NamedAccount {
                account: caller.account,
                personal_token: caller.personal_token,
            };
            let filter = self
                .token_server
                .repository_filter(named, caller.action, &self.service, caller.address)
                .await?;
            Ok(filter.map_or(VisibleRepositories::Nothing, VisibleRepositories::Matching))
        })
    }
}
