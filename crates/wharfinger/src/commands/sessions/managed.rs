//! The sessions of a server: in its database, or over its API.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use auth::sessions::{
    DatabaseSessions, RevokedBy, Selection, SessionRecord, Sessions, without_ended,
};
use client::{ApiClient, ApiRoute};
use common::{Clock, Entropy, SystemClock, SystemEntropy};
use database::Database;
use http::StatusCode;
use identity::{AuthenticatorChain, WorkerPool};
use serde::Deserialize;

use crate::commands::administrator::administrator;
use crate::commands::configuration;
use crate::commands::managed_server::{ManagedServer, ManagedServerArguments};
use crate::commands::revocation::RevocationSelection;
use crate::config::Config;
use crate::failure::Failure;
use crate::serve::backends::{Backends, Revalidation};
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::accounts_of;

// Every account may do this with sessions of its own, so that is asked for, too.
const READ: &[(&str, &str)] = &[("sessions", "read"), ("own", "read")];
const REVOKE: &[(&str, &str)] = &[("sessions", "write"), ("own", "revoke")];
/// To revoke all, they are listed first.
const READ_AND_REVOKE: &[(&str, &str)] = &[("sessions", "read"), ("sessions", "write")];

/// The sessions of a server.
pub(super) enum SessionAdministration {
    /// Those in its database, which the configuration names.
    Database(Box<StoredSessions>),
    /// Those that its API has.
    Api(Box<ApiClient>),
}

/// The sessions that a configuration keeps.
pub(super) struct StoredSessions {
    sessions: Sessions,
    config: Config,
    database: Database,
}

/// What the API says of revoked sessions.
#[derive(Deserialize)]
struct Revoked {
    revoked: usize,
}

impl SessionAdministration {
    pub(super) async fn of(server: &ManagedServerArguments) -> Result<Self, Failure> {
        Ok(match server.managed().await? {
            ManagedServer::Configured(file) => {
                Self::Database(Box::new(StoredSessions::open(file)?))
            }
            ManagedServer::Remote(client) => Self::Api(client),
        })
    }

    /// The sessions that are valid now, of one user or of all that may be seen.
    pub(super) async fn list(
        &self,
        user: Option<String>,
        now: SystemTime,
    ) -> Result<Vec<SessionRecord>, Failure> {
        match self {
            Self::Database(stored) => stored.list(user, now).await,
            Self::Api(api) => {
                let list = ApiRoute::new(&["sessions"], READ);
                let list = list.with_some("account", user.as_deref());
                Ok(api.list(list, "after", usize::MAX).await?)
            }
        }
    }

    /// Revokes sessions, and returns how many there were.
    pub(super) async fn revoke(
        &self,
        selection: &RevocationSelection,
        now: SystemTime,
    ) -> Result<usize, Failure> {
        match self {
            Self::Database(stored) => stored.revoke(selection, now).await,
            Self::Api(api) => match selection {
                RevocationSelection::Id(id) => {
                    let route = ApiRoute::new(&["sessions", id], REVOKE);
                    match api.delete(route, None).await {
                        Ok(()) => Ok(1),
                        Err(error) if error.refused() == Some(StatusCode::NOT_FOUND) => Ok(0),
                        Err(error) => Err(error.into()),
                    }
                }
                RevocationSelection::OfUser(user) => revoke_of(api, user, REVOKE).await,
                RevocationSelection::All => revoke_all(api).await,
            },
        }
    }
}

async fn revoke_of(
    api: &ApiClient,
    user: &str,
    rights: &'static [(&'static str, &'static str)],
) -> Result<usize, Failure> {
    let route = ApiRoute::new(&["sessions"], rights).with("account", user);
    Ok(api.delete_all::<Revoked>(route).await?.revoked)
}

/// Revokes the sessions of each account that has some.
async fn revoke_all(api: &ApiClient) -> Result<usize, Failure> {
    let list = ApiRoute::new(&["sessions"], READ_AND_REVOKE);
    let listed: Vec<SessionRecord> = api.list(list, "after", usize::MAX).await?;
    let accounts: BTreeSet<_> = listed.into_iter().map(|session| session.account).collect();
    let mut revoked = 0;
    for account in accounts {
        revoked += revoke_of(api, &account, READ_AND_REVOKE).await?;
    }
    Ok(revoked)
}

impl StoredSessions {
    fn open(file: &Path) -> Result<Self, Failure> {
        let config = configuration::load(file)?.config;
        let (Some(policy), Some(location)) = (config.refresh_tokens, &config.database) else {
            return Err(Failure::usage(format!("{} keeps no sessions: refresh tokens are off", file.display())).hint(
                "write `refresh_tokens: {}` to turn them on; `database: {url: sqlite:///…}` says where they are kept",
            ));
        };
        let database = configuration::open_database(location, "the sessions")?;
        let store = Arc::new(DatabaseSessions::new(database.clone()));
        let sessions = Sessions::new(store, policy, Arc::new(SystemEntropy));
        Ok(Self {
            sessions,
            config,
            database,
        })
    }

    async fn list(
        &self,
        user: Option<String>,
        now: SystemTime,
    ) -> Result<Vec<SessionRecord>, Failure> {
        let selection = user.map_or(Selection::All, Selection::Account);
        let listed = self.sessions.list(selection, now).await;
        let listed = listed
            .map_err(|error| Failure::system("cannot read the sessions").caused_by(&error))?;
        let valid = without_ended(listed, &self.accounts()?).await;
        Ok(valid.into_iter().map(SessionRecord::from).collect())
    }

    async fn revoke(
        &self,
        selection: &RevocationSelection,
        now: SystemTime,
    ) -> Result<usize, Failure> {
        let selection = match selection.clone() {
            RevocationSelection::Id(id) => Selection::Id(id),
            RevocationSelection::OfUser(user) => Selection::Account(user),
            RevocationSelection::All => Selection::All,
        };
        let by = RevokedBy::Administrator(administrator());
        let revoked = self.sessions.revoke(selection, by, now).await;
        revoked.map_err(|error| Failure::system("no session was revoked").caused_by(&error))
    }

    /// The backends that know the accounts of the server.
    fn accounts(&self) -> Result<AuthenticatorChain, Failure> {
        let (config, database) = (&self.config, &self.database);
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let accounts = accounts_of(config, Some(database), &clock, &entropy)?;
        let never = Revalidation::Never;
        let managed = ManagedAccounts::in_database(config, database.clone());
        let managed = managed.as_ref();
        let backends =
            Backends::of_token_server(config, &workers, &clock, managed, &accounts, never)?;
        let backends = backends.with_personal_tokens(config, Some(database), &clock, &entropy);
        Ok(backends.chain)
    }
}
