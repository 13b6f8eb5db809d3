//! `check --connect`: tries what the backends of a configuration need.

use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use common::{Clock, SystemClock, SystemEntropy};
use identity::WorkerPool;
use serde::Serialize;

use super::database::try_database;
use crate::config::{Config, Location, S3Config, StorageDriver};
use crate::failure::{Failure, with_causes};
use crate::serve::backends::{Backends, Revalidation, authorizers};
use crate::serve::bucket::content;
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::stored_accounts;
use crate::serve::stored_policies::StoredPolicies;

/// A backend or a policy that was tried.
#[derive(Debug, Serialize)]
pub(super) struct TriedConnection {
    /// Its section in the configuration.
    section: &'static str,
    pub(super) fine: bool,
    /// What was found, or what went wrong.
    found: String,
}

impl TriedConnection {
    pub(super) fn new(section: &'static str, outcome: Result<Option<String>, impl Error>) -> Self {
        let fine = outcome.is_ok();
        let found = match outcome {
            Ok(Some(found)) => found,
            Ok(None) => "nothing to connect to".to_owned(),
            Err(error) => with_causes(&error),
        };
        Self {
            section,
            fine,
            found,
        }
    }
}

impl fmt::Display for TriedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = if self.fine { "" } else { "error: " };
        write!(f, "{}: {error}{}", self.section, self.found)
    }
}

/// Tries every backend of logins, then every policy, in their order.
pub(super) async fn try_all(config: &Config) -> Result<Vec<TriedConnection>, Failure> {
    let mut tried = Vec::new();
    if let Some(location) = &config.database {
        tried.extend(try_database(location).await);
    }
    if let Some(registry) = &config.registry
        && let StorageDriver::S3(bucket) = &registry.storage
    {
        tried.push(try_bucket(bucket).await?);
    }
    if config.token.is_none() {
        return Ok(tried);
    }
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let accounts = stored_accounts(config, &clock)?;
    let never = Revalidation::Never;
    let managed = ManagedAccounts::stored(config)?;
    let managed = managed.as_ref();
    let backends = Backends::of_token_server(config, &workers, &clock, managed, &accounts, never)?;
    let chain = backends.chain;
    let stored = StoredPolicies::new(config, &clock);
    let authorizers = authorizers(config, &clock, &stored, managed, Location::to_string)?;
    for backend in chain.backends() {
        tried.push(TriedConnection::new(backend.name(), backend.probe().await));
    }
    for policy in &authorizers {
        tried.push(TriedConnection::new(policy.name(), policy.probe().await));
    }
    Ok(tried)
}

/// Writes, reads and removes an object.
async fn try_bucket(bucket: &S3Config) -> Result<TriedConnection, Failure> {
    let content = content(bucket, Arc::new(SystemEntropy))?;
    let probed = content.probe().await;
    let found = probed.map(|()| Some("an object was written, read and removed".to_owned()));
    Ok(TriedConnection::new("registry.storage.s3", found))
}
