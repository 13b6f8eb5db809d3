//! What `wharfinger robot` and `wharfinger personal-token` share: the database, the arguments of a
//! new secret, and what is printed.

mod arguments;
mod instructions;
mod listing;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use common::{Clock, Entropy, SystemClock, SystemEntropy};
use database::{Administrator, Database};
use identity::{AuthenticatorChain, WorkerPool};
use personal_tokens::{CreatedSecret, NOTICED_WITHIN, PersonalTokens, PersonalTokensError};

pub(super) use self::arguments::{CeilingArguments, RotationArguments, SecretArguments};
pub(super) use self::listing::{json_list, table};
use super::administrator::administrator;
use super::configuration;
use crate::config::Config;
use crate::failure::Failure;
use crate::serve::backends::{Backends, Revalidation};
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::accounts_of;

/// The tokens of a configuration, for one command.
pub(super) struct OpenedTokens {
    pub(super) tokens: PersonalTokens,
    pub(super) by: Administrator,
    pub(super) now: SystemTime,
    config: Config,
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

    /// What is printed of a new secret, once a running server accepts it.
    pub(super) async fn report(
        &self,
        created: &CreatedSecret,
        arguments: &SecretArguments,
    ) -> String {
        self.noticed().await;
        let registry = arguments.registry(&self.config);
        match arguments.json {
            true => instructions::json(created),
            false => instructions::created(created, &registry, self.now),
        }
    }

    /// Waits until a running server has noticed what was changed, so that what is printed is true.
    pub(super) async fn noticed(&self) {
        tokio::time::sleep(NOTICED_WITHIN).await;
    }
}

/// Why an operation failed, with what the operator can do.
pub(super) fn failed(error: &PersonalTokensError) -> Failure {
    use PersonalTokensError as E;
    let failure = match error {
        E::NotFound => return Failure::negative(error.to_string()).hint("`list` shows all"),
        E::Ambiguous => return Failure::usage(error.to_string()).hint("name it by its id"),
        E::OwnerUnknown(_)
        | E::OwnerUnverifiable { .. }
        | E::OwnedByRobot
        | E::NameTaken(_)
        | E::TooLong(_)
        | E::TooShort
        | E::TooMany { .. }
        | E::NoCeiling => return Failure::negative(error.to_string()),
        _ => Failure::system("nothing was changed"),
    };
    failure.caused_by(error)
}
