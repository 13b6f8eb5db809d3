//! `check --connect`: tries what the backends of a configuration need.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use common::{Clock, SystemClock, SystemEntropy};
use database::DatabaseLocation;
use identity::WorkerPool;
use object_content::S3OpenError;

use super::database::try_database;
use super::storage::{TriedContent, try_content};
use super::tried_connection::TriedConnection;
use crate::config::{Config, Location, S3Config, StorageDriver};
use crate::failure::Failure;
use crate::serve::backends::{Backends, Revalidation, authorizers};
use crate::serve::bucket::content;
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::stored_accounts;
use crate::serve::stored_policies::StoredPolicies;

/// Tries the ACME server, the database and the content, then every backend of logins and every policy
/// in their order.
pub(super) async fn try_all(config: &Config) -> Result<Vec<TriedConnection>, Failure> {
    let mut tried = Vec::new();
    if let Some(letsencrypt) = &config.server.letsencrypt {
        let found = acme::probe_directory(&letsencrypt.settings, Arc::new(SystemClock)).await;
        tried.push(TriedConnection::new("server.letsencrypt", found.map(Some)));
    }
    let mut has_tables = true;
    let mut is_usable = true;
    if let Some(location) = &config.database
        && let Some(database) = try_database(location).await
    {
        has_tables = database.has_tables;
        is_usable = database.tried.fine;
        tried.push(database.tried);
    }
    if let Some(registry) = &config.registry {
        // What is wrong with the database was said once.
        let database = config.database.as_ref().filter(|_| is_usable);
        let database = database.map(|location| FoundDatabase {
            location,
            has_tables,
        });
        match &registry.storage {
            StorageDriver::S3(bucket) => tried.push(try_bucket(bucket, database).await?),
            StorageDriver::Filesystem(root) => tried.extend(try_directory(root, database).await?),
            StorageDriver::InMemory => {}
        }
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
        let found = backend.probe().await;
        tried.push(TriedConnection::of_backend(backend.name(), found));
    }
    for policy in &authorizers {
        let found = policy.probe().await;
        tried.push(TriedConnection::of_backend(policy.name(), found));
    }
    Ok(tried)
}

/// A database that can be used.
struct FoundDatabase<'a> {
    location: &'a DatabaseLocation,
    has_tables: bool,
}

/// Writes, reads and removes an object, and looks whose content the bucket has.
async fn try_bucket(
    bucket: &S3Config,
    database: Option<FoundDatabase<'_>>,
) -> Result<TriedConnection, Failure> {
    const SECTION: &str = "registry.storage.s3";
    let content = content(bucket, Arc::new(SystemEntropy))?;
    if let Err(error) = content.probe().await {
        return Ok(TriedConnection::new(SECTION, Err(error)));
    }
    if let Some(FoundDatabase {
        location,
        has_tables,
    }) = database
        && let Err(error) = try_content(location, has_tables, TriedContent::Bucket(content)).await?
    {
        return Ok(TriedConnection::new(SECTION, Err(error)));
    }
    let found = "an object was written, read and removed".to_owned();
    Ok(TriedConnection::new(
        SECTION,
        Ok::<_, S3OpenError>(Some(found)),
    ))
}

/// What is wrong with a directory: it has the content of another database, or lacks that of this one.
async fn try_directory(
    root: &Path,
    database: Option<FoundDatabase<'_>>,
) -> Result<Option<TriedConnection>, Failure> {
    let Some(FoundDatabase {
        location,
        has_tables,
    }) = database
    else {
        return Ok(None);
    };
    let tried = try_content(location, has_tables, TriedContent::Directory(root)).await?;
    Ok(tried
        .err()
        .map(|error| TriedConnection::new("registry.storage.filesystem", Err(error))))
}
