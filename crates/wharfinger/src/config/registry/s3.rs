//! `registry.storage.s3`: the bucket that has the content. The names are those of Distribution.

use std::fmt;
use std::path::PathBuf;

use common::Secret;
use identity::tls::{ClientTls, ServerVerification};
use object_content::{ContentChecksum, LEAST_PART, S3Credentials, S3Encryption, StaticCredentials};

use super::redirect::RedirectConfig;
use super::store_url::{is_this_machine, store_url};
use crate::config::diagnostics::Problem;
use crate::config::schema::key::{self, Words};
use crate::config::section::{Located, Section};

/// The size of a part, unless another is set.
const DEFAULT_PART: usize = 8 << 20;
/// The largest size of a part. Two parts of each upload are in memory.
const LARGEST_PART: usize = 256 << 20;

/// The file of shared credentials.
const SHARED_FILE: &str = "AWS_SHARED_CREDENTIALS_FILE";

/// The variables by which a platform says who asks.
const VARIABLES: [&str; 13] = [
    "AWS_PROFILE",
    SHARED_FILE,
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_METADATA_ENDPOINT",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// The bucket that has the content, and how it is asked.
#[derive(Clone)]
pub(crate) struct S3Config {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) region: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) path_style: bool,
    pub(crate) credentials: S3Credentials,
    pub(crate) encryption: Option<S3Encryption>,
    pub(crate) storage_class: Option<String>,
    pub(crate) checksum: Option<ContentChecksum>,
    pub(crate) part: usize,
    pub(crate) user_agent: Option<String>,
    pub(crate) tls: ClientTls,
    pub(crate) redirect: RedirectConfig,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The checksum that the store verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChecksumWord {
    None,
    Crc64Nvme,
    Sha256,
}

impl Words for ChecksumWord {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("crc64nvme", Self::Crc64Nvme),
        ("sha256", Self::Sha256),
    ];
}

impl S3Config {
    /// What messages call the bucket: `s3://bucket/prefix`.
    pub(crate) fn url(&self) -> String {
        let Self { bucket, prefix, .. } = self;
        match prefix.as_str() {
            "" => format!("s3://{bucket}"),
            prefix => format!("s3://{bucket}/{prefix}"),
        }
    }

    /// The host and port at which clients that are sent to the store reach it.
    pub(crate) fn client_host(&self) -> String {
        let Self { bucket, region, .. } = self;
        let endpoint = self.redirect.endpoint.as_ref();
        let url = match (endpoint, &self.endpoint) {
            (Some(url), _) => url,
            (None, Some(url)) if self.path_style => url,
            (None, Some(url)) => {
                let (_, host) = url.split_once("://").unwrap_or_default();
                return format!("{bucket}.{host}");
            }
            (None, None) => return format!("{bucket}.s3.{region}.amazonaws.com"),
        };
        let (_, host) = url.split_once("://").unwrap_or_default();
        host.to_owned()
    }

    /// Declares `registry.storage.s3.*`.
    pub(super) fn read(s3: &mut Section<'_>, redirect: RedirectConfig) -> Option<Self> {
        let bucket = s3.find(
            key::parsed("bucket", "name", bucket)
                .required("write the name of the bucket")
                .restart()
                .means("the bucket, which must exist"),
        );
        let prefix = s3.find(
            key::parsed("rootdirectory", "path", prefix)
                .not(&["prefix", "root"])
                .restart()
                .means("what all keys begin with")
                .otherwise("keys begin at the top of the bucket"),
        );
        let region = s3.get(
            key::text("region")
                .restart()
                .means("the region of the bucket, which signatures name")
                .default("us-east-1".to_owned()),
        );
        let secure = s3.get(
            key::switch("secure")
                .restart()
                .means("whether a `regionendpoint` without `http://` or `https://` has TLS")
                .default(true),
        );
        let endpoint = s3.locate(
            key::text("regionendpoint")
                .not(&["endpoint", "url"])
                .restart()
                .means("the URL of the store, without the bucket, if it is not AWS")
                .otherwise("AWS's for the region"),
        );
        // Keys below are read even if this one cannot be used.
        let endpoint = match endpoint {
            Some(endpoint) => checked_endpoint(&endpoint, secure).map(Some),
            None => Some(None),
        };
        let path_style = s3.find(
            key::switch("forcepathstyle")
                .restart()
                .means("whether the bucket is in the path of URLs, and not in the host's name")
                .otherwise("`true` with `regionendpoint`"),
        );
        let credentials = read_credentials(s3);
        let encryption = read_encryption(s3);
        let storage_class = s3.find(
            key::text("storageclass")
                .restart()
                .means("the storage class of new objects, such as `STANDARD_IA`")
                .otherwise("the store's"),
        );
        let checksum = s3.get(
            key::word("checksum")
                .restart()
                .means("the checksum that the store verifies; some stores do not know any")
                .default(ChecksumWord::None),
        );
        let part = s3.get(
            key::size("chunksize", LEAST_PART..=LARGEST_PART)
                .restart()
                .means(
                    "the size of the parts of a large blob; a blob has 10000 parts at most, and \
                     two parts of each upload are in memory",
                )
                .default(DEFAULT_PART),
        );
        let user_agent = s3.find(
            key::text("useragent")
                .restart()
                .means("the `User-Agent` of requests to the store")
                .otherwise("`wharfinger/VERSION`"),
        );
        let tls = read_tls(s3);
        let endpoint = endpoint?;
        Some(Self {
            bucket: bucket?,
            prefix: prefix.unwrap_or_default(),
            region,
            path_style: path_style.unwrap_or(endpoint.is_some()),
            endpoint,
            credentials: credentials?,
            encryption,
            storage_class,
            checksum: match checksum {
                ChecksumWord::None => None,
                ChecksumWord::Crc64Nvme => Some(ContentChecksum::Crc64Nvme),
                ChecksumWord::Sha256 => Some(ContentChecksum::Sha256),
            },
            part,
            user_agent,
            tls: tls?,
            redirect,
        })
    }
}

/// The URL of the store. Warns if it has no TLS.
fn checked_endpoint(endpoint: &Located<'_, String>, secure: bool) -> Option<String> {
    let url = store_url(&endpoint.value, secure);
    let url = endpoint.setting.checked(url)?;
    if url.starts_with("http://") && !is_this_machine(&url) {
        let message = "content and signatures are sent without TLS: write https://";
        endpoint.setting.warn(Problem::Doubtful, message);
    }
    Some(url)
}

fn read_credentials(s3: &mut Section<'_>) -> Option<S3Credentials> {
    let access_key = s3.locate(
        key::text("accesskey")
            .restart()
            .means("the id of the key that signs requests")
            .otherwise(
                "what the platform gives: `AWS_ACCESS_KEY_ID` and its like, a web identity, the \
                 file of shared credentials, a task's or the machine's role",
            ),
    );
    let secret_key = s3.locate(
        key::text("secretkey")
            .secret()
            .restart()
            .means("the key that signs requests"),
    );
    let session_token = s3.find(
        key::text("sessiontoken")
            .secret()
            .restart()
            .means("the token of a temporary key"),
    );
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => Some(S3Credentials::Static(StaticCredentials {
            access_key: access_key.value,
            secret_key: Secret::from(secret_key.value),
            session_token: session_token.map(Secret::from),
        })),
        (None, None) => {
            let variable = |name: &str| s3.context.variable(name);
            let found = VARIABLES.into_iter().filter_map(|name| {
                let value = variable(name)?;
                Some((name.to_owned(), Secret::from(value)))
            });
            let mut found: Vec<_> = found.collect();
            if let Some(home) = variable("HOME")
                && variable(SHARED_FILE).is_none()
            {
                // Where AWS's libraries look. It counts if it is there and has the profile.
                let file = format!("{home}/.aws/credentials");
                found.push((SHARED_FILE.to_owned(), Secret::from(file)));
            }
            Some(S3Credentials::Platform(found))
        }
        (Some(one), None) | (None, Some(one)) => {
            let message = "set both accesskey and secretkey, or none of them";
            one.setting.report(Problem::Conflict, message);
            None
        }
    }
}

fn read_encryption(s3: &mut Section<'_>) -> Option<S3Encryption> {
    let encrypt = s3.get(
        key::switch("encrypt")
            .restart()
            .means("whether the store is told to encrypt content")
            .default(false),
    );
    let key_id = s3.locate(
        key::text("keyid")
            .restart()
            .means("the key of the key management service for `encrypt`")
            .otherwise("the store's own key"),
    );
    match (encrypt, key_id) {
        (true, Some(key_id)) => Some(S3Encryption::ManagedKey(key_id.value)),
        (true, None) => Some(S3Encryption::StoreKey),
        (false, Some(key_id)) => {
            let message = "no effect without encrypt: true";
            key_id.setting.warn(Problem::NoEffect, message);
            None
        }
        (false, None) => None,
    }
}

fn read_tls(s3: &mut Section<'_>) -> Option<ClientTls> {
    let authorities: Option<Located<'_, PathBuf>> = s3.locate(
        key::path("ca_certificate")
            .restart()
            .means(
                "PEM: only stores with one of these certificates, or one that they signed, are \
                 trusted",
            )
            .otherwise("the system's authorities"),
    );
    let skips = s3.get(
        key::switch("skipverify")
            .restart()
            .means("whether any certificate of the store is accepted: for tests; warns")
            .default(false),
    );
    let mut tls = Some(ClientTls::default());
    if let Some(file) = &authorities {
        let trusting = |pem: Vec<u8>| {
            let trusting = ClientTls::default().trusting(&pem);
            file.setting.checked_file(&file.value, trusting)
        };
        tls = file.read().and_then(trusting);
    }
    if skips {
        let message = "any server can pose as the store; write ca_certificate instead";
        s3.warn_about("skipverify", Problem::Doubtful, message);
        return tls.map(|tls| tls.verifying(ServerVerification::Nothing));
    }
    tls
}

fn bucket(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if text.is_empty() || !text.chars().all(is_allowed) {
        return Err("not the name of a bucket: use letters, digits, `-` and `.`".to_owned());
    }
    Ok(text.to_owned())
}

fn prefix(text: &str) -> Result<String, String> {
    let prefix = text.trim_matches('/');
    let is_allowed = |segment: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        !matches!(segment, "" | "." | "..") && segment.chars().all(is_allowed)
    };
    if !prefix.is_empty() && !prefix.split('/').all(is_allowed) {
        return Err(
            "not a prefix of keys: use letters, digits, `-`, `_` and `.`, with single slashes"
                .to_owned(),
        );
    }
    Ok(prefix.to_owned())
}
