//! The users who sign in by a provider's page, and the pages, as the configuration has them.

use std::sync::Arc;

use auth::device::DeviceLogins;
use common::{Clock, Entropy, SystemEntropy};
use database::{Database, DatabaseOpenError};
use event::Observers;
use openid::ProviderClient;
use sign_in::{
    AccountParts, DatabaseTokenStore, GcsTokenStore, GithubProvider, GitlabProvider,
    IdentityProvider, OidcProvider, PageKey, RedisTokenStore, SignInAccounts, SignInPage,
    SignInServer, SignInServerSettings, TokenStore,
};

use super::persistent_state::PersistentState;
use crate::config::{Config, ProviderConfig, SignInConfig, TokenStoreConfig};
use crate::failure::Failure;

/// The accounts of each section, in the order in which they are asked.
pub(super) fn accounts(
    config: &Config,
    persistent: &PersistentState,
) -> Result<Vec<SignInAccounts>, Failure> {
    let (clock, entropy) = (&persistent.clock, &persistent.entropy);
    accounts_of(config, persistent.database.as_ref(), clock, entropy)
}

/// The same for a command, which opens the database itself.
pub(crate) fn accounts_of(
    config: &Config,
    database: Option<&Database>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Vec<SignInAccounts>, Failure> {
    accounts_in(config.sign_in.iter(), database, clock, entropy)
}

fn accounts_in<'a>(
    sections: impl Iterator<Item = &'a SignInConfig>,
    database: Option<&Database>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Vec<SignInAccounts>, Failure> {
    let accounts = sections.map(|section| {
        Ok(SignInAccounts::new(AccountParts {
            section: section.section,
            provider: provider(section, clock)?,
            store: store(section, database, clock)?,
            policy: section.policy,
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
        }))
    });
    accounts.collect()
}

/// The same for a command that has not opened the database. Before the first start of the server
/// there is none, and no account in it.
pub(crate) fn stored_accounts(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<SignInAccounts>, Failure> {
    if config.sign_in.is_empty() {
        return Ok(Vec::new());
    }
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let database = stored_database(config)?;
    let sections = config.sign_in.iter();
    let sections = sections.filter(|section| database.is_some() || !section.needs_database());
    accounts_in(sections, database.as_ref(), clock, &entropy)
}

/// The database, for a command. Before the first start of the server there is none.
pub(crate) fn stored_database(config: &Config) -> Result<Option<Database>, Failure> {
    match config.database.as_ref().map(Database::open).transpose() {
        Ok(database) => Ok(database),
        Err(DatabaseOpenError::Missing(_)) => Ok(None),
        Err(error) => Err(Failure::system("the database cannot be reached")
            .caused_by(&error)
            .hint("run as the user that the server runs as")),
    }
}

/// The server of the pages, if there is a section, or if devices may ask for logins.
pub(super) fn pages(
    config: &Config,
    accounts: Vec<SignInAccounts>,
    device_logins: Option<Arc<DeviceLogins>>,
    observers: Observers,
) -> Result<Option<Arc<SignInServer>>, Failure> {
    let Some(key) = config.token.as_ref().and_then(|token| token.keys.first()) else {
        return Ok(None);
    };
    if accounts.is_empty() && device_logins.is_none() {
        return Ok(None);
    }
    let secret = key.key.to_pkcs8_pem().map_err(|error| {
        Failure::usage("token.key cannot be used for the sign-in pages").caused_by(&error)
    })?;
    let sections = config.sign_in.iter().zip(accounts);
    let pages = sections.map(|(section, accounts)| SignInPage {
        accounts,
        title: section.title.clone(),
        registry: section.registry.clone(),
    });
    Ok(Some(Arc::new(SignInServer::new(SignInServerSettings {
        pages: pages.collect(),
        device_logins,
        path_prefix: config.server.path_prefix.clone(),
        hsts: config.server.hsts.clone(),
        key: PageKey::derived_from(secret.as_bytes()),
        observers,
    }))))
}

fn provider(
    section: &SignInConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn IdentityProvider>, Failure> {
    let client = client(section)?;
    Ok(match &section.provider {
        ProviderConfig::Oidc(settings) => Arc::new(OidcProvider::new(
            settings.clone(),
            client,
            Arc::clone(clock),
        )),
        ProviderConfig::Github(settings) => Arc::new(GithubProvider::new(settings.clone(), client)),
        ProviderConfig::Gitlab(settings) => Arc::new(GitlabProvider::new(settings.clone(), client)),
    })
}

fn store(
    section: &SignInConfig,
    database: Option<&Database>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn TokenStore>, Failure> {
    let name = section.section;
    Ok(match &section.store {
        TokenStoreConfig::Database => {
            let database = database.ok_or_else(|| {
                Failure::usage(format!("{name} needs a database for its sign-ins"))
            })?;
            Arc::new(DatabaseTokenStore::new(database.clone(), name))
        }
        TokenStoreConfig::Redis(settings) => {
            let store = RedisTokenStore::new(settings.clone(), name);
            Arc::new(store.map_err(|error| {
                Failure::usage(format!("{name}.redis_token_db cannot be used")).caused_by(&error)
            })?)
        }
        TokenStoreConfig::Gcs(settings) => {
            let (settings, client) = (settings.clone(), client(section)?);
            Arc::new(GcsTokenStore::new(
                settings,
                client,
                Arc::clone(clock),
                name,
            ))
        }
    })
}

fn client(section: &SignInConfig) -> Result<ProviderClient, Failure> {
    ProviderClient::new(section.http_timeout)
        .map_err(|error| Failure::system("cannot sign users in").caused_by(&error))
}
