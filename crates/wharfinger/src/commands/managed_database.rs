//! The database of a server, for commands that manage what is in it, with or without that server.

use std::path::Path;
use std::sync::Arc;

use accounts::{AccountStore, RuleList};
use common::{SystemClock, SystemEntropy};
use database::{Database, DatabaseOpenError};
use immutable_tags::ImmutableTagList;

use super::configuration;
use crate::config::Config;
use crate::failure::{FULL_DISK, Failure};

/// An open database and the configuration that names it.
pub(super) struct ManagedDatabase {
    pub(super) config: Config,
    pub(super) database: Database,
}

impl ManagedDatabase {
    /// The database that the configuration in `file` names.
    pub(super) fn open(file: &Path) -> Result<Self, Failure> {
        let config = configuration::load(file)?.config;
        let Some(location) = &config.database else {
            return Err(
                Failure::usage(format!("{} has no database", file.display())).hint(
                    "write `database: {url: \"sqlite:///var/lib/wharfinger/wharfinger.db\"}`, \
                     and start the server with it once",
                ),
            );
        };
        let database = Database::open(location).map_err(|error| unopened(&error))?;
        Ok(Self { config, database })
    }

    /// The same, if the server that it configures asks the database for accounts and rules.
    pub(super) fn with_accounts(file: &Path) -> Result<Self, Failure> {
        let managed = Self::open(file)?;
        if managed.config.accounts.is_some() {
            return Ok(managed);
        }
        let file = file.display();
        Err(
            Failure::usage(format!("{file} does not ask the database for accounts")).hint(
                match managed.config.token.is_some() {
                    true => "remove `enabled: false` from its section `accounts`",
                    false => {
                        "there is no token server: write a section `token`, or use \
                         registry.auth.htpasswd"
                    }
                },
            ),
        )
    }

    pub(super) fn accounts(&self) -> AccountStore {
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        AccountStore::new(self.database.clone(), clock, entropy)
    }

    pub(super) fn immutable_tags(&self) -> ImmutableTagList {
        ImmutableTagList::new(self.database.clone(), Arc::new(SystemClock))
    }

    pub(super) fn rules(&self) -> RuleList {
        RuleList::new(self.database.clone(), Arc::new(SystemClock))
    }
}

/// What to do when the database failed.
pub(super) fn failed(error: &database::Error) -> Failure {
    let failure = Failure::system("the database failed, and nothing has changed");
    let failure = failure.caused_by(error);
    match error {
        database::Error::Full(_) => failure.hint(FULL_DISK),
        database::Error::Busy(_) => failure.hint("try again"),
        database::Error::Unavailable(_) => failure
            .hint("`wharfinger check --connect FILE` says whether the database can be reached"),
        _ => failure,
    }
}

fn unopened(error: &DatabaseOpenError) -> Failure {
    let failure = Failure::system("the database cannot be opened").caused_by(error);
    match error {
        DatabaseOpenError::Missing(_) => failure.hint(
            "start the server once; without `database` in the configuration, $STATE_DIRECTORY says \
             where the file is",
        ),
        DatabaseOpenError::Unreachable { .. } | DatabaseOpenError::Database { .. } => {
            failure.hint("run as the user that the server runs as")
        }
        _ => failure,
    }
}
