//! Which bucket it is, and how it is used.

use std::sync::Arc;
use std::time::Duration;

use common::Secret;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::http_client::Connector;
use crate::shared_credentials::SharedCredentials;

/// The smallest part of an upload that is not its last, in bytes, as S3 demands.
pub const LEAST_PART: usize = 5 << 20;

/// How often a request is tried again, and for how long.
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// Which bucket it is, and how it is used.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with, without slashes at its ends. Empty: the keys are at the top.
    pub prefix: String,
    /// The region that signatures name.
    pub region: String,
    /// The URL of the store, without the bucket. `None`: AWS's for the region.
    pub endpoint: Option<String>,
    /// Whether the bucket is the first segment of the path, and not part of the host's name.
    pub path_style: bool,
    /// Who asks.
    pub credentials: S3Credentials,
    /// How the store is to encrypt content. `None`: as the bucket says.
    pub encryption: Option<S3Encryption>,
    /// The storage class of new objects. `None`: as the bucket says.
    pub storage_class: Option<String>,
    /// The checksum that the store is to verify.
    pub checksum: Option<ContentChecksum>,
    /// The size of the parts of large uploads, in bytes, at least [`LEAST_PART`].
    pub part: usize,
    /// Whether and how clients are sent to the store.
    pub redirect: Option<RedirectSettings>,
    /// Sends the requests.
    pub client: reqwest::Client,
}

/// How clients are sent to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectSettings {
    /// How long URLs are valid, at least a minute and at most seven days.
    pub lifetime: Duration,
    /// The URL whose scheme, host and port clients use. `None`: those that the server uses.
    pub endpoint: Option<String>,
}

/// What a client of the store is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientPurpose {
    Anything,
    /// Deletion, for stores that cannot delete many objects at once.
    SingleDeletes,
    /// Reading: requests are not repeated.
    Reading,
}

/// Who asks the store.
#[derive(Clone, Debug)]
pub enum S3Credentials {
    /// A key that is given.
    Static(StaticCredentials),
    /// What the platform gives: `AWS_*` variables, the identity of a workload, the file of shared
    /// credentials, the identity of a task, or of the machine, in the order in which AWS's libraries
    /// look.
    Platform(Vec<(String, Secret)>),
}

/// A key that is given.
#[derive(Clone, Debug)]
pub struct StaticCredentials {
    /// The id of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: Secret,
    /// The token of a temporary key.
    pub session_token: Option<Secret>,
}

/// How the store encrypts content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Encryption {
    /// With keys of the store (`AES256`).
    StoreKey,
    /// With this key of the key management service (`aws:kms`).
    ManagedKey(String),
}

/// A checksum that the store verifies when it gets content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentChecksum {
    /// CRC-64/NVME, which AWS prefers.
    Crc64Nvme,
    /// SHA-256.
    Sha256,
}

impl S3Settings {
    /// What messages call the bucket: `s3://bucket/prefix`.
    #[must_use]
    pub fn url(&self) -> String {
        let Self { bucket, prefix, .. } = self;
        match prefix.as_str() {
            "" => format!("s3://{bucket}"),
            prefix => format!("s3://{bucket}/{prefix}"),
        }
    }

    /// The URL of the bucket, as `object_store` builds it.
    pub(crate) fn bucket_url(&self) -> String {
        let Self { bucket, region, .. } = self;
        match &self.endpoint {
            Some(endpoint) if self.path_style => {
                format!("{}/{bucket}", endpoint.trim_end_matches('/'))
            }
            Some(endpoint) => self.bucket_endpoint(endpoint),
            None if self.path_style => format!("https://s3.{region}.amazonaws.com/{bucket}"),
            None => format!("https://{bucket}.s3.{region}.amazonaws.com"),
        }
    }

    /// A client of the bucket.
    pub(crate) fn build(
        &self,
        purpose: ClientPurpose,
        connector: Connector,
    ) -> object_store::Result<AmazonS3> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_virtual_hosted_style_request(!self.path_style)
            // Content comes with its digest, which is computed before it is acknowledged.
            .with_unsigned_payload(true)
            .with_disable_bulk_delete(purpose == ClientPurpose::SingleDeletes)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: match purpose {
                    ClientPurpose::Reading => 0,
                    ClientPurpose::Anything | ClientPurpose::SingleDeletes => RETRIES,
                },
                retry_timeout: RETRY_TIMEOUT,
            })
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_http_connector(connector);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(self.bucket_endpoint(endpoint));
        }
        builder = match &self.credentials {
            S3Credentials::Static(key) => {
                let builder = builder
                    .with_access_key_id(&key.access_key)
                    .with_secret_access_key(key.secret_key.expose());
                match &key.session_token {
                    Some(token) => builder.with_token(token.expose()),
                    None => builder,
                }
            }
            S3Credentials::Platform(variables) => match SharedCredentials::find(variables)? {
                Some(shared) => builder.with_credentials(Arc::new(shared)),
                None => with_variables(builder, variables),
            },
        };
        builder = match &self.encryption {
            Some(S3Encryption::StoreKey) => {
                builder.with_config("aws_server_side_encryption".parse()?, "AES256")
            }
            Some(S3Encryption::ManagedKey(id)) => builder.with_sse_kms_encryption(id),
            None => builder,
        };
        builder = match self.checksum {
            Some(ContentChecksum::Crc64Nvme) => {
                builder.with_checksum_algorithm(Checksum::CRC64NVME)
            }
            Some(ContentChecksum::Sha256) => builder.with_checksum_algorithm(Checksum::SHA256),
            None => builder,
        };
        builder.build()
    }

    /// `object_store` wants the bucket in the host's name if requests are to have it there.
    fn bucket_endpoint(&self, endpoint: &str) -> String {
        match endpoint.split_once("://") {
            Some((scheme, host)) if !self.path_style => {
                format!("{scheme}://{}.{host}", self.bucket)
            }
            _ => endpoint.to_owned(),
        }
    }
}

/// Those variables that say who asks. Others, such as an endpoint, are the configuration's business.
fn with_variables(mut builder: AmazonS3Builder, variables: &[(String, Secret)]) -> AmazonS3Builder {
    use AmazonS3ConfigKey as Key;
    for (name, value) in variables {
        let Ok(key) = name.to_ascii_lowercase().parse::<Key>() else {
            continue;
        };
        if matches!(
            key,
            Key::AccessKeyId
                | Key::SecretAccessKey
                | Key::Token
                | Key::WebIdentityTokenFile
                | Key::RoleArn
                | Key::RoleSessionName
                | Key::StsEndpoint
                | Key::MetadataEndpoint
                | Key::ContainerCredentialsRelativeUri
                | Key::ContainerCredentialsFullUri
                | Key::ContainerAuthorizationTokenFile
        ) {
            builder = builder.with_config(key, value.expose());
        }
    }
    builder
}
