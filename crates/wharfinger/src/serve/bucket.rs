//! Opening the bucket of a registry.

use std::sync::Arc;
use std::time::Duration;

use common::{Entropy, SystemClock};
use object_content::{ObjectContent, RedirectSettings, S3Settings};

use crate::config::S3Config;
use crate::failure::Failure;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the store may take to answer, or to send more of an answer.
const READ: Duration = Duration::from_secs(30);
/// How long a connection that nothing uses is kept.
const IDLE: Duration = Duration::from_secs(50);

/// The content in the bucket of `config`. Nothing is asked yet.
pub(crate) fn content(
    config: &S3Config,
    entropy: Arc<dyn Entropy>,
) -> Result<ObjectContent, Failure> {
    ObjectContent::new(&settings(config)?, entropy, Arc::new(SystemClock))
        .map_err(|error| Failure::system("cannot use the bucket").caused_by(&error))
}

/// How the bucket of `config` is asked.
pub(crate) fn settings(config: &S3Config) -> Result<S3Settings, Failure> {
    let tls = config.tls.config().map_err(|error| {
        Failure::system("registry.storage.s3: the certificates cannot be used").caused_by(&error)
    })?;
    let own = concat!("wharfinger/", env!("CARGO_PKG_VERSION"));
    let client = reqwest::Client::builder()
        .user_agent(config.user_agent.as_deref().unwrap_or(own))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .pool_idle_timeout(IDLE)
        .referer(false)
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| {
            Failure::system("registry.storage.s3: the HTTP client cannot be set up")
                .caused_by(&error)
        })?;
    Ok(S3Settings {
        bucket: config.bucket.clone(),
        prefix: config.prefix.clone(),
        region: config.region.clone(),
        endpoint: config.endpoint.clone(),
        path_style: config.path_style,
        credentials: config.credentials.clone(),
        encryption: config.encryption.clone(),
        storage_class: config.storage_class.clone(),
        checksum: config.checksum,
        part: config.part,
        redirect: Some(RedirectSettings {
            lifetime: config.redirect.lifetime,
            endpoint: config.redirect.endpoint.clone(),
        }),
        client,
    })
}

/// The same, tried: what is wrong is known before clients push.
pub(crate) async fn probed_content(
    config: &S3Config,
    entropy: Arc<dyn Entropy>,
) -> Result<ObjectContent, Failure> {
    let content = content(config, entropy)?;
    content.probe().await.map_err(|error| {
        Failure::system("cannot use the bucket of registry.storage.s3").caused_by(&error)
    })?;
    Ok(content)
}
