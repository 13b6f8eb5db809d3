//! The clients of a bucket.

use std::sync::Arc;

use common::{Clock, Entropy};
use object_store::aws::AmazonS3;

use crate::error::S3OpenError;
use crate::http_client::Connector;
use crate::location::KeyPrefix;
use crate::settings::{ClientPurpose, LEAST_PART, S3Settings};
use crate::shared_store::{SharedStore, StoreClients};
use crate::signature::BucketAddress;
use crate::signed_urls::SignedUrls;

/// The requests to the bucket of `settings`.
pub(crate) fn open_store(
    settings: &S3Settings,
    entropy: &Arc<dyn Entropy>,
    clock: &Arc<dyn Clock>,
) -> Result<SharedStore, S3OpenError> {
    let (address, connector) = connector(settings, clock)?;
    let build = |purpose| build(settings, purpose, connector.clone());
    let clients = StoreClients {
        client: build(ClientPurpose::Anything)?,
        single_deletes: build(ClientPurpose::SingleDeletes)?,
        reading_client: build(ClientPurpose::Reading)?,
    };
    let signed_urls = settings.redirect.as_ref().map(|redirect| {
        let address = address.at(redirect.endpoint.as_deref());
        let (region, lifetime) = (settings.region.clone(), redirect.lifetime);
        SignedUrls::new(address, region, lifetime, Arc::clone(clock))
    });
    Ok(SharedStore::new(
        clients,
        signed_urls,
        KeyPrefix::new(&settings.prefix),
        settings.url(),
        settings.part.max(LEAST_PART),
        settings.storage_class.clone(),
        Arc::clone(entropy),
    ))
}

/// A client of the bucket of `settings`, for anything.
pub(crate) fn open_client(
    settings: &S3Settings,
    clock: &Arc<dyn Clock>,
) -> Result<AmazonS3, S3OpenError> {
    let (_, connector) = connector(settings, clock)?;
    build(settings, ClientPurpose::Anything, connector)
}

fn connector(
    settings: &S3Settings,
    clock: &Arc<dyn Clock>,
) -> Result<(BucketAddress, Connector), S3OpenError> {
    let address = BucketAddress::parse(&settings.bucket_url());
    let address = address.ok_or_else(|| unusable(settings, "the endpoint is not a URL"))?;
    let connector = Connector::new(settings.client.clone(), &address, Arc::clone(clock));
    Ok((address, connector))
}

fn build(
    settings: &S3Settings,
    purpose: ClientPurpose,
    connector: Connector,
) -> Result<AmazonS3, S3OpenError> {
    let built = settings.build(purpose, connector);
    built.map_err(|error| unusable(settings, &error.to_string()))
}

fn unusable(settings: &S3Settings, message: &str) -> S3OpenError {
    S3OpenError::Settings {
        url: settings.url(),
        message: common::escape_line(message).into_owned(),
    }
}
