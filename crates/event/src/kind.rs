//! What can happen.

use std::fmt::Display;
use std::time::Duration;

use oci::{Digest, RepositoryName, Tag};
use serde::{Serialize, Serializer};

/// What has happened.
///
/// Administration is not among these: the database records it with the change.
///
/// More kinds come with more features, so a `match` outside this workspace needs a `_` arm.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind<'a> {
    /// The token server signed a token, which may grant less than the client asked for.
    TokenIssued(TokenDecision<'a>),
    /// The token server refused to sign one.
    TokenRefused {
        /// What was asked, as far as it was understood.
        #[serde(flatten)]
        decision: TokenDecision<'a>,
        /// The HTTP status of the response.
        status: u16,
        /// The error in the response.
        response: &'a str,
        /// Why. The response may not say all of it.
        reason: &'a str,
    },
    /// A client logged in with a name and a password.
    LoginAccepted {
        /// Which backend knows the account: `users`, `ext_auth`, `htpasswd`, …
        backend: &'a str,
    },
    /// A client failed to log in.
    LoginRefused {
        /// Why, for the operator.
        reason: &'a str,
    },
    /// A session (a refresh token) began.
    SessionBegun {
        /// The session's id, which is no secret.
        session: &'a str,
        /// For which service.
        service: &'a str,
    },
    /// A session ended before its time.
    SessionEnded {
        /// The session's id.
        session: &'a str,
        /// Why: `revoked`, `account removed`, …
        reason: &'a str,
    },
    /// The registry refused a request because the client lacks access.
    AccessRefused(AccessRefusal<'a>),
    /// A client read a manifest (`GET`, not `HEAD`).
    ManifestPulled(ManifestEvent<'a>),
    /// A client pushed a manifest.
    ManifestPushed(ManifestEvent<'a>),
    /// A client removed a manifest with all its tags.
    ManifestDeleted {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The manifest.
        digest: &'a Digest,
    },
    /// A tag was made or pointed at another manifest.
    TagMoved {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The tag.
        #[serde(serialize_with = "display")]
        tag: &'a Tag,
        /// What it pointed at before. Absent for a new tag, or if that is not known.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<&'a Digest>,
        /// What it points at now.
        to: &'a Digest,
    },
    /// A client removed a tag.
    TagDeleted {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The tag.
        #[serde(serialize_with = "display")]
        tag: &'a Tag,
    },
    /// A client began to read a blob, or a part of one (`GET`, not `HEAD`).
    BlobPulled {
        /// The blob.
        #[serde(flatten)]
        blob: BlobEvent<'a>,
        /// How many bytes the response has.
        length: u64,
    },
    /// A client uploaded a blob.
    BlobPushed(BlobEvent<'a>),
    /// A repository was given a blob that another one has.
    BlobMounted {
        /// The blob.
        #[serde(flatten)]
        blob: BlobEvent<'a>,
        /// The other repository.
        #[serde(serialize_with = "display")]
        from: &'a RepositoryName,
    },
    /// A client removed a blob from a repository.
    BlobDeleted {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The blob.
        digest: &'a Digest,
    },
    /// A client read a page of the list of repositories.
    CatalogRead {
        /// How many repositories the page has.
        repositories: usize,
    },
    /// A pass of collection removed unused content.
    Collection {
        /// How many manifests.
        manifests: u64,
        /// How many blobs.
        blobs: u64,
        /// Their size in bytes.
        bytes: u64,
        /// How many abandoned uploads.
        uploads: u64,
    },
}

/// What the token server was asked for and what it decided.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TokenDecision<'a> {
    /// The service that the token is for.
    pub service: &'a str,
    /// The name that the client program gives itself (`client_id`).
    #[serde(skip_serializing_if = "str::is_empty")]
    pub client_id: &'a str,
    /// How the client proved its identity: `anonymous`, `password`, `refresh_token`, …
    pub grant: &'a str,
    /// Which backend knows the account; empty for an anonymous client.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub backend: &'a str,
    /// The backends that were asked before it and do not know the account, separated by spaces.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub asked_before: &'a str,
    /// The labels that the backend gave to the account: `team=red,blue vip=`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub labels: &'a str,
    /// What the proof says of its origin, if it says more than the account: the rule that trusts its
    /// issuer, the repository, the run.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub origin: &'a str,
    /// The session whose refresh token was used or made.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub session: &'a str,
    /// The scopes that were asked for, separated by spaces.
    pub requested: &'a str,
    /// The scopes that were granted, separated by spaces.
    pub granted: &'a str,
    /// What decided each scope, in the same order: `auth.yml:31`, `ext_authz`, `none`.
    pub rules: &'a str,
    /// How long the decision took, in microseconds.
    #[serde(rename = "took_us", serialize_with = "microseconds")]
    pub duration: Duration,
}

/// A request that the registry refused because the client lacks access.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AccessRefusal<'a> {
    /// The HTTP status of the response.
    pub status: u16,
    /// The scopes that the client lacks, separated by spaces.
    pub requested: &'a str,
    /// Why, for the operator.
    pub reason: &'a str,
}

/// A manifest that was pulled or pushed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ManifestEvent<'a> {
    /// Its repository.
    #[serde(serialize_with = "display")]
    pub repository: &'a RepositoryName,
    /// The manifest.
    pub digest: &'a Digest,
    /// The tag or digest by which the client asked for it.
    pub reference: &'a str,
    /// Its media type.
    pub media_type: &'a str,
    /// Its size in bytes.
    pub size: u64,
}

/// A blob that was pulled, pushed or mounted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BlobEvent<'a> {
    /// Its repository.
    #[serde(serialize_with = "display")]
    pub repository: &'a RepositoryName,
    /// The blob.
    pub digest: &'a Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl EventKind<'_> {
    /// The name of the kind, as in `manifest_pushed`: what [`Event`](crate::Event) has as `event`
    /// in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TokenIssued(_) => "token_issued",
            Self::TokenRefused { .. } => "token_refused",
            Self::LoginAccepted { .. } => "login_accepted",
            Self::LoginRefused { .. } => "login_refused",
            Self::SessionBegun { .. } => "session_begun",
            Self::SessionEnded { .. } => "session_ended",
            Self::AccessRefused(_) => "access_refused",
            Self::ManifestPulled(_) => "manifest_pulled",
            Self::ManifestPushed(_) => "manifest_pushed",
            Self::ManifestDeleted { .. } => "manifest_deleted",
            Self::TagMoved { .. } => "tag_moved",
            Self::TagDeleted { .. } => "tag_deleted",
            Self::BlobPulled { .. } => "blob_pulled",
            Self::BlobPushed(_) => "blob_pushed",
            Self::BlobMounted { .. } => "blob_mounted",
            Self::BlobDeleted { .. } => "blob_deleted",
            Self::CatalogRead { .. } => "catalog_read",
            Self::Collection { .. } => "collection",
        }
    }
}

fn display<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn microseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
