//! The robots and personal tokens in the database that a configuration names.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use common::{Clock, Entropy, SystemClock, SystemEntropy};
use database::{Administrator, Database};
use identity::{AuthenticatorChain, WorkerPool};
use personal_tokens::{NOTICED_WITHIN, PersonalTokens};

use crate::commands::administrator::administrator;
use crate::commands::configuration;
use crate::config::{Config, ListenAddress, TcpAddress};
use crate::failure::Failure;
use crate::serve::backends::{Backends, Revalidation};
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::accounts_of;

/// The tokens of a configuration, for one command.
pub(in crate::commands) struct OpenedTokens {
    pub(super) tokens: PersonalTokens,
    pub(super) by: Administrator,
    pub(super) now: SystemTime,
    pub(super) config: Config,
    database: Database,
}

impl OpenedTokens {
    /// The tokens that the configuration in `file` keeps.
    pub(super) fn open(file: &Path) -> Result<Self, Failure> {
        let config = configuration::load(file)?.config;
        let (Some(policy), Some(location)) = (config.personal_tokens, &config.database) else {
            return Err(Failure::usage(format!(
                "{} keeps no robots and no personal tokens",
                file.display()
            ))
            .hint(
                "write `personal_tokens: {}` to turn them on; `database: {url: sqlite:///…}` says where they are kept",
            ));
        };
        let database = configuration::open_database(location, "the robots and personal tokens")?;
        let tokens = PersonalTokens::new(database.clone(), policy, Arc::new(SystemEntropy));
        Ok(Self {
            tokens,
            by: administrator(),
            now: SystemClock.now(),
            config,
            database,
        })
    }

    /// The backends, to look up the owner of a new token.
    pub(super) fn owners(&self) -> Result<AuthenticatorChain, Failure> {
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let config = &self.config;
        let accounts = accounts_of(config, Some(&self.database), &clock, &entropy)?;
        let never = Revalidation::Never;
        let managed = ManagedAccounts::in_database(config, self.database.clone());
        let managed = managed.as_ref();
        let backends =
            Backends::of_token_server(config, &workers, &clock, managed, &accounts, never)?;
        Ok(backends.chain)
    }

    /// Waits until a running server has noticed what was changed, so that what is printed is true.
    pub(super) async fn noticed(&self) {
        tokio::time::sleep(NOTICED_WITHIN).await;
    }

    /// The host of the server's registry, if it has one and knows its own address.
    pub(super) fn registry(&self) -> Option<String> {
        self.config.registry_host().or_else(|| {
            // As after `up`: clients use the address on which the server listens.
            self.config.registry.as_ref()?;
            let addresses = self.config.server.listen.iter();
            addresses
                .filter_map(ListenAddress::tcp)
                .find_map(TcpAddress::of_clients)
        })
    }
}
