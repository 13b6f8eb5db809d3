//! Why a request fails, on which side the fault is, and the response that the client gets.
//!
//! Clients read the status and the code; people read the message. A 500 shows only a request id,
//! under which the log has the cause. A 503 or 507 says what the client can wait for.
//!
//! (OCI distribution-spec, "Error Codes"; beside its fourteen, Docker's `RANGE_INVALID`,
//! `PAGINATION_NUMBER_INVALID`, `UNAVAILABLE` and `UNKNOWN`, which its clients know.)

use std::time::Duration;

use common::{ClientAddressError, EntropyError, seconds_rounded_up};
use http::StatusCode;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_RANGE, HeaderName, HeaderValue, LOCATION, RANGE, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use identity::ROBOT_PREFIX;
use oci::{DigestError, TagError, UnknownDigestAlgorithm};
use serde_json::{Value, json};
use storage::{Error as StorageError, NewManifestError, QuotaResource};

use crate::body_memory::BodyMemoryFull;
use crate::challenge::AccessChallenge;
use crate::manifest_validation::RefusedUrl;
use crate::ranges::{ContentRangeError, progress};
use crate::request_body::RequestBodyError;
use crate::response::{self, ErrorEntry};
use crate::response_body::HttpResponse;
use crate::route::RouteError;
use crate::upstream::UpstreamError;

/// When a client should ask again, if the server cannot say better.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error("method not allowed at this address: use one of {allow}")]
    MethodNotAllowed { allow: &'static str },
    #[error("authentication required")]
    Challenge(Box<AccessChallenge>),
    #[error(
        "no rule lets {account:?} pull from {repository}: ask the operator of this registry for access"
    )]
    Denied {
        account: String,
        repository: String,
        /// The scope that the request needs.
        scope: String,
    },
    #[error(
        "the token {personal_token} of {account:?} may not {} {repository}: this is over its ceiling{}",
        done_with(action),
        if account.starts_with(ROBOT_PREFIX) { ", or its owner may not" } else { "" }
    )]
    OverCeiling {
        account: String,
        /// The token's id.
        personal_token: String,
        action: &'static str,
        repository: String,
        /// The scope that the request needs.
        scope: String,
    },
    #[error(transparent)]
    ClientAddress(#[from] ClientAddressError),
    #[error("too many failed logins: try again in {} seconds", seconds_rounded_up(*.0))]
    TooManyFailedLogins(Duration),
    #[error("too many requests are waiting: try again in {} seconds", seconds_rounded_up(*.0))]
    Busy(Duration),
    #[error("this registry is in maintenance and only serves reads")]
    ReadOnly,
    #[error("deletion is disabled in this registry's configuration")]
    DeleteDisabled,
    #[error("n must be a number from 0 to {max}")]
    PageSize { max: u32 },
    #[error("invalid or outdated `next`: start again without it")]
    InvalidCursor,
    #[error("invalid `last`: take the address of the next page from `Link`")]
    InvalidLast,
    #[error("the parameter `tag` names no tag: {0}")]
    HistoryTag(#[source] TagError),
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error(
        "digest missing: end the upload with PUT …?digest=sha256:…, the digest of the whole blob"
    )]
    MissingDigest,
    #[error(transparent)]
    Algorithm(#[from] UnknownDigestAlgorithm),
    #[error("range not satisfiable: the content has {size} bytes")]
    RangeNotSatisfiable { size: u64 },
    #[error(transparent)]
    ContentRange(#[from] ContentRangeError),
    #[error("the Content-Range says {claimed} bytes, but {arrived} bytes arrived")]
    ChunkLength { claimed: u64, arrived: u64 },
    #[error("wrong offset: the next byte of this upload is {received}")]
    OutOfOrder { received: u64, location: String },
    #[error(transparent)]
    RequestBody(#[from] RequestBodyError),
    #[error("manifest too large: this registry accepts at most {limit} bytes")]
    ManifestTooLarge { limit: usize },
    #[error(transparent)]
    Manifest(#[from] NewManifestError),
    #[error(transparent)]
    LayerUrl(#[from] RefusedUrl),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error("too many tags: one request can give a manifest at most {most}")]
    TooManyTags { most: usize },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("an authentication backend failed")]
    Authentication(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot get random bytes")]
    Entropy(#[from] EntropyError),
}

impl From<BodyMemoryFull> for RegistryError {
    fn from(BodyMemoryFull: BodyMemoryFull) -> Self {
        Self::Busy(DEFAULT_RETRY_AFTER)
    }
}

impl From<AccessChallenge> for RegistryError {
    fn from(challenge: AccessChallenge) -> Self {
        Self::Challenge(Box::new(challenge))
    }
}

impl RegistryError {
    /// Status and code.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Route(RouteError::NotFound) => (S::NOT_FOUND, "UNSUPPORTED"),
            Self::Route(RouteError::Name(_)) => (S::BAD_REQUEST, "NAME_INVALID"),
            Self::Route(RouteError::UploadId) => (S::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::Route(RouteError::Digest(_))
            | Self::Digest(_)
            | Self::MissingDigest
            | Self::Algorithm(_) => (S::BAD_REQUEST, "DIGEST_INVALID"),
            Self::MethodNotAllowed { .. } | Self::ReadOnly | Self::DeleteDisabled => {
                (S::METHOD_NOT_ALLOWED, "UNSUPPORTED")
            }
            Self::Challenge(_) => (S::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::Denied { .. } | Self::OverCeiling { .. } => (S::FORBIDDEN, "DENIED"),
            Self::ClientAddress(_) => (S::BAD_REQUEST, "UNSUPPORTED"),
            Self::TooManyFailedLogins(_) | Self::Busy(_) => {
                (S::TOO_MANY_REQUESTS, "TOOMANYREQUESTS")
            }
            Self::PageSize { .. } | Self::InvalidCursor | Self::InvalidLast => {
                (S::BAD_REQUEST, "PAGINATION_NUMBER_INVALID")
            }
            Self::RangeNotSatisfiable { .. } | Self::OutOfOrder { .. } => {
                (S::RANGE_NOT_SATISFIABLE, "RANGE_INVALID")
            }
            Self::ContentRange(_) => (S::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Self::ChunkLength { .. } => (S::BAD_REQUEST, "SIZE_INVALID"),
            Self::RequestBody(RequestBodyError::Stalled) => {
                (S::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID")
            }
            Self::RequestBody(RequestBodyError::NoMemory) => {
                (S::TOO_MANY_REQUESTS, "TOOMANYREQUESTS")
            }
            Self::RequestBody(RequestBodyError::Broken) => (S::BAD_REQUEST, "SIZE_INVALID"),
            Self::RequestBody(RequestBodyError::TooLarge(_)) => {
                (S::PAYLOAD_TOO_LARGE, "SIZE_INVALID")
            }
            Self::ManifestTooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID"),
            Self::TooManyTags { .. } => (S::URI_TOO_LONG, "MANIFEST_INVALID"),
            Self::Manifest(NewManifestError::Digest(_)) => (S::BAD_REQUEST, "DIGEST_INVALID"),
            Self::Manifest(NewManifestError::Invalid(_))
            | Self::LayerUrl(_)
            | Self::Tag(_)
            | Self::HistoryTag(_) => (S::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::Storage(error) => storage_kind(error),
            Self::Upstream(UpstreamError::Unavailable(_)) => {
                (S::SERVICE_UNAVAILABLE, "UNAVAILABLE")
            }
            Self::Upstream(UpstreamError::WrongDigest { .. })
            | Self::Authentication(_)
            | Self::Entropy(_) => (S::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        }
    }

    /// Whether the status is 500: the log gets the cause, and the client gets only the request id.
    pub(crate) fn is_internal(&self) -> bool {
        self.status_and_code().0 == StatusCode::INTERNAL_SERVER_ERROR
    }

    /// Whether the operator has to act, although the client may know why.
    pub(crate) fn needs_operator(&self) -> bool {
        use StorageError::{Busy, Conflict, Full, ReadOnly, Unavailable};
        matches!(
            self,
            Self::Storage(Full | ReadOnly | Busy | Conflict | Unavailable { .. })
                | Self::Upstream(_)
        )
    }

    /// The response. It shows `request_id` if the log has more.
    pub(crate) fn response(&self, request_id: &str) -> HttpResponse {
        let (status, code) = self.status_and_code();
        let mut response = match self {
            Self::Storage(StorageError::ReferencesUnknown(digests)) => response::errors(
                status,
                digests.iter().map(|digest| ErrorEntry {
                    code,
                    message: format!(
                        "the manifest refers to {digest}, which this repository does not have"
                    ),
                    detail: Some(json!({ "digest": digest })),
                }),
            ),
            _ => response::errors(
                status,
                [ErrorEntry {
                    code,
                    message: self.message(request_id),
                    detail: self.detail(),
                }],
            ),
        };
        for (name, value) in self.headers() {
            // All are numbers, or addresses that came in as a header or a path.
            if let Some(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    fn message(&self, request_id: &str) -> String {
        if self.is_internal() {
            format!(
                "internal error: the server's log has the cause under this request id: {request_id}"
            )
        } else if let Self::Storage(StorageError::QuotaExceeded(exceeded)) = self {
            let remedy = match exceeded.resource {
                QuotaResource::Bytes => {
                    "delete images that are not needed, which frees space when the registry collects its garbage"
                }
                QuotaResource::Tags => "delete tags that are not needed",
            };
            format!("{exceeded}; {remedy}, or ask the operator of this registry for more")
        } else {
            self.to_string()
        }
    }

    fn detail(&self) -> Option<Value> {
        match self {
            // An object: a client that gets a list or text there may take it for a missing scope.
            Self::Storage(StorageError::QuotaExceeded(exceeded)) => Some(json!({
                "prefix": exceeded.prefix.to_string(),
                "resource": exceeded.resource.to_string(),
                "used": exceeded.used,
                "limit": exceeded.limit,
                "requested": exceeded.requested,
            })),
            Self::Challenge(challenge) => challenge.detail.clone(),
            Self::Storage(StorageError::TagImmutable(refused)) => Some(json!({
                "repository": refused.repository.as_str(),
                "tag": refused.tag.as_str(),
                "digest": refused.digest.to_string(),
                "rule": refused.rule.to_string(),
            })),
            _ => None,
        }
    }

    fn headers(&self) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let text = |text: &str| HeaderValue::from_str(text).ok();
        match self {
            Self::MethodNotAllowed { allow } => {
                vec![(ALLOW, Some(HeaderValue::from_static(allow)))]
            }
            Self::ReadOnly | Self::DeleteDisabled => {
                vec![(ALLOW, Some(HeaderValue::from_static("GET, HEAD, OPTIONS")))]
            }
            Self::Challenge(challenge) => vec![
                (WWW_AUTHENTICATE, Some(challenge.header.clone())),
                // The realm may name the host that this client asked.
                (CACHE_CONTROL, Some(HeaderValue::from_static("no-store"))),
            ],
            Self::TooManyFailedLogins(wait) | Self::Busy(wait) => {
                vec![(RETRY_AFTER, Some(seconds_rounded_up(*wait).into()))]
            }
            Self::RangeNotSatisfiable { size } => {
                vec![(CONTENT_RANGE, text(&format!("bytes */{size}")))]
            }
            Self::OutOfOrder { received, location } => {
                vec![
                    (LOCATION, text(location)),
                    (RANGE, text(&progress(*received))),
                ]
            }
            Self::Storage(StorageError::Unavailable { retry_after, .. }) => {
                vec![(RETRY_AFTER, Some(seconds_rounded_up(*retry_after).into()))]
            }
            Self::Storage(
                StorageError::TooManyUploads { .. }
                | StorageError::Busy
                | StorageError::Conflict
                | StorageError::UploadBusy
                | StorageError::ReadOnly,
            )
            | Self::RequestBody(RequestBodyError::NoMemory)
            | Self::Upstream(_) => vec![(RETRY_AFTER, Some(DEFAULT_RETRY_AFTER.as_secs().into()))],
            _ => Vec::new(),
        }
    }
}

fn storage_kind(error: &StorageError) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match error {
        StorageError::RepositoryUnknown => (S::NOT_FOUND, "NAME_UNKNOWN"),
        StorageError::ManifestUnknown => (S::NOT_FOUND, "MANIFEST_UNKNOWN"),
        StorageError::BlobUnknown => (S::NOT_FOUND, "BLOB_UNKNOWN"),
        StorageError::UploadUnknown => (S::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
        StorageError::ReferencesUnknown(_) => (S::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
        // Clients show this code with its message, and try nothing again.
        StorageError::TagImmutable(_) | StorageError::QuotaExceeded(_) => (S::FORBIDDEN, "DENIED"),
        StorageError::DigestMismatch(_) => (S::BAD_REQUEST, "DIGEST_INVALID"),
        StorageError::OutOfOrder { .. } => (S::RANGE_NOT_SATISFIABLE, "RANGE_INVALID"),
        // Docker tries an upload five times, unless the code is one of a few. This one is final, and
        // quotas of other registries have it, too.
        StorageError::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "DENIED"),
        // Another server may have stopped in the middle of the upload. Clients repeat a 429 until its
        // lease has ended; they do not repeat a 409.
        StorageError::UploadBusy | StorageError::TooManyUploads { .. } => {
            (S::TOO_MANY_REQUESTS, "TOOMANYREQUESTS")
        }
        StorageError::Full => (S::INSUFFICIENT_STORAGE, "UNAVAILABLE"),
        StorageError::ReadOnly
        | StorageError::Busy
        | StorageError::Conflict
        | StorageError::Unavailable { .. } => (S::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        StorageError::Damaged { .. } | StorageError::Io { .. } | StorageError::Metadata(_) => {
            (S::INTERNAL_SERVER_ERROR, "UNKNOWN")
        }
    }
}

/// An action as a sentence has it before the name of a repository.
fn done_with(action: &str) -> &str {
    match action {
        "pull" => "pull from",
        "push" => "push to",
        "delete" => "delete from",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn told(error: StorageError) -> (u16, Option<String>, String) {
        let response = RegistryError::from(error).response("the-id");
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, wait, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_disk_that_takes_no_more_says_so() {
        let (status, wait, body) = told(StorageError::Full).await;
        assert_eq!((status, wait), (507, None));
        assert!(body.contains("the disk is full"), "{body}");
        for error in [
            StorageError::ReadOnly,
            StorageError::Busy,
            StorageError::Conflict,
        ] {
            let (status, wait, body) = told(error).await;
            assert_eq!((status, wait.as_deref()), (503, Some("5")), "{body}");
        }
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_reached_says_when_to_try_again() {
        let retry_after = Duration::from_millis(1500);
        let (status, wait, body) = told(StorageError::Unavailable {
            what: storage::RemotePart::Database,
            retry_after,
        })
        .await;
        assert_eq!((status, wait.as_deref()), (503, Some("2")), "{body}");
    }

    #[tokio::test]
    async fn what_is_ours_is_told_to_the_log_alone() {
        let source = std::sync::Arc::new(std::io::Error::other("secret"));
        let (status, _, body) = told(StorageError::Io {
            action: "open a secret",
            source,
        })
        .await;
        assert_eq!(status, 500);
        assert!(
            body.contains("the-id") && !body.contains("secret"),
            "{body}"
        );
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(seconds_rounded_up(Duration::from_millis(2500)), 3);
        assert_eq!(seconds_rounded_up(Duration::from_secs(2)), 2);
    }
}
