//! Accounts and rules in the database, which commands manage while the server runs.

use std::sync::Arc;

use accounts::{AccountStore, ChangeCounter, DatabaseAccounts, DatabaseRules, RuleList};
use common::{Clock, Entropy, SystemClock, SystemEntropy};
use database::{Database, DatabaseOpenError};
use identity::PasswordVerifier;
use policy::Labels;

use super::persistent_state::PersistentState;
use crate::config::{AccountsConfig, Config};
use crate::failure::Failure;

/// The accounts, and the rules in memory. Clones share both. They outlive a reload that does not
/// change their section.
#[derive(Clone)]
pub(crate) struct ManagedAccounts {
    section: AccountsConfig,
    store: AccountStore,
    rules: Arc<DatabaseRules>,
    /// Notices the changes of commands; only a server has it.
    changes: Option<ChangeCounter>,
}

impl ManagedAccounts {
    /// Those of a running server.
    pub(super) fn running(
        config: &Config,
        persistent: &PersistentState,
        before: Option<&Self>,
    ) -> Option<Self> {
        let (section, database) = (config.accounts?, persistent.database.clone()?);
        if let Some(before) = before.filter(|before| before.section == section) {
            return Some(before.clone());
        }
        let (clock, entropy) = (&persistent.clock, &persistent.entropy);
        let changes = before.and_then(|before| before.changes.clone());
        let changes = changes.unwrap_or_else(|| ChangeCounter::start(database.clone()));
        let list = RuleList::new(database.clone(), Arc::clone(clock));
        Some(Self {
            section,
            store: AccountStore::new(database, Arc::clone(clock), Arc::clone(entropy)),
            rules: Arc::new(DatabaseRules::following(list, section.options, &changes)),
            changes: Some(changes),
        })
    }

    /// Those of the database that `config` names, for a command. Before the first start of the server
    /// there is no database, and there are none.
    pub(crate) fn stored(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(location) = config
            .database
            .as_ref()
            .filter(|_| config.accounts.is_some())
        else {
            return Ok(None);
        };
        match Database::open(location) {
            Ok(database) => Ok(Self::in_database(config, database)),
            Err(DatabaseOpenError::Missing(_)) => Ok(None),
            Err(error) => Err(
                Failure::system("the accounts in the database cannot be reached")
                    .caused_by(&error)
                    .hint("run as the user that the server runs as"),
            ),
        }
    }

    /// The same, for a command that has opened the database.
    pub(crate) fn in_database(config: &Config, database: Database) -> Option<Self> {
        let section = config.accounts?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let list = RuleList::new(database.clone(), Arc::clone(&clock));
        Some(Self {
            section,
            store: AccountStore::new(database, clock, entropy),
            rules: Arc::new(DatabaseRules::new(list, section.options)),
            changes: None,
        })
    }

    /// The labels of an account; `None` if it is not in the database, or disabled.
    pub(crate) async fn labels(&self, account: &str) -> Result<Option<Labels>, Failure> {
        let found = self.store.find(account).await.map_err(|error| {
            Failure::system("the accounts in the database cannot be read").caused_by(&error)
        })?;
        Ok(found
            .filter(|account| !account.is_disabled)
            .map(|account| account.labels))
    }

    /// The operations on accounts.
    pub(super) fn accounts(&self) -> &AccountStore {
        &self.store
    }

    /// Whether an account was ever added. A command does not know, so it may have.
    pub(super) fn may_have_accounts(&self) -> bool {
        let changes = self.changes.as_ref();
        changes.is_none_or(|changes| changes.accounts() > 0)
    }

    /// The backend of logins.
    pub(super) fn backend(&self, verifier: Arc<PasswordVerifier>) -> DatabaseAccounts {
        let backend = DatabaseAccounts::new(self.store.clone(), verifier);
        match &self.changes {
            Some(changes) => backend.noticing(changes.clone()),
            None => backend,
        }
    }

    /// The policy.
    pub(super) fn policy(&self) -> Arc<DatabaseRules> {
        Arc::clone(&self.rules)
    }
}
