//! `check --connect`: tries what the backends of a configuration need.

use std::num::NonZeroUsize;
use std::sync::Arc;

use common::{Clock, SystemClock, SystemEntropy};
use identity::WorkerPool;

use super::database::try_database;
use super::tried_connection::TriedConnection;
use crate::config::{Config, Location, S3Config, StorageDriver};
use crate::failure::Failure;
use crate::serve::backends::{Backends, Revalidation, authorizers};
use crate::serve::bucket::content;
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::stored_accounts;
use crate::serve::stored_policies::StoredPolicies;

/// Tries every backend of logins, then every policy, in their order.
pub(super) async fn try_all(config: &Config) -> Result<Vec<TriedConnection>, Failure> {
    let mut tried = Vec::new();
    let mut has_tables = true;
    if let Some(location) = &config.database
        && let Some(database) = try_database(location).await
    {
        has_tables = database.has_tables;
        tried.push(database.tried);
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
    // What is wrong with the database was said once.
    let managed = match has_tables {
        true => ManagedAccounts::stored(config)?,
        false => None,
    };
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
